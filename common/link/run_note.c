#include "common/link/run_note.h"

#include "common/base/build.h"
#include "common/link/queues_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_SHOWN = 100 };

/* The key `learner`: who is at work; "": nobody, or it cannot be told. */
static int read_learner(struct pl_queues *s, char *ret, size_t size, struct pl_error *err)
{
    struct pl_redis_args args;
    redisReply *reply;
    char key[160];
    int rc;

    snprintf(key, sizeof key, "%slearner", s->prefix);
    pl_redis_begin(&args, "GET");
    pl_redis_word(&args, key);
    rc = pl_redis_call(s->redis, &args, &reply, err);
    if (rc < 0)
        return rc;
    snprintf(ret, size, "%s", reply->str ? reply->str : "");
    freeReplyObject(reply);
    return PL_OK;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

int pl_run_note_read(struct pl_queues *stream, struct pl_run_note *ret_note, struct pl_error *err)
{
    enum { RUN_ID, LIFE, BASE, AGREE, STATE, DIR, HOST, SETTINGS, STEP, BY, SAVED, NAMES };
    static const char *const names[NAMES] = {"run_id", "life", "base",      "agree_sha256",
                                             "state",  "dir",  "host",      "settings",
                                             "step",   "by",   "saved_step"};
    struct pl_run_note note = {0};
    char *v[NAMES], learner[256];
    int rc = pl_queues_recall(stream, "run", names, NAMES, v, err);

    if (rc < 0)
        return rc;
    rc = read_learner(stream, learner, sizeof learner, err);
    if (rc == PL_OK)
        rc = pl_life_take(&note.life, or_empty(v[RUN_ID]), strtoull(or_empty(v[LIFE]), NULL, 10),
                          err);
    if (rc < 0)
        goto out;
    note.there = note.life.run_id[0] && note.life.number > 0;
    note.used = note.there || v[STEP] || v[STATE];
    snprintf(note.base, sizeof note.base, "%s", or_empty(v[BASE]));
    snprintf(note.agree, sizeof note.agree, "%s", or_empty(v[AGREE]));
    snprintf(note.state, sizeof note.state, "%s", or_empty(v[STATE]));
    note.step = strtoull(or_empty(v[STEP]), NULL, 10);
    note.saved_step = strtoull(or_empty(v[SAVED]), NULL, 10);
    note.current = note.there && learner[0] && strcmp(or_empty(v[BY]), learner) == 0;
    note.dir = v[DIR] ? v[DIR] : strdup("");
    note.host = v[HOST] ? v[HOST] : strdup("");
    note.settings = v[SETTINGS] ? v[SETTINGS] : strdup("");
    v[DIR] = v[HOST] = v[SETTINGS] = NULL;
    if (!note.dir || !note.host || !note.settings) {
        pl_run_note_release(&note);
        rc = pl_fail(err, PL_ENOMEM, "no memory for what Redis knows of the run");
    }
out:
    for (int i = 0; i < NAMES; i++)
        free(v[i]);
    if (rc == PL_OK)
        *ret_note = note;
    return rc;
}

void pl_run_note_release(struct pl_run_note *note)
{
    free(note->dir);
    free(note->host);
    free(note->settings);
    *note = (struct pl_run_note){0};
}

int pl_run_note_write(struct pl_queues *stream, const struct pl_run_said *said,
                      struct pl_error *err)
{
    char life[32], host[65] = "", learner[256];
    const struct pl_field fields[] = {{"run_id", said->life->run_id},
                                      {"life", life},
                                      {"base", said->base},
                                      {"agree_sha256", said->agree},
                                      {"settings", said->settings},
                                      {"dir", said->dir},
                                      {"host", host},
                                      {"build", pl_build()},
                                      {"blas", said->blas},
                                      {"by", learner}};
    int rc = read_learner(stream, learner, sizeof learner, err);

    snprintf(life, sizeof life, "%llu", (unsigned long long)said->life->number);
    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    return rc == PL_OK ? pl_queues_note(stream, "run", fields, sizeof fields / sizeof *fields, err)
                       : rc;
}

/* The value of a name in lines, NULL: it is not there. */
static const char *value_of(const char *lines, const char *name, size_t name_len, size_t *ret_len)
{
    for (const char *at = lines; *at;) {
        const size_t len = strcspn(at, "\n");

        if (len > name_len + 1 && strncmp(at, name, name_len) == 0 &&
            strncmp(at + name_len, ": ", 2) == 0) {
            *ret_len = len - name_len - 2;
            return at + name_len + 2;
        }
        at += len + (at[len] == '\n');
    }
    return NULL;
}

static int shown(size_t len)
{
    return len < VALUE_SHOWN ? (int)len : VALUE_SHOWN;
}

bool pl_run_note_differs(const char *settings, const char *lines, char *why, size_t size)
{
    for (const char *at = lines; *at;) {
        const size_t len = strcspn(at, "\n");
        const char *colon = strstr(at, ": "), *run;
        size_t run_len = 0;

        if (!colon || colon > at + len)
            return false;
        run = value_of(settings, at, (size_t)(colon - at), &run_len);
        if (run &&
            (run_len != len - (size_t)(colon + 2 - at) || memcmp(run, colon + 2, run_len) != 0)) {
            const size_t own_len = len - (size_t)(colon + 2 - at);

            snprintf(why, size, "%.*s is %.*s here, and %.*s in the run", (int)(colon - at), at,
                     shown(own_len), colon + 2, shown(run_len), run);
            return true;
        }
        at += len + (at[len] == '\n');
    }
    return false;
}

/* Whether the run is as it was when it was looked at last, and agreed: three words of it say so. */
static int is_as_before(const struct pl_member *m, struct pl_queues *stream, bool *ret_same,
                        struct pl_error *err)
{
    static const char *const names[] = {"run_id", "life", "agree_sha256"};
    char *v[3];
    int rc = PL_OK;

    *ret_same = false;
    if (!m->life.run_id[0] || m->why[0])
        return PL_OK;
    rc = pl_queues_recall(stream, "run", names, 3, v, err);
    if (rc < 0)
        return rc;
    *ret_same = strcmp(or_empty(v[0]), m->life.run_id) == 0 &&
                strtoull(or_empty(v[1]), NULL, 10) == m->life.number &&
                strcmp(or_empty(v[2]), m->agree) == 0;
    for (int i = 0; i < 3; i++)
        free(v[i]);
    return PL_OK;
}

int pl_member_look(struct pl_member *member, struct pl_queues *stream, struct pl_error *err)
{
    struct pl_run_note note;
    char differs[400];
    bool same;
    int rc = is_as_before(member, stream, &same, err);

    if (rc < 0 || same)
        return rc;
    rc = pl_run_note_read(stream, &note, err);
    if (rc < 0)
        return rc;
    if (!note.there && member->life.run_id[0]) {
        /* Redis has lost it; its learner will say it again */
    } else if (!note.there) {
        snprintf(member->why, sizeof member->why,
                 "no learner has said anything of this run to Redis yet");
    } else if (!pl_run_note_differs(note.settings, member->lines, differs, sizeof differs)) {
        member->life = note.life;
        memcpy(member->agree, note.agree, sizeof member->agree);
        member->why[0] = '\0';
    } else if (!note.current) {
        snprintf(member->why, sizeof member->why,
                 "%s, as its learner had it, which is not at work now", differs);
    } else {
        rc = pl_fail(err, PL_EINVAL,
                     "%s: this program has other settings than the run's learner in '%s' on %s; "
                     "give it those",
                     differs, note.dir, note.host[0] ? note.host : "its host");
    }
    pl_run_note_release(&note);
    return rc;
}
