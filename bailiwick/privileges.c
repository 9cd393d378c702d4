#include "bailiwick/privileges.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* LeakSanitizer attaches to its own process, which a process that may not be dumped refuses. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_DUMPABLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_DUMPABLE 1
#endif
#endif
#ifndef IS_DUMPABLE
#define IS_DUMPABLE 0
#endif

static bool is_lowered;
static uid_t owner_uid;
static gid_t owner_gid;

struct err privileges_harden(void)
{
    const struct rlimit none = {0, 0};

    (void)umask(077);
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        (!IS_DUMPABLE && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)) {
        FAIL(ERR_INTERNAL, "cannot switch core dumps off: %s", err_errno_text(errno));
    }
    return err_ok();
}

struct err privileges_enter(const char *state_dir)
{
    struct stat st;

    if (geteuid() != 0 || stat(state_dir, &st) != 0 || st.st_uid == 0) {
        return err_ok();
    }
    if (setgroups(0, NULL) != 0 || setegid(st.st_gid) != 0 || seteuid(st.st_uid) != 0) {
        FAIL(ERR_IO, "cannot become the owner of %s: %s", state_dir, err_errno_text(errno));
    }
    is_lowered = true;
    owner_uid = st.st_uid;
    owner_gid = st.st_gid;
    return err_ok();
}

struct err privileges_raise(void)
{
    if (is_lowered && (seteuid(0) != 0 || setegid(0) != 0)) {
        FAIL(ERR_INTERNAL, "cannot become root to bind sockets: %s", err_errno_text(errno));
    }
    return err_ok();
}

struct err privileges_drop(void)
{
    if (!is_lowered) {
        return err_ok();
    }
    if (setresgid(owner_gid, owner_gid, owner_gid) != 0 ||
        setresuid(owner_uid, owner_uid, owner_uid) != 0) {
        FAIL(ERR_INTERNAL, "cannot give up root: %s", err_errno_text(errno));
    }
    if (seteuid(0) == 0) {
        FAIL(ERR_INTERNAL, "root could be taken back after giving it up");
    }
    return err_ok();
}
