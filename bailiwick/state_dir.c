#include "bailiwick/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LEN_MAX 4096u

static struct err make_dir(const char *path)
{
    struct stat st;

    if (mkdir(path, 0700) == 0) {
        return err_ok();
    }
    if (errno != EEXIST) {
        FAIL(ERR_IO, "cannot make the state directory %s: %s (state_dir sets another place)", path,
             err_errno_text(errno));
    }
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        FAIL(ERR_IO, "%s exists and is not a directory", path);
    }
    if ((st.st_mode & 022) != 0) {
        FAIL(ERR_CONFIG, "%s may be written by others: chmod go-w %s", path, path);
    }
    return err_ok();
}

struct err state_dir_open(const char *path, int *lock_fd)
{
    char sub[PATH_LEN_MAX];

    TRY(make_dir(path));
    int n = snprintf(sub, sizeof(sub), "%s/lock", path);
    if (n < 0 || (size_t)n >= sizeof(sub)) {
        FAIL(ERR_CONFIG, "state_dir is too long");
    }
    int fd = open(sub, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        FAIL(ERR_IO, "cannot write to the state directory %s: %s", path, err_errno_text(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        bool is_held = errno == EWOULDBLOCK;
        (void)close(fd);
        if (is_held) {
            FAIL(ERR_BUSY, "another bailiwick uses the state directory %s", path);
        }
        FAIL(ERR_IO, "cannot lock the state directory %s: %s", path, err_errno_text(errno));
    }
    *lock_fd = fd;
    return err_ok();
}

static struct err is_there(const char *path, const char *name, bool *out)
{
    char full[PATH_LEN_MAX];
    struct stat st;

    int n = snprintf(full, sizeof(full), "%s/%s", path, name);
    if (n < 0 || (size_t)n >= sizeof(full)) {
        FAIL(ERR_CONFIG, "state_dir is too long");
    }
    *out = lstat(full, &st) == 0;
    return err_ok();
}

struct err state_dir_chaos(const char *path, bool is_chaos)
{
    char mark[PATH_LEN_MAX];
    bool is_marked = false;
    bool is_used = false;

    TRY(is_there(path, "chaos", &is_marked));
    TRY(is_there(path, "bailiwick.db", &is_used));
    if (is_marked && !is_chaos) {
        FAIL(ERR_CONFIG,
             "%s was made for the test mode: start with --chaos, or choose another state_dir",
             path);
    }
    if (!is_marked && is_chaos && is_used) {
        FAIL(ERR_CONFIG,
             "%s was not made with --chaos: the test mode needs a state_dir of its own, so that no "
             "real CA runs in it",
             path);
    }
    if (is_marked || !is_chaos) {
        return err_ok();
    }
    (void)snprintf(mark, sizeof(mark), "%s/chaos", path);
    int fd = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        FAIL(ERR_IO, "cannot write %s: %s", mark, err_errno_text(errno));
    }
    (void)close(fd);
    return err_ok();
}
