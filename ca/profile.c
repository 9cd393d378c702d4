#include <string.h>

#include "ca/ca.h"

#include "core/util/mem.h"

#define DAY_S ((int64_t)86400)

static const struct ca_profile PROFILES[] = {
    {"default", "90 days, what every client's own renewal default assumes", 90 * DAY_S},
    {"month", "30 days", 30 * DAY_S},
    {"short", "6 days, for clients that renew by themselves every few days", 6 * DAY_S},
};

const struct ca_profile *ca_profile_find(const char *name)
{
    if (name == NULL || name[0] == '\0') {
        return &PROFILES[0];
    }
    for (size_t i = 0; i < ARRAY_N(PROFILES); i++) {
        if (strcmp(PROFILES[i].name, name) == 0) {
            return &PROFILES[i];
        }
    }
    return NULL;
}
