/* Facts of the machine that defaults are made of: host name, addresses, resolvers. */
#include "core/util/config_internal.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util/mem.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_MAX 65536u
#define ADDRESSES_MAX 64u
#define RESOLVERS_MAX 8u

static void read_hostname(struct config_machine *out)
{
    char name[NAME_TEXT_MAX + 1];

    memset(name, 0, sizeof(name));
    if (gethostname(name, sizeof(name) - 1) != 0 || strcmp(name, "localhost") == 0 ||
        name_parse(name, strlen(name), out->hostname, NULL).code != ERR_OK) {
        out->hostname[0] = '\0';
    }
}

static bool is_local_only(const struct ip_addr *ip)
{
    static const struct ip_net nets[] = {
        {{4, {127}}, 8}, {{4, {169, 254}}, 16}, {{6, {0xfe, 0x80}}, 10}};
    static const struct ip_addr v6_loopback = {6, {[15] = 1}};

    return ip_nets_contain(nets, ARRAY_N(nets), ip) || ip_equal(&v6_loopback, ip);
}

static bool has_address(const struct config_machine *out, const struct ip_addr *ip)
{
    for (size_t i = 0; i < out->addresses_n; i++) {
        if (ip_equal(&out->addresses[i], ip)) {
            return true;
        }
    }
    return false;
}

static void free_interfaces(struct ifaddrs **list)
{
    if (*list != NULL) {
        freeifaddrs(*list);
    }
}

static struct err read_addresses(struct config_machine *out)
{
    AUTO(free_interfaces) struct ifaddrs *list = NULL;
    static const struct ip_addr loopback = {4, {127, 0, 0, 1}};

    out->addresses = mem_array(ADDRESSES_MAX, sizeof(*out->addresses));
    TRY_PTR(out->addresses);
    if (getifaddrs(&list) != 0) {
        list = NULL;
    }
    for (const struct ifaddrs *i = list; i != NULL && out->addresses_n < ADDRESSES_MAX;
         i = i->ifa_next) {
        if (i->ifa_addr == NULL || (i->ifa_flags & IFF_UP) == 0) {
            continue;
        }
        struct ip_addr ip = ip_from_sockaddr(i->ifa_addr);
        if (ip.family != 0 && !is_local_only(&ip) && !has_address(out, &ip)) {
            out->addresses[out->addresses_n++] = ip;
        }
    }
    if (out->addresses_n == 0) {
        out->addresses[out->addresses_n++] = loopback;
    }
    return err_ok();
}

static void read_nameserver(struct config_machine *out, char *line)
{
    static const char word[] = "nameserver";
    struct ip_endpoint endpoint;

    line += strspn(line, " \t");
    if (strncmp(line, word, sizeof(word) - 1) != 0) {
        return;
    }
    line += sizeof(word) - 1;
    size_t gap = strspn(line, " \t");
    line += gap;
    line[strcspn(line, " \t\r#;")] = '\0';
    /* An address with a scope (fe80::1%eth0) fails here and is left out. */
    if (gap > 0 && ip_endpoint_parse(line, 53, &endpoint).code == ERR_OK) {
        out->resolvers[out->resolvers_n++] = endpoint;
    }
}

static struct err read_resolvers(struct config_machine *out)
{
    AUTO(mem_freep) char *text = NULL;
    size_t len = 0;

    out->resolvers = mem_array(RESOLVERS_MAX, sizeof(*out->resolvers));
    TRY_PTR(out->resolvers);
    if (config_read_file(RESOLV_CONF, RESOLV_CONF_MAX, &text, &len).code != ERR_OK) {
        return err_ok(); /* a machine without one has no resolvers */
    }
    char *line = text;
    while (line != NULL && out->resolvers_n < RESOLVERS_MAX) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        read_nameserver(out, line);
        line = end == NULL ? NULL : end + 1;
    }
    return err_ok();
}

struct err config_machine_read(struct config_machine *out)
{
    read_hostname(out);
    TRY(read_addresses(out));
    return read_resolvers(out);
}

struct err config_machine_fixed(struct config_machine *out)
{
    static const struct ip_addr loopback = {4, {127, 0, 0, 1}};

    (void)snprintf(out->hostname, sizeof(out->hostname), "ca");
    out->addresses = mem_dup(&loopback, sizeof(loopback));
    TRY_PTR(out->addresses);
    out->addresses_n = 1;
    return err_ok();
}

void config_machine_clear(struct config_machine *machine)
{
    mem_free(machine->addresses);
    mem_free(machine->resolvers);
    memset(machine, 0, sizeof(*machine));
}
