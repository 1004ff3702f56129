/*
 * Certificates for TLS to Redis: an authority of one's own, one certificate for the server, one for
 * all clients. P-256 keys, in PEM files:
 *
 *   ca.crt, ca.key           who vouches; the key signs, and belongs on no machine of the run
 *   redis.crt, redis.key     of the server, for the hosts that are named
 *   client.crt, client.key   of the programs, where Redis demands one (tls-auth-clients yes)
 */
#ifndef PL_DEPLOY_REDIS_CERTS_H
#define PL_DEPLOY_REDIS_CERTS_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct pl_redis_certs {
    const char *dir;
    char *const *hosts; /* names and addresses of the server */
    size_t host_count;
    size_t days;    /* that the server's and the clients' certificates count */
    size_t ca_days; /* and the authority's, where it is made */
    bool renew;     /* make new ones though there are; the authority stays */
};

/*
 * An authority that is in the folder is used; else it is made. PL_EINVAL: there are certificates
 * and they are not to be renewed; a host is none. PL_EFORMAT: the authority's files are not what
 * they should be. PL_EIO, PL_ENOMEM.
 */
int pl_redis_certs_make(const struct pl_redis_certs *certs, struct pl_error *err);

#endif
