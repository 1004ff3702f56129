#include "common/link/news.h"

#include "common/base/logfmt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_field(struct pl_news *n, const char *name, const char *value)
{
    size_t len = strlen(n->text);

    if (strcmp(name, "event") == 0) {
        pl_reply_text(n->event, sizeof n->event, value);
        return;
    }
    if (strcmp(name, "group") == 0) {
        pl_reply_text(n->group, sizeof n->group, value);
        pl_reply_text(n->batch, sizeof n->batch, value);
        n->batch[strcspn(n->batch, ":")] = '\0';
    } else if (strcmp(name, "batch") == 0) {
        pl_reply_text(n->batch, sizeof n->batch, value);
    }
    if (len > 0 && len + 8 < sizeof n->text)
        n->text[len++] = ' ';
    pl_logfmt_print(n->text + len, sizeof n->text - len,
                    strcmp(name, "reason") == 0 ? "%s=\"%s\"" : "%s=%s", name, value);
}

/* [id, [name, value, ...]]; false: it is not of that form. */
static bool read_entry(const redisReply *reply, struct pl_news *ret_news)
{
    const redisReply *list;

    if (!pl_reply_is_array(reply, 2) || !reply->element[0]->str ||
        !pl_reply_is_array(reply->element[1], 0))
        return false;
    *ret_news = (struct pl_news){.at_s = strtod(reply->element[0]->str, NULL) / 1e3};
    list = reply->element[1];
    for (size_t i = 0; i + 1 < list->elements; i += 2)
        if (list->element[i]->str && list->element[i + 1]->str)
            add_field(ret_news, list->element[i]->str, list->element[i + 1]->str);
    return true;
}

int pl_news_each(struct pl_reader *reader, size_t most,
                 int (*each)(void *at, const struct pl_news *news), void *at, struct pl_error *err)
{
    char count[24];
    const char *const words[] = {"+", "-", "COUNT", count, NULL};
    redisReply *reply;
    int rc;

    snprintf(count, sizeof count, "%zu", most);
    rc = pl_reader_ask(reader, &reply, err, "XREVRANGE", "events", words);
    if (rc < 0)
        return rc;
    if (!pl_reply_is_array(reply, 0))
        rc = pl_fail(err, PL_EIO, "Redis gave 'XREVRANGE' an answer of an unexpected form");
    for (size_t i = rc == PL_OK ? reply->elements : 0; rc == PL_OK && i-- > 0;) {
        struct pl_news news;

        if (read_entry(reply->element[i], &news))
            rc = each(at, &news);
    }
    freeReplyObject(reply);
    return rc;
}
