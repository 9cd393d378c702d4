/* The certificate authority: root and issuing intermediate, CSR vetting, leaf issuing.
 *
 * First start makes both keys (0600 in <state_dir>/keys/) and certificates; later starts load and
 * check them. Leaves are signed by the intermediate only, through ca/signer.h. Names in a CSR are
 * compared with the identifiers the caller vetted: policy is not checked here.
 * Thread: any after ca_open(). RFC 5280; RFC 2986 (CSR). */
#ifndef CA_CA_H
#define CA_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/store.h"
#include "core/util/config.h"
#include "core/util/err.h"
#include "core/util/name.h"
#include "core/util/token.h"

#define CA_CSR_MAX (32u * 1024u)
#define CA_NAMES_MAX 100u
#define CA_SERIAL_HEX_MAX 40u
#define CA_ROOT_DAYS 7300
#define CA_INTERMEDIATE_DAYS 3650
#define CA_BACKDATE_S 60

extern const struct store_module CA_STORE_MODULE;

/* What a profile allows (draft-ietf-acme-profiles): lifetime, usages, key rules. */
struct ca_profile {
    const char *name;
    const char *description;
    int64_t lifetime_s;
    bool has_server_auth, has_client_auth;
    unsigned key_types; /* of enum config_key_types */
};
/* Built in: default (90 days), month (30), short (6). NULL when unknown; name NULL or "" gives
 * default. */
const struct ca_profile *ca_profile_find(const char *name);
/* The same, among the built-in ones and those of the configuration (acme NULL: none). *out is valid
 * as long as acme is. ERR_NOT_FOUND. */
MUST_USE struct err ca_profile_choose(const struct config_acme *acme, const char *name,
                                      struct ca_profile *out);
/* Calls fn for every profile, built-in ones first; `profile` is lent for the call. */
void ca_profile_each(const struct config_acme *acme,
                     void (*fn)(void *ctx, const struct ca_profile *profile), void *ctx);

struct ca;
/* Opens or creates the CA. ERR_CONFIG/ERR_CRYPTO with a sentence when a key file is unreadable, has
 * loose permissions, or does not match its certificate. Creation is atomic: a crash in the middle
 * leaves either nothing or everything. */
MUST_USE struct err ca_open(const char *state_dir, enum config_key_alg alg,
                            const char *common_name_prefix, struct ca **out);
void ca_close(struct ca *ca);
const char *ca_root_pem(const struct ca *ca); /* one certificate, newline-terminated */
const uint8_t *ca_root_der(const struct ca *ca, size_t *len);
const char *ca_intermediate_pem(const struct ca *ca);
/* Lower-case hex SHA-256 of the root certificate (DER). */
const char *ca_root_fingerprint(const struct ca *ca);

/* Why a CSR is refused; maps to ACME badCSR or badPublicKey. */
struct ca_refusal {
    bool is_bad_key;
    char detail[300]; /* a sentence */
};
/* Is an RSA modulus (big-endian) of a kind that is quickly factored (small factors, ROCA, close
 * primes)? For account keys; CSRs are checked by ca_csr_vet(). */
MUST_USE struct err ca_rsa_is_weak(const uint8_t *modulus, size_t len, bool *is_weak);
struct ca_csr; /* a vetted CSR: its public key */
/* The CSR's key type, of enum config_key_types. */
unsigned ca_csr_key_type(const struct ca_csr *csr);
/* RFC 7638 thumbprint of the CSR's key, base64url; borrowed. */
const char *ca_csr_thumbprint(const struct ca_csr *csr);
/* Parse and vet a DER CSR: exact DER without trailing bytes, self-signature, key type (EC P-256,
 * P-384, P-521; RSA min_rsa_bits..4096 with odd public exponent >= 65537; Ed25519), weak RSA keys
 * (small factors, ROCA, close primes), no CA:TRUE, no SAN but dNSName and iPAddress, common names
 * and SANs together equal to idents (RFC 8555 §7.4, RFC 8738 §3: an ip identifier is an iPAddress
 * of 4 or 16 octets, never an IPv4-mapped one; a common name may hold its canonical text; any
 * order, case folded, repetition allowed). account_spki: DER SubjectPublicKeyInfo of the account
 * key, which must differ (RFC 8555 §11.1). ERR_REJECTED fills refusal. */
