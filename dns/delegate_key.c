/* The installation key: an input of passwords that are derived instead of stored. */
#include "dns/delegate_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util/file.h"
#include "core/util/mem.h"

#define PATH_CAP 4096

static struct err create_key(const char *dir, const char *path, uint8_t key[DELEGATE_KEY_LEN])
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        FAIL(ERR_IO, "%s: %s", dir, err_errno_text(errno));
    }
    TRY(random_bytes(key, DELEGATE_KEY_LEN));
    return file_write_atomic(path, 0600, key, DELEGATE_KEY_LEN);
}

static struct err read_key(int fd, const char *path, uint8_t key[DELEGATE_KEY_LEN])
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        FAIL(ERR_IO, "%s: %s", path, err_errno_text(errno));
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
    AUTO(file_closep) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        return read_key(fd, path, key);
    }
    if (errno == ELOOP) {
        FAIL(ERR_CONFIG, "%s must be a file, not a symbolic link", path);
    }
    if (errno != ENOENT) {
        FAIL(ERR_IO, "%s: %s", path, err_errno_text(errno));
    }
    return create_key(dir, path, key);
}
