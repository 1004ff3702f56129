#include "common/link/redis_pipe.h"

#include "common/base/buf.h"

#include <stdlib.h>
#include <string.h>

enum { TOGETHER = 100, BYTES_MAX = 64 << 20 };

static int grow(struct pl_redis_pipe *p)
{
    const size_t cap = p->cap ? 2 * p->cap : 64;
    char **commands = realloc(p->commands, cap * sizeof *commands);
    size_t *lens;

    if (!commands)
        return PL_ENOMEM;
    p->commands = commands;
    lens = realloc(p->lens, cap * sizeof *lens);
    if (!lens)
        return PL_ENOMEM;
    p->lens = lens;
    p->cap = cap;
    return PL_OK;
}

int pl_redis_pipe_add(struct pl_redis_pipe *pipe, const struct pl_redis_args *args,
                      struct pl_error *err)
{
    char *command = NULL;
    int len = -1;

    if (pipe->count < pipe->cap || grow(pipe) == PL_OK)
        len = redisFormatCommandArgv(&command, args->count, (const char **)args->words, args->lens);
    if (len < 0)
        return pl_fail(err, PL_ENOMEM, "no memory to ask Redis");
    pipe->commands[pipe->count] = command;
    pipe->lens[pipe->count++] = (size_t)len;
    return PL_OK;
}

int pl_redis_pipe_ask(struct pl_redis_pipe *pipe, struct pl_redis *redis, struct pl_error *err)
{
    struct pl_buf bytes;
    int rc = PL_OK;

    pipe->replies = calloc(pipe->count + 1, sizeof *pipe->replies);
    if (!pipe->replies)
        return pl_fail(err, PL_ENOMEM, "no memory to ask Redis");
    pl_buf_init(&bytes, BYTES_MAX);
    for (size_t i = 0; rc == PL_OK && i < pipe->count; i += TOGETHER) {
        const size_t n = pipe->count - i < TOGETHER ? pipe->count - i : TOGETHER;

        pl_buf_clear(&bytes);
        for (size_t k = i; rc == PL_OK && k < i + n; k++)
            rc = pl_buf_append(&bytes, pipe->commands[k], pipe->lens[k]);
        if (rc < 0)
            rc = pl_fail(err, PL_ENOMEM, "no memory to ask Redis");
        else
            rc = pl_redis_ask_all(redis, bytes.data, bytes.len, n, pipe->replies + i, err);
    }
    pl_buf_release(&bytes);
    return rc;
}

void pl_redis_pipe_release(struct pl_redis_pipe *pipe)
{
    for (size_t i = 0; i < pipe->count; i++) {
        redisFreeCommand(pipe->commands[i]);
        if (pipe->replies && pipe->replies[i])
            freeReplyObject(pipe->replies[i]);
    }
    free(pipe->commands);
    free(pipe->lens);
    free(pipe->replies);
    *pipe = (struct pl_redis_pipe){0};
}
