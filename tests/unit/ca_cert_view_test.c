/* Certificates taken apart, built by hand from DER. */
#include "ca_fixture.h"

#include "ca/cert_view.h"

#define PART_MAX 2048u

/* A piece of DER. */
struct part {
    uint8_t data[PART_MAX];
    size_t len;
};

static struct part raw(const char *data, size_t len)
{
    struct part p = {.len = len};

    assert_true(len <= PART_MAX);
    memcpy(p.data, data, len);
    return p;
}
#define RAW(literal) raw((literal), sizeof(literal) - 1)

/* tag { parts in order } */
static struct part wrap(uint8_t tag, const struct part *parts, size_t n)
{
    struct buf body = BUF_INIT(PART_MAX);
    struct buf all = BUF_INIT(PART_MAX);

    for (size_t i = 0; i < n; i++) {
        buf_put(&body, parts[i].data, parts[i].len);
    }
    der_put(&all, tag, body.data, body.len);
    assert_ok(buf_check(&all));
    struct part p = raw((const char *)all.data, all.len);
    buf_clear(&body);
    buf_clear(&all);
    return p;
}

static struct part wrap1(uint8_t tag, struct part inside)
{
    return wrap(tag, &inside, 1);
}

/* Extension: OID, critical or not, value in an OCTET STRING. */
static struct part extension(uint8_t last_arc, bool is_critical, struct part value)
{
    const char oid[] = {0x06, 0x03, 0x55, 0x1d, (char)last_arc};
    const struct part parts[] = {raw(oid, sizeof(oid)), is_critical ? RAW("\x01\x01\xff") : RAW(""),
                                 wrap1(0x04, value)};

    return wrap(DER_SEQUENCE, parts, 3);
}

enum { VERSION, SERIAL, ALGORITHM, ISSUER, VALIDITY, SUBJECT, SPKI, TAIL, TBS_PARTS };
#define SEQ "\x30\x00"
#define KEY "\x30\x06\x30\x00\x03\x02\x00\x01"
#define AUTHORITY "\x30\x04\x80\x02\xaa\xbb"

static struct part extensions(const struct part *list, size_t n)
{
    return wrap1(0xa3, wrap(DER_SEQUENCE, list, n));
}

static void fill(struct part tbs[TBS_PARTS])
{
    const struct part list[] = {
        extension(0x23, false, RAW(AUTHORITY)),
        extension(0x11, true, RAW("\x30\x10\x82\x08svc.test\x87\x04\xc0\x00\x02\x07"))};

    tbs[VERSION] = RAW("\xa0\x03\x02\x01\x02");
    tbs[SERIAL] = RAW("\x02\x02\x12\x34");
    tbs[ALGORITHM] = RAW(SEQ);
    tbs[ISSUER] = RAW("\x30\x02\x31\x00");
    tbs[VALIDITY] = RAW(SEQ);
    tbs[SUBJECT] = RAW("\x30\x04\x31\x02\x05\x00");
    tbs[SPKI] = RAW(KEY);
    tbs[TAIL] = extensions(list, 2);
}

static struct part certificate(const struct part tbs[TBS_PARTS])
{
    const struct part parts[] = {wrap(DER_SEQUENCE, tbs, TBS_PARTS), RAW(SEQ),
                                 RAW("\x03\x02\x00\x01")};

    return wrap(DER_SEQUENCE, parts, 3);
}

static struct err view_of(const struct part *der, struct cert_view *view)
{
    /* An exact-size copy, so that a sanitizer sees a read past the end. */
    uint8_t *exact = mem_dup(der->data, der->len);
    struct err e = cert_view_read(exact, der->len, view);

    mem_free(exact);
    return e;
}

