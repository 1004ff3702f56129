/*
 * A model of the hand-overs against the functions themselves: one process plays a learner, actors
 * and rewarders of several lives on a real Redis, which does what a seed draws: work, renewals,
 * give backs, deaths, dead ones that still speak, answers that are lost, leases that end, learners
 * that go back, quarantine, keys and entries that are deleted, a Redis that is emptied.
 *
 * It keeps books: where each group is, and who has it. Every answer must be what the books say;
 * every so often all of Redis is compared with them. After each episode the faults end, and the run
 * must come to an end of its own within a number of rounds.
 *
 * Usage: model [--seed N] [--seconds S | --steps N] [--case FILE] [--functions FILE]
 *
 * --functions loads other functions than those of the library: to see whether it finds what is
 * wrong with them.
 *
 * Calls are sent in rounds of ROUND, each of another worker, before their answers are read: what a
 * worker does depends on what it knew before the round. A failure is shrunk: calls are left out of
 * the episode as long as it still fails, and what is left is printed in the form of a case
 * (model_cases). An episode draws everything from its list of calls, so that it can be played
 * again.
 */
#include "common/base/check.h"
#include "common/link/queues_impl.h"
#include "tests/chaos/torture/results.h"
#include "tests/redis.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ACTORS = 4,
    REWARDERS = 3,
    WORKERS = ACTORS + REWARDERS,
    GROUPS = 3,   /* of a batch */
    BATCHES = 48, /* of an episode at most */
    STALENESS = 2,
    HOLDS = 3, /* leases of a worker at most */
    GHOSTS = 16,
    EVALS = 4,
    MOST = 3, /* ends with a group that park it */
    ROUND = 12,
    CALLS = 1200, /* of an episode */
    DRAIN_ROUNDS = 600,
    CHECK_EVERY = 20, /* rounds */
    HEAL_EVERY = 30,
    SAMPLES = 4,
    PAST = 6, /* batches before its checkpoint that a learner retires another time */
};

/* What may happen. The letters are those of a case. */
enum kind {
    WORK,      /* a worker does what comes next */
    STEAL,     /* it leases as if all leases were over */
    GIVE_BACK, /* of one lease */
    RENEW,
    BURY,
    REFUSE, /* a rewarder of what it holds */
    DIE,    /* the next life of it begins */
    GHOST,  /* somebody who died goes on */
    STALE,  /* a learner that was further behind feeds what is retired */
    LEARN,  /* the learner does what comes next */
    SAVE,
    CRASH, /* the learner, back to its checkpoint */
    BACK,  /* to an older one */
    RECONCILE,
    UNPARK,
    RELEASE,
    REFUSE_SCORED,
    REDO,
    QUARANTINE,
    LIFT,
    PERSON,  /* retries or drops a dead group */
    DELETE,  /* a key */
    CUT,     /* an entry of a stream */
    STRIP,   /* a field of a hash */
    UNREAD,  /* readers of a queue are destroyed, or one of them */
    FOREIGN, /* what nobody of the run has written */
    FLUSH,
    KINDS
};

static const struct {
    const char *name;
    unsigned weight; /* of 1000 or so */
    bool worker;     /* a call of a worker */
} kinds[KINDS] = {
    [WORK] = {"work", 520, true},
    [STEAL] = {"steal", 25, true},
    [GIVE_BACK] = {"give-back", 15, true},
    [RENEW] = {"renew", 20, true},
    [BURY] = {"bury", 3, true},
    [REFUSE] = {"refuse", 5, true},
    [DIE] = {"die", 20, true},
    [GHOST] = {"ghost", 25, false},
    [STALE] = {"stale", 3, false},
    [LEARN] = {"learn", 260, false},
    [SAVE] = {"save", 6, false},
    [CRASH] = {"crash", 3, false},
    [BACK] = {"back", 2, false},
    [RECONCILE] = {"reconcile", 4, false},
    [UNPARK] = {"unpark", 8, false},
    [RELEASE] = {"release", 5, false},
    [REFUSE_SCORED] = {"refuse-scored", 4, false},
    [REDO] = {"redo", 4, false},
    [QUARANTINE] = {"quarantine", 3, false},
    [LIFT] = {"lift", 6, false},
    [PERSON] = {"person", 8, false},
    [DELETE] = {"delete", 2, false},
    [CUT] = {"cut", 3, false},
    [STRIP] = {"strip", 3, false},
    [UNREAD] = {"unread", 2, false},
    [FOREIGN] = {"foreign", 2, false},
    [FLUSH] = {"flush", 1, false},
};

struct call {
    uint8_t kind, who;
    uint16_t arg; /* what else is drawn; the top bit: the answer is lost */
};

enum { LOST_BIT = 0x8000, NOTHING = 255 };

/* ---- the books ---- */

enum stage { NONE, PROMPT, ROLLOUT, SCORED, DEAD, PARKED };
static const char *const stage_names[] = {"none", "prompt", "rollout", "scored", "dead", "parked"};

struct group {
    enum stage stage;
    int holder, maker; /* a worker, -1: nobody */
    unsigned ended;    /* workers that ended while they computed it */
    bool counted;      /* and that is known */
    int beginner;      /* who computes it, as Redis has it; -1: nobody */
    unsigned life;     /* which of its lives */
    char entry[48];    /* that the holder has */
    enum stage from;   /* where it was parked */
};

struct id {
    int eval, batch, index; /* batch < 0: no group of the run */
};

struct lease {
    char entry[48];
    struct id id;
    bool begun;
};

struct worker {
    char name[24];
    enum pl_queue queue;
    unsigned life;
    char from[48];
    bool has_fresh; /* an entry that it was given and has not looked at */
    struct lease fresh;
    struct lease held[HOLDS];
    size_t count;
};

struct ghost {
    int worker;
    unsigned life;
    struct lease lease;
};

struct learner {
    int step, saved, oldest; /* batches trained; in checkpoints: the newest, the oldest kept */
    int evals[EVALS], eval_count;
    int saved_evals[EVALS], saved_eval_count;
    int top;    /* behind all batches that were ever fed */
    int cursor; /* what is fed next */
    bool fed;   /* all of it was, since the step changed: only then is a batch taken */
    int back;   /* queues are to be rewound before anything else; 2: with a purge */
    bool retire[2][BATCHES];
    double accuracy[BATCHES + 1]; /* [b + 1]: of batch b; [0]: before the first */
    char parked[48];
    struct id parked_id;
    bool reported[BATCHES]; /* evaluations, since the checkpoint */
};

static struct world {
    struct group groups[2][BATCHES][GROUPS];
    struct worker workers[WORKERS];
    struct ghost ghosts[GHOSTS];
    size_t ghost_count;
    struct learner l;
    bool barred[ACTORS];
    bool retired[2][BATCHES];
    bool sure; /* the books are right: no fault since all was compared, nor entries of nobody */
    bool no_groups; /* a queue has no readers, and whoever meets that makes them */
    char dead[48];
    struct id dead_id;
    enum stage dead_where;
    bool dead_parked; /* it is the one that its group is parked by */
} w;

static redisContext *redis;
static const char prefix[] = "plait:{m}:";
static uint64_t steps;    /* calls, in all */
static uint64_t episodes; /* and faults by kind */
static uint64_t made[KINDS];

/* ---- failing ---- */

static jmp_buf failed;
static char why[512];

__attribute__((format(printf, 1, 2), noreturn)) static void fail_with(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    longjmp(failed, 1);
}

#define MUST(what, ...)                                                                            \
    do {                                                                                           \
        if (!(what))                                                                               \
            fail_with(__VA_ARGS__);                                                                \
    } while (0)

/* ---- talking to Redis ---- */

struct words {
    const char *list[128];
    size_t lens[128], used;
    int count;
    char room[4096];
};

