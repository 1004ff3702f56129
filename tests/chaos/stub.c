#include "tests/chaos/stub.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/link/queues.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HASH = 32, HELD_MAX = 8, LEASE_MS = 60000, DELIVERIES_MAX = 5, PROMPT = 64, WAIT_MS = 200 };

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    stopping = number;
}

static bool is_stopping(void *at)
{
    (void)at;
    return stopping != 0;
}

static void hash_of(const void *bytes, size_t len, unsigned char ret[HASH])
{
    unsigned n = 0;

    if (EVP_Digest(bytes, len, ret, &n, EVP_sha256(), NULL) != 1)
        abort();
}

static void prompt_of(uint64_t seed, uint64_t batch, uint32_t index, char ret[PROMPT])
{
    memset(ret, 0, PROMPT);
    snprintf(ret, PROMPT, "%llu %llu %u", (unsigned long long)seed, (unsigned long long)batch,
             index);
}

/* What an actor and a rewarder make of it. */
static void made_of(uint64_t seed, uint64_t batch, uint32_t index, unsigned char ret[HASH])
{
    char prompt[PROMPT];
    unsigned char sampled[HASH];

    prompt_of(seed, batch, index, prompt);
    hash_of(prompt, sizeof prompt, sampled);
    hash_of(sampled, sizeof sampled, ret);
}

static void chain(unsigned char at[HASH], const unsigned char made[HASH])
{
    unsigned char both[2 * HASH];

    memcpy(both, at, HASH);
    memcpy(both + HASH, made, HASH);
    hash_of(both, sizeof both, at);
}

static void hex_of(const unsigned char bytes[HASH], char ret[2 * HASH + 1])
{
    for (size_t i = 0; i < HASH; i++)
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

void pl_stub_expected(uint64_t seed, uint64_t batches, char ret_hex[65])
{
    unsigned char at[HASH] = {0}, made[HASH];
    char text[2 * HASH + 1];

    for (uint64_t b = 0; b < batches; b++)
        for (uint32_t i = 0; i < PL_STUB_GROUPS; i++) {
            made_of(seed, b, i, made);
            chain(at, made);
        }
    hex_of(at, text);
    hash_of(text, strlen(text), made);
    hex_of(made, ret_hex);
}

/* ---- workers ---- */

static int act(struct pl_queues *q, struct pl_error *err)
{
    struct pl_lease held[HELD_MAX];
    size_t count = 0;
    int rc = PL_OK;

    while (rc == PL_OK && !stopping) {
        enum pl_outcome outcome;
        unsigned char sampled[HASH];

        rc = pl_queues_lease(q, PL_QUEUE_PROMPTS, count > 0 ? 0 : WAIT_MS, &held[count], err);
        count += rc == PL_OK;
        if (rc == PL_OK && count < HELD_MAX)
            continue;
        if (rc == PL_ENOENT)
            rc = PL_OK;
        while (rc == PL_OK && count > 0) { /* the last first: no order is to be relied upon */
            struct pl_lease *l = &held[--count];

            hash_of(l->pb, l->pb_len, sampled);
            rc = pl_queues_finish(q, l, NULL, 0, sampled, sizeof sampled, &outcome, err);
            pl_lease_release(l);
        }
    }
    while (count > 0)
        pl_lease_release(&held[--count]);
    return rc == PL_ECANCELED ? PL_OK : rc;
}

static int score(struct pl_queues *q, struct pl_error *err)
{
    int rc = PL_OK;

    while (rc == PL_OK && !stopping) {
        struct pl_lease lease = {0};
        enum pl_outcome outcome;
        unsigned char made[HASH];

        rc = pl_queues_lease(q, PL_QUEUE_ROLLOUTS, WAIT_MS, &lease, err);
        if (rc == PL_OK) {
            hash_of(lease.pb, lease.pb_len, made);
            rc = pl_queues_commit(q, &lease, 4, made[0] % 5, 4, "stub", made, sizeof made, &outcome,
                                  err);
        }
        if (rc == PL_ENOENT)
            rc = PL_OK;
        pl_lease_release(&lease);
    }
    return rc == PL_ECANCELED ? PL_OK : rc;
}

/* ---- the learner ---- */

struct learner {
    struct pl_queues *q;
    const char *folder;
    uint64_t seed, batches, step, saved, fed; /* fed: batches before it */
    unsigned char at[HASH];
    FILE *log, *metrics;
    double fed_s;
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int write_file(const struct learner *l, const char *name, const char *text,
                      struct pl_error *err)
{
    char *path = pl_strf("%s/%s", l->folder, name);
    struct pl_outfile out;
    int rc = path ? pl_outfile_open(path, &out, err) : pl_fail(err, PL_ENOMEM, "no memory");

    if (rc == PL_OK) {
        rc = pl_outfile_write(&out, text, strlen(text), err);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&out, err);
        else
            pl_outfile_abort(&out);
    }
    free(path);
    return rc;
}

/* As the learner does it, with its checkpoints and while it waits. */
static int tidy(struct learner *l, struct pl_error *err)
{
    const struct pl_queues_wanted wanted = {
        .saved = l->saved, .step = l->step, .steps = l->batches};
    struct pl_reconciled reconciled;
    size_t batches;

    return pl_queues_tidy(l->q, &wanted, &batches, &reconciled, err);
}

static int save(struct learner *l, struct pl_error *err)
{
    char hex[2 * HASH + 1], text[160];
    int rc;

    hex_of(l->at, hex);
    snprintf(text, sizeof text, "global_step_%llu\n%s\n", (unsigned long long)l->step, hex);
    rc = write_file(l, "checkpoints/latest", text, err);
    fprintf(l->log, "S %llu\n", (unsigned long long)l->step);
    for (; rc == PL_OK && l->saved < l->step; l->saved++) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)l->saved);
        rc = pl_queues_retire(l->q, text, err);
    }
    return rc == PL_OK ? tidy(l, err) : rc;
}

