/* Replays every file of the corpus folders given as arguments through LLVMFuzzerTestOneInput. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (1024u * 1024u)

static int replay_file(const char *path, uint8_t *buffer)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    size_t length = fread(buffer, 1, INPUT_MAX, file);
    (void)fclose(file);
    /* An exact-size copy, so that AddressSanitizer sees a read past the end. */
    uint8_t *exact = malloc(length == 0 ? 1 : length); /* allow: test driver without core/util */
    if (exact == NULL) {
        return -1;
    }
    memcpy(exact, buffer, length);
    (void)LLVMFuzzerTestOneInput(exact, length);
    free(exact); /* allow: test driver without core/util */
    return 0;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    uint8_t *buffer = malloc(INPUT_MAX); /* allow: test driver without core/util */
    if (buffer == NULL) {
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (dir == NULL) {
            perror(argv[i]);
            free(buffer); /* allow: test driver without core/util */
            return 1;
        }
        for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
            char path[4096];
            if (entry->d_name[0] == '.') {
                continue;
            }
            (void)snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            if (replay_file(path, buffer) != 0) {
                (void)closedir(dir);
                free(buffer); /* allow: test driver without core/util */
                return 1;
            }
            files++;
        }
        (void)closedir(dir);
    }
    free(buffer); /* allow: test driver without core/util */
    printf("replayed %zu inputs\n", files);
    return files == 0 ? 1 : 0;
}