static void word(struct words *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void word(struct words *a, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(a->room + a->used, sizeof a->room - a->used, fmt, args);
    va_end(args);
    PL_ASSERT(a->count < 128 && n >= 0 && a->used + (size_t)n + 1 < sizeof a->room);
    a->list[a->count] = a->room + a->used;
    a->lens[a->count++] = (size_t)n;
    a->used += (size_t)n + 1;
}

static void function(struct words *a, const char *name)
{
    *a = (struct words){.count = 0};
    word(a, "FCALL");
    word(a, "plait1_%s", name);
    word(a, "1");
    word(a, "%s", prefix);
}

static void command(struct words *a, const char *name, const char *key)
{
    *a = (struct words){.count = 0};
    word(a, "%s", name);
    word(a, "%s%s", prefix, key);
}

static void send_words(const struct words *a)
{
    PL_ASSERT(redisAppendCommandArgv(redis, a->count, (const char **)a->list, a->lens) == REDIS_OK);
}

static redisReply *next_reply(void)
{
    redisReply *reply = NULL;

    PL_ASSERT(redisGetReply(redis, (void **)&reply) == REDIS_OK && reply);
    return reply;
}

/* Not in a round. */
static redisReply *ask(const struct words *a)
{
    send_words(a);
    return next_reply();
}

static const char *queue_of(enum pl_queue queue)
{
    return pl_queue_names[queue];
}

/* ---- names ---- */

static const char *batch_name(int eval, int batch)
{
    static char text[4][24];
    static unsigned at;
    char *t = text[at++ % 4];

    snprintf(t, sizeof text[0], "%s%d", eval ? "e" : "", batch);
    return t;
}

static struct id id_from(const char *text)
{
    struct id id = {0, -1, -1};
    char *end;

    id.eval = text[0] == 'e';
    id.batch = (int)strtol(text + id.eval, &end, 10);
    if (*end != ':' || id.batch < 0 || id.batch >= BATCHES)
        return (struct id){0, -1, -1};
    id.index = atoi(end + 1);
    return id;
}

static struct group group_at(enum stage stage, int maker)
{
    return (struct group){
        .stage = stage, .holder = -1, .maker = maker, .counted = true, .beginner = -1};
}

/* As Redis has it; what is not seen there is not known. */
static struct group group_seen(enum stage stage, int maker, const struct group *before)
{
    struct group g = group_at(stage, maker);

    g.counted = false;
    g.from = before->from ? before->from : maker < 0 ? PROMPT : ROLLOUT;
    return g;
}

static struct group *group_of(struct id id)
{
    return id.batch < 0 || id.index < 0 || id.index >= GROUPS
               ? NULL
               : &w.groups[id.eval][id.batch][id.index];
}

static void right_of(struct id id, unsigned *right)
{
    *right = (unsigned)(id.batch * 7 + id.index * 3 + id.eval) % (SAMPLES + 1);
}

/* ---- what is fed ---- */

static int end_of_feed(void)
{
    const int end = w.l.step + STALENESS + 1 < BATCHES ? w.l.step + STALENESS + 1 : BATCHES;

    w.l.top = w.l.top > end ? w.l.top : end;
    return end;
}

/* The n-th group that may be in work: of evaluations, then of batches. False: there is none. */
static bool open_group(int n, struct id *ret)
{
    const int batches = end_of_feed() - w.l.step, k = n / GROUPS;

    if (k >= w.l.eval_count + batches)
        return false;
    *ret = k < w.l.eval_count ? (struct id){1, w.l.evals[k], n % GROUPS}
                              : (struct id){0, w.l.step + k - w.l.eval_count, n % GROUPS};
    return true;
}

static void feed_words(struct words *a, struct id id)
{
    const bool known = id.eval || id.batch == w.l.step;

    function(a, "feed");
    word(a, "%s", batch_name(id.eval, id.batch));
    word(a, "%d", id.index);
    word(a, "%d", GROUPS);
    word(a, "%s", known ? "" : batch_name(0, id.batch - 1));
    word(a, "%.17g", id.eval || !known ? 0.0 : w.l.accuracy[id.batch]);
    word(a, "0.05");
    word(a, "%d", !id.eval);
    word(a, "1");
    word(a, "version");
    word(a, "1");
    word(a, "prompt");
}

static const char *text_of(const redisReply *reply)
{
    return reply->str ? reply->str : "(no text)";
}

/* An answer that is an error. True: the queue has no readers any more, which is mended. */
static bool met_error(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return false;
    MUST(strncmp(reply->str, "NOGROUP", 7) == 0, "Redis says '%s'", reply->str);
    MUST(!w.sure, "a queue has no readers: %s", reply->str);
    w.no_groups = true;
    return true;
}

static void told_feed(struct id id, const redisReply *reply)
{
    struct group *g = group_of(id);
    const char *said = text_of(reply);

    if (met_error(reply))
        return;
    MUST(strcmp(said, "RETIRED") != 0, "%s is fed and called retired",
         batch_name(id.eval, id.batch));
    if (strcmp(said, "DONE") == 0) {
        MUST(!w.sure || g->stage == NONE, "%s:%d was a %s and is fed",
             batch_name(id.eval, id.batch), id.index, stage_names[g->stage]);
        *g = group_at(PROMPT, -1);
    } else {
        MUST(strcmp(said, "REPEATED") == 0, "feed says '%s'", said);
        MUST(!w.sure || g->stage != NONE, "%s:%d is gone and not fed",
             batch_name(id.eval, id.batch), id.index);
    }
}

/* ---- leases ---- */

static int worker_named(const char *name)
{
    for (int i = 0; i < WORKERS; i++)
        if (strcmp(w.workers[i].name, name) == 0)
            return i;
    return -1;
}

static bool holds(const struct worker *k, const char *entry)
{
    for (size_t i = 0; i < k->count; i++)
        if (strcmp(k->held[i].entry, entry) == 0)
            return true;
    return false;
}

static void drop_lease(struct worker *k, size_t i)
{
    k->count--;
    memmove(k->held + i, k->held + i + 1, (k->count - i) * sizeof *k->held);
}

static const char *field_text(const redisReply *fields, const char *name)
{
    for (size_t i = 0; fields && i + 1 < fields->elements; i += 2)
        if (fields->element[i]->str && strcmp(fields->element[i]->str, name) == 0)
            return fields->element[i + 1]->str;
    return "";
}

/* Whoever had begun it has ended, unless that is this very worker: -1, somebody else. */
static void note_end(struct group *g, int who)
{
    if (g->beginner >= 0 && !(g->beginner == who && g->life == w.workers[who].life))
        g->ended++;
    if (!(g->beginner >= 0 && g->beginner == who && g->life == w.workers[who].life))
        g->beginner = -1;
}

/* "parked group=3:1 ...", "buried entry=...", "gone entry=...". */
static void told_said(int who, const redisReply *said)
{
    for (size_t i = 0; i < said->elements; i++) {
        const char *line = said->element[i]->str;
        char name[48];

        if (sscanf(line, "parked group=%47s", name) == 1) {
            struct group *g = group_of(id_from(name));

            MUST(g, "parked: '%s'", line);
            note_end(g, who);
            MUST(!w.sure || !g->counted || g->ended >= MOST, "%s is parked after %u ends", name,
                 g->ended);
            g->from = strstr(line, "queue=prompts") ? PROMPT : ROLLOUT;
            g->stage = PARKED;
            g->holder = -1;
        } else {
            MUST(!w.sure, "a lease meets '%s'", line);
        }
    }
}

static void told_lease(int who, bool again, bool steal, bool lost, const redisReply *reply)
{
    struct worker *k = &w.workers[who];
    const enum stage stage = k->queue == PL_QUEUE_PROMPTS ? PROMPT : ROLLOUT;
    struct lease lease = {.begun = false};
    struct group *g;

    if (met_error(reply))
        return;
    MUST(reply->type == REDIS_REPLY_ARRAY && reply->elements >= 5, "lease says '%s'",
         text_of(reply));
    told_said(who, reply->element[4]);
    if (again && !lost)
        snprintf(k->from, sizeof k->from, "%s", reply->element[2]->str);
    if (!reply->element[0]->str[0])
        return;
    snprintf(lease.entry, sizeof lease.entry, "%s", reply->element[0]->str);
    lease.id = again ? id_from(field_text(reply->element[5], "id")) : k->fresh.id;
    g = group_of(lease.id);
    MUST(g, "what is leased is no group");
    if (w.sure) {
        MUST(g->stage == stage, "a lease gives a group that is a %s", stage_names[g->stage]);
        MUST(g->holder < 0 || g->holder == who || steal, "%s is leased what %s has", k->name,
             w.workers[g->holder].name);
    }
    if (again)
        note_end(g, who);
    else
        g->beginner = -1;
    MUST(!w.sure || !g->counted || reply->element[1]->integer == g->ended,
         "%s: %lld have ended with it, by the books %u", lease.entry, reply->element[1]->integer,
         g->ended);
    g->stage = stage;
    g->holder = who;
    snprintf(g->entry, sizeof g->entry, "%s", lease.entry);
    if (!lost && k->count < HOLDS && !holds(k, lease.entry))
        k->held[k->count++] = lease;
}

/* XREADGROUP. */
static void told_fresh(int who, bool lost, const redisReply *reply)
{
    struct worker *k = &w.workers[who];
    const redisReply *entry;
    struct group *g;

    if (met_error(reply) || reply->type != REDIS_REPLY_ARRAY)
        return;
    entry = reply->element[0]->element[1]->element[0];
    snprintf(k->fresh.entry, sizeof k->fresh.entry, "%s", entry->element[0]->str);
    k->fresh.id = id_from(field_text(entry->element[1], "id"));
    g = group_of(k->fresh.id);
    if (w.sure) {
        MUST(g && g->holder < 0, "%s is given what somebody has", k->name);
        g->holder = who;
        memcpy(g->entry, k->fresh.entry, sizeof g->entry);
    }
    k->has_fresh = !lost;
}

static void lease_words(struct words *a, const struct worker *k, bool steal, const char *fresh)
{
    function(a, "lease");
    word(a, "%s", queue_of(k->queue));
    word(a, "%s", k->name);
    word(a, "%u", k->life);
    word(a, "%s", steal ? "0" : "1000000000");
    word(a, "%d", MOST);
    word(a, "%zu", k->count);
    word(a, "%s", fresh ? k->from : k->count == 0 ? "0" : k->from);
    word(a, "%s", fresh ? fresh : "");
}

static void fresh_words(struct words *a, const struct worker *k)
{
    *a = (struct words){.count = 0};
    word(a, "XREADGROUP");
    word(a, "GROUP");
    word(a, "%s", pl_queue_readers[k->queue]);
    word(a, "%s", k->name);
    word(a, "COUNT");
    word(a, "1");
    word(a, "STREAMS");
    word(a, "%s%s", prefix, queue_of(k->queue));
    word(a, ">");
}

/* ---- handing on ---- */

enum hand { BEGIN, FINISH, COMMIT, RETURN, DROP, REJECT };
static const char *const hand_names[] = {"begin",     "finish", "commit",
                                         "give_back", "bury",   "refuse"};

static void hand_words(struct words *a, enum hand hand, int who, unsigned life,
                       const struct lease *lease)
{
    const struct worker *k = &w.workers[who];
    const char *batch = batch_name(lease->id.eval, lease->id.batch);
    unsigned right;

    right_of(lease->id, &right);
    function(a, hand_names[hand]);
    if (hand == BEGIN || hand == RETURN || hand == DROP)
        word(a, "%s", queue_of(k->queue));
    word(a, "%s", batch);
    word(a, "%d", lease->id.index);
    word(a, "%s", lease->entry);
    if (hand == DROP || hand == REJECT)
        word(a, "%s", hand == DROP ? "odd" : "");
    if (hand == REJECT)
        word(a, "%s", "odd");
    word(a, "%s", k->name);
    if (hand == BEGIN)
        word(a, "%u", life);
    if (hand == FINISH) {
        word(a, "0");
        word(a, "rollout");
    }
    if (hand == COMMIT) {
        word(a, "%d", SAMPLES);
        word(a, "%u", right);
        word(a, "%u", right);
        word(a, "text");
        word(a, "%s:%d", batch, lease->id.index);
    }
    if (hand == DROP || hand == REJECT) {
        word(a, "%s", hand == DROP ? "1" : "0");
        word(a, "prompt");
    }
}

/* What must be answered, by the books; NULL: that it is not this worker's, in either way. */
static const char *due(enum hand hand, const struct group *g, int who, enum stage stage,
                       const char *entry)
{
    if (hand == FINISH && who < ACTORS && w.barred[who])
        return "REFUSED";
    if (g->stage == NONE)
        return "RETIRED";
    if (g->stage != stage)
        return "REPEATED";
    if (g->holder != who)
        return hand == REJECT ? NULL : "LOST";
    return strcmp(g->entry, entry) == 0 || hand == FINISH || hand == COMMIT ? "DONE" : NULL;
}

static void told_hand(enum hand hand, int who, unsigned life, const struct lease *lease,
                      const redisReply *reply)
{
    const enum stage stage = w.workers[who].queue == PL_QUEUE_PROMPTS ? PROMPT : ROLLOUT;
    struct group *g = group_of(lease->id);
    const char *said = text_of(reply), *expected;

    if (met_error(reply))
        return;
    said = strcmp(said, "COMPLETE") == 0 ? "DONE" : said;
    expected = due(hand, g, who, stage, lease->entry);
    MUST(!w.sure || (expected ? strcmp(said, expected) == 0
                              : strcmp(said, "LOST") == 0 || strcmp(said, "REPEATED") == 0),
         "%s of %s:%d by %s: '%s', but it is a %s of %s", hand_names[hand],
         batch_name(lease->id.eval, lease->id.batch), lease->id.index, w.workers[who].name, said,
         stage_names[g->stage], g->holder < 0 ? "nobody" : w.workers[g->holder].name);
    if (strcmp(said, "REFUSED") == 0 && g->holder == who && g->stage == PROMPT &&
        strcmp(g->entry, lease->entry) == 0)
        g->holder = g->beginner = -1;
    if (strcmp(said, "DONE") != 0)
        return;
    switch (hand) {
    case BEGIN:
        g->beginner = who;
        g->life = life;
        break;
    case FINISH:
        *g = group_at(ROLLOUT, who);
        break;
    case COMMIT:
        *g = group_at(SCORED, g->maker);
        break;
    case RETURN:
        g->holder = g->beginner = -1;
        break;
    case DROP:
        *g = group_at(DEAD, g->maker);
        break;
    case REJECT:
        *g = group_at(NONE, -1);
        break;
    }
}

/* ---- the learner ---- */

static void forget_batch(int eval, int batch)
{
    for (int i = 0; i < GROUPS; i++)
        w.groups[eval][batch][i] = group_at(NONE, -1);
}

static void take_words(struct words a[3], int eval, int batch)
{
    char key[64];
    static const char *const fields[] = {"state", "gate", "accuracy", "previous", "dropped"};

    snprintf(key, sizeof key, "batch:%s", batch_name(eval, batch));
    command(&a[0], "HMGET", key);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        word(&a[0], "%s", fields[i]);
    snprintf(key, sizeof key, "groups:%s", batch_name(eval, batch));
    command(&a[1], "HGETALL", key);
    snprintf(key, sizeof key, "scored:%s", batch_name(eval, batch));
    command(&a[2], "HGETALL", key);
}

/* What pl_queues_take() and the learner make of a batch: whether it is there, and right. */
static bool told_take(int eval, int batch, redisReply *const r[3], double *ret_accuracy)
{
    const char *name = batch_name(eval, batch), *state = r[0]->element[0]->str;
    unsigned samples = 0, right = 0, dropped = 0, scored = 0;
    const double previous = eval ? 0.0 : w.l.accuracy[batch];
    double accuracy;

    if (!state || strcmp(state, "ready") != 0)
        return false;
    for (int i = 0; i < GROUPS; i++) {
        const struct id id = {eval, batch, i};
        const struct group *g = group_of(id);
        char index[16], text[32];
        const char *at;
        unsigned n;

        snprintf(index, sizeof index, "%d", i);
        snprintf(text, sizeof text, "%s:%d", name, i);
        at = field_text(r[1], index);
        if (strncmp(at, "dead", 4) == 0) {
            dropped++;
            MUST(!w.sure || g->stage == DEAD, "%s is dead, and was a %s", text,
                 stage_names[g->stage]);
            continue;
        }
        if (strcmp(at, "scored") != 0 || !field_text(r[2], index)[0])
            continue; /* pl_queues_take() does not give it then */
        MUST(strcmp(field_text(r[2], index), text) == 0, "the score of %s is that of %s", text,
             field_text(r[2], index));
        MUST(!w.sure || g->stage == SCORED, "%s is scored, and was a %s", text,
             stage_names[g->stage]);
        right_of(id, &n);
        scored++;
        samples += SAMPLES;
        right += n;
    }
    if (scored + (unsigned)atoi(r[0]->element[4]->str ? r[0]->element[4]->str : "99") != GROUPS) {
        MUST(!w.sure, "batch %s is ready with %u scores and %u dead", name, scored, dropped);
        return false;
    }
    if (!r[0]->element[1]->str || !r[0]->element[2]->str || !r[0]->element[3]->str) {
        MUST(!w.sure, "batch %s is ready without a gate", name);
        return false;
    }
    accuracy = samples ? (double)right / samples : 0.0;
    if (w.sure) {
        MUST(strtod(r[0]->element[2]->str, NULL) == accuracy, "batch %s came to %s, not %.17g",
             name, r[0]->element[2]->str, accuracy);
        MUST(eval || strtod(r[0]->element[3]->str, NULL) == previous,
             "batch %s is compared with %s, not %.17g", name, r[0]->element[3]->str, previous);
        MUST((r[0]->element[1]->str[0] == '1') == (eval || accuracy > previous - 0.05),
             "the gate of batch %s is wrong", name);
    }
    *ret_accuracy = accuracy;
    return true;
}

static void learner_crashes(int step)
{
    struct learner *l = &w.l;

    l->step = step;
    l->eval_count = 0;
    memset(l->reported, 0, sizeof l->reported);
    for (int i = 0; i < l->saved_eval_count && step == l->saved; i++)
        l->evals[l->eval_count++] = l->saved_evals[i];
    memset(l->retire, 0, sizeof l->retire);
    for (int b = step > PAST ? step - PAST : 0; b <= step && b < BATCHES; b++) {
        l->retire[0][b] = b < step;
        l->retire[1][b] = true;
    }
    for (int i = 0; i < l->eval_count; i++)
        l->retire[1][l->evals[i]] = false;
    if (step < l->saved) {
        l->saved = step;
        l->saved_eval_count = 0;
    }
    l->cursor = 0;
    l->fed = false;
}

static void learner_trains(int batch, double accuracy)
{
    struct learner *l = &w.l;

    l->accuracy[batch + 1] = accuracy;
    l->step = batch + 1;
    l->cursor = 0;
    l->fed = false;
    if (l->step % 3 == 0 && l->eval_count < EVALS && l->step < BATCHES)
        l->evals[l->eval_count++] = l->step;
}

static void learner_saves(void)
{
    struct learner *l = &w.l;

    for (int b = l->saved; b < l->step; b++)
        l->retire[0][b] = true;
    for (int b = 0; b < BATCHES; b++)
        l->retire[1][b] = l->retire[1][b] || l->reported[b];
    memset(l->reported, 0, sizeof l->reported);
    l->saved = l->step;
    memcpy(l->saved_evals, l->evals, sizeof l->evals);
    l->saved_eval_count = l->eval_count;
}

static void told_gone_batch(int eval, int batch, const redisReply *reply)
{
    const char *said = text_of(reply);

    if (met_error(reply))
        return;
    MUST(strcmp(said, "DONE") == 0 || strcmp(said, "REPEATED") == 0, "retire says '%s'", said);
    w.retired[eval][batch] = true;
    forget_batch(eval, batch);
}

/* Whatever Redis may have something of. */
static void all_batches(struct words *a)
{
    for (int b = w.l.saved > PAST ? w.l.saved - PAST : 0; b < w.l.top; b++)
        for (int e = 0; e < 2; e++)
            if ((e == 0 || b % 3 == 0) && a->count < 120)
                word(a, "%s", batch_name(e, b));
}

static void told_rewind(bool purge, const redisReply *reply)
{
    if (met_error(reply))
        return;
    MUST(reply->type == REDIS_REPLY_ARRAY, "rewind says '%s'", text_of(reply));
    for (int b = 0; b < BATCHES; b++) {
        w.retired[0][b] = w.retired[0][b] && b < w.l.step;
        w.retired[1][b] = false;
        if (purge && b >= w.l.step)
            forget_batch(0, b);
        if (purge)
            forget_batch(1, b);
    }
}

/* ---- a call of a round, sent and answered ---- */

enum what {
    W_NONE,
    W_AGAIN,
    W_FRESH,
    W_LOOK,
    W_HAND,
    W_RENEW,
    W_FEED,
    W_TAKE,
    W_RETIRE,
    W_REWIND,
    W_RECONCILE,
    W_PARKED,
    W_UNPARK,
    W_RELEASE,
    W_REFUSED,
    W_REDO,
    W_QUARANTINE,
    W_DEAD,
    W_PERSON,
    W_LIFT,
    W_STALE,
    W_FAULT
};

struct sent {
    enum what what;
    int who, replies;
    bool lost, steal, flag;
    enum hand hand;
    unsigned life; /* of who hands on */
    struct lease lease;
    struct lease renewed[HOLDS];
    struct id id;
};

static void send_one(struct sent *s, enum what what, const struct words *a)
{
    s->what = what;
    s->replies++;
    send_words(a);
}

static void send_hand(struct sent *s, enum hand hand, unsigned life, const struct lease *lease)
{
    struct words a;

    s->hand = hand;
    s->life = life;
    s->lease = *lease;
    hand_words(&a, hand, s->who, life, lease);
    send_one(s, W_HAND, &a);
}

static enum hand last_hand(const struct worker *k)
{
    return k->queue == PL_QUEUE_PROMPTS ? FINISH : COMMIT;
}

static void send_work(struct sent *s, unsigned arg, bool steal)
{
    const struct worker *k = &w.workers[s->who];
    const bool barred = s->who < ACTORS && w.barred[s->who];
    struct words a;

    s->steal = steal;
    if (k->has_fresh) {
        lease_words(&a, k, false, k->fresh.entry);
        send_one(s, W_LOOK, &a);
    } else if (k->count > 0 && !steal && (k->count == HOLDS || barred || arg % 4 != 0)) {
        const struct lease *lease = &k->held[arg / 4 % k->count];

        send_hand(s, lease->begun ? last_hand(k) : BEGIN, k->life, lease);
    } else if (!barred && k->count < HOLDS) {
        if (steal || (k->from[0] && arg / 4 % 2 == 0) || arg / 4 % 8 == 1) {
            lease_words(&a, k, steal, NULL);
            send_one(s, W_AGAIN, &a);
        } else {
            fresh_words(&a, k);
            send_one(s, W_FRESH, &a);
        }
    }
}

static void send_renew(struct sent *s)
{
    const struct worker *k = &w.workers[s->who];
    struct words a;

    if (k->count == 0)
        return;
    function(&a, "renew");
    word(&a, "%s", queue_of(k->queue));
    word(&a, "%s", k->name);
    for (size_t i = 0; i < k->count; i++) {
        s->renewed[i] = k->held[i];
        word(&a, "%s", k->held[i].entry);
    }
    send_one(s, W_RENEW, &a);
}

static void die(struct worker *k)
{
    for (size_t i = 0; i < k->count; i++) {
        struct ghost *g = &w.ghosts[w.ghost_count++ % GHOSTS];

        *g = (struct ghost){(int)(k - w.workers), k->life, k->held[i]};
    }
    k->count = 0;
    k->life++;
    k->has_fresh = false;
    strcpy(k->from, "0");
}

static void send_ghost(struct sent *s, unsigned arg)
{
    const size_t n = w.ghost_count < GHOSTS ? w.ghost_count : GHOSTS;
    const struct ghost *g;

    if (n == 0)
        return;
    g = &w.ghosts[arg / 4 % n];
    s->who = g->worker;
    s->lost = true; /* it is nothing to the one who lives */
    send_hand(s,
              arg % 4 == 0   ? BEGIN
              : arg % 4 == 1 ? RETURN
                             : last_hand(&w.workers[g->worker]),
              g->life, &g->lease);
}

static bool first_to_retire(int *ret_eval, int *ret_batch)
{
    for (int b = 0; b < BATCHES; b++)
        for (int e = 0; e < 2; e++)
            if (w.l.retire[e][b]) {
                *ret_eval = e;
                *ret_batch = b;
                return true;
            }
    return false;
}

static void send_take(struct sent *s, int eval, int batch)
{
    struct words a[3], step;

    command(&step, "HSET", "run");
    word(&step, "step");
    word(&step, "%d", w.l.step);
    send_one(s, W_TAKE, &step);
    s->id = (struct id){eval, batch, 0};
    take_words(a, eval, batch);
    for (int i = 0; i < 3; i++)
        send_one(s, W_TAKE, &a[i]);
}

static void send_stale(struct sent *s, unsigned arg)
{
    struct words a;

    for (int b = 0; b < BATCHES && s->replies == 0; b++)
        if (w.retired[0][(b + (int)arg) % BATCHES]) {
            s->id = (struct id){0, (b + (int)arg) % BATCHES, (int)(arg % GROUPS)};
            feed_words(&a, s->id);
            if (w.sure)
                send_one(s, W_STALE, &a);
            return;
        }
}

static void send_learn(struct sent *s, unsigned arg)
{
    struct words a;
    int eval, batch;

    if (w.l.back) {
        function(&a, "rewind");
        word(&a, "%d", w.l.step);
        s->flag = w.l.back == 2;
        word(&a, "%d", s->flag);
        all_batches(&a);
        send_one(s, W_REWIND, &a);
    } else if (first_to_retire(&eval, &batch)) {
        function(&a, "retire");
        word(&a, "%s", batch_name(eval, batch));
        s->id = (struct id){eval, batch, 0};
        send_one(s, W_RETIRE, &a);
    } else if (arg % 6 == 0 && w.l.eval_count > 0) {
        send_take(s, 1, w.l.evals[arg / 6 % (unsigned)w.l.eval_count]);
    } else if (arg % 6 <= 1 && w.l.step < BATCHES && w.l.fed) {
        send_take(s, 0, w.l.step);
    } else if (open_group(w.l.cursor, &s->id)) {
        feed_words(&a, s->id);
        send_one(s, W_FEED, &a);
    } else {
        w.l.cursor = 0;
        w.l.fed = true;
    }
}

/* Some group that is scored, of what is open. */
static bool some_scored(unsigned arg, bool training, struct id *ret)
{
    struct id id;

    for (int n = 0; open_group(n, &id); n++)
        if (open_group((int)((unsigned)n + arg) % 27, &id) && group_of(id)->stage == SCORED &&
            (!training || !id.eval)) {
            *ret = id;
            return true;
        }
    return false;
}

static void put_sha1(struct words *a, struct id id)
{
    char text[32], sha1[PL_QUEUES_SHA1];

    snprintf(text, sizeof text, "%s:%d", batch_name(id.eval, id.batch), id.index);
    PL_ASSERT(pl_queues_sha1(text, strlen(text), sha1, NULL) == PL_OK);
    word(a, "%s", sha1);
}

static void send_refuse_scored(struct sent *s, unsigned arg)
{
    struct words a;

    if (w.l.back || !some_scored(arg, false, &s->id))
        return;
    function(&a, "refuse");
    word(&a, "%s", batch_name(s->id.eval, s->id.batch));
    word(&a, "%d", s->id.index);
    word(&a, "%s", "");
    put_sha1(&a, s->id);
    word(&a, "odd");
    word(&a, "learner");
    word(&a, "0");
    word(&a, "scored");
    send_one(s, W_REFUSED, &a);
}

static void send_redo(struct sent *s, unsigned arg)
{
    struct words a;
    unsigned right;

    if (w.l.back || !some_scored(arg, true, &s->id))
        return;
    right_of(s->id, &right);
    function(&a, "redo");
    word(&a, "%s", batch_name(s->id.eval, s->id.batch));
    word(&a, "%d", s->id.index);
    put_sha1(&a, s->id);
    word(&a, "%d", SAMPLES);
    word(&a, "%u", right);
    word(&a, "%u", right);
    word(&a, "stale");
    word(&a, "0");
    word(&a, "prompt");
    send_one(s, W_REDO, &a);
}

static void send_quarantine(struct sent *s, unsigned arg)
{
    struct words a;
    struct id id;

    if (w.l.back)
        return;
    s->who = (int)(arg % ACTORS);
    function(&a, "quarantine");
    word(&a, "%s", w.workers[s->who].name);
    word(&a, "lies");
    for (int n = 0; open_group(n, &id); n += GROUPS)
        word(&a, "%s", batch_name(id.eval, id.batch));
    send_one(s, W_QUARANTINE, &a);
}

static void send_lift(struct sent *s, unsigned arg)
{
    static const char *const keys[] = {"strikes", "quarantine"};

    s->who = (int)(arg % ACTORS);
    for (int i = 0; i < 2; i++) {
        struct words a;

        command(&a, "HDEL", keys[i]);
        word(&a, "%s", w.workers[s->who].name);
        send_one(s, W_LIFT, &a);
    }
}

static void send_person(struct sent *s, unsigned arg)
{
    struct words a;

    if (!w.dead[0]) {
        command(&a, "XRANGE", "dead");
        word(&a, "-");
        word(&a, "+");
        word(&a, "COUNT");
        word(&a, "8");
        s->who = (int)arg;
        send_one(s, W_DEAD, &a);
        return;
    }
    s->flag = arg % 4 != 0;
    function(&a, s->flag ? "retry" : "drop");
    word(&a, "%s", w.dead);
    if (!s->flag)
        word(&a, "%s", "");
    send_one(s, W_PERSON, &a);
}

static void send_unpark(struct sent *s)
{
    struct words a;

    if (!w.l.parked[0]) {
        command(&a, "HGETALL", "parked");
        send_one(s, W_PARKED, &a);
        return;
    }
    function(&a, "unpark");
    word(&a, "%s", w.l.parked);
    send_one(s, W_UNPARK, &a);
}

/* ---- faults ---- */

/* A batch that is there, or will be. */
static const char *some_batch(unsigned arg)
{
    struct id id = {0, w.l.step, 0};

    (void)open_group((int)(arg % 9) * GROUPS, &id);
    return batch_name(id.eval, id.batch);
}

static void unsure(void)
{
    w.sure = false;
}

/* Ids of entries begin with the time: a stream that was deleted and made again within a millisecond
 * gives the same ones to others, as no person can have it. */
static void send_pause(struct sent *s)
{
    struct words a = {.count = 0};

    word(&a, "DEBUG");
    word(&a, "SLEEP");
    word(&a, "0.002");
    send_one(s, W_FAULT, &a);
}

static void send_fault(struct sent *s, enum kind kind, unsigned arg)
{
    static const char *const whole_keys[] = {"prompts", "rollouts", "ready",   "ledger",
                                             "dead",    "parked",   "retired", "events"};
    static const char *const batch_keys[] = {"batch", "groups", "scored", "begun"};
    static const char *const batch_fields[] = {"state", "expected", "fed",      "arrived",
                                               "gate",  "previous", "accuracy", "next"};
    const char *batch = some_batch(arg / 16), *queue = pl_queue_names[arg % 2];
    const enum pl_queue q = (enum pl_queue)(arg % 2);
    char key[64];
    struct words a;

    unsure();
    if (kind == DELETE && arg % 12 < 8) {
        command(&a, "DEL", whole_keys[arg % 12]);
    } else if (kind == DELETE) {
        snprintf(key, sizeof key, "%s:%s", batch_keys[arg % 12 - 8], batch);
        command(&a, "DEL", key);
    } else if (kind == CUT) {
        command(&a, "XTRIM", arg % 8 == 7 ? "ready" : queue);
        word(&a, "MAXLEN");
        word(&a, "%u", arg / 8 % 4);
    } else if (kind == STRIP) {
        static const char *const kind_names[] = {"groups", "scored", "scored", "batch"};

        snprintf(key, sizeof key, "%s:%s", kind_names[arg % 4], batch);
        command(&a, "HDEL", key);
        if (arg % 4 == 3)
            word(&a, "%s", batch_fields[arg / 4 % 8]);
        else
            word(&a, "%u%s", arg / 4 % GROUPS, arg % 4 == 2 ? ":counts" : "");
    } else if (kind == UNREAD) {
        a = (struct words){.count = 0};
        word(&a, "XGROUP");
        word(&a, "%s", arg % 4 < 2 ? "DESTROY" : "DELCONSUMER");
        word(&a, "%s%s", prefix, queue);
        word(&a, "%s", pl_queue_readers[q]);
        if (arg % 4 >= 2)
            word(&a, "%s",
                 w.workers[q == PL_QUEUE_PROMPTS ? arg / 4 % ACTORS : ACTORS + arg / 4 % REWARDERS]
                     .name);
    } else if (kind == FOREIGN && arg % 16 == 15) { /* as an actor may, who may not drop it */
        snprintf(key, sizeof key, "groups:%s", batch);
        command(&a, "HSET", key);
        word(&a, "%u", arg / 16 % GROUPS);
        word(&a, "dead");
    } else if (kind == FOREIGN && arg % 16 == 14) {
        snprintf(key, sizeof key, "dropped:%s", batch);
        command(&a, "DEL", key);
    } else if (kind == FOREIGN) {
        command(&a, "XADD", queue);
        word(&a, "*");
        word(&a, "%s", arg % 4 < 2 ? "id" : "foo");
        word(&a, "%s:%u", batch, arg / 4 % GROUPS);
        word(&a, "pb");
        word(&a, "forged");
    } else {
        a = (struct words){.count = 0};
        word(&a, "FLUSHALL");
        memset(w.barred, 0, sizeof w.barred);
        w.no_groups = true;
    }
    send_one(s, W_FAULT, &a);
    if (kind == DELETE || kind == FLUSH)
        send_pause(s);
}

/* ---- what comes of it ---- */

static void told_renew(struct sent *s, const redisReply *reply)
{
    struct worker *k = &w.workers[s->who];

    if (met_error(reply))
        return;
    for (size_t i = 0; i < reply->elements; i++) {
        const struct group *g = group_of(s->renewed[i].id);

        MUST(!w.sure || reply->element[i]->integer == 1 || g->holder == s->who,
             "%s renews what is not its own", k->name);
        for (size_t n = 0; !s->lost && reply->element[i]->integer == 1 && n < k->count; n++)
            if (strcmp(k->held[n].entry, s->renewed[i].entry) == 0 && !k->held[n].begun)
                drop_lease(k, n);
    }
}

static void after_hand(struct sent *s, const redisReply *reply)
{
    struct worker *k = &w.workers[s->who];
    const bool error = reply->type == REDIS_REPLY_ERROR;
    const bool done = strcmp(text_of(reply), "DONE") == 0;

    told_hand(s->hand, s->who, s->life, &s->lease, reply);
    for (size_t i = 0; !s->lost && !error && i < k->count; i++) {
        if (strcmp(k->held[i].entry, s->lease.entry) != 0)
            continue;
        if (s->hand == BEGIN && done)
            k->held[i].begun = true;
        else
            drop_lease(k, i);
        break;
    }
}

static void told_quarantine(int who, const redisReply *reply)
{
    struct id id;

    if (met_error(reply))
        return;
    w.barred[who] = true;
    for (int e = 0; e < 2; e++)
        for (int b = 0; b < BATCHES; b++)
            for (int i = 0; i < GROUPS; i++) {
                struct group *g = &w.groups[e][b][i];

                if (g->stage == PROMPT && g->holder == who)
                    g->holder = g->beginner = -1;
            }
    for (int n = 0; open_group(n, &id); n++) {
        struct group *g = group_of(id);

        if ((g->stage == ROLLOUT || g->stage == SCORED) && g->maker == who)
            *g = group_at(NONE, -1);
    }
}

static void told_release(int who, const redisReply *reply)
{
    if (met_error(reply))
        return;
    for (int e = 0; e < 2; e++)
        for (int b = 0; b < BATCHES; b++)
            for (int i = 0; i < GROUPS; i++)
                if (w.groups[e][b][i].holder == who) {
                    note_end(&w.groups[e][b][i], -1);
                    w.groups[e][b][i].holder = -1;
                }
}

/* By a person: back to where it came from. */
static void told_back(struct id id, enum stage stage, const redisReply *reply)
{
    struct group *g = group_of(id);

    if (met_error(reply) || strcmp(text_of(reply), "DONE") != 0)
        return;
    MUST(g, "what is retried is no group");
    MUST(!w.sure || g->stage == PARKED || g->stage == DEAD, "%s:%d is retried, and was a %s",
         batch_name(id.eval, id.batch), id.index, stage_names[g->stage]);
    g->stage = stage;
    g->holder = -1;
    g->ended = 0;
    g->counted = true;
    g->beginner = -1;
}

static void told_dead(unsigned arg, const redisReply *reply)
{
    const redisReply *entry;
    const char *where;

    if (met_error(reply) || reply->elements == 0)
        return;
    entry = reply->element[arg % reply->elements];
    where = field_text(entry->element[1], "where");
    snprintf(w.dead, sizeof w.dead, "%s", entry->element[0]->str);
    w.dead_id = id_from(field_text(entry->element[1], "id"));
    w.dead_parked = field_text(entry->element[1], "parked")[0] != '\0';
    w.dead_where = strcmp(where, "prompts") == 0 ? PROMPT : ROLLOUT;
}

static void told_person(const struct sent *s, const redisReply *reply)
{
    struct group *g = group_of(w.dead_id);

    if (s->flag)
        told_back(w.dead_id, w.dead_where, reply);
    else if (!met_error(reply) && strcmp(text_of(reply), "DONE") == 0 && g && g->stage == PARKED &&
             w.dead_parked)
        g->stage = DEAD;
    if (!s->lost)
        w.dead[0] = '\0';
}

static void told(struct sent *s, redisReply *const *r)
{
    struct worker *k = &w.workers[s->who < WORKERS ? s->who : 0];
    double accuracy = 0.0;
    struct group *g;

    switch (s->what) {
    case W_NONE:
    case W_FAULT:
        break;
    case W_AGAIN:
        told_lease(s->who, true, s->steal, s->lost, r[0]);
        break;
    case W_LOOK:
        told_lease(s->who, false, false, s->lost, r[0]);
        k->has_fresh = k->has_fresh && s->lost;
        break;
    case W_FRESH:
        told_fresh(s->who, s->lost, r[0]);
        break;
    case W_HAND:
        after_hand(s, r[0]);
        break;
    case W_RENEW:
        told_renew(s, r[0]);
        break;
    case W_FEED:
        told_feed(s->id, r[0]);
        w.l.cursor += !s->lost && r[0]->type != REDIS_REPLY_ERROR;
        break;
    case W_TAKE:
        if (!told_take(s->id.eval, s->id.batch, r + 1, &accuracy) || s->lost)
            break;
        if (!s->id.eval) {
            learner_trains(s->id.batch, accuracy);
            break;
        }
        for (int i = 0; i < w.l.eval_count; i++)
            if (w.l.evals[i] == s->id.batch) {
                w.l.evals[i] = w.l.evals[--w.l.eval_count];
                w.l.reported[s->id.batch] = true;
            }
        w.l.cursor = 0;
        break;
    case W_RETIRE:
        told_gone_batch(s->id.eval, s->id.batch, r[0]);
        if (!s->lost && r[0]->type != REDIS_REPLY_ERROR)
            w.l.retire[s->id.eval][s->id.batch] = false;
        break;
    case W_REWIND:
        told_rewind(s->flag, r[0]);
        if (!s->lost)
            w.l.back = 0;
        break;
    case W_RECONCILE:
        if (met_error(r[0]))
            break;
        MUST(!w.sure || (r[0]->element[2]->integer == 0 && r[0]->element[0]->integer == 0),
             "nothing was lost, and %lld are reconciled, %lld lists", r[0]->element[2]->integer,
             r[0]->element[0]->integer);
        break;
    case W_PARKED:
        if (!met_error(r[0]) && r[0]->elements >= 2) {
            snprintf(w.l.parked, sizeof w.l.parked, "%s", r[0]->element[1]->str);
            w.l.parked_id = id_from(r[0]->element[0]->str);
        }
        break;
    case W_UNPARK:
        g = group_of(w.l.parked_id);
        if (!met_error(r[0]) && strcmp(text_of(r[0]), "DONE") == 0) {
            MUST(g && (!w.sure || g->stage == PARKED), "what is not parked is put back");
            g->stage = g->from;
            g->holder = -1;
            g->ended -= g->ended > 0;
            g->beginner = -1;
        }
        if (!s->lost)
            w.l.parked[0] = '\0';
        break;
    case W_RELEASE:
        told_release(s->who, r[0]);
        break;
    case W_REFUSED:
        g = group_of(s->id);
        if (met_error(r[0]))
            break;
        MUST(!w.sure || (strcmp(text_of(r[0]), "DONE") == 0) == (g->stage == SCORED),
             "refusing a %s says '%s'", stage_names[g->stage], text_of(r[0]));
        if (strcmp(text_of(r[0]), "DONE") == 0)
            *g = group_at(NONE, -1);
        break;
    case W_REDO:
        g = group_of(s->id);
        if (met_error(r[0]))
            break;
        MUST(!w.sure || (strcmp(text_of(r[0]), "DONE") == 0) == (g->stage == SCORED),
             "redoing a %s says '%s'", stage_names[g->stage], text_of(r[0]));
        if (strcmp(text_of(r[0]), "DONE") == 0)
            *g = group_at(PROMPT, -1);
        break;
    case W_QUARANTINE:
        told_quarantine(s->who, r[0]);
        break;
    case W_DEAD:
        told_dead((unsigned)s->who, r[0]);
        break;
    case W_PERSON:
        told_person(s, r[0]);
        break;
    case W_STALE:
        if (w.sure && !met_error(r[0]))
            MUST(strcmp(text_of(r[0]), "RETIRED") == 0, "%s is retired, and feeding it says '%s'",
                 batch_name(s->id.eval, s->id.batch), text_of(r[0]));
        break;
    case W_LIFT:
        w.barred[s->who] = false;
        break;
    }
}

static void send_call(const struct call *c, struct sent *s)
{
    const unsigned arg = c->arg & ~(unsigned)LOST_BIT;
    struct worker *k;
    struct words a;

    *s = (struct sent){.who = c->who % WORKERS, .lost = c->arg & LOST_BIT};
    k = &w.workers[s->who];
    switch ((enum kind)c->kind) {
    case WORK:
    case STEAL:
        send_work(s, arg, c->kind == STEAL);
        break;
    case GIVE_BACK:
        if (k->count > 0)
            send_hand(s, RETURN, k->life, &k->held[arg % k->count]);
        break;
    case RENEW:
        send_renew(s);
        break;
    case BURY:
        if (k->count > 0)
            send_hand(s, DROP, k->life, &k->held[arg % k->count]);
        break;
    case REFUSE:
        if (k->count > 0 && k->queue == PL_QUEUE_ROLLOUTS)
            send_hand(s, REJECT, k->life, &k->held[arg % k->count]);
        break;
    case DIE:
        die(k);
        break;
    case GHOST:
        send_ghost(s, arg);
        break;
    case STALE:
        send_stale(s, arg);
        break;
    case LEARN:
        send_learn(s, arg);
        break;
    case SAVE:
        if (w.l.step > w.l.saved && !w.l.back)
            learner_saves();
        break;
    case CRASH:
        learner_crashes(w.l.saved);
        break;
    case BACK:
        learner_crashes(w.l.saved > (int)(arg % 4) ? w.l.saved - 1 - (int)(arg % 4) : 0);
        w.l.back = arg / 4 % 2 ? 2 : 1;
        break;
    case RECONCILE:
        function(&a, "reconcile");
        word(&a, "0");
        word(&a, "1");
        all_batches(&a);
        send_one(s, W_RECONCILE, &a);
        break;
    case UNPARK:
        send_unpark(s);
        break;
    case RELEASE:
        function(&a, "release");
        word(&a, "%s", k->name);
        send_one(s, W_RELEASE, &a);
        break;
    case REFUSE_SCORED:
        send_refuse_scored(s, arg);
        break;
    case REDO:
        send_redo(s, arg);
        break;
    case QUARANTINE:
        send_quarantine(s, arg);
        break;
    case LIFT:
        send_lift(s, arg);
        break;
    case PERSON:
        send_person(s, arg);
        break;
    case DELETE:
    case CUT:
    case STRIP:
    case UNREAD:
    case FOREIGN:
    case FLUSH:
        send_fault(s, (enum kind)c->kind, arg);
        break;
    case KINDS:
        break;
    }
}

/* ---- all of Redis against the books ---- */

static void make_groups(void)
{
    for (int q = 0; q < 2; q++) {
        struct words a = {.count = 0};

        word(&a, "XGROUP");
        word(&a, "CREATE");
        word(&a, "%s%s", prefix, pl_queue_names[q]);
        word(&a, "%s", pl_queue_readers[q]);
        word(&a, "0");
        word(&a, "MKSTREAM");
        freeReplyObject(ask(&a)); /* it may be there */
    }
    w.no_groups = false;
}

static enum stage stage_from(const char *text)
{
    for (enum stage s = PROMPT; s <= PARKED; s++)
        if (strncmp(text, stage_names[s], strlen(stage_names[s])) == 0)
            return s;
    return NONE;
}

static int first_batch(void)
{
    return w.l.saved > PAST ? w.l.saved - PAST : 0;
}

/* Entries of both queues by groups, from groups:<b>; with `write` the books are set to that. */
static struct {
    char entry[48];
    struct id id;
} entries[2][2 * BATCHES * GROUPS];
static size_t entry_count[2];

static size_t look_at_groups(bool write)
{
    size_t unhealed = 0; /* scores that are gone, of batches that nobody feeds now */

    entry_count[0] = entry_count[1] = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int b = first_batch(); b < w.l.top; b++)
            for (int e = 0; e < 2; e++) {
                struct words a;
                char key[64];
                redisReply *groups, *actors;

                snprintf(key, sizeof key, "groups:%s", batch_name(e, b));
                command(&a, "HGETALL", key);
                if (pass == 0)
                    send_words(&a);
                snprintf(key, sizeof key, "scored:%s", batch_name(e, b));
                command(&a, "HMGET", key);
                for (int i = 0; i < GROUPS; i++) {
                    word(&a, "%d:actor", i);
                    word(&a, "%d:counts", i);
                    word(&a, "%d", i);
                }
                if (pass == 0) {
                    send_words(&a);
                    continue;
                }
                groups = next_reply();
                actors = next_reply();
                for (int i = 0; i < GROUPS; i++) {
                    struct group *g = &w.groups[e][b][i];
                    char index[16];
                    const char *text;
                    enum stage stage;

                    snprintf(index, sizeof index, "%d", i);
                    text = field_text(groups, index);
                    stage = stage_from(text);
                    MUST(write || g->stage == stage, "%s:%d is '%s', and ought to be a %s",
                         batch_name(e, b), i, text, stage_names[g->stage]);
                    if (write) {
                        const char *actor = actors->element[3 * i]->str;

                        const int maker = actor ? worker_named(actor) : -1;

                        *g = group_seen(stage, maker, g);
                    }
                    unhealed += stage == SCORED && (!actors->element[3 * i + 1]->str ||
                                                    !actors->element[3 * i + 2]->str);
                    if (stage == PROMPT || stage == ROLLOUT) {
                        const size_t n = entry_count[stage - PROMPT]++;

                        (void)sscanf(text, "%*s %47s", entries[stage - PROMPT][n].entry);
                        entries[stage - PROMPT][n].id = (struct id){e, b, i};
                    }
                }
                freeReplyObject(groups);
                freeReplyObject(actors);
            }
    return unhealed;
}