static void wrong_parts_are_malformed(void **state)
{
    const struct part twice[] = {extension(0x23, false, RAW(AUTHORITY)),
                                 extension(0x23, false, RAW(AUTHORITY))};
    const struct part names_twice[] = {extension(0x11, false, RAW(SEQ)),
                                       extension(0x11, false, RAW(SEQ))};
    const struct {
        int at;
        struct part with;
    } rows[] = {
        {VERSION, RAW("\x05\x00")},
        {SERIAL, RAW("")},
        {SERIAL, RAW(SEQ)},
        {SERIAL, RAW("\x02\x01\x80")},
        {SERIAL, RAW("\x02\x02\xff\x34")},
        {SERIAL, RAW("\x02\x15\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
                     "\x01\x01\x01\x01")},
        {SERIAL, RAW("\x02\x16\x00\x80\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
                     "\x01\x01\x01\x01\x01")},
        {ALGORITHM, RAW("\x31\x00")},
        {ISSUER, RAW("")},
        {VALIDITY, RAW("\x04\x00")},
        {SUBJECT, RAW("\x02\x01\x01")},
        {SPKI, RAW("")},
        {SPKI, RAW(SEQ)},
        {SPKI, RAW("\x30\x02\x30\x00")},
        {SPKI, RAW("\x30\x08\x30\x00\x03\x02\x00\x01\x05\x00")},
        {SPKI, RAW("\x30\x06\x30\x00\x03\x02\x01\x02")}, /* not whole octets */
        {SPKI, RAW("\x30\x06\x30\x00\x03\x02\x01\x01")}, /* an unused bit is set */
        {TAIL, RAW("\x05\x00")},
        {TAIL, RAW("\xa3\x00")},
        {TAIL, RAW("\xa3\x02\x05\x00")},
        {TAIL, RAW("\xa3\x04\x30\x00\x05\x00")},
        {TAIL, RAW("\xa3\x02\x30\x00\xa3\x02\x30\x00")},
        {TAIL, RAW("\x82\x02\x00\x01\x81\x02\x00\x01")},
        {TAIL, RAW("\xa3\x04\x30\x02\x30\x00")},
        {TAIL, RAW("\xa3\x09\x30\x07\x30\x05\x06\x03\x55\x1d\x23")},
        {TAIL, RAW("\xa3\x0b\x30\x09\x30\x07\x06\x03\x55\x1d\x23\x05\x00")},
        {TAIL, RAW("\xa3\x0d\x30\x0b\x30\x09\x06\x03\x55\x1d\x0e\x04\x00\x05\x00")},
        {TAIL, extensions(twice, 2)},
        {TAIL, extensions(names_twice, 2)},
    };
    static const char *const AUTHORITIES[] = {"", "\x05", "\x30\x05", "\x80\x01z", "\x30\x01z"};
    struct part tbs[TBS_PARTS];
    struct cert_view view = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        fill(tbs);
        tbs[rows[i].at] = rows[i].with;
        const struct part der = certificate(tbs);
        if (view_of(&der, &view).code != ERR_MALFORMED) {
            fail_msg("row %zu was accepted", i);
        }
    }
    for (size_t i = 0; i < ARRAY_N(AUTHORITIES); i++) {
        fill(tbs);
        const struct part one = extension(0x23, false, raw(AUTHORITIES[i], strlen(AUTHORITIES[i])));
        tbs[TAIL] = extensions(&one, 1);
        const struct part der = certificate(tbs);
        assert_int_equal(view_of(&der, &view).code, ERR_MALFORMED);
    }
    assert_null(view.serial);
}

static void every_cut_is_malformed(void **state)
{
    struct part tbs[TBS_PARTS];
    struct cert_view view;

    (void)state;
    fill(tbs);
    struct part der = certificate(tbs);
    size_t whole = der.len;
    assert_ok(view_of(&der, &view));
    for (der.len = 0; der.len < whole; der.len++) {
        assert_int_equal(view_of(&der, &view).code, ERR_MALFORMED);
    }
    der.len = whole + 1;
    assert_int_equal(view_of(&der, &view).code, ERR_MALFORMED);
}

static void too_long_is_malformed(void **state)
{
    struct cert_view view;
    size_t len = CERT_VIEW_DER_MAX + 1;
    uint8_t *big = mem_zalloc(len);

    (void)state;
    big[0] = 0x30;
    big[1] = 0x82;
    assert_int_equal(cert_view_read(big, len, &view).code, ERR_MALFORMED);
    mem_free(big);
}

static void the_parts_are_found(void **state)
{
    struct part tbs[TBS_PARTS];
    struct cert_view view;

    (void)state;
    fill(tbs);
    const struct part der = certificate(tbs);
    assert_ok(cert_view_read(der.data, der.len, &view));
    assert_int_equal(view.serial_len, 2);
    assert_memory_equal(view.serial, "\x12\x34", 2);
    assert_int_equal(view.issuer.whole_len, tbs[ISSUER].len);
    assert_memory_equal(view.issuer.whole, tbs[ISSUER].data, tbs[ISSUER].len);
    assert_int_equal(view.subject.whole_len, tbs[SUBJECT].len);
    assert_memory_equal(view.subject.whole, tbs[SUBJECT].data, tbs[SUBJECT].len);
    assert_int_equal(view.spki.whole_len, tbs[SPKI].len);
    assert_memory_equal(view.spki.whole, tbs[SPKI].data, tbs[SPKI].len);
    assert_int_equal(view.issuer_key_id_len, 2);
    assert_memory_equal(view.issuer_key_id, "\xaa\xbb", 2);
}

