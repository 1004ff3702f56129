#include "common/base/redis_access.h"

#include "common/base/buf.h"

#include <stdlib.h>
#include <string.h>

/* NULL: no memory. */
static char *expand(const char *text, const char *role)
{
    static const char mark[] = "{role}";
    const char *at = text ? strstr(text, mark) : NULL;
    char *begin, *rest, *all;

    if (!at)
        return strdup(text ? text : "");
    rest = expand(at + strlen(mark), role);
    begin = strndup(text, (size_t)(at - text));
    all = begin && rest ? pl_strf("%s%s%s", begin, role, rest) : NULL;
    free(begin);
    free(rest);
    return all;
}

int pl_redis_access_copy(const struct pl_redis_access *from, const char *role,
                         struct pl_redis_access *ret_access, struct pl_error *err)
{
    static const struct pl_redis_access none = {0};
    const struct pl_redis_access *f = from ? from : &none;
    struct pl_redis_access copy = {
        .user = expand(f->user, role),
        .password_file = expand(f->password_file, role),
        .tls_ca = expand(f->tls_ca, role),
        .tls_cert = expand(f->tls_cert, role),
        .tls_key = expand(f->tls_key, role),
    };

    *ret_access = (struct pl_redis_access){0};
    if (!copy.user || !copy.password_file || !copy.tls_ca || !copy.tls_cert || !copy.tls_key) {
        pl_redis_access_release(&copy);
        return pl_fail(err, PL_ENOMEM, "no memory for the access to Redis");
    }
    *ret_access = copy;
    return PL_OK;
}

void pl_redis_access_release(struct pl_redis_access *access)
{
    free((char *)access->user);
    free((char *)access->password_file);
    free((char *)access->tls_ca);
    free((char *)access->tls_cert);
    free((char *)access->tls_key);
    *access = (struct pl_redis_access){0};
}
