#include "common/link/room.h"

#include "common/link/queues_impl.h"

#include <stdlib.h>
#include <string.h>

/* "name:123\r\n" of a line. */
static uint64_t number_of(const char *info, const char *name)
{
    const size_t len = strlen(name);

    for (const char *at = info; (at = strstr(at, name)); at += len)
        if ((at == info || at[-1] == '\n') && at[len] == ':')
            return strtoull(at + len + 1, NULL, 10);
    return 0;
}

struct pl_room pl_room_parse(const char *info)
{
    return (struct pl_room){number_of(info, "used_memory"), number_of(info, "maxmemory")};
}

int pl_room_look(struct pl_queues *stream, struct pl_room *ret_room, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    int rc;

    pl_redis_begin(&args, "INFO");
    pl_redis_word(&args, "memory");
    rc = pl_redis_call(stream->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    *ret_room = pl_room_parse(reply->str ? reply->str : "");
    freeReplyObject(reply);
    return PL_OK;
}