static int load(struct learner *l, struct pl_error *err)
{
    char *path = pl_strf("%s/checkpoints/latest", l->folder), *text = NULL, hex[65];
    unsigned long long step = 0;
    unsigned byte;
    size_t len;
    int rc = path ? pl_file_read(path, 1000, &text, &len, err) : PL_ENOMEM;

    if (rc == PL_OK && sscanf(text, "global_step_%llu\n%64s", &step, hex) == 2) {
        for (size_t i = 0; i < HASH && sscanf(hex + 2 * i, "%2x", &byte) == 1; i++)
            l->at[i] = (unsigned char)byte;
        l->step = l->saved = step;
    }
    free(text);
    free(path);
    return rc == PL_ENOENT ? PL_OK : rc;
}

/* As a run's: lines of later steps go, and the file is another one. */
static int open_metrics(struct learner *l, struct pl_error *err)
{
    char *path = pl_strf("%s/metrics.jsonl", l->folder), *tmp = pl_strf("%s.tmp", path);
    int rc = PL_OK;

    l->metrics = path && tmp ? fopen(tmp, "we") : NULL;
    for (uint64_t s = 1; l->metrics && s <= l->step; s++)
        fprintf(l->metrics, "{\"training/global_step\": %llu, \"pg_loss\": 0}\n",
                (unsigned long long)s);
    if (!l->metrics || fflush(l->metrics) != 0 || rename(tmp, path) < 0)
        rc = pl_fail_errno(err, "write '%s'", path ? path : "metrics.jsonl");
    else
        setvbuf(l->metrics, NULL, _IOLBF, 4096);
    free(path);
    free(tmp);
    return rc;
}

/* Batches from `from` on, as far ahead as it goes. */
static int feed(struct learner *l, uint64_t from, struct pl_error *err)
{
    const uint64_t most = l->step + PL_STUB_AHEAD, end = most < l->batches ? most : l->batches;
    int rc = PL_OK;

    l->fed_s = seconds();
    l->fed = end;
    for (uint64_t b = from; rc == PL_OK && b < end; b++)
        for (uint32_t i = 0; rc == PL_OK && i < PL_STUB_GROUPS; i++) {
            char name[32], after[32] = "", prompt[PROMPT];
            bool fresh;

            prompt_of(l->seed, b, i, prompt);
            snprintf(name, sizeof name, "%llu", (unsigned long long)b);
            if (b > l->step)
                snprintf(after, sizeof after, "%llu", (unsigned long long)b - 1);
            rc = pl_queues_feed(l->q,
                                &(struct pl_feed){.batch = name,
                                                  .expected = PL_STUB_GROUPS,
                                                  .index = i,
                                                  .after = after,
                                                  .epsilon = 0.05,
                                                  .pb = prompt,
                                                  .pb_len = sizeof prompt},
                                &fresh, err);
        }
    return rc;
}

/* Whether the batch is each group of it once, as it must be; if so it is trained. */
static bool train(struct learner *l, const struct pl_ready *ready)
{
    unsigned char made[HASH], at[HASH];
    bool good = ready->count == PL_STUB_GROUPS;

    memcpy(at, l->at, HASH);
    for (size_t i = 0; good && i < ready->count; i++) {
        made_of(l->seed, l->step, (uint32_t)i, made);
        good = ready->groups[i].index == i && ready->groups[i].pb_len == HASH &&
               memcmp(ready->groups[i].pb, made, HASH) == 0;
        chain(at, made);
    }
    if (good)
        memcpy(l->at, at, HASH);
    else
        fprintf(l->log, "X %llu %zu groups, %zu dropped\n", (unsigned long long)l->step,
                ready->count, ready->dropped);
    return good;
}