MUST_USE struct err ca_csr_vet(const uint8_t *der, size_t der_len, const struct ident *idents,
                               size_t idents_n, unsigned min_rsa_bits, const uint8_t *account_spki,
                               size_t account_spki_len, struct ca_csr **out,
                               struct ca_refusal *refusal);
void ca_csr_free(struct ca_csr *csr);
void ca_csr_freep(struct ca_csr **csr);

struct ca_leaf {
    char serial[CA_SERIAL_HEX_MAX + 1]; /* lower-case hex */
    int64_t not_before, not_after;      /* unix seconds */
    uint8_t *der;
    size_t der_len;
    char *chain_pem; /* leaf, then intermediate; each newline-terminated (RFC 8555 §9.1) */
};
void ca_leaf_clear(struct ca_leaf *leaf);
struct ca_leaf_request {
    const struct ca_profile *profile;
    const struct ident *idents; /* dNSName or iPAddress SANs */
    size_t idents_n;
    const struct ip_addr *ips; /* iPAddress SANs: our own HTTPS certificate only */
    size_t ips_n;
    /* 0 = a minute back; else honoured when within [now - 1 h, now + lifetime) and notBefore +
     * lifetime still to come. */
    int64_t not_before;
    /* 0 = notBefore + lifetime - 1 s; else honoured when after notBefore and not past that; never
     * past the issuer's. */
    int64_t not_after;
};
/* Sign a leaf for the CSR's key. Nothing is stored: the caller stores the row (ca_leaf_store)
 * before it shows the certificate. The profile's usages become the extended key usage.
 * ERR_REJECTED (refusal) for dates and, with is_bad_key, key types the profile does not allow. */
MUST_USE struct err ca_issue(struct ca *ca, const struct ca_csr *csr,
                             const struct ca_leaf_request *request, struct ca_leaf *out,
                             struct ca_refusal *refusal);
/* Write the certificate row; in the caller's write transaction. order_id/account_id may be "" for
 * our own. */
MUST_USE struct err ca_leaf_store(struct db *db, const struct ca_leaf *leaf,
                                  const char *certificate_id, const char *account_id,
                                  const char *order_id, const char *profile);
/* The certificate `certificate_id`: its chain and owner. ERR_NOT_FOUND. *chain_pem owned by the
 * caller; account_id: OBJECT_ID_LEN + 1. */
MUST_USE struct err ca_chain_load(struct db *db, const char *certificate_id, char **chain_pem,
                                  char *account_id);
/* A fresh P-256 key and certificate for the daemon's own HTTPS: names (dns) and ips, profile
 * default, SAN only. PEM texts owned by the caller; key_pem is wiped by the caller. Stores the
 * certificate row itself before it returns. */
MUST_USE struct err ca_issue_own(struct ca *ca, struct store *store, const struct ident *idents,
                                 size_t idents_n, const struct ip_addr *ips, size_t ips_n,
                                 char **cert_pem, char **key_pem, int64_t *not_after);
/* Is the pair (PEM, leaf first) one of ours that can go on serving: issued by the current
 * intermediate, a third of its life left, key and certificate belong together, every name and
 * address in it? *not_after is set when true. */
struct ca_own_pair {
    const char *cert_pem;
    const char *key_pem;
    const struct ident *idents;
    size_t idents_n;
    const struct ip_addr *ips;
    size_t ips_n;
};
bool ca_own_is_usable(const struct ca *ca, const struct ca_own_pair *pair, int64_t *not_after);
/* notAfter of the first certificate of a PEM text. ERR_CRYPTO when there is none. */
MUST_USE struct err ca_pem_not_after(const char *pem, int64_t *not_after);
/* --- issued certificates: look-ups, revocation, renewal ---------------------------------------- */
struct ca_cert_info {
    char id[OBJECT_ID_LEN + 1];
    char serial[CA_SERIAL_HEX_MAX + 1];
    char account_id[OBJECT_ID_LEN + 1];
    char order_id[OBJECT_ID_LEN + 1];
    char profile[CONFIG_PROFILE_NAME_MAX + 1];
    int64_t not_before, not_after;
    int64_t revoked_unix;  /* 0 = it is not */
    int reason;            /* RFC 5280 §5.3.1, when revoked */
    int64_t renew_by_unix; /* its issuer changes then: renew before; 0 = no such plan */
    struct ident *idents;  /* owned */
    size_t idents_n;
};
void ca_cert_info_clear(struct ca_cert_info *info);
/* The certificate that is exactly this DER (RFC 8555 §7.6). ERR_NOT_FOUND: not one of ours;
 * ERR_MALFORMED: no certificate at all. */
