/*
 * TLS on a connected socket, with OpenSSL. TLS 1.2 or later; Redis must show a certificate that the
 * given authorities vouch for and that is for the name, or the address, that was connected to.
 * There is no way to leave that out. A certificate of one's own is shown where one is given.
 *
 * Files are read at each handshake: one that was replaced counts from the next connection on. They
 * are looked for as secret.h says, and the key must be as well kept as it says.
 *
 * PL_EINVAL is what no second try mends: a file, a certificate, a port that speaks something else.
 */
#ifndef PL_LINK_REDIS_TLS_H
#define PL_LINK_REDIS_TLS_H

#include "common/base/err.h"
#include "common/base/redis_access.h"

#include <stddef.h>
#include <stdint.h>

struct pl_redis_tls;

/*
 * The handshake, over `fd`, which does not block and stays the caller's. Of `access` the texts
 * tls_* are used. PL_EIO: the connection was lost, or patience_ms are over. PL_EINVAL, PL_ENOENT,
 * PL_ENOMEM.
 */
int pl_redis_tls_open(int fd, const char *host, const struct pl_redis_access *access,
                      uint64_t patience_ms, struct pl_redis_tls **ret_tls, struct pl_error *err);
void pl_redis_tls_close(struct pl_redis_tls *tls); /* NULL is fine */

/*
 * As read() and write(): how many bytes, more than 0; or 0: try again when poll() finds
 * *ret_events. PL_EIO: the connection is at its end. PL_EINVAL: Redis refuses the certificate, or
 * that there is none; with TLS 1.3 it says so only now.
 */
int pl_redis_tls_read(struct pl_redis_tls *tls, void *to, int size, short *ret_events,
                      struct pl_error *err);
int pl_redis_tls_write(struct pl_redis_tls *tls, const void *from, int size, short *ret_events,
                       struct pl_error *err);

#endif
