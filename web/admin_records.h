/* Zones and their records for the administrator: listing, editing, import, export.
 *
 * The admin_records_*() functions are what the command line also does on a state directory whose
 * daemon does not run; the handlers answer the same over the control socket.
 * Thread: any; they block. */
#ifndef WEB_ADMIN_RECORDS_H
#define WEB_ADMIN_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/http/http.h"
#include "core/util/buf.h"
#include "core/util/err.h"
#include "dns/zone_records.h"

#define ADMIN_EDITS_MAX 1024u
#define ADMIN_EDITS_BODY_MAX (256u * 1024u)
#define ADMIN_ZONE_TEXT_MAX (128u * 1024u * 1024u) /* bytes of a zone that comes or goes as text */
#define ADMIN_ROWS_MAX 200000u                     /* records in one list */

/* [{"name", "served", "plain", "delegate", "transferred", "serial", "records", "known", "journal",
 * "file"}], appended to out. */
MUST_USE struct err admin_zones_write(struct records *records, struct buf *out);
/* {"records": [{"zone", "name", "ttl", "type", "rdata", "source", "client"}], "more": false}
 * appended to out: of the zone that is called `name`, else those at that name; NULL: all. ERR_NOT_FOUND with a
 * sentence when it lies in no zone of ours. */
MUST_USE struct err admin_records_find(struct records *records, const char *name, struct buf *out);
/* {"edits": [{"op": "add", "name", "ttl", "type", "rdata"} or {"op": "remove", "name", "type",
 * "rdata"}]}: type and rdata of a removal may be left out. All or nothing; durable on return.
 * ERR_MALFORMED: not that, or no record; ERR_REJECTED: refused. Each with a sentence. *n: edits. */
MUST_USE struct err admin_records_edit(struct records *records, const char *text, size_t len,
                                       size_t *n);

/* Handlers; ctx is the struct records. */
void admin_zones_list(void *ctx, const struct http_req *req, struct http_resp *resp);
void admin_zones_reload(void *ctx, const struct http_req *req, struct http_resp *resp);
/* GET /api/v1/zones/<zone>/records and /export[?written_out=1] */
void admin_zones_show(void *ctx, const struct http_req *req, struct http_resp *resp);
/* POST /api/v1/zones/<zone>/import[?replace=1][&label=FILE] with a master file as body: 200
 * {"changed": rows} or 400 {"detail", "problems": [line]}. */
void admin_zones_import(void *ctx, const struct http_req *req, struct http_resp *resp);
/* GET /api/v1/records[?name=NAME]: all, or as admin_records_find() */
void admin_records_list(void *ctx, const struct http_req *req, struct http_resp *resp);
void admin_records_post(void *ctx, const struct http_req *req, struct http_resp *resp);

#endif