static bool is_open(struct id id)
{
    struct id other;

    for (int n = 0; open_group(n, &other); n += GROUPS)
        if (other.eval == id.eval && other.batch == id.batch)
            return true;
    return false;
}

/* Whose they are; how many entries there are that no group has, or groups of a learner that was
 * further on that have none. */
static size_t look_at_leases(bool write)
{
    size_t orphans = 0;

    for (int q = 0; q < 2; q++) {
        struct words a;
        redisReply *list, *pending;
        size_t found = 0;

        command(&a, "XRANGE", pl_queue_names[q]);
        word(&a, "-");
        word(&a, "+");
        list = ask(&a);
        command(&a, "XPENDING", pl_queue_names[q]);
        word(&a, "%s", pl_queue_readers[q]);
        word(&a, "-");
        word(&a, "+");
        word(&a, "1000");
        pending = ask(&a);
        MUST(pending->type == REDIS_REPLY_ARRAY, "XPENDING says '%s'", text_of(pending));
        for (size_t i = 0; i < entry_count[q]; i++) {
            struct group *g = group_of(entries[q][i].id);
            int holder = -1;
            bool there = false;

            for (size_t k = 0; k < list->elements && !there; k++)
                there = strcmp(list->element[k]->element[0]->str, entries[q][i].entry) == 0;
            if (!there && !is_open(entries[q][i].id)) { /* it is fed when its turn comes */
                orphans++;
                continue;
            }
            MUST(there, "%s:%d has no entry",
                 batch_name(entries[q][i].id.eval, entries[q][i].id.batch), entries[q][i].id.index);
            found++;
            for (size_t k = 0; k < pending->elements && holder < 0; k++)
                if (strcmp(pending->element[k]->element[0]->str, entries[q][i].entry) == 0)
                    holder = worker_named(pending->element[k]->element[1]->str);
            MUST(write || g->holder == holder, "%s:%d is held by %d, and ought to be by %d",
                 batch_name(entries[q][i].id.eval, entries[q][i].id.batch), entries[q][i].id.index,
                 holder, g->holder);
            g->holder = holder;
            memcpy(g->entry, entries[q][i].entry, sizeof g->entry);
        }
        orphans += list->elements - found;
        for (size_t i = 0; i < pending->elements; i++) { /* held, and deleted */
            bool there = false;

            for (size_t k = 0; k < list->elements && !there; k++)
                there = strcmp(list->element[k]->element[0]->str,
                               pending->element[i]->element[0]->str) == 0;
            orphans += !there;
        }
        freeReplyObject(list);
        freeReplyObject(pending);
    }
    return orphans;
}

