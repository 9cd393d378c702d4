/* struct resolve_config moved to dns/lookup.h. */
#ifndef DNS_RESOLVE_H
#define DNS_RESOLVE_H

#include "dns/lookup.h"

#endif
