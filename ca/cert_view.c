#include "ca/cert_view.h"

#include <string.h>

#include "core/util/mem.h"
#include "core/util/token.h"

#define VERSION_TAG 0xa0u
#define ISSUER_UID_TAG 0x81u
#define SUBJECT_UID_TAG 0x82u
#define EXTENSIONS_TAG 0xa3u
#define BOOLEAN_TAG 0x01u
#define OCTET_STRING_TAG 0x04u
#define KEY_IDENTIFIER_TAG 0x80u
#define DNS_NAME_TAG 0x82u
#define IP_ADDRESS_TAG 0x87u

static const uint8_t OID_ALT_NAMES[] = {0x55, 0x1d, 0x11};
static const uint8_t OID_AUTHORITY_KEY[] = {0x55, 0x1d, 0x23};

static bool is_oid(const struct der_item *item, const uint8_t oid[3])
{
    return item->len == 3 && memcmp(item->body, oid, 3) == 0;
}

/* The one SEQUENCE that an extension's OCTET STRING holds; false also when it is there already. */
static bool read_value(const struct der_item *octets, struct der_item *value)
{
    struct rd r = der_enter(octets);

    return value->whole == NULL && der_is_strict(octets->body, octets->len) &&
           der_expect(&r, DER_SEQUENCE, value);
}

/* Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue } */
static bool read_extension(const struct der_item *extension, struct der_item *authority,
                           struct der_item *names)
{
    struct der_item oid;
    struct der_item value;
    struct rd r = der_enter(extension);

    if (!der_expect(&r, DER_OID, &oid) || !der_next(&r, &value) ||
        (value.tag == BOOLEAN_TAG && !der_next(&r, &value)) || value.tag != OCTET_STRING_TAG ||
        r.left != 0) {
        return false;
    }
    if (is_oid(&oid, OID_ALT_NAMES)) {
        return read_value(&value, names);
    }
    if (is_oid(&oid, OID_AUTHORITY_KEY)) {
        return read_value(&value, authority);
    }
    return true;
}

/* RFC 5280 §4.2.1.1: the key identifier, when it is there, stands first. */
static bool read_authority(const struct der_item *authority, struct cert_view *out)
{
    struct der_item item;
    struct rd r = der_enter(authority);

    if (r.left == 0) {
        return true;
    }
    if (!der_next(&r, &item)) {
        return false;
    }
    if (item.tag == KEY_IDENTIFIER_TAG) {
        out->issuer_key_id = item.body;
        out->issuer_key_id_len = item.len;
    }
    return true;
}

static bool read_extensions(const struct der_item *explicit_tag, struct cert_view *out)
{
    struct der_item list;
    struct der_item extension;
    struct der_item authority = {0};
    struct rd outer = der_enter(explicit_tag);

    if (!der_expect(&outer, DER_SEQUENCE, &list) || outer.left != 0) {
        return false;
    }
    struct rd r = der_enter(&list);
    while (r.left > 0) {
        if (!der_expect(&r, DER_SEQUENCE, &extension) ||
            !read_extension(&extension, &authority, &out->names)) {
            return false;
        }
    }
    return authority.whole == NULL || read_authority(&authority, out);
}

/* What may follow the key: unique identifiers, extensions, each at most once and in order. */
static bool read_tail(struct rd *r, struct cert_view *out)
{
    static const uint8_t TAGS[] = {ISSUER_UID_TAG, SUBJECT_UID_TAG, EXTENSIONS_TAG};
    struct der_item item;
    size_t at = 0;

    while (r->left > 0) {
        if (!der_next(r, &item)) {
            return false;
        }
        while (at < ARRAY_N(TAGS) && TAGS[at] != item.tag) {
            at++;
        }
        if (at == ARRAY_N(TAGS) || (item.tag == EXTENSIONS_TAG && !read_extensions(&item, out))) {
            return false;
        }
        at++;
    }
    return true;
}

static bool is_spki(const struct der_item *spki)
{
    struct der_item part;
    struct rd r = der_enter(spki);

    return der_expect(&r, DER_SEQUENCE, &part) && der_expect(&r, DER_BIT_STRING, &part) &&
           r.left == 0 && part.body[0] == 0;
}

