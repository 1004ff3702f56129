#include "learner/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
    char *at;
    size_t size, used;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (t->used + 1 >= t->size)
        return;
    va_start(ap, fmt);
    n = vsnprintf(t->at + t->used, t->size - t->used, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->used = t->used + (size_t)n < t->size ? t->used + (size_t)n : t->size - 1;
}

static void add_place(struct text *t, enum pl_missing_place place, const struct pl_missing *m,
                      size_t actors, size_t rewarders, bool *first)
{
    const struct pl_missing_group *g = &m->first[place];
    const size_t n = m->counts[place];

    if (n == 0)
        return;
    add(t, "%s%zu ", *first ? ": " : "; ", n);
    *first = false;
    switch (place) {
    case PL_MISSING_QUEUED:
        add(t, "in the queue that nobody holds (%s, for %llu s)%s", g->group,
            (unsigned long long)g->queued_s, actors == 0 ? ", and no actor has a heartbeat" : "");
        break;
    case PL_MISSING_HELD:
        add(t, "held by actors (%s by %s, queued %llu s ago, last renewed %llu s ago)", g->group,
            g->worker, (unsigned long long)g->queued_s, (unsigned long long)g->silent_s);
        break;
    case PL_MISSING_ROLLED:
        add(t, "sampled and waiting for a rewarder (%s, for %llu s)%s", g->group,
            (unsigned long long)g->queued_s,
            rewarders == 0 ? ", and no rewarder has a heartbeat" : "");
        break;
    case PL_MISSING_SCORING:
        add(t, "held by rewarders (%s by %s, sampled %llu s ago, last renewed %llu s ago)",
            g->group, g->worker, (unsigned long long)g->queued_s, (unsigned long long)g->silent_s);
        break;
    case PL_MISSING_PARKED:
        add(t, "parked (%s: %s); they are put back after a pause, at once by plait dead retry",
            g->group, g->reason[0] ? g->reason : "tried too often");
        break;
    case PL_MISSING_UNFED:
        add(t, "lost by Redis, or refused; they are fed again");
        break;
    case PL_MISSING_PLACES:
        break;
    }
}

void pl_why_text(const char *what, const struct pl_missing *missing, size_t actors,
                 size_t rewarders, char *ret_text, size_t size)
{
    const struct pl_missing *m = missing;
    struct text t = {ret_text, size, 0};
    size_t count = 0;
    bool first = true;

    ret_text[0] = '\0';
    for (int p = 0; p < PL_MISSING_PLACES; p++)
        count += m->counts[p];
    if (!m->state[0]) {
        add(&t, "%s is not in Redis, which has lost it; it is fed again", what);
        return;
    }
    if (count == 0 && strcmp(m->state, "complete") == 0) {
        add(&t, "%s is complete; its gate waits for the batch before it", what);
        return;
    }
    if (count == 0) {
        add(&t, "%s waits for its last group to be counted", what);
        return;
    }
    add(&t, "%s waits for %zu of %zu groups", what, count, m->expected);
    for (int p = 0; p < PL_MISSING_PLACES; p++)
        add_place(&t, (enum pl_missing_place)p, m, actors, rewarders, &first);
}

int pl_why_waiting(struct pl_queues *stream, const char *name, const struct pl_missing *missing,
                   char *ret_text, size_t size, struct pl_error *err)
{
    size_t actors = 0, rewarders = 0;
    char what[64];
    const int rc = pl_missing_workers(stream, &actors, &rewarders, err);

    if (rc < 0)
        return rc;
    snprintf(what, sizeof what, "%s %s", name[0] == 'e' ? "evaluation" : "batch", name);
    pl_why_text(what, missing, actors, rewarders, ret_text, size);
    return PL_OK;
}
