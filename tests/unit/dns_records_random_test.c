/* Random edits: the zone as a secondary gets it is always what it would be made anew, is what we answer,
 * and the journal leads from every state to the next. */
#include "records_written.h"

#include "dns/records_written.h"

/* A longer run: -DEDITS_N=4000 -DEDITS_SEED=1 ... */
#ifndef EDITS_N
#define EDITS_N 400u
#define EDITS_SEED 4711u
#endif

/* --- random edits -------------------------------------------------------------------------------------- */

static uint32_t seed;

static uint32_t next_random(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void random_name(char *out, size_t cap)
{
    static const char *const LABELS[] = {"a", "b", "c", "*", "_tcp", "kid", "exact"};
    uint32_t n = next_random(4);

    out[0] = '\0';
    for (uint32_t i = 0; i < n; i++) {
        const char *label = LABELS[next_random(ARRAY_N(LABELS))];
        if (label[0] == '*' && i > 0 && next_random(4) > 0) {
            label = "a";
        }
        (void)snprintf(out + strlen(out), cap - strlen(out), "%s.", label);
    }
    (void)snprintf(out + strlen(out), cap - strlen(out), "svc.test");
}

static void random_edit(struct fixture *f)
{
    static const struct {
        const char *type, *rdata;
    } RRS[] = {{"A", "10.0.0.1"},
               {"A", "10.0.0.2"},
               {"TXT", "t"},
               {"CNAME", "a.svc.test."},
               {"NS", "ns.b.svc.test."},
               {"NS", "ns.kid.svc.test."},
               {"DNAME", "d.test."},
               {"MX", "1 m."}};
    char name[200];

    random_name(name, sizeof(name));
    uint32_t what = next_random(100);
    uint32_t i = next_random(ARRAY_N(RRS));
    if (i >= 3 && next_random(3) > 0) {
        i = 0;
    }
    if (what < 40) {
        (void)add_as(f, "", name, RRS[i].type, RRS[i].rdata);
    } else if (what < 48) {
        (void)edit_as(f, "", true, RECORD_REMOVE, name, RRS[i].type, RRS[i].rdata);
    } else if (what < 76) {
        (void)edit_as(f, "", true, RECORD_REMOVE_NAME, name, "", NULL);
    } else if (what < 85) {
        put_known(f, name);
    } else if (what < 92) {
        if (zone_has_persist(f->zones, name)) {
            put_text(f, next_random(2) == 0, name, next_random(2) == 0 ? "one" : "two");
        }
    } else if (what < 94) {
        struct records_sweep at = {.len = 0};
        (void)sweep(f, "a.svc.test", &at);
    } else {
        put_value(f, next_random(2) == 0,
                  next_random(2) == 0 ? "a.acme.svc.test" : "b.acme.svc.test",
                  next_random(2) == 0 ? "one" : "two", next_random(2) == 0 ? VALUE : VALUE2);
    }
}

/* A set of lines. */
struct line_set {
    char **lines;
    size_t n;
};

static void set_clear(struct line_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        mem_free(set->lines[i]);
    }
    mem_free(set->lines);
    memset(set, 0, sizeof(*set));
}

static bool add_line(void *arg, const struct dns_rr *rr)
{
    struct line_set *set = arg;
    struct buf line = BUF_INIT(2000);
    char **grown = mem_resize(set->lines, (set->n + 1) * sizeof(*grown));

    assert_non_null(grown);
    set->lines = grown;
    must(rr_text(rr, &line));
    set->lines[set->n++] = buf_take(&line);
    return true;
}

static size_t find_line(const struct line_set *set, const char *line)
{
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->lines[i], line) == 0) {
            return i;
        }
    }
    return set->n;
}

struct follow {
    struct line_set *set;
    uint32_t at;
    bool has_added;
};

static bool follow_begin(void *arg, uint32_t from, uint32_t to)
{
    struct follow *w = arg;

    assert_int_equal(from, w->at);
    w->at = to;
    w->has_added = false;
    return true;
}

static bool follow_record(void *arg, bool is_add, const struct dns_rr *rr)
{
    struct follow *w = arg;
    struct buf line = BUF_INIT(2000);

    must(rr_text(rr, &line));
    size_t i = find_line(w->set, buf_str(&line));
    if (is_add) {
        assert_int_equal(i, w->set->n); /* nothing comes twice */
        assert_true(add_line(w->set, rr));
        w->has_added = true;
    } else {
        assert_true(i < w->set->n); /* nothing goes that is not there */
        assert_false(w->has_added); /* removed ones first. RFC 1995 §4 */
        mem_free(w->set->lines[i]);
        w->set->lines[i] = w->set->lines[--w->set->n];
    }
    buf_clear(&line);
    return true;
}

struct check_args {
    struct fixture *f;
    const char *zone;
    struct line_set *copy; /* the secondary's */
    uint32_t serial;       /* of the copy */
};

