#include "bailiwick/zone_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/store/store.h"
#include "core/util/mem.h"
#include "dns/zone.h"
#include "dns/zone_records.h"

#define SCRATCH_DIR "/tmp/bailiwick-check-XXXXXX"
#define SCRATCH_DIR_MAX 64u

struct scratch {
    char dir[SCRATCH_DIR_MAX];
    struct store *store;
    struct zone_db *zones;
    struct records *records;
};

static void scratch_remove(struct scratch *s)
{
    static const char *const FILES[] = {"zone.db", "zone.db-wal", "zone.db-shm"};

    records_close(s->records);
    zone_db_free(s->zones);
    store_close(s->store);
    if (s->dir[0] == '\0') {
        return;
    }
    for (size_t i = 0; i < ARRAY_N(FILES); i++) {
        char path[SCRATCH_DIR_MAX + 16];
        (void)snprintf(path, sizeof(path), "%s/%s", s->dir, FILES[i]);
        (void)unlink(path);
    }
    (void)rmdir(s->dir);
}

static struct err scratch_open(struct scratch *s, const struct config *cfg)
{
    char path[SCRATCH_DIR_MAX + 16];

    (void)snprintf(s->dir, sizeof(s->dir), "%s", SCRATCH_DIR);
    if (mkdtemp(s->dir) == NULL) {
        s->dir[0] = '\0';
        FAIL(ERR_IO, "no room for a trial in /tmp: %s", err_errno_text(errno));
    }
    (void)snprintf(path, sizeof(path), "%s/zone.db", s->dir);
    const struct store_options options = {.path = path, .readers_max = 2};
    TRY(store_open(&options, &RECORDS_STORE_MODULE, 1, &s->store));
    TRY(zone_db_new(cfg, 1, &s->zones));
    return records_open(cfg, s->store, s->zones, &s->records);
}

static struct err set_text(char **field, const char *text)
{
    char *copy = mem_strdup(text);

    TRY_PTR(copy);
    mem_free(*field);
    *field = copy;
    return err_ok();
}

static struct config_zone *find_served(struct config *cfg, const char *zone)
{
    for (size_t i = 0; i < cfg->zones_n; i++) {
        if (cfg->zones[i].is_served && strcmp(cfg->zones[i].name, zone) == 0) {
            return &cfg->zones[i];
        }
    }
    return NULL;
}

/* A configuration of nothing but this zone. */
static struct err alone(const char *zone, struct config **out)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(1024);
    AUTO(buf_clear) struct buf problems = BUF_INIT(4096);

    buf_printf(&text, "zones: [{name: '%s'}]\n%s", zone,
               strcmp(zone, ".") == 0 ? "delegate_zone: acme.invalid\n" : "");
    TRY(buf_check(&text));
    return config_parse("zone", buf_str(&text), text.len, &problems, out);
}

static struct err count(struct records *records, const char *zone, size_t *n)
{
    AUTO(mem_freep) struct zone_info *zones = NULL;
    size_t zones_n = 0;

    TRY(records_zones(records, &zones, &zones_n));
    for (size_t i = 0; i < zones_n; i++) {
        if (strcmp(zones[i].name, zone) == 0) {
            *n = zones[i].records_n;
        }
    }
    return err_ok();
}

struct err zone_check(struct config *cfg, const char *zone, const char *path, struct buf *problems,
                      size_t *n)
{
    AUTO(config_freep) struct config *only = NULL;
    AUTO(scratch_remove) struct scratch scratch = {.dir = ""}; /* gone before what it borrows */

    if (find_served(cfg, zone) == NULL) {
        TRY(alone(zone, &only));
        cfg = only;
    }
    for (size_t i = 0; i < cfg->zones_n; i++) {
        TRY(set_text(&cfg->zones[i].file, ""));
    }
    TRY(scratch_open(&scratch, cfg));
    TRY(set_text(&find_served(cfg, zone)->file, path));
    struct err e = records_reload(scratch.records, problems);
    if (problems->len > 0) {
        return err_ok();
    }
    TRY(e);
    return count(scratch.records, zone, n);
}
