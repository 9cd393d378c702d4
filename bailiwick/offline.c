#include "bailiwick/offline.h"

#include <unistd.h>

#include "core/util/buf.h"
#include "core/util/mem.h"

#define DATABASE_PATH_MAX 512u

struct err offline_close(struct app_offline *offline, struct err result)
{
    struct err_trace why = *err_trace();

    app_offline_close(offline);
    return result.code == ERR_OK ? result : err_restore(&why);
}

struct err offline_open_existing(const struct config *cfg, struct app_offline **out)
{
    AUTO(buf_clear) struct buf path = BUF_INIT(DATABASE_PATH_MAX);

    buf_printf(&path, "%s/bailiwick.db", cfg->state_dir);
    TRY(buf_check(&path));
    if (access(buf_str(&path), F_OK) != 0) {
        FAIL(ERR_NOT_FOUND,
             "there is no database in %s yet: 'bailiwick init', 'serve' or 'client add' makes it",
             cfg->state_dir);
    }
    return app_offline_open(cfg, out);
}
