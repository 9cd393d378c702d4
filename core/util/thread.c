#include "core/util/thread.h"

#include <signal.h>

struct err thread_start(const char *name, size_t stack_bytes, void *(*fn)(void *arg), void *arg,
                        pthread_t *out)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all;
    sigset_t before;

    if (pthread_attr_init(&attr) != 0) {
        FAIL(ERR_NOMEM, "%s: thread attributes", name);
    }
    if (stack_bytes != THREAD_STACK_USUAL) {
        (void)pthread_attr_setstacksize(&attr, stack_bytes);
    }
    (void)sigfillset(&all); /* the new thread inherits the mask */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attr, fn, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (error != 0) {
        FAIL(ERR_LIMIT, "cannot start the thread %s: %s", name, err_errno_text(error));
    }
    (void)pthread_setname_np(thread, name);
    *out = thread;
    return err_ok();
}
