#include "common/link/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* The host of HOST:PORT, without brackets; false: it is too long or there is no port. */
static bool take_host(const char *address, char *host, size_t room)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;

    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (len == 0 || len >= room)
        return false;
    memcpy(host, address, len);
    host[len] = '\0';
    return true;
}

bool pl_endpoint_is_local(const char *endpoint)
{
    struct in6_addr six;
    struct in_addr four;
    char host[256];

    if (strncmp(endpoint, "ipc://", 6) == 0 || strncmp(endpoint, "inproc://", 9) == 0)
        return true;
    if (strncmp(endpoint, "tcp://", 6) != 0 || !take_host(endpoint + 6, host, sizeof host))
        return false;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six);
    return strcmp(host, "localhost") == 0;
}

int pl_endpoint_check(const char *setting, const char *endpoint, bool keys, bool insecure,
                      struct pl_error *err)
{
    if (keys || insecure || pl_endpoint_is_local(endpoint))
        return PL_OK;
    return pl_fail(err, PL_EINVAL,
                   "'%s' is '%s', which the network reaches, and there are no keys: make some with "
                   "plait keygen DIR and set link.keys=DIR, or set link.insecure=yes to let in "
                   "everybody",
                   setting, endpoint);
}
