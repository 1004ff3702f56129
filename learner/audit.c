#include "learner/audit.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/model/sampler.h"
#include "learner/head.h"
#include "learner/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { KEY_BYTES = 32 };

struct pl_audit {
    struct pl_audit_opts opts;
    unsigned char key[KEY_BYTES];
    struct pl_sampler *sampler;
    struct pl_draw *draws; /* (predictions) */
    uint32_t *drawn;       /* (predictions) by number of the prediction */
    /* the group that is looked at */
    const struct pl_rollouts *rollouts;
    const struct pl_rollout_group *group;
    const struct pl_pack *pack;
    size_t first_sample;
};

/* ---- the key ---- */

static int draw_key(const char *path, unsigned char key[KEY_BYTES], struct pl_error *err)
{
    int fd;

    if (getrandom(key, KEY_BYTES, 0) != KEY_BYTES)
        return pl_fail_errno(err, "draw a key");
    if (unlink(path) < 0 && errno != ENOENT)
        return pl_fail_errno(err, "remove '%s'", path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return pl_fail_errno(err, "open '%s'", path);
    if (write(fd, key, KEY_BYTES) != KEY_BYTES || fsync(fd) < 0) {
        pl_fail_errno(err, "write '%s'", path);
        close(fd);
        return PL_EIO;
    }
    close(fd);
    return PL_OK;
}

/* One that was torn is no key: which groups are looked at may change. */
static int read_key(const char *dir, unsigned char key[KEY_BYTES], struct pl_error *err)
{
    char *path = pl_strf("%s/audit.key", dir), *data = NULL;
    struct pl_error why = {0};
    size_t len = 0;
    int rc = path ? pl_file_read(path, 4096, &data, &len, &why)
                  : pl_fail(&why, PL_ENOMEM, "no memory for the audits");

    if (rc == PL_OK && len == KEY_BYTES)
        memcpy(key, data, KEY_BYTES);
    else if (rc == PL_OK || rc == PL_ENOENT)
        rc = draw_key(path, key, err);
    else
        pl_fail(err, rc, "%s", why.text);
    free(data);
    free(path);
    return rc;
}

bool pl_audit_picks(const struct pl_audit *audit, enum pl_purpose purpose, uint64_t batch,
                    uint32_t index)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char what[64];
    uint64_t number = 0;
    unsigned n = 0;
    const int len = snprintf(what, sizeof what, "%d %llu %lu", (int)purpose,
                             (unsigned long long)batch, (unsigned long)index);

    if (audit->opts.share >= 1.0)
        return true;
    if (!HMAC(EVP_sha256(), audit->key, KEY_BYTES, (unsigned char *)what, (size_t)len, digest, &n))
        return true; /* rather one too many */
    for (size_t i = 0; i < 8; i++)
        number = number << 8 | digest[i];
    return (double)number * 0x1p-64 < audit->opts.share;
}

int pl_audit_create(const struct pl_audit_opts *opts, struct pl_audit **ret_audit,
                    struct pl_error *err)
{
    struct pl_audit *a = calloc(1, sizeof *a);
    int rc;

    if (!a)
        return pl_fail(err, PL_ENOMEM, "no memory for the audits");
    a->opts = *opts;
    a->opts.dir = NULL;
    a->draws = pl_alloc(opts->predictions, sizeof *a->draws);
    a->drawn = pl_alloc(opts->predictions, sizeof *a->drawn);
    rc = a->draws && a->drawn ? read_key(opts->dir, a->key, err)
                              : pl_fail(err, PL_ENOMEM, "no memory for the audits");
    if (rc == PL_OK)
        rc = pl_sampler_create(opts->vocab, (size_t)omp_get_max_threads(), &a->sampler, err);
    if (rc < 0) {
        pl_audit_destroy(a);
        return rc;
    }
    *ret_audit = a;
    return PL_OK;
}