static bool ledger_balances(void)
{
    struct words a;
    redisReply *r;
    long long off;

    function(&a, "ledger");
    r = ask(&a);
    MUST(r->type == REDIS_REPLY_ARRAY && r->elements == 11, "ledger says '%s'", text_of(r));
    off = r->element[0]->integer;
    for (int i = 1; i <= 4; i++)
        off -= r->element[i]->integer;
    off -= r->element[6]->integer + r->element[10]->integer;
    freeReplyObject(r);
    return off == 0;
}

/* After faults, what the learner does while it waits; then the books are as Redis has it. */
static void heal(void)
{
    size_t unhealed;
    struct words a;
    struct id id;
    redisReply *r;
    int eval, batch;

    make_groups();
    unsure();
    if (w.l.back) {
        function(&a, "rewind");
        word(&a, "%d", w.l.step);
        word(&a, "%d", w.l.back == 2);
        all_batches(&a);
        r = ask(&a);
        told_rewind(w.l.back == 2, r);
        freeReplyObject(r);
        w.l.back = 0;
    }
    while (first_to_retire(&eval, &batch)) {
        function(&a, "retire");
        word(&a, "%s", batch_name(eval, batch));
        r = ask(&a);
        told_gone_batch(eval, batch, r);
        freeReplyObject(r);
        w.l.retire[eval][batch] = false;
    }
    for (int n = 0; open_group(n, &id); n++) {
        feed_words(&a, id);
        r = ask(&a);
        told_feed(id, r);
        freeReplyObject(r);
    }
    function(&a, "reconcile");
    word(&a, "0");
    word(&a, "1");
    all_batches(&a);
    r = ask(&a);
    MUST(r->type == REDIS_REPLY_ARRAY, "reconcile says '%s'", text_of(r));
    freeReplyObject(r);
    MUST(ledger_balances(), "the ledger is reconciled and does not balance");
    command(&a, "SMEMBERS", "retired");
    r = ask(&a);
    memset(w.retired, 0, sizeof w.retired);
    for (size_t i = 0; i < r->elements; i++) {
        const char *name = r->element[i]->str;
        const int b = atoi(name + (name[0] == 'e'));

        if (b < BATCHES)
            w.retired[name[0] == 'e'][b] = true;
    }
    freeReplyObject(r);
    unhealed = look_at_groups(true);
    w.sure = look_at_leases(true) == 0 && unhealed == 0;
}

