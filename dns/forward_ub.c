/* libunbound: resolving, caching and fail-over on a thread of its own; results come through a pipe. */
#include "dns/forward_int.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <unbound.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define NOTES_EVERY_MS 1000 /* an upstream must not fill the log through the library's messages */
#define NOTE_MAX 300u

struct forward_ub {
    struct ub_ctx *ctx;
    FILE *notes; /* what it would write to stderr */
    int64_t noted_ms;
};

/* --- its messages ----------------------------------------------------------------------------- */

static ssize_t on_note(void *cookie, const char *text, size_t len)
{
    struct forward_ub *ub = cookie; /* the stream's lock is held */
    int64_t now_ms = clock_mono_ms();
    char line[NOTE_MAX + 1];
    size_t n = len < NOTE_MAX ? len : NOTE_MAX;

    if (ub->noted_ms == 0 || now_ms - ub->noted_ms >= NOTES_EVERY_MS) {
        memcpy(line, text, n);
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == ' ')) {
            n--;
        }
        line[n] = '\0';
        ub->noted_ms = now_ms;
        log_ev(LOG_WARN, "dns.forward.library", {"msg", line});
    }
    return (ssize_t)len;
}

/* --- life ------------------------------------------------------------------------------------- */

/* It reads its configuration from a file only: one without a name. */
static struct err configure(struct forward_ub *ub, const struct buf *conf)
{
    char path[64];
    int fd = memfd_create("forward.conf", MFD_CLOEXEC);

    if (fd < 0) {
        FAIL(ERR_IO, "forwarding: no memory file");
    }
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    bool is_written = write(fd, conf->data, conf->len) == (ssize_t)conf->len;
    int code = is_written ? ub_ctx_config(ub->ctx, path) : UB_READFILE;
    (void)close(fd);
    if (code != UB_NOERROR) {
        FAIL(ERR_INTERNAL, "forwarding: libunbound refuses its configuration: %s",
             ub_strerror(code));
    }
    return err_ok();
}

static void ub_freep(struct forward_ub **ub)
{
    forward_ub_free(*ub);
}

struct err forward_ub_new(const struct buf *conf, struct forward_ub **out)
{
    static const cookie_io_functions_t functions = {.write = on_note};
    AUTO(ub_freep) struct forward_ub *ub = mem_zalloc(sizeof(*ub));

    TRY_PTR(ub);
    ub->notes = fopencookie(ub, "w", functions);
    ub->ctx = ub->notes != NULL ? ub_ctx_create() : NULL;
    TRY_PTR(ub->ctx);
    (void)setvbuf(ub->notes, NULL, _IOLBF, 0);
    (void)ub_ctx_debugout(ub->ctx, ub->notes);
    TRY(configure(ub, conf));
    int code = ub_ctx_async(ub->ctx, 1); /* a thread, no process */
    if (code != UB_NOERROR) {
        FAIL(ERR_INTERNAL, "forwarding: libunbound: %s", ub_strerror(code));
    }
    *out = MOVE(ub);
    return err_ok();
}

void forward_ub_free(struct forward_ub *ub)
{
    if (ub == NULL) {
        return;
    }
    ub_ctx_delete(ub->ctx); /* joins its thread */
    if (ub->notes != NULL) {
        (void)fclose(ub->notes);
    }
    mem_free(ub);
}

/* --- questions -------------------------------------------------------------------------------- */

int forward_ub_fd(struct forward_ub *ub)
{
    return ub_fd(ub->ctx);
}

void forward_ub_process(struct forward_ub *ub)
{
    (void)ub_process(ub->ctx); /* fails when the pipe breaks: the questions' time runs out */
}

static void on_result(void *arg, int error, struct ub_result *result)
{
    struct forward_call *call = arg;
    bool has_answer = error == UB_NOERROR && result != NULL && result->answer_packet != NULL &&
                      result->answer_len > 0;

    call->is_pending = false;
    call->fn(call, has_answer ? result->answer_packet : NULL,
             has_answer ? (size_t)result->answer_len : 0);
    ub_resolve_free(result);
}

struct err forward_ub_ask(struct forward_ub *ub, struct forward_call *call, const char *name,
                          uint16_t type)
{
    int code = ub_resolve_async(ub->ctx, name, type, 1, call, on_result, &call->id);

    if (code != UB_NOERROR) {
        FAIL(code == UB_NOMEM ? ERR_NOMEM : ERR_IO, "forwarding: libunbound: %s",
             ub_strerror(code));
    }
    call->is_pending = true;
    return err_ok();
}

void forward_ub_cancel(struct forward_ub *ub, struct forward_call *call)
{
    if (call->is_pending) {
        call->is_pending = false;
        (void)ub_cancel(ub->ctx, call->id);
    }
}