static int step(struct learner *l, struct pl_error *err)
{
    struct pl_ready ready = {0};
    char name[32];
    bool whole = true;
    int rc;

    snprintf(name, sizeof name, "%llu", (unsigned long long)l->step);
    rc = pl_queues_take(l->q, name, WAIT_MS, &ready, err);
    if (rc == PL_ENOENT) {
        rc = pl_queues_whole(l->q, name, &whole, err);
        if (rc < 0 || (whole && seconds() - l->fed_s <= 5.0))
            return rc;
        rc = feed(l, l->step, err);
        return rc == PL_OK ? tidy(l, err) : rc;
    }
    if (rc < 0)
        return rc;
    if (!train(l, &ready)) {
        pl_ready_release(&ready);
        return pl_fail(err, PL_EFORMAT, "batch %s is not what was fed", name);
    }
    pl_ready_release(&ready);
    fprintf(l->log, "T %llu\n", (unsigned long long)l->step);
    l->step++;
    fprintf(l->metrics, "{\"training/global_step\": %llu, \"pg_loss\": 0}\n",
            (unsigned long long)l->step);
    if (l->step % PL_STUB_SAVE == 0 || l->step == l->batches)
        rc = save(l, err);
    return rc == PL_OK ? feed(l, l->fed, err) : rc;
}

static int learn(struct pl_queues *q, const char *folder, uint64_t seed, uint64_t batches,
                 struct pl_error *err)
{
    struct learner l = {.q = q, .folder = folder, .seed = seed, .batches = batches};
    char *path = pl_strf("%s/trained.log", folder),
         *checkpoints = pl_strf("%s/checkpoints", folder);
    char *model = pl_strf("%s/model", folder), hex[2 * HASH + 1];
    struct pl_rewound rewound;
    int rc = path && checkpoints && model ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory");

    if (rc == PL_OK)
        rc = pl_dir_make(checkpoints, err);
    if (rc == PL_OK)
        rc = pl_dir_make(model, err);
    l.log = rc == PL_OK ? fopen(path, "ae") : NULL;
    if (rc == PL_OK && !l.log)
        rc = pl_fail_errno(err, "open '%s'", path);
    if (rc == PL_OK) {
        setvbuf(l.log, NULL, _IOLBF, 4096);
        rc = load(&l, err);
    }
    if (rc == PL_OK)
        rc = open_metrics(&l, err);
    if (rc == PL_OK)
        rc = pl_queues_rewind(q, l.step, false, &rewound, err);
    for (uint64_t b = l.step > PL_STUB_SAVE ? l.step - PL_STUB_SAVE : 0; rc == PL_OK && b < l.step;
         b++) { /* the last one may have died before it got to it */
        snprintf(hex, sizeof hex, "%llu", (unsigned long long)b);
        rc = pl_queues_retire(q, hex, err);
    }
    if (rc == PL_OK)
        rc = feed(&l, l.step, err);
    while (rc == PL_OK && l.step < batches && !stopping)
        rc = step(&l, err);
    hex_of(l.at, hex);
    if (rc == PL_OK && l.step == batches)
        rc = write_file(&l, "model/model.safetensors", hex, err);
    if (l.log)
        fclose(l.log);
    if (l.metrics)
        fclose(l.metrics);
    free(path);
    free(checkpoints);
    free(model);
    return rc == PL_ECANCELED ? PL_OK : rc;
}

/* ---- processes ---- */

int pl_stub_main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = stop};
    struct pl_queues_opts opts = {
        .run = "t", .lease_ms = LEASE_MS, .deliveries_max = DELIVERIES_MAX, .stop = is_stopping};
    struct pl_queues *q = NULL;
    struct pl_error err = {0};
    int rc;

    if (argc != 7)
        return 2;
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    opts.role = argv[1];
    opts.worker = argv[2];
    opts.url = argv[3];
    rc = pl_queues_open(&opts, &q, &err);
    if (rc == PL_OK && strcmp(argv[1], "actor") == 0)
        rc = act(q, &err);
    else if (rc == PL_OK && strcmp(argv[1], "rewarder") == 0)
        rc = score(q, &err);
    else if (rc == PL_OK)
        rc = learn(q, argv[4], strtoull(argv[5], NULL, 10), strtoull(argv[6], NULL, 10), &err);
    pl_queues_close(q);
    if (rc < 0 && !(rc == PL_ECANCELED && stopping)) {
        fprintf(stderr, "plait-chaos stub: %s\n", err.text);
        return 1;
    }
    return 0;
}

void pl_stub_count(const char *folder, uint64_t *ret_taken, uint64_t *ret_odd, uint64_t *ret_twice)
{
    char path[500], line[200];
    uint64_t saved = 0;
    FILE *file;

    *ret_taken = *ret_odd = *ret_twice = 0;
    snprintf(path, sizeof path, "%s/trained.log", folder);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        const uint64_t n = strtoull(line + 1, NULL, 10);

        *ret_taken += line[0] == 'T';
        *ret_odd += line[0] == 'X';
        *ret_twice += line[0] == 'T' && n < saved;
        if (line[0] == 'S')
            saved = n;
    }
    if (file)
        fclose(file);
}