MUST_USE struct err ca_cert_find(struct db *db, const uint8_t *der, size_t len,
                                 struct ca_cert_info *out);
MUST_USE struct err ca_cert_load(struct db *db, const char *certificate_id,
                                 struct ca_cert_info *out);
/* By RFC 9773 §4.1's identifier, "<base64url of keyIdentifier>.<base64url of serial>"; the key
 * identifier must be that of the certificate's own issuer. ERR_MALFORMED, ERR_NOT_FOUND. */
#define CA_RENEWAL_ID_MAX 96u
MUST_USE struct err ca_cert_find_renewal(struct db *db, const char *renewal_id,
                                         struct ca_cert_info *out);
/* That identifier of a DER certificate. */
MUST_USE struct err ca_renewal_id(const uint8_t *der, size_t len, char out[CA_RENEWAL_ID_MAX + 1]);
/* DER SubjectPublicKeyInfo of a DER certificate; *out owned by the caller. ERR_MALFORMED. */
MUST_USE struct err ca_cert_spki(const uint8_t *der, size_t len, uint8_t **out, size_t *out_len);
/* May `reason` be asked for by a subscriber? 0, 1, 3, 4, 5 and, of what RFC 5280 §5.3.1 has, no
 * other: 2, 6, 8, 9, 10 belong to CAs and attribute authorities, 7 does not exist. */
bool ca_reason_ok(int64_t reason);
/* In the caller's write transaction, to which the caller adds the audit row. reason: one that
 * ca_reason_ok() allows. ERR_CONFLICT: revoked already; ERR_NOT_FOUND. */
MUST_USE struct err ca_cert_revoke(struct db *db, const char *certificate_id, int reason);
/* The window in which to renew (RFC 9773 §4.2): a third of the life before its end, spread by the
 * certificate's id so that a fleet does not come at once; ends at renew_by_unix when that is
 * earlier; in the past when revoked or when its issuer's change is due; never past notAfter.
 * *start_unix < *end_unix. Pure. */
void ca_renewal_window(const struct ca_cert_info *info, int64_t now_unix, int64_t *start_unix,
                       int64_t *end_unix);
/* Pull forward the renewal of everything under this issuer (PEM) that is still valid: it ends at
 * renew_by_unix; 0 withdraws an earlier plan. In the caller's write transaction. *n: how many.
 * ERR_MALFORMED: no certificate. For the day an issuer changes. */
MUST_USE struct err ca_issuer_renew_by(struct db *db, const char *issuer_pem, int64_t renew_by_unix,
                                       int64_t *n);
/* Chains: 0 is the issuer that signed, further ones are the alternates with its name and key (a
 * cross-signed intermediate) that have not expired, in the order they were added. *n: how many
 * chains there are, set also for an index past them (ERR_NOT_FOUND). ERR_NOT_FOUND with *n 0: no
 * such certificate. */
MUST_USE struct err ca_chain_load_alternate(struct db *db, const char *certificate_id, size_t index,
                                            char **chain_pem, char *account_id, size_t *n);
/* Make `issuer_pem` (CA certificates, the issuing one first, each signed by the next, none expired)
 * an alternate of the issuer in use that has its subject and key; twice is once. In the caller's
 * write transaction. ERR_MALFORMED: not such a chain, or what was issued does not verify under it;
 * ERR_NOT_FOUND: no issuer in use has its subject and key. */
MUST_USE struct err ca_issuer_add_alternate(struct db *db, const char *issuer_pem);

/* How many certificates were issued, for status. */
MUST_USE struct err ca_count(struct db *db, int64_t *total, int64_t *valid_now);

#endif
