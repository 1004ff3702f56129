#include "common/link/library.h"

#include "common/base/buf.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] =
#include <functions.inc> /* made from functions.lua */
    ;

/* Answers while Redis is at its memory limit, too: programs must be able to come back and drain it.
 */
static const char says_code[] = "redis.register_function{function_name = 'plait1_code',"
                                " callback = function() return '%s' end,"
                                " flags = {'no-writes', 'allow-oom'}}\n";

int pl_library_hash(char ret_hex[PL_LIBRARY_HASH], struct pl_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (EVP_Digest(text, sizeof text - 1, digest, &n, EVP_sha256(), NULL) != 1)
        return pl_fail(err, PL_ENOMEM, "no memory for the hash of the functions");
    for (unsigned i = 0; i < n && 2 * i + 2 < PL_LIBRARY_HASH; i++)
        snprintf(ret_hex + (size_t)2 * i, 3, "%02x", digest[i]);
    return PL_OK;
}

int pl_library_held(struct pl_redis *redis, const char *command, char ret_hex[PL_LIBRARY_HASH],
                    struct pl_error *err)
{
    struct pl_redis_args args;
    struct pl_error met = {0};
    redisReply *reply;
    int rc;

    ret_hex[0] = '\0';
    pl_redis_begin(&args, command);
    pl_redis_word(&args, "plait1_code");
    pl_redis_word(&args, "0");
    rc = pl_redis_try(redis, &args, &reply, &met);
    if (rc == PL_EIO && strstr(met.text, "Function not found"))
        return PL_OK;
    if (rc < 0)
        return pl_fail(err, rc, "%s", met.text);
    if (reply->type == REDIS_REPLY_STRING)
        snprintf(ret_hex, PL_LIBRARY_HASH, "%s", reply->str);
    freeReplyObject(reply);
    return PL_OK;
}

static int load(struct pl_redis *redis, const char *hash, struct pl_error *err)
{
    char *last = pl_strf(says_code, hash), *code = last ? pl_strf("%s%s", text, last) : NULL;
    struct pl_redis_args args;
    int rc = PL_ENOMEM;

    if (code) {
        pl_redis_begin(&args, "FUNCTION");
        pl_redis_word(&args, "LOAD");
        pl_redis_word(&args, "REPLACE");
        pl_redis_word(&args, code);
        rc = pl_redis_try(redis, &args, NULL, err);
    } else {
        pl_fail(err, rc, "no memory for the functions");
    }
    free(last);
    free(code);
    return rc;
}

int pl_library_ensure(struct pl_redis *redis, bool *ret_loaded, struct pl_error *err)
{
    char held[PL_LIBRARY_HASH], own[PL_LIBRARY_HASH];
    struct pl_error met = {0};
    int rc = pl_library_hash(own, err);

    if (rc == PL_OK)
        rc = pl_library_held(redis, "FCALL", held, err);
    if (rc < 0)
        return rc;
    if (ret_loaded)
        *ret_loaded = strcmp(held, own) != 0;
    if (strcmp(held, own) == 0)
        return PL_OK;
    rc = load(redis, own, &met);
    if (rc == PL_EINVAL)
        return pl_fail(err, PL_EUNSUPPORTED,
                       "Redis at '%s' %s, and the user '%s' may not load them: run `plait redis "
                       "init CONFIG` of this version as the user admin",
                       pl_redis_shown(redis),
                       held[0] ? "holds functions of another version of plait"
                               : "does not hold plait's functions",
                       pl_redis_user(redis));
    return rc < 0 ? pl_fail(err, rc, "%s", met.text) : PL_OK;
}

int pl_library_check_redis(struct pl_redis *redis, struct pl_error *err)
{
    unsigned major = 0, minor = 0, patch = 0;
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_redis_begin(&args, "HELLO"); /* any user may */
    rc = pl_redis_try(redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    rc = PL_EIO;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
        const redisReply *name = reply->element[i], *value = reply->element[i + 1];

        if (name->str && strcmp(name->str, "version") == 0 && value->str &&
            sscanf(value->str, "%u.%u.%u", &major, &minor, &patch) == 3)
            rc = PL_OK;
    }
    freeReplyObject(reply);
    if (rc < 0)
        return pl_fail(err, rc, "Redis gave 'HELLO' an answer of an unexpected form");
    if (major < 7 || (major == 7 && minor == 0 && patch < 5))
        return pl_fail(err, PL_EUNSUPPORTED,
                       "Redis %u.%u.%u is too old: plait needs 7.0.5 or later, because XAUTOCLAIM "
                       "of earlier ones is faulty",
                       major, minor, patch);
    return PL_OK;
}