static struct err check_tx(struct db *db, void *arg)
{
    struct check_args *a = arg;
    struct records *records = a->f->records;
    int zone = zone_index(a->f, a->zone);
    struct line_set table = {.n = 0};
    struct line_set anew = {.n = 0};
    struct dns_rr soa = {.ttl = 0};
    struct follow follow = {.set = a->copy, .at = a->serial};
    const struct journal_fns fns = {follow_begin, follow_record, &follow};

    must(records_write_out(records, db, zone, &soa, add_line, &table));
    rr_clear(&soa);
    must(written_anew(records, db, zone, add_line, &anew));
    for (size_t i = 0; i < anew.n || i < table.n; i++) {
        assert_true(i < anew.n && i < table.n);
        assert_string_equal(table.lines[i], anew.lines[i]);
    }
    must(records_journal(records, db, zone, a->serial, &soa, &fns));
    rr_clear(&soa);
    assert_int_equal(follow.at, zone_serial_of(a->f->zones, a->zone));
    a->serial = follow.at;
    assert_int_equal(a->copy->n, table.n);
    for (size_t i = 0; i < table.n; i++) {
        assert_true(find_line(a->copy, table.lines[i]) < a->copy->n);
    }
    set_clear(&table);
    set_clear(&anew);
    return err_ok();
}

/* Is the line's owner at or below a delegation of the zone? */
static bool is_below_cut(const struct line_set *set, const char *line)
{
    for (size_t i = 0; i < set->n; i++) {
        const char *tab = strchr(set->lines[i], '\t');
        size_t n = (size_t)(tab - set->lines[i]);
        const char *owner_end = strchr(line, '\t');
        size_t len = (size_t)(owner_end - line);
        bool is_cut = strstr(set->lines[i], "\tIN\tNS\t") != NULL &&
                      strncmp(set->lines[i], "svc.test.", 9) != 0;
        if (is_cut && len >= n && strncmp(owner_end - n, set->lines[i], n) == 0 &&
            (len == n || owner_end[-(ptrdiff_t)n - 1] == '.')) {
            return true;
        }
    }
    return false;
}

/* A secondary's answer for the addresses of a name with an explicit _acme-challenge is ours. */
static void check_addresses(struct fixture *f, const struct line_set *set, const char *name)
{
    char answer[2000];
    char line[700];
    size_t len = strlen(name);
    size_t n = 0;
    size_t answered_n = 0;
    bool has_cname = false;

    ask(f, name, "A", answer);
    for (size_t i = 0; i < set->n; i++) {
        bool is_here = strncmp(set->lines[i], name, len) == 0 && set->lines[i][len] == '\t';
        has_cname = has_cname || (is_here && strstr(set->lines[i], "\tIN\tCNAME\t") != NULL);
        n += is_here && strstr(set->lines[i], "\tIN\tA\t") != NULL;
    }
    for (const char *p = strstr(answer, "|A "); p != NULL; p = strstr(p + 1, "|A ")) {
        answered_n++;
    }
    if (!has_cname && n != answered_n) {
        (void)snprintf(line, sizeof(line), "%zu addresses written", n);
        fail_msg("%s: %s, answered %s", name, line, answer);
    }
}

/* Everything written out is what we answer. */
static void check_answers(struct fixture *f, const struct line_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        char owner[300];
        char type[20];
        char data[300];
        char answer[2000];
        char part[400];
        if (is_below_cut(set, set->lines[i])) {
            continue;
        }
        assert_int_equal(
            sscanf(set->lines[i], "%299[^\t]\t%*u\tIN\t%19[^\t]\t%299[^\n]", owner, type, data), 3);
        (void)snprintf(part, sizeof(part), "|%s %s", type, data);
        ask(f, owner, type, answer);
        if (strstr(answer, part) == NULL) {
            fail_msg("%s but answered %s", set->lines[i], answer);
        }
        if (strncmp(owner, ACME_LABEL ".", sizeof(ACME_LABEL)) == 0) {
            check_addresses(f, set, owner + sizeof(ACME_LABEL));
        }
    }
}

/* --- a secondary's answers --------------------------------------------------------------------------------- */

static bool is_owner(const char *line, const char *name)
{
    size_t len = strlen(name);

    return strncmp(line, name, len) == 0 && line[len] == '\t';
}

/* Is the name there, with records or as an empty non-terminal? RFC 4592 §2.2 */
static bool is_there(const struct line_set *set, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < set->n; i++) {
        size_t owner_len = (size_t)(strchr(set->lines[i], '\t') - set->lines[i]);
        const char *tail = set->lines[i] + owner_len - len;
        if (owner_len >= len && strncmp(tail, name, len) == 0 &&
            (owner_len == len || tail[-1] == '.')) {
            return true;
        }
    }
    return false;
}