static void optional_parts_may_be_absent(void **state)
{
    const struct part no_key_id = extension(0x23, false, RAW("\x30\x02\x82\x00"));
    const struct part empty = extension(0x23, true, RAW(SEQ));
    const struct part tails[] = {RAW(""), RAW("\xa3\x02\x30\x00"),
                                 RAW("\x81\x02\x00\x01\x82\x02\x00\x01\xa3\x02\x30\x00"),
                                 extensions(&no_key_id, 1), extensions(&empty, 1)};
    struct part tbs[TBS_PARTS];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(tails); i++) {
        struct cert_view view;
        struct ident *idents = NULL;
        size_t n = 99;
        char id[CA_RENEWAL_ID_MAX + 1];
        fill(tbs);
        tbs[VERSION] = RAW("");
        tbs[TAIL] = tails[i];
        const struct part der = certificate(tbs);
        assert_ok(cert_view_read(der.data, der.len, &view));
        assert_null(view.issuer_key_id);
        assert_null(view.names.whole);
        assert_ok(cert_view_idents(&view, &idents, &n));
        assert_int_equal(n, 0);
        assert_null(idents);
        assert_int_equal(ca_renewal_id(der.data, der.len, id).code, ERR_MALFORMED);
    }
}

static void serials_become_hex(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *hex; /* NULL: malformed */
    } rows[] = {
        {"", 0, NULL},
        {"\x80", 1, NULL},
        {"\x00\x7f", 2, NULL},
        {"\x00\x00\x80", 3, NULL},
        {"\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01", 21,
         NULL},
        {"\x00", 1, "00"},
        {"\x7f", 1, "7f"},
        {"\x00\x80", 2, "80"},
        {"\x00\xff\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01", 21,
         "ff01010101010101010101010101010101010101"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        char hex[CA_SERIAL_HEX_MAX + 1] = "";
        struct err e = cert_serial_hex((const uint8_t *)rows[i].bytes, rows[i].len, hex);
        assert_int_equal(e.code, rows[i].hex == NULL ? ERR_MALFORMED : ERR_OK);
        assert_string_equal(hex, rows[i].hex == NULL ? "" : rows[i].hex);
    }
}

static struct err idents_of(struct part names, struct ident **idents, size_t *n)
{
    struct part tbs[TBS_PARTS];
    struct cert_view view;
    const struct part one = extension(0x11, false, names);

    fill(tbs);
    tbs[TAIL] = extensions(&one, 1);
    const struct part der = certificate(tbs);
    assert_ok(cert_view_read(der.data, der.len, &view));
    return cert_view_idents(&view, idents, n);
}

static void other_names_are_malformed(void **state)
{
    const struct part rows[] = {
        RAW("\x30\x03\x81\x01x"),
        RAW("\x30\x03\x82\x01 "),
        RAW("\x30\x02\x82\x00"),
        RAW("\x30\x0b\x82\x09svc.test."),
        RAW("\x30\x0b\x82\x09svc.te\0st"),
        RAW("\x30\x05\x87\x03\x01\x02\x03"),
        RAW("\x30\x12\x87\x10\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct ident *idents = NULL;
        size_t n = 99;
        assert_int_equal(idents_of(rows[i], &idents, &n).code, ERR_MALFORMED);
        assert_null(idents);
        assert_int_equal(n, 0);
    }
}

static void names_become_identifiers(void **state)
{
    static const char *const WANT[] = {"svc.test", "*.svc.test", "192.0.2.7", "2001:db8::7"};
    const struct part names =
        RAW("\x30\x2e\x82\x08Svc.test\x82\x0a*.svc.test\x87\x04\xc0\x00\x02\x07"
            "\x87\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07");
    struct ident *idents = NULL;
    size_t n = 0;

    (void)state;
    assert_ok(idents_of(names, &idents, &n));
    assert_int_equal(n, ARRAY_N(WANT));
    for (size_t i = 0; i < n; i++) {
        const struct ident want = make_ident(WANT[i]);
        assert_true(ident_equal(&idents[i], &want));
    }
    mem_free(idents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_parts_are_malformed),    cmocka_unit_test(every_cut_is_malformed),
        cmocka_unit_test(too_long_is_malformed),        cmocka_unit_test(the_parts_are_found),
        cmocka_unit_test(optional_parts_may_be_absent), cmocka_unit_test(serials_become_hex),
        cmocka_unit_test(other_names_are_malformed),    cmocka_unit_test(names_become_identifiers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
