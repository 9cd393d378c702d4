#include "core/util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util/mem.h"
#include "core/util/token.h"

#define PATH_LEN_MAX 4096u

void file_closep(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
}

struct err file_read(const char *path, struct buf *out)
{
    AUTO(file_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    uint8_t chunk[4096];

    if (fd < 0) {
        FAIL(errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read '%s': %s", path,
             err_errno_text(errno));
    }
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        FAIL(ERR_IO, "cannot read '%s': it is not a file", path);
    }
    while (!out->failed) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            FAIL(ERR_IO, "cannot read '%s': %s", path, err_errno_text(errno));
        }
        if (n == 0) {
            break;
        }
        buf_put(out, chunk, (size_t)n);
    }
    mem_wipe(chunk, sizeof(chunk)); /* it may have held a key */
    if (out->failed) {
        FAIL(ERR_LIMIT, "'%s' is larger than %zu bytes", path, out->max);
    }
    return err_ok();
}

static struct err write_all(int fd, const uint8_t *data, size_t len, const char *path)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            FAIL(ERR_IO, "cannot write %s: %s", path, err_errno_text(errno));
        }
        data += n;
        len -= (size_t)n;
    }
    if (fsync(fd) != 0) {
        FAIL(ERR_IO, "cannot write %s to disk: %s", path, err_errno_text(errno));
    }
    return err_ok();
}

static struct err sync_parent(const char *path)
{
    char dir[PATH_LEN_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - path);

    memcpy(dir, path, n);
    dir[n] = '\0';
    AUTO(file_closep) int fd = open(n == 0 ? "." : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        FAIL(ERR_IO, "cannot write the folder of %s to disk: %s", path, err_errno_text(errno));
    }
    return err_ok();
}

static struct err write_then_rename(const char *beside, const char *path, mode_t mode,
                                    const void *data, size_t len)
{
    AUTO(file_closep) int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0) {
        FAIL(ERR_IO, "cannot create %s: %s", beside, err_errno_text(errno));
    }
    if (fchmod(fd, mode) != 0) {
        FAIL(ERR_IO, "cannot set the mode of %s: %s", beside, err_errno_text(errno));
    }
    TRY(write_all(fd, data, len, path));
    if (rename(beside, path) != 0) {
        FAIL(ERR_IO, "cannot rename %s to %s: %s", beside, path, err_errno_text(errno));
    }
    return sync_parent(path);
}

struct err file_write_atomic(const char *path, mode_t mode, const void *data, size_t len)
{
    char beside[PATH_LEN_MAX];
    char unique[OBJECT_ID_LEN + 1];

    TRY(random_id(unique));
    int n = snprintf(beside, sizeof(beside), "%s.%s", path, unique);
    if (n < 0 || (size_t)n >= sizeof(beside)) {
        FAIL(ERR_LIMIT, "path too long: %s", path);
    }
    struct err e = write_then_rename(beside, path, mode, data, len);
    if (e.code != ERR_OK) {
        (void)unlink(beside);
    }
    return e;
}