static bool is_below_dname(const struct line_set *set, const char *name)
{
    for (const char *p = strchr(name, '.') + 1; *p != '\0'; p = strchr(p, '.') + 1) {
        for (size_t i = 0; i < set->n; i++) {
            if (is_owner(set->lines[i], p) && strstr(set->lines[i], "\tIN\tDNAME\t") != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* How a server with these records alone answers a name that is not there: "|TYPE data" of each record,
 * from the wildcard below the closest encloser. RFC 4592 §3.3.1 */
static size_t resolve(const struct line_set *set, const char *name, const char *type,
                      char parts[16][400])
{
    char wildcard[300];
    const char *encloser = strchr(name, '.') + 1;
    size_t n = 0;

    while (!is_there(set, encloser)) {
        encloser = strchr(encloser, '.') + 1;
    }
    (void)snprintf(wildcard, sizeof(wildcard), "*.%s", encloser);
    for (size_t i = 0; i < set->n; i++) {
        char here[20];
        char data[300];
        if (!is_owner(set->lines[i], wildcard)) {
            continue;
        }
        assert_int_equal(sscanf(set->lines[i], "%*s\t%*u\tIN\t%19[^\t]\t%299[^\n]", here, data), 2);
        if (strcmp(here, type) == 0 || strcmp(here, "CNAME") == 0) {
            assert_true(n < 16);
            (void)snprintf(parts[n++], 400, "|%s %s", here, data);
        }
    }
    return n;
}

static void check_child(struct fixture *f, const struct line_set *set, const char *name)
{
    static const char *const TYPES[] = {"A", "AAAA", "TXT"};
    char line[320];

    (void)snprintf(line, sizeof(line), "%s\t", name);
    if (is_below_cut(set, line) || is_below_dname(set, name)) {
        return;
    }
    for (size_t t = 0; t < ARRAY_N(TYPES); t++) {
        char parts[16][400];
        char answer[2000];
        size_t n = resolve(set, name, TYPES[t], parts);
        size_t answered_n = 0;
        bool is_cname = n > 0 && strncmp(parts[0], "|CNAME ", 7) == 0;
        ask(f, name, TYPES[t], answer);
        for (const char *p = strchr(answer, '|'); p != NULL; p = strchr(p + 1, '|')) {
            answered_n++;
        }
        for (size_t i = 0; i < n; i++) {
            if (strstr(answer, parts[i]) == NULL) {
                fail_msg("%s %s: %s there, %s here", name, TYPES[t], parts[i], answer);
            }
        }
        if (is_cname ? answered_n < n : answered_n != n) {
            fail_msg("%s %s: %zu records there, %s here", name, TYPES[t], n, answer);
        }
    }
}

/* Names that nobody has heard of, below those that are there and have labels of hosts only. */
static void check_children(struct fixture *f, const struct line_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        char owner[300];
        assert_int_equal(sscanf(set->lines[i], "%299[^\t]", owner), 1);
        for (const char *p = owner; strcmp(p, "test.") != 0; p = strchr(p, '.') + 1) {
            char child[320];
            if (strpbrk(p, "_*") == NULL) {
                (void)snprintf(child, sizeof(child), "new%u.%s", next_random(1000), p);
                check_child(f, set, child);
                (void)snprintf(child, sizeof(child), "very.new%u.%s", next_random(1000), p);
                check_child(f, set, child);
            }
        }
    }
}

static void random_edits(void **state)
{
    struct fixture *f = *state;
    struct line_set zone = {.n = 0};
    struct line_set delegate = {.n = 0};
    struct check_args checks[2] = {{.f = f, .zone = "svc.test", .copy = &zone},
                                   {.f = f, .zone = "acme.svc.test", .copy = &delegate}};

    seed = EDITS_SEED;
    for (size_t i = 0; i < 2; i++) {
        struct buf text = exported(f, checks[i].zone, true);
        char *line = buf_take(&text);
        for (char *p = strchr(line, '\n') + 1; *p != '\0';) {
            char *end = strchr(p, '\n') + 1;
            char **grown =
                mem_resize(checks[i].copy->lines, (checks[i].copy->n + 1) * sizeof(*grown));
            assert_non_null(grown);
            checks[i].copy->lines = grown;
            grown[checks[i].copy->n++] = mem_strndup(p, (size_t)(end - p));
            p = end;
        }
        mem_free(line);
        checks[i].serial = zone_serial_of(f->zones, checks[i].zone);
    }
    for (unsigned i = 0; i < EDITS_N; i++) {
        random_edit(f);
        must(store_read(f->store, "test.check", check_tx, &checks[0]));
        must(store_read(f->store, "test.check", check_tx, &checks[1]));
        if (i % 10 == 0) {
            check_answers(f, &zone);
            check_children(f, &zone);
        }
    }
    assert_true(zone.n > 20);
    /* Nothing moves by a restart. */
    fixture_reopen(f, NULL);
    must(store_read(f->store, "test.check", check_tx, &checks[0]));
    must(store_read(f->store, "test.check", check_tx, &checks[1]));
    assert_int_equal(checks[0].serial, zone_serial_of(f->zones, "svc.test"));
    set_clear(&zone);
    set_clear(&delegate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_edits, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
