/* Where a ZeroMQ socket is bound, and who can reach it there. */
#ifndef PL_LINK_ENDPOINT_H
#define PL_LINK_ENDPOINT_H

#include "common/base/err.h"

#include <stdbool.h>

/* Whether only this machine reaches it: ipc, inproc, or TCP on 127.0.0.0/8, [::1] or localhost.
 * What is not understood is taken to be open. */
bool pl_endpoint_is_local(const char *endpoint);

/*
 * Whether to bind there: it is local, or there are keys, or `insecure` says that it may be open.
 * `setting` is what names it. PL_EINVAL with what to do.
 */
int pl_endpoint_check(const char *setting, const char *endpoint, bool keys, bool insecure,
                      struct pl_error *err);

#endif
