#include "common/link/reader.h"

#include "common/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 2000 };

int pl_reader_open(const char *url, const struct pl_redis_access *access, const char *run,
                   const char *client, struct pl_reader *ret_reader, struct pl_error *err)
{
    const struct pl_redis_opts opts = {.url = url,
                                       .access = access ? *access : (struct pl_redis_access){0},
                                       .role = "viewer",
                                       .client = client,
                                       .patience_ms = 1,
                                       .answer_ms = ANSWER_MS};
    struct pl_reader r = {.prefix = pl_strf("plait:{%s}:", run)};
    int rc = r.prefix ? pl_redis_create(&opts, &r.redis, err)
                      : pl_fail(err, PL_ENOMEM, "no memory to look at Redis");

    if (rc < 0) {
        pl_reader_close(&r);
        return rc;
    }
    *ret_reader = r;
    return PL_OK;
}

void pl_reader_close(struct pl_reader *reader)
{
    pl_redis_destroy(reader->redis);
    free(reader->prefix);
    *reader = (struct pl_reader){0};
}

int pl_reader_ask(struct pl_reader *reader, redisReply **ret_reply, struct pl_error *err,
                  const char *command, const char *key, const char *const *words)
{
    char name[256];
    struct pl_redis_args args;

    snprintf(name, sizeof name, "%s%s", reader->prefix, key);
    pl_redis_begin(&args, command);
    pl_redis_word(&args, name);
    for (size_t i = 0; words && words[i]; i++)
        pl_redis_word(&args, words[i]);
    return pl_redis_call(reader->redis, &args, ret_reply, err);
}

/* ---- answers ---- */

bool pl_reply_is_array(const redisReply *reply, size_t least)
{
    return reply && reply->type == REDIS_REPLY_ARRAY && reply->elements >= least;
}

const char *pl_reply_field(const redisReply *hash, const char *name)
{
    for (size_t i = 0; pl_reply_is_array(hash, 0) && i + 1 < hash->elements; i += 2)
        if (hash->element[i]->str && strcmp(hash->element[i]->str, name) == 0)
            return hash->element[i + 1]->str ? hash->element[i + 1]->str : "";
    return "";
}

void pl_reply_text(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text);
    for (; *to; to++)
        if ((unsigned char)*to < ' ' || *to == 0x7f)
            *to = '?';
}
