/* The installation key: an input of passwords that are derived instead of stored. */
#include "dns/delegate_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util/mem.h"

#define PATH_CAP 4096

static void close_fd(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
}

static struct err sync_dir(const char *dir)
{
    AUTO(close_fd) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) != 0) {
        FAIL(ERR_IO, "%s: %s", dir, strerror(errno));
    }
    return err_ok();
}

/* A crash leaves either no key or a whole one. */
static struct err create_key(const char *dir, const char *path, uint8_t key[DELEGATE_KEY_LEN])
{
    char fresh[PATH_CAP + 8];

    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        FAIL(ERR_IO, "%s: %s", dir, strerror(errno));
    }
    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    if (unlink(fresh) != 0 && errno != ENOENT) {
        FAIL(ERR_IO, "%s: %s", fresh, strerror(errno));
    }
    AUTO(close_fd) int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        FAIL(ERR_IO, "%s: %s", fresh, strerror(errno));
    }
    TRY(random_bytes(key, DELEGATE_KEY_LEN));
    if (write(fd, key, DELEGATE_KEY_LEN) != (ssize_t)DELEGATE_KEY_LEN || fsync(fd) != 0 ||
        rename(fresh, path) != 0) {
        int saved = errno;
        (void)unlink(fresh);
        FAIL(ERR_IO, "%s: %s", path, strerror(saved));
    }
    return sync_dir(dir);
}

static struct err read_key(int fd, const char *path, uint8_t key[DELEGATE_KEY_LEN])
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        FAIL(ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0) {
        FAIL(ERR_CONFIG, "%s must be a file that only its owner can read: chmod 600 %s", path,
             path);
    }
    if (st.st_size != DELEGATE_KEY_LEN) {
        FAIL(ERR_CONFIG,
             "%s holds %lld bytes instead of %u: restore it from a backup, or remove it, which "
             "changes the passwords of HTTP storage accounts",
             path, (long long)st.st_size, DELEGATE_KEY_LEN);
    }
    if (read(fd, key, DELEGATE_KEY_LEN) != (ssize_t)DELEGATE_KEY_LEN) {
        FAIL(ERR_IO, "%s: cannot be read", path);
    }
    return err_ok();
}

struct err delegate_key_load(const char *state_dir, uint8_t key[DELEGATE_KEY_LEN])
{
    char dir[PATH_CAP];
    char path[PATH_CAP];

    int n = snprintf(path, sizeof(path), "%s/keys/installation.key", state_dir);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        FAIL(ERR_CONFIG, "state_dir is too long");
    }
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        return read_key(fd, path, key);
    }
    if (errno == ELOOP) {
        FAIL(ERR_CONFIG, "%s must be a file, not a symbolic link", path);
    }
    if (errno != ENOENT) {
        FAIL(ERR_IO, "%s: %s", path, strerror(errno));
    }
    return create_key(dir, path, key);
}
