#include "ca/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

void keyfile_dir_closep(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

struct err keyfile_sync(int fd)
{
    if (fsync(fd) != 0) {
        FAIL(ERR_IO, "the keys directory cannot be synced to disk: %m");
    }
    return err_ok();
}

static int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

struct err keyfile_dir_open(const char *path, int *fd)
{
    struct stat st;
    AUTO(keyfile_dir_closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0) {
        FAIL(errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s cannot be opened: %m", path);
    }
    if (fstat(dir, &st) != 0) {
        FAIL(ERR_IO, "%s cannot be examined: %m", path);
    }
    if (st.st_uid != geteuid()) {
        FAIL(ERR_CONFIG, "%s belongs to user %u, but this program runs as user %u: chown it", path,
             st.st_uid, geteuid());
    }
    if ((st.st_mode & 0022u) != 0) {
        FAIL(ERR_CONFIG, "%s can be changed by other users (mode %04o): run chmod 700 %s", path,
             st.st_mode & 07777u, path);
    }
    *fd = take_fd(&dir);
    return err_ok();
}

static struct err write_all(int fd, const char *name, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            FAIL(ERR_IO, "%s cannot be written: %m", name);
        }
        data += n;
        len -= (size_t)n;
    }
    return err_ok();
}

struct err keyfile_write(int dir, const char *name, const void *data, size_t len, bool is_secret)
{
    AUTO(keyfile_dir_closep)
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        FAIL(ERR_IO, "%s cannot be made: %m", name);
    }
    if (!is_secret && fchmod(fd, 0644) != 0) {
        FAIL(ERR_IO, "%s: mode cannot be set: %m", name);
    }
    TRY(write_all(fd, name, data, len));
    return keyfile_sync(fd);
}

static struct err check_file(int fd, const char *name, bool is_secret)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        FAIL(ERR_IO, "%s cannot be examined: %m", name);
    }
    if (!S_ISREG(st.st_mode) || st.st_size > (off_t)KEYFILE_MAX) {
        FAIL(ERR_CONFIG, "%s is not a plain file of at most %u bytes", name, KEYFILE_MAX);
    }
    if (!is_secret) {
        return err_ok();
    }
    if (st.st_uid != geteuid()) {
        FAIL(ERR_CONFIG, "%s belongs to user %u, but this program runs as user %u: chown it", name,
             st.st_uid, geteuid());
    }
    if ((st.st_mode & 0077u) != 0) {
        FAIL(ERR_CONFIG, "%s is open to other users (mode %04o): run chmod 600 on it", name,
             st.st_mode & 07777u);
    }
    return err_ok();
}

struct err keyfile_read(int dir, const char *name, bool is_secret, struct secret *out)
{
    size_t len = 0;
    AUTO(secret_clear) struct secret all = {0};
    AUTO(keyfile_dir_closep)
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        FAIL(errno == ENOENT ? ERR_NOT_FOUND : ERR_CONFIG, "%s cannot be opened: %m", name);
    }
    TRY(check_file(fd, name, is_secret));
    all.data = mem_zalloc(KEYFILE_MAX);
    TRY_PTR(all.data);
    all.len = KEYFILE_MAX;
    while (len < KEYFILE_MAX) {
        ssize_t n = read(fd, all.data + len, KEYFILE_MAX - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            FAIL(ERR_IO, "%s cannot be read: %m", name);
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    return secret_set(out, all.data, len);
}