static void check(void)
{
    if (!w.sure)
        return;
    (void)look_at_groups(false);
    MUST(look_at_leases(false) == 0, "a queue has entries that no group has");
    MUST(ledger_balances(), "the ledger does not balance");
}

/* ---- an episode ---- */

static void begin_episode(void)
{
    struct words a = {.count = 0};

    word(&a, "FLUSHALL");
    freeReplyObject(ask(&a));
    memset(&w, 0, sizeof w);
    w.sure = true;
    w.l.accuracy[0] = 0.5;
    for (int i = 0; i < WORKERS; i++) {
        const bool actor = i < ACTORS;

        snprintf(w.workers[i].name, sizeof w.workers[i].name, "%s-%d", actor ? "actor" : "rewarder",
                 actor ? i : i - ACTORS);
        w.workers[i].queue = actor ? PL_QUEUE_PROMPTS : PL_QUEUE_ROLLOUTS;
        strcpy(w.workers[i].from, "0");
    }
    for (int e = 0; e < 2; e++)
        for (int b = 0; b < BATCHES; b++)
            forget_batch(e, b);
    make_groups();
}

static void play_round(const struct call *calls, size_t count)
{
    struct sent sent[ROUND];
    bool busy[WORKERS + 1] = {false};

    for (size_t i = 0; i < count; i++) {
        const bool nothing = calls[i].kind >= KINDS;
        const bool worker = !nothing && kinds[calls[i].kind].worker;
        bool *taken = worker ? &busy[calls[i].who % WORKERS] : &busy[WORKERS];

        sent[i] = (struct sent){.what = W_NONE};
        if (nothing || (*taken && calls[i].kind != GHOST))
            continue;
        *taken = *taken || calls[i].kind != GHOST;
        send_call(&calls[i], &sent[i]);
        steps++;
        made[calls[i].kind]++;
    }
    for (size_t i = 0; i < count; i++) {
        redisReply *r[4] = {NULL};

        for (int k = 0; k < sent[i].replies; k++)
            r[k] = next_reply();
        told(&sent[i], r); /* on a failure the connection is made again */
        for (int k = 0; k < sent[i].replies; k++)
            freeReplyObject(r[k]);
    }
    if (w.no_groups)
        make_groups();
}

