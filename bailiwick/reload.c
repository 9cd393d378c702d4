#include "bailiwick/reload.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util/log.h"
#include "core/util/mem.h"

struct reload {
    struct config *cfg;
    struct reload *next;
};

void reload_free(struct reload *list)
{
    while (list != NULL) {
        struct reload *reload = list;
        list = reload->next;
        config_free(reload->cfg);
        mem_free(reload);
    }
}

static void log_problems(const char *event, const struct buf *problems)
{
    const char *line = buf_str(problems);

    while (*line != '\0') {
        size_t n = strcspn(line, "\n");
        char text[512];
        (void)snprintf(text, sizeof(text), "%.*s", (int)(n < 500 ? n : 500), line);
        log_ev(LOG_ERROR, event, {"msg", text});
        line += n + (line[n] == '\n' ? 1 : 0);
    }
}

struct err reload_config(const struct config *running, struct acme *acme, struct reload **list)
{
    AUTO(buf_clear) struct buf problems = BUF_INIT(64u * 1024u);
    AUTO(buf_clear) struct buf keys = BUF_INIT(4096);
    AUTO(config_freep) struct config *cfg = NULL;
    struct err e = config_load(running->path, environ, &problems, &cfg);

    if (e.code != ERR_OK) {
        log_problems("config.problem", &problems);
        return e;
    }
    struct reload *reload = mem_zalloc(sizeof(*reload));
    TRY_PTR(reload);
    if (config_differs_elsewhere(running, cfg, &keys)) {
        log_ev(LOG_WARN, "config.restart_needed", {"keys", buf_str(&keys)});
    }
    log_setup(cfg->log_level, cfg->log_format);
    acme_reload(acme, &cfg->acme);
    reload->cfg = MOVE(cfg);
    reload->next = *list;
    *list = reload;
    log_ev(LOG_INFO, "config.reloaded", {"file", running->path});
    return err_ok();
}

void reload_zones(struct records *records)
{
    AUTO(buf_clear) struct buf problems = BUF_INIT(64u * 1024u);
    struct err e = records_reload(records, &problems);

    log_problems("zone.problem", &problems);
    if (e.code != ERR_OK && problems.len == 0) {
        log_err(LOG_ERROR, "zone.reload", e);
    }
}
