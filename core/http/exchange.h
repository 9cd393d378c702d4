/* Requests as libmicrohttpd hands them over. Internal to core/http. */
#ifndef CORE_HTTP_EXCHANGE_H
#define CORE_HTTP_EXCHANGE_H

#include <microhttpd.h>

#include "core/http/internal.h"

#define EXCHANGE_OPTIONS_N 3u
/* The callbacks that begin, unescape and end a request. */
void exchange_options(struct http_daemon *daemon, struct MHD_OptionItem out[EXCHANGE_OPTIONS_N]);
/* The access handler; called several times per request. */
enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload_data,
                                size_t *upload_data_len, void **con_cls);

#endif