/* No more faults: it must come to an end. */
static void drain(void)
{
    const int goal = w.l.step + 2 < BATCHES ? w.l.step + 2 : BATCHES;
    struct call calls[ROUND];

    for (int i = 0; i < ACTORS; i++) {
        struct sent s = {.what = W_NONE};

        send_lift(&s, (unsigned)i);
        freeReplyObject(next_reply());
        freeReplyObject(next_reply());
        w.barred[i] = false;
    }
    for (int round = 0; round < DRAIN_ROUNDS; round++) {
        if (round % 10 == 0) {
            if (w.l.step > w.l.saved)
                learner_saves();
            heal();
        }
        if (w.l.step >= goal && w.l.eval_count == 0 && w.sure)
            break;
        MUST(round + 1 < DRAIN_ROUNDS, "no progress: step %d of %d, %d evaluations, %s", w.l.step,
             goal, w.l.eval_count, w.sure ? "balanced" : "not balanced");
        for (int i = 0; i < WORKERS; i++)
            calls[i] =
                (struct call){round % 5 == 4 ? STEAL : WORK, (uint8_t)i, (uint16_t)(round * 7 + i)};
        calls[WORKERS] = (struct call){round % 8 == 7 ? UNPARK : LEARN, 0, (uint16_t)round};
        if (round % 16 == 14)
            calls[WORKERS].kind = UNPARK;
        play_round(calls, WORKERS + 1);
    }
    check();
}

