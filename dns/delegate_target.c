/* Where a value belongs: from the name that a client sends to the owner name in the delegate
 * zone. */
#include "dns/delegate_int.h"

#include <stdio.h>
#include <string.h>

#define ACME_PREFIX ACME_LABEL "."
#define ACME_PREFIX_LEN (sizeof(ACME_PREFIX) - 1)
#define LABELLED (ZONE_ACCOUNT_LABEL_LEN + 1) /* an account's label and its dot */
#define SHOWN_NAME_MAX 100 /* characters of a name in a sentence, so that its advice fits too */

bool delegate_is_uuid(const char *text, size_t len)
{
    if (len != UUID_TEXT_LEN) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool is_hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (is_dash ? text[i] != '-' : !is_hex) {
            return false;
        }
    }
    return true;
}

/* How many characters stand before ".<delegate zone>", 0 when fqdn is not below it. */
static size_t left_of_zone(const struct delegate *d, const char *fqdn)
{
    size_t n = strlen(fqdn);
    size_t z = strlen(d->cfg->delegate_zone);

    if (n < z + 2 || !name_is_below_or_equal(fqdn, d->cfg->delegate_zone)) {
        return 0;
    }
    return n - z - 1;
}

struct err delegate_parse_base(const struct delegate *d, const char *text, size_t len,
                               char base[NAME_TEXT_MAX + 1], struct delegate_refusal *refusal)
{
    const char *why = "not a name";

    if (name_parse(text, len, base, &why).code != ERR_OK) {
        return delegate_refuse(refusal, DELEGATE_BAD_NAME, "'%.*s' is not a usable name: %s",
                               (int)(len > SHOWN_NAME_MAX ? SHOWN_NAME_MAX : len), text, why);
    }
    if (name_is_below_or_equal(base, d->cfg->delegate_zone)) {
        return delegate_refuse(refusal, DELEGATE_BAD_NAME,
                               "%.100s lies in the delegate zone %.100s, whose names are not "
                               "available to hosts: publish at _acme-challenge.<name> of the host",
                               base, d->cfg->delegate_zone);
    }
    return err_ok();
}

struct err delegate_parse_domain(const struct delegate *d, const char *domain,
                                 char base[NAME_TEXT_MAX + 1], struct delegate_refusal *refusal)
{
    size_t len = strnlen(domain, NAME_TEXT_MAX + 4);

    if (len > 0 && domain[len - 1] == '.') {
        len--;
    }
    if (len > 2 && domain[0] == '*' && domain[1] == '.') {
        domain += 2;
        len -= 2;
    }
    return delegate_parse_base(d, domain, len, base, refusal);
}

void delegate_hash(const char *base, char out[DELEGATE_HASHED_LEN + 1])
{
    uint8_t digest[SHA256_LEN];
    char text[DELEGATE_HASHED_LEN + 1];

    sha256_plain(base, strlen(base), digest);
    base32_encode(digest, sizeof(digest), text);
    memcpy(out, "h-", 2);
    memcpy(out + 2, text, DELEGATE_HASHED_LEN - 2);
    out[DELEGATE_HASHED_LEN] = '\0';
}

struct err delegate_owner(const struct delegate *d, const char *label, const char *base,
                          char owner[NAME_TEXT_MAX + 1])
{
    const char *zone = d->cfg->delegate_zone;
    char hashed[DELEGATE_HASHED_LEN + 1];

    if (label[0] == '\0') {
        return name_delegate(base, zone, owner);
    }
    if (LABELLED + strlen(base) + 1 + strlen(zone) > NAME_TEXT_MAX) {
        delegate_hash(base, hashed);
        base = hashed;
    }
    int n = snprintf(owner, NAME_TEXT_MAX + 1, "%s.%s.%s", label, base, zone);
    if (n < 0 || (size_t)n > NAME_TEXT_MAX) {
        FAIL(ERR_LIMIT, "delegate zone %.253s is too long for the labels of accounts", zone);
    }
    return err_ok();
}

struct err delegate_name_target(const struct delegate *d, const char *text, size_t len,
                                struct delegate_target *target, struct delegate_refusal *refusal)
{
    target->kind = TARGET_NAME;
    TRY(delegate_parse_base(d, text, len, target->base, refusal));
    struct err e = delegate_owner(d, target->label, target->base, target->owner);
    if (e.code == ERR_LIMIT && target->label[0] != '\0') {
        return delegate_refuse(refusal, DELEGATE_BAD_NAME,
                               "the delegate zone's name leaves no room for an account's label "
                               "before %.100s: use dns-01, or configure a shorter delegate_zone",
                               target->base);
    }
    return e;
}

