#include "bailiwick/offline.h"

struct err offline_close(struct app_offline *offline, struct err result)
{
    struct err_trace why = *err_trace();

    app_offline_close(offline);
    return result.code == ERR_OK ? result : err_restore(&why);
}
