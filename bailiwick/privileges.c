#include "bailiwick/privileges.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util/log.h"

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

static struct err forbid_dumps(void)
{
    if (!IS_DUMPABLE && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        FAIL(ERR_INTERNAL, "cannot switch core dumps off: %s", err_errno_text(errno));
    }
    return err_ok();
}

/* The usual soft limit of 1,024 is less than the connections we accept: peers that hold idle ones
 * would lock everybody else out. */
static void raise_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= PRIVILEGES_FILES_WANTED) {
        return;
    }
    files.rlim_cur =
        files.rlim_max < PRIVILEGES_FILES_WANTED ? files.rlim_max : PRIVILEGES_FILES_WANTED;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur < PRIVILEGES_FILES_WANTED) {
        log_ev(LOG_WARN, "app.files", {"limit", log_int((int64_t)files.rlim_cur)},
               {"msg", "many idle connections can lock clients out: raise the hard limit on open "
                       "files (systemd: LimitNOFILE) to 8192"});
    }
}

struct err privileges_harden(void)
{
    const struct rlimit none = {0, 0};

    (void)umask(077);
    raise_files();
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        FAIL(ERR_INTERNAL, "cannot switch core dumps off: %s", err_errno_text(errno));
    }
    return forbid_dumps();
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
    if (!is_lowered) {
        return err_ok();
    }
    if (seteuid(0) != 0) {
        FAIL(ERR_INTERNAL, "cannot become root to bind sockets: %s", err_errno_text(errno));
    }
    /* The control socket is made now, in a directory that is not root's: no link there may lead
     * root astray, and the owner must be able to use it. It answers with the identity before, so
     * asking with no identity is the way to check. */
    (void)setfsuid(owner_uid);
    if (setfsuid((uid_t)-1) != (int)owner_uid) {
        FAIL(ERR_INTERNAL, "cannot keep the owner's file access while binding sockets");
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
    return forbid_dumps(); /* the kernel goes back to fs.suid_dumpable when the user changes */
}