struct label_job {
    const char *label;
    struct delegate_target *target;
};

static struct err read_registration(struct db *db, void *arg)
{
    const struct label_job *job = arg;

    return registration_get(db, BY_LABEL, job->label, &job->target->reg);
}

static struct err read_hashed(struct db *db, void *arg)
{
    const struct label_job *job = arg;

    return hashed_get(db, job->label, job->target->base);
}

static struct err label_target(struct delegate *d, const char *label,
                               struct delegate_target *target, struct delegate_refusal *refusal)
{
    struct label_job job = {label, target};
    struct err e = store_read(d->store, "delegate.label", read_registration, &job);

    if (e.code == ERR_NOT_FOUND) {
        return delegate_refuse(refusal, DELEGATE_BAD_NAME,
                               "there is no registration %s: register again, or publish at "
                               "_acme-challenge.<name>",
                               label);
    }
    TRY(e);
    target->kind = TARGET_LABEL;
    return err_ok();
}

static struct err hashed_target(struct delegate *d, const char *label,
                                struct delegate_target *target, struct delegate_refusal *refusal)
{
    struct label_job job = {label, target};

    if (!expectations_hashed(d->expected, label, target->base)) {
        struct err e = store_read(d->store, "delegate.hashed", read_hashed, &job);
        if (e.code == ERR_NOT_FOUND) {
            return delegate_refuse(refusal, DELEGATE_BAD_NAME,
                                   "no name is known for %s: order a certificate for the name "
                                   "first, or publish at _acme-challenge.<name>",
                                   label);
        }
        TRY(e);
    }
    return delegate_name_target(d, target->base, strlen(target->base), target, refusal);
}

/* fqdn: lower case, without trailing dot and an account's label; left: without the delegate
 * zone. */
static struct err zone_target(struct delegate *d, const char *fqdn, size_t left,
                              struct delegate_target *target, struct delegate_refusal *refusal)
{
    char label[LABEL_MAX + 1];
    bool is_label = memchr(fqdn, '.', left) == NULL && left <= LABEL_MAX;

    if (is_label) {
        memcpy(label, fqdn, left);
        label[left] = '\0';
    }
    if (is_label && target->label[0] == '\0' && delegate_is_uuid(label, left)) {
        return label_target(d, label, target, refusal);
    }
    if (is_label && left == DELEGATE_HASHED_LEN && strncmp(label, "h-", 2) == 0) {
        return hashed_target(d, label, target, refusal);
    }
    return delegate_name_target(d, fqdn, left, target, refusal);
}

/* An account's label at the front: how many characters it and its dot are. */
static size_t take_label(const char *text, char label[ZONE_ACCOUNT_LABEL_LEN + 1])
{
    const char *dot = strchr(text, '.');

    if (dot == NULL || !zone_is_account_label(text, (size_t)(dot - text))) {
        return 0;
    }
    memcpy(label, text, ZONE_ACCOUNT_LABEL_LEN);
    label[ZONE_ACCOUNT_LABEL_LEN] = '\0';
    return LABELLED;
}

struct err delegate_find_target(struct delegate *d, const char *fqdn,
                                struct delegate_target *target, struct delegate_refusal *refusal)
{
    char text[LABELLED + ACME_PREFIX_LEN + NAME_TEXT_MAX + 2];
    size_t len = strnlen(fqdn, sizeof(text));

    if (len == sizeof(text) || len == 0) {
        return delegate_refuse(refusal, DELEGATE_BAD_NAME, "the name is %s",
                               len == 0 ? "empty" : "longer than a DNS name can be");
    }
    for (size_t i = 0; i < len; i++) {
        text[i] = fqdn[i] >= 'A' && fqdn[i] <= 'Z' ? (char)(fqdn[i] - 'A' + 'a') : fqdn[i];
    }
    len -= text[len - 1] == '.' ? 1u : 0u;
    text[len] = '\0';
    const char *rest = text + take_label(text, target->label);
    if (strncmp(rest, ACME_PREFIX, ACME_PREFIX_LEN) == 0) {
        rest += ACME_PREFIX_LEN;
        target->is_challenge = true;
        return delegate_name_target(d, rest, strlen(rest), target, refusal);
    }
    size_t left = len > NAME_TEXT_MAX ? 0 : left_of_zone(d, rest);
    if (left > 0) {
        memcpy(target->owner, text, len + 1);
        return zone_target(d, rest, left, target, refusal);
    }
    return delegate_refuse(refusal, DELEGATE_BAD_NAME,
                           "'%.100s' is no place for a challenge: use _acme-challenge.<name> or "
                           "<name>.%.100s",
                           text, d->cfg->delegate_zone);
}