/* Whether it fails; `why` says how. */
static bool play(const struct call *calls, size_t count, size_t *ret_at)
{
    volatile size_t at = 0;

    if (setjmp(failed) != 0) {
        *ret_at = at;
        redisReconnect(redis); /* answers that were not read go with it */
        return true;
    }
    begin_episode();
    for (; at < count; at += ROUND) {
        play_round(calls + at, count - at < ROUND ? count - at : ROUND);
        if (at / ROUND % HEAL_EVERY == HEAL_EVERY - 1 && !w.sure)
            heal();
        else if (at / ROUND % CHECK_EVERY == CHECK_EVERY - 1)
            check();
        if (w.l.step >= BATCHES - 4)
            break;
    }
    drain();
    return false;
}

/* ---- from seeds ---- */

static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Every other episode has no faults that anybody could see in Redis, so that the books stay sure.
 */
static void draw(uint64_t seed, struct call *calls)
{
    const bool quiet = seed % 2;
    unsigned all = 0;

    for (int k = 0; k < (quiet ? DELETE : KINDS); k++)
        all += kinds[k].weight;
    for (size_t i = 0; i < CALLS; i++) {
        uint64_t state = seed * 0x100000001b3ull + i, x = mix(&state);
        unsigned at = (unsigned)(x % all);
        int k = 0;

        while (at >= kinds[k].weight)
            at -= kinds[k++].weight;
        x = mix(&state);
        calls[i] = (struct call){(uint8_t)k, (uint8_t)(x % WORKERS), (uint16_t)(x >> 8 & 0x7fff)};
        if ((x >> 32) % 16 == 0)
            calls[i].arg |= LOST_BIT;
    }
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t calls_left(const struct call *calls)
{
    size_t n = 0;

    for (size_t i = 0; i < CALLS; i++)
        n += calls[i].kind < KINDS;
    return n;
}

/* Calls are left out, many at once and then fewer, while it still fails. */
static void shrink(struct call *calls)
{
    const double end = seconds() + 60.0;
    size_t at;

    for (size_t chunk = CALLS / 2; chunk > 0 && seconds() < end; chunk /= 2)
        for (size_t from = 0; from < CALLS && seconds() < end; from += chunk) {
            struct call kept[CALLS];
            bool any = false;

            memcpy(kept, calls, sizeof kept);
            for (size_t i = from; i < CALLS && i < from + chunk; i++) {
                any = any || calls[i].kind < KINDS;
                calls[i].kind = NOTHING;
            }
            if (any && !play(calls, CALLS, &at))
                memcpy(calls, kept, sizeof kept);
        }
}

/* A line of `place kind who arg` for each call. */
static void print_case(FILE *out, const struct call *calls)
{
    for (size_t i = 0; i < CALLS; i++)
        if (calls[i].kind < KINDS)
            fprintf(out, "%zu %s %u %u%s\n", i, kinds[calls[i].kind].name, calls[i].who,
                    calls[i].arg & ~(unsigned)LOST_BIT, calls[i].arg & LOST_BIT ? " lost" : "");
}

static int report(uint64_t seed, struct call *calls, size_t at)
{
    fprintf(stderr, "seed %llu: call %zu: %s\n", (unsigned long long)seed, at, why);
    shrink(calls);
    if (!play(calls, CALLS, &at)) {
        fprintf(stderr, "it did not fail again\n");
        return 1;
    }
    fprintf(stderr, "%zu calls are left: %s\n", calls_left(calls), why);
    print_case(stderr, calls);
    return 1;
}

/* Cases are one behind the other, each begun by a line that is a name and ends with ':'. */
static int play_cases(const char *path)
{
    static struct call calls[CALLS];
    char line[256], name[128] = "";
    FILE *file = fopen(path, "re");
    int bad = 0, count = 0;
    bool more = true;
    size_t at;

    if (!file) {
        fprintf(stderr, "%s cannot be opened\n", path);
        return 1;
    }
    memset(calls, NOTHING, sizeof calls);
    while (more) {
        char kind[32], word_text[16] = "";
        unsigned who = 0, arg = 0;
        size_t place = 0;

        more = fgets(line, sizeof line, file) != NULL;
        if (!more || strchr(line, ':')) {
            if (name[0] && play(calls, CALLS, &at)) {
                fprintf(stderr, "case %s: %s\n", name, why);
                bad++;
            }
            count += name[0] != '\0';
            snprintf(name, sizeof name, "%.*s", (int)strcspn(line, ":"), more ? line : "");
            memset(calls, NOTHING, sizeof calls);
        } else if (sscanf(line, "%zu %31s %u %u %15s", &place, kind, &who, &arg, word_text) >= 4 &&
                   place < CALLS) {
            for (int k = 0; k < KINDS; k++)
                if (strcmp(kinds[k].name, kind) == 0)
                    calls[place] = (struct call){
                        (uint8_t)k, (uint8_t)who,
                        (uint16_t)(arg | (strcmp(word_text, "lost") == 0 ? LOST_BIT : 0))};
        } else if (line[0] != '#' && line[0] != '\n') {
            fprintf(stderr, "%s: not understood: %s", path, line);
            bad++;
        }
    }
    fclose(file);
    printf("model: %d cases, %d of them failed\n", count, bad);
    return bad > 0;
}

/* ---- the program ---- */

static void load_functions(const char *path)
{
    static char text[1 << 18];
    FILE *file = fopen(path, "re");
    const size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    redisReply *reply = redisCommand(redis, "FUNCTION LOAD REPLACE %b", text, n);

    PL_ASSERT(reply);
    if (reply->type == REDIS_REPLY_ERROR) {
        fprintf(stderr, "%s: %s\n", path, reply->str);
        exit(2);
    }
    freeReplyObject(reply);
    if (file)
        fclose(file);
}

static void open_redis(struct pl_test_redis *server)
{
    struct pl_queues *s = NULL;
    struct pl_error err = {0};

    pl_test_redis_start(server);
    if (pl_queues_open(&(struct pl_queues_opts){.url = server->url,
                                                .run = "m",
                                                .worker = "model",
                                                .role = "test",
                                                .lease_ms = 1000,
                                                .deliveries_max = MOST,
                                                .patience_ms = 20000},
                       &s, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    pl_queues_close(s); /* it has loaded the functions */
    redis = redisConnectUnix(server->url + strlen("unix://"));
    PL_ASSERT(redis && !redis->err);
}

int main(int argc, char **argv)
{
    struct pl_test_redis server = {
        .more = (const char *const[]){"--appendonly", "no", "--enable-debug-command", "yes", NULL}};
    static struct call calls[CALLS];
    uint64_t seed = 1, most = 0, first;
    double for_s = 5.0, start;
    const char *cases = NULL, *functions = NULL;
    int status = 0;
    size_t at;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--steps") == 0)
            most = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            for_s = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--case") == 0)
            cases = argv[i + 1];
        else if (strcmp(argv[i], "--functions") == 0)
            functions = argv[i + 1];
    }
    if (!pl_test_redis_there()) {
        printf("skipped: redis-server is not installed (deploy/install-deps.sh --test installs "
               "it)\n");
        return 77;
    }
    open_redis(&server);
    if (functions)
        load_functions(functions);
    first = seed;
    start = seconds();
    if (cases)
        status = play_cases(cases);
    for (; status == 0 && (most ? steps < most : seconds() - start < for_s); seed++) {
        draw(seed, calls);
        episodes++;
        if (play(calls, CALLS, &at))
            status = report(seed, calls, at);
    }
    printf("model: %llu calls in %llu episodes, %.0f a second; the next seed is %llu\n",
           (unsigned long long)steps, (unsigned long long)episodes,
           (double)steps / (seconds() - start), (unsigned long long)seed);
    for (int k = 0; k < KINDS; k++)
        printf("  %-14s %llu\n", kinds[k].name, (unsigned long long)made[k]);
    pl_chaos_result("model", "calls", most > 0, first, steps, status != 0, ", \"episodes\": %llu",
                    (unsigned long long)episodes);
    redisFree(redis);
    pl_test_redis_end(&server);
    return status;
}