static bool read_tbs(const struct der_item *tbs, struct cert_view *out)
{
    struct der_item item;
    struct rd r = der_enter(tbs);

    if (!der_next(&r, &item) || (item.tag == VERSION_TAG && !der_next(&r, &item)) ||
        item.tag != DER_INTEGER) {
        return false;
    }
    out->serial = item.body;
    out->serial_len = item.len;
    return der_expect(&r, DER_SEQUENCE, &item) && der_expect(&r, DER_SEQUENCE, &out->issuer) &&
           der_expect(&r, DER_SEQUENCE, &item) && der_expect(&r, DER_SEQUENCE, &out->subject) &&
           der_expect(&r, DER_SEQUENCE, &out->spki) && is_spki(&out->spki) && read_tail(&r, out);
}

struct err cert_serial_hex(const uint8_t *serial, size_t len, char out[CA_SERIAL_HEX_MAX + 1])
{
    bool has_sign_octet = len > 1 && serial[0] == 0;

    if (len == 0 || serial[0] >= 0x80u || (has_sign_octet && serial[1] < 0x80u) ||
        len - (has_sign_octet ? 1u : 0u) > CERT_VIEW_SERIAL_MAX) {
        FAIL(ERR_MALFORMED, "not a certificate's serial number");
    }
    hex_encode(serial + (has_sign_octet ? 1 : 0), len - (has_sign_octet ? 1u : 0u), out);
    return err_ok();
}

struct err cert_view_read(const uint8_t *der, size_t len, struct cert_view *out)
{
    struct cert_view view = {0};
    struct der_item certificate;
    struct der_item tbs;
    struct der_item part;
    char serial[CA_SERIAL_HEX_MAX + 1];

    if (len == 0 || len > CERT_VIEW_DER_MAX || !der_is_strict(der, len)) {
        FAIL(ERR_MALFORMED, "not one DER value of at most %u octets", CERT_VIEW_DER_MAX);
    }
    struct rd outer = rd_init(der, len);
    if (der_expect(&outer, DER_SEQUENCE, &certificate)) {
        struct rd r = der_enter(&certificate);
        if (der_expect(&r, DER_SEQUENCE, &tbs) && der_expect(&r, DER_SEQUENCE, &part) &&
            der_expect(&r, DER_BIT_STRING, &part) && r.left == 0 && read_tbs(&tbs, &view)) {
            TRY(cert_serial_hex(view.serial, view.serial_len, serial));
            *out = view;
            return err_ok();
        }
    }
    FAIL(ERR_MALFORMED, "not an X.509 certificate");
}

static struct err read_address(const struct der_item *item, struct ident *out)
{
    struct ip_addr ip = {.family = item->len == 4 ? 4 : 6};
    struct ident id = {.is_ip = true};

    memcpy(ip.bytes, item->body, item->len);
    ip_text(&ip, id.base);
    /* IPv4 mapped into IPv6 would read back as another address. */
    const struct ip_addr again = ident_ip(&id);
    if (!ip_equal(&ip, &again)) {
        FAIL(ERR_MALFORMED, "an address that has no text of its own");
    }
    *out = id;
    return err_ok();
}

static struct err read_name(const struct der_item *item, struct ident *out)
{
    if (item->tag == DNS_NAME_TAG) {
        return ident_parse((const char *)item->body, item->len, out, NULL);
    }
    if (item->tag == IP_ADDRESS_TAG && (item->len == 4 || item->len == 16)) {
        return read_address(item, out);
    }
    FAIL(ERR_MALFORMED, "an alternative name that is neither a DNS name nor an IP address");
}

struct err cert_view_idents(const struct cert_view *view, struct ident **out, size_t *n)
{
    AUTO(mem_freep) struct ident *idents = NULL;
    struct der_item item;
    size_t names_n = 0;

    *out = NULL;
    *n = 0;
    if (view->names.whole == NULL) {
        return err_ok();
    }
    struct rd count = der_enter(&view->names);
    while (der_next(&count, &item)) {
        names_n++;
    }
    if (names_n == 0) {
        return err_ok();
    }
    idents = mem_array(names_n, sizeof(*idents));
    TRY_PTR(idents);
    struct rd r = der_enter(&view->names);
    for (size_t i = 0; i < names_n && der_next(&r, &item); i++) {
        TRY(read_name(&item, &idents[i]));
    }
    *n = names_n;
    *out = MOVE(idents);
    return err_ok();
}
