/* bailiwick version */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "bailiwick/cli.h"
#include "core/util/mem.h"

static const char HELP[] = "Usage: bailiwick version\n\n"
                           "Print the version of bailiwick and of the libraries it runs with.\n\n"
                           "Exit codes: 0 done, 2 wrong usage.\n";

/* The loaded libraries are asked by symbol: their headers belong to other folders. */
static const struct {
    const char *name;
    const char *symbol; /* const char *f(void) */
} LIBRARIES[] = {
    {"SQLite", "sqlite3_libversion"},
    {"libmicrohttpd", "MHD_get_version"},
    {"ldns", "ldns_version"},
    {"jansson", "jansson_version_str"},
    {"libyaml", "yaml_get_version_string"},
    {"libcurl", "curl_version"},
};

static void print_library(const char *name, const char *text)
{
    if (text != NULL) {
        (void)printf("%-15s%s\n", name, text);
    }
}

static void print_with_argument(void)
{
    const char *(*openssl)(int) = NULL;
    const char *(*gnutls)(const char *) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "OpenSSL_version");

    memcpy(&openssl, &symbol, sizeof(openssl));
    print_library("OpenSSL", openssl == NULL ? NULL : openssl(0));
    symbol = dlsym(RTLD_DEFAULT, "gnutls_check_version");
    memcpy(&gnutls, &symbol, sizeof(gnutls));
    print_library("GnuTLS", gnutls == NULL ? NULL : gnutls(NULL));
}

int cmd_version(int argc, char **argv)
{
    struct cli_args args;
    int code = CLI_OK;

    if (!cli_begin(argc, argv, NULL, 0, 0, 0, HELP, &args, &code)) {
        return code;
    }
    (void)printf("bailiwick %s\n", BW_VERSION);
    print_with_argument();
    for (size_t i = 0; i < ARRAY_N(LIBRARIES); i++) {
        const char *(*version)(void) = NULL;
        void *symbol = dlsym(RTLD_DEFAULT, LIBRARIES[i].symbol);
        memcpy(&version, &symbol, sizeof(version));
        print_library(LIBRARIES[i].name, version == NULL ? NULL : version());
    }
    return CLI_OK;
}
