#include "bailiwick/offline.h"

#include <unistd.h>

#include "core/util/buf.h"
#include "core/util/mem.h"

#define ROOT_PATH_MAX 512u

struct err offline_open(const struct config *cfg, struct app_offline **out)
{
    AUTO(buf_clear) struct buf root = BUF_INIT(ROOT_PATH_MAX);

    buf_printf(&root, "%s/keys/root.pem", cfg->state_dir);
    TRY(buf_check(&root));
    if (access(buf_str(&root), F_OK) != 0) {
        TRY(app_init(cfg));
    }
    return app_offline_open(cfg, out);
}

struct err offline_close(struct app_offline *offline, struct err result)
{
    struct err_trace why = *err_trace();

    app_offline_close(offline);
    return result.code == ERR_OK ? result : err_restore(&why);
}
