/* The numbers and octets of DNS messages: what several files of dns/ would otherwise each write down.
 *
 * Lengths of the fixed parts, flags, opcodes, RCODEs, extended errors, types and classes; 16 and 32 bits
 * in network order; serial number arithmetic. Checks nothing: that the octets are there is the caller's
 * to know.
 * Thread: any; pure. */
#ifndef DNS_WIRE_H
#define DNS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- fixed parts, in octets ------------------------------------------------------------------- */
#define DNS_HEADER_LEN 12u       /* RFC 1035 §4.1.1 */
#define DNS_QUESTION_TAIL_LEN 4u /* type and class behind the name. RFC 1035 §4.1.2 */
#define DNS_RR_HEAD_LEN 10u      /* TYPE to RDLENGTH. RFC 1035 §4.1.3 */
#define DNS_OPT_LEN 11u /* without options: the root's name and the head. RFC 6891 §6.1.2 */
#define DNS_SOA_NUMBERS_LEN 20u /* SERIAL to MINIMUM, the end of an SOA's RDATA. RFC 1035 §3.3.13 */

/* --- compressed names, RFC 1035 §4.1.4 -------------------------------------------------------- */
#define DNS_POINTER 0xc000u     /* its 16 bits, without the offset */
#define DNS_POINTER_BITS 0xc0u  /* of its first octet, which is nothing less */
#define DNS_POINTER_MAX 0x3fffu /* the last offset that it reaches */
#define DNS_POINTER_LEN 2u

/* --- the header's flags, RFC 1035 §4.1.1 ------------------------------------------------------ */
#define FLAG_QR 0x80u /* octet 2 ... */
#define FLAG_AA 0x04u
#define FLAG_TC 0x02u
#define FLAG_RD 0x01u
#define OPCODE_BITS 0x78u
#define OPCODE_SHIFT 3u
#define FLAG_RA 0x80u /* octet 3 ... */
#define FLAG_CD 0x10u /* RFC 4035 §3.2.2 */
#define RCODE_BITS 0x0fu
#define EDNS_DO 0x8000u         /* in the low half of an OPT record's TTL. RFC 6891 §6.1.4 */
#define EDNS_OPTION_HEAD_LEN 4u /* RFC 6891 §6.1.2 */
#define EDNS_OPTION_COOKIE 10u  /* RFC 7873 §4 */

enum dns_opcode {
    OPCODE_QUERY = 0,
    OPCODE_NOTIFY = 4, /* RFC 1996 §3 */
    OPCODE_UPDATE = 5  /* RFC 2136 §1.3 */
};
static inline unsigned wire_opcode(const uint8_t *header)
{
    return (header[2] & OPCODE_BITS) >> OPCODE_SHIFT;
}

enum dns_rcode {
    RCODE_NOERROR = 0,
    RCODE_FORMERR = 1,
    RCODE_SERVFAIL = 2,
    RCODE_NXDOMAIN = 3,
    RCODE_NOTIMP = 4,
    RCODE_REFUSED = 5,
    RCODE_YXDOMAIN = 6, /* from here RFC 2136 §2.2 */
    RCODE_YXRRSET = 7,
    RCODE_NXRRSET = 8,
    RCODE_NOTAUTH = 9,
    RCODE_NOTZONE = 10,
    RCODE_BADVERS = 16,  /* RFC 6891 §9 */
    RCODE_BADCOOKIE = 23 /* RFC 7873 §8 */
};
/* "NXDOMAIN"; NULL for a number that is none of enum dns_rcode. */
static inline const char *wire_rcode_text(unsigned rcode)
{
    static const char *const NAMES[RCODE_BADCOOKIE + 1] = {
        [RCODE_NOERROR] = "NOERROR",    [RCODE_FORMERR] = "FORMERR", [RCODE_SERVFAIL] = "SERVFAIL",
        [RCODE_NXDOMAIN] = "NXDOMAIN",  [RCODE_NOTIMP] = "NOTIMP",   [RCODE_REFUSED] = "REFUSED",
        [RCODE_YXDOMAIN] = "YXDOMAIN",  [RCODE_YXRRSET] = "YXRRSET", [RCODE_NXRRSET] = "NXRRSET",
        [RCODE_NOTAUTH] = "NOTAUTH",    [RCODE_NOTZONE] = "NOTZONE", [RCODE_BADVERS] = "BADVERS",
        [RCODE_BADCOOKIE] = "BADCOOKIE"};

    return rcode <= RCODE_BADCOOKIE ? NAMES[rcode] : NULL;
}

/* Extended errors. RFC 8914 §4 */
enum dns_ede {
    EDE_NONE = 0, /* none is sent */
    EDE_PROHIBITED = 18,
    EDE_NOT_AUTHORITATIVE = 20,
    EDE_NOT_SUPPORTED = 21,
    EDE_NO_AUTHORITY = 22,
    EDE_NETWORK = 23
};

/* --- types and classes ------------------------------------------------------------------------ */
#define DNS_TYPE_A 1u
#define DNS_TYPE_NS 2u
#define DNS_TYPE_CNAME 5u
#define DNS_TYPE_SOA 6u
#define DNS_TYPE_PTR 12u
#define DNS_TYPE_MX 15u
#define DNS_TYPE_TXT 16u
#define DNS_TYPE_AAAA 28u
#define DNS_TYPE_SRV 33u
#define DNS_TYPE_DNAME 39u
#define DNS_TYPE_OPT 41u
#define DNS_TYPE_DS 43u
#define DNS_TYPE_RRSIG 46u
#define DNS_TYPE_NSEC 47u
#define DNS_TYPE_NSEC3 50u
#define DNS_TYPE_SVCB 64u
#define DNS_TYPE_HTTPS 65u
#define DNS_TYPE_META_FIRST 128u /* to META_LAST: in questions only. RFC 6895 §3.1 */
#define DNS_TYPE_TSIG 250u
#define DNS_TYPE_IXFR 251u
#define DNS_TYPE_AXFR 252u
#define DNS_TYPE_ANY 255u
#define DNS_TYPE_META_LAST 255u
#define DNS_TYPE_CAA 257u

#define DNS_CLASS_IN 1u
#define DNS_CLASS_NONE 254u /* RFC 2136 §2.4, §2.5 */
#define DNS_CLASS_ANY 255u

/* --- numbers in network order. RFC 1035 §2.3.2 ------------------------------------------------ */
static inline unsigned wire_get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}
static inline uint32_t wire_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
/* The low 16 bits of v. */
static inline void wire_put16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void wire_put32(uint8_t *p, uint32_t v)
{
    wire_put16(p, v >> 16);
    wire_put16(p + 2, v);
}

/* --- serial numbers --------------------------------------------------------------------------- */
/* Is a the newer one? False for equal ones, and for two that lie exactly half the space apart: which of
 * those is newer is not defined (RFC 1982 §3.2), and a serial number that some secondaries would take for
 * the older one is nothing to move to, nor a reason to tell a secondary that it has all. */
static inline bool serial_is_newer(uint32_t a, uint32_t b)
{
    return a != b && (uint32_t)(a - b) < UINT32_C(0x80000000);
}
/* The serial number in an SOA's RDATA; 0 when that is too short to be one. RFC 1035 §3.3.13 */
static inline uint32_t wire_soa_serial(const uint8_t *rdata, size_t len)
{
    return len < DNS_SOA_NUMBERS_LEN ? 0 : wire_get32(rdata + len - DNS_SOA_NUMBERS_LEN);
}

#endif
