/* Who sleeps is woken in the order of the deadlines, whoever leaves meanwhile. */
#include "tests/unit/acme_support.h"

#include "acme-server/validate_int.h"

#define JOBS_N 500u

struct world {
    struct fx *f;
    struct validator *v;
    struct job jobs[JOBS_N];
    int64_t base; /* long ago: whoever sleeps until then is due */
};

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    w->f = fx_new("");
    must(validator_new(w->f->acme, &w->v));
    w->base = clock_mono_ms() - 1000000;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    validator_free(w->v);
    fx_free(w->f);
    mem_free(w);
    return 0;
}

static void expect_heap(const struct validator *v)
{
    for (size_t i = 0; i < v->sleeping_n; i++) {
        assert_int_equal(v->sleeping[i]->place, i);
        assert_int_equal(v->sleeping[i]->list, LIST_SLEEPING);
        assert_true(i == 0 || v->sleeping[(i - 1) / 2]->next_ms <= v->sleeping[i]->next_ms);
    }
}

/* Small numbers that look random and are the same each time. */
static unsigned next_number(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16 & 0x7fffu;
}

/* Promote: the ready ones are in order, n of them; they are ready no longer afterwards. */
static void expect_promoted(struct world *w, size_t n)
{
    struct validator *v = w->v;
    int64_t before = INT64_MIN;

    (void)validator_promote(v);
    for (; n > 0; n--) {
        struct job *job = v->ready.first;
        assert_non_null(job);
        assert_int_equal(job->list, LIST_READY);
        assert_true(job->next_ms >= before);
        before = job->next_ms;
        validator_unlist(v, job);
    }
    assert_null(v->ready.first);
    assert_null(v->ready.last);
}

static void test_nobody(void **state)
{
    struct world *w = *state;

    assert_int_equal(validator_promote(w->v), -1);
    validator_unlist(w->v, &w->jobs[0]); /* on no list: nothing happens */
    assert_int_equal(w->jobs[0].list, LIST_NONE);
}

static void test_in_order(void **state)
{
    struct world *w = *state;
    unsigned seed = 7;

    for (size_t i = 0; i < JOBS_N; i++) {
        validator_push_sleeping(w->v, &w->jobs[i], w->base + next_number(&seed) % 300);
        expect_heap(w->v);
    }
    assert_int_equal(w->v->sleeping_n, JOBS_N);
    expect_promoted(w, JOBS_N);
    assert_int_equal(w->v->sleeping_n, 0);
}

/* From the middle, the end, the top: by number, so that every place has its turn. */
static void test_whoever_leaves(void **state)
{
    struct world *w = *state;
    unsigned seed = 11;
    size_t n = JOBS_N;

    for (size_t i = 0; i < JOBS_N; i++) {
        validator_push_sleeping(w->v, &w->jobs[i], w->base + next_number(&seed));
    }
    while (n > JOBS_N / 4) {
        struct job *job = w->v->sleeping[next_number(&seed) % w->v->sleeping_n];
        validator_unlist(w->v, job);
        assert_int_equal(job->list, LIST_NONE);
        assert_int_equal(w->v->sleeping_n, --n);
        expect_heap(w->v);
        if (next_number(&seed) % 4 == 0) { /* and comes again */
            validator_push_sleeping(w->v, job, w->base + next_number(&seed));
            expect_heap(w->v);
            n++;
        }
    }
    expect_promoted(w, n);
}

/* Those that are not due sleep on, and say for how long. */
static void test_not_yet(void **state)
{
    struct world *w = *state;
    const int64_t hour_ms = 3600000;

    validator_push_sleeping(w->v, &w->jobs[0], clock_mono_ms() + 2 * hour_ms);
    validator_push_sleeping(w->v, &w->jobs[1], clock_mono_ms() + hour_ms);
    validator_push_sleeping(w->v, &w->jobs[2], w->base);
    int64_t wait_ms = validator_promote(w->v);
    assert_true(wait_ms > 0 && wait_ms <= hour_ms);
    assert_ptr_equal(w->v->ready.first, &w->jobs[2]);
    assert_ptr_equal(w->v->ready.last, &w->jobs[2]);
    validator_unlist(w->v, &w->jobs[1]);
    assert_true(validator_promote(w->v) > hour_ms);
    clock_shift(2 * hour_ms);
    assert_int_equal(validator_promote(w->v), -1);
    clock_shift(-2 * hour_ms);
    validator_unlist(w->v, &w->jobs[2]);
    assert_ptr_equal(w->v->ready.first, &w->jobs[0]);
    validator_unlist(w->v, &w->jobs[0]);
    assert_null(w->v->ready.first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whoever_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_yet, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
