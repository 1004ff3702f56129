#include "deploy/view/top_source.h"

#include "common/link/dead.h"
#include "common/link/news.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NEWS = 300 }; /* more than the stream keeps */

struct pl_top_source {
    struct pl_overview_source overview;
    struct pl_reader reader;
    struct pl_dead *dead;
    char *url;
};

int pl_top_source_open(const struct pl_run_conf *conf, struct pl_top_source **ret_source,
                       struct pl_error *err)
{
    struct pl_top_source *s = calloc(1, sizeof *s);
    int rc = PL_ENOMEM;

    if (s)
        s->url = pl_run_conf_redis(conf);
    if (!s || !s->url)
        pl_fail(err, rc, "no memory to look at the run");
    else
        rc = pl_overview_open(conf, &s->overview, err);
    if (rc == PL_OK)
        rc = pl_reader_open(s->url, &conf->access, conf->name, "plait-top", &s->reader, err);
    if (rc == PL_OK)
        rc = pl_dead_open(s->url, &conf->access, "viewer", conf->name, &s->dead, err);
    if (rc < 0) {
        pl_top_source_close(s);
        return rc;
    }
    *ret_source = s;
    return PL_OK;
}

void pl_top_source_close(struct pl_top_source *source)
{
    if (!source)
        return;
    pl_dead_close(source->dead);
    pl_reader_close(&source->reader);
    if (source->overview.conf)
        pl_overview_close(&source->overview);
    free(source->url);
    free(source);
}

/* What happens to every batch: of these only the last of a kind is told. */
static bool is_routine(const char *event)
{
    return strcmp(event, "ready") == 0 || strcmp(event, "retired") == 0;
}

static void drop_event(struct pl_top *t, size_t i)
{
    memmove(t->events + i, t->events + i + 1, (t->event_count - i - 1) * sizeof *t->events);
    t->event_count--;
}

static int take_news(void *at, const struct pl_news *news)
{
    struct pl_top *t = at;
    struct pl_top_event *e;

    for (size_t i = 0; is_routine(news->event) && i < t->event_count; i++)
        if (strcmp(t->events[i].event, news->event) == 0)
            drop_event(t, i);
    if (t->event_count == PL_TOP_EVENTS)
        drop_event(t, 0);
    e = &t->events[t->event_count];
    e->at_s = news->at_s;
    snprintf(e->event, sizeof e->event, "%s", news->event);
    snprintf(e->text, sizeof e->text, "%.*s", (int)sizeof e->text - 1, news->text);
    t->event_count++;
    return PL_OK;
}

static int take_dead(void *at, const struct pl_dead_entry *entry)
{
    struct pl_top *t = at;
    struct pl_top_dead *e = &t->dead[t->dead_count];

    if (t->dead_count == PL_TOP_DEAD)
        return PL_OK;
    e->at_s = entry->at_s;
    e->deliveries = entry->deliveries;
    snprintf(e->group, sizeof e->group, "%s", entry->group);
    snprintf(e->where, sizeof e->where, "%s", entry->where);
    snprintf(e->worker, sizeof e->worker, "%s", entry->worker);
    snprintf(e->reason, sizeof e->reason, "%s", entry->reason);
    t->dead_count++;
    return PL_OK;
}

/* The steps as the folder has them, where Redis does not tell. */
static void take_history(const struct pl_history *h, struct pl_survey *s)
{
    const size_t n = h->steps < PL_HISTORY_RECENT ? h->steps : PL_HISTORY_RECENT;

    for (size_t i = 0; i < n; i++) {
        const struct pl_history_pace *p = &h->recent[(h->steps - n + i) % PL_HISTORY_RECENT];

        s->reward[i] = p->reward;
        s->accuracy[i] = p->accuracy;
    }
    s->recent_count = n;
}

void pl_top_source_take(struct pl_top_source *source, struct pl_top *ret_top)
{
    struct pl_top *t = ret_top;
    const struct pl_overview kept = t->o; /* its lists go with the next look */

    memset(t, 0, sizeof *t);
    t->o = kept;
    pl_overview_catch_up(&source->overview);
    pl_overview_look(&source->overview, &t->o);
    t->o.last = t->o.last_eval = NULL; /* they live until the source reads on */
    t->o.evals = NULL;
    t->o.eval_count = 0;
    t->taken_s = (double)time(NULL);
    if (!t->o.redis) {
        take_history(&source->overview.history, &t->o.survey);
        return;
    }
    /* Where one of these fails, Redis has just gone: the next look says so. */
    (void)pl_news_each(&source->reader, NEWS, take_news, t, NULL);
    (void)pl_dead_each(source->dead, PL_TOP_DEAD, take_dead, t, NULL);
}