void pl_audit_destroy(struct pl_audit *audit)
{
    if (!audit)
        return;
    pl_sampler_destroy(audit->sampler);
    free(audit->draws);
    free(audit->drawn);
    free(audit);
}

/* ---- drawing again ---- */

/* What the engine draws at every position of these rows. */
static void draw_rows(void *at, const float *logits, const uint32_t *first, size_t n)
{
    struct pl_audit *a = at;
    const struct pl_rollout_group *g = a->group;
    const struct pl_rng rng = pl_rollout_group_rng(g);
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        for (size_t p = first[i]; p < first[i + 1]; p++) {
            const struct pl_prediction *prediction = &a->pack->predictions[p];
            struct pl_draw *draw = &a->draws[count++];

            *draw = (struct pl_draw){.logits = logits + i * a->opts.vocab,
                                     .sampling = {g->temperature, g->top_k, g->top_p, g->min_p},
                                     .rng = rng,
                                     .position = prediction->index};
            draw->rng.sample += (uint32_t)(prediction->sample - a->first_sample);
        }
    PL_ASSERT(count <= a->opts.predictions);
    pl_sampler_draw(a->sampler, a->draws, count);
    for (size_t i = 0; i < count; i++)
        a->drawn[first[0] + i] = a->draws[i].broken ? UINT32_MAX : a->draws[i].id;
}

static void compare(const struct pl_audit *a, const float *logp, struct pl_audit_finding *f)
{
    for (size_t p = 0; p < a->pack->prediction_count; p++) {
        const struct pl_prediction *at = &a->pack->predictions[p];
        const float recorded = a->rollouts->sampled[a->rollouts->first[at->sample] + at->index];
        const double off = fabs((double)recorded - (double)logp[p]);
        const bool other = a->drawn[p] != at->target;

        f->tokens++;
        f->ids_off += other;
        f->sum += off;
        f->most = off > f->most || isnan(off) ? off : f->most;
        if (f->what[0])
            continue;
        if (other)
            snprintf(f->what, sizeof f->what, "token %u of sample %zu is id %u, drawn is id %u",
                     at->index, at->sample - a->first_sample, at->target, a->drawn[p]);
        else if (!(off <= a->opts.tolerance))
            snprintf(f->what, sizeof f->what,
                     "the log-probability of token %u of sample %zu is %.9g, computed is %.9g",
                     at->index, at->sample - a->first_sample, (double)recorded, (double)logp[p]);
    }
}

int pl_audit_group(struct pl_audit *audit, const struct pl_rollouts *rollouts, size_t g,
                   struct pl_trainer *trainer, struct pl_pack *pack,
                   const struct pl_weights *weights, struct pl_audit_finding *ret_finding,
                   struct pl_error *err)
{
    struct pl_audit *a = audit;
    const struct pl_rollout_group *group = &rollouts->groups[g];
    const struct pl_sampling sampling = {group->temperature, group->top_k, group->top_p,
                                         group->min_p};
    const struct pl_head_watch watch = {a, draw_rows};
    struct pl_walk walk = {.group = g, .end = g + 1};
    struct pl_audit_finding f = {0};
    double most_ids = 0.0;
    int rc = pl_sampling_check(&sampling, err);

    if (rc < 0)
        return rc;
    a->rollouts = rollouts;
    a->group = group;
    a->pack = pack;
    a->first_sample = rollouts->group_first[g];
    while (pl_walk_next(&walk, rollouts, pack))
        compare(a, pl_trainer_watch(trainer, weights, pack, &watch), &f);
    if (a->opts.tolerance > 0.0)
        most_ids = 2.0 + 4.0 * a->opts.tolerance * (double)f.tokens;
    f.sound = f.most <= a->opts.tolerance && (double)f.ids_off <= most_ids;
    if (f.sound)
        f.what[0] = '\0';
    *ret_finding = f;
    return PL_OK;
}
