#include "learner/identity.h"

#include "common/app/agreement.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/pulse.h"
#include "common/link/run_note.h"
#include "common/math/gemm.h"
#include "common/text/chat.h"
#include "learner/state.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { TEXT_MAX = 1 << 24, FILE_MAX = 1 << 20, HEX = 65 };

static int no_memory(struct pl_error *err)
{
    return pl_fail(err, PL_ENOMEM, "no memory to compare the run with its checkpoint");
}

/* ---- the folder's id ---- */

static int draw_id(const char *path, char ret_id[PL_RUN_ID + 1], struct pl_error *err)
{
    unsigned char bytes[PL_RUN_ID / 2];
    char line[PL_RUN_ID + 2];
    struct pl_outfile out;
    int rc;

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return pl_fail_errno(err, "draw the id of the run");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(ret_id + 2 * i, 3, "%02x", bytes[i]);
    snprintf(line, sizeof line, "%s\n", ret_id);
    rc = pl_outfile_open(path, &out, err);
    if (rc < 0)
        return rc;
    rc = pl_outfile_write(&out, line, strlen(line), err);
    if (rc < 0)
        pl_outfile_abort(&out);
    else
        rc = pl_outfile_commit(&out, err);
    return rc;
}

static int read_id(const char *dir, char ret_id[PL_RUN_ID + 1], struct pl_error *err)
{
    char *path = pl_strf("%s/run_id", dir), *text = NULL;
    struct pl_life life = {{0}, 0};
    size_t len = 0;
    int rc = path ? pl_file_read(path, 256, &text, &len, err) : no_memory(err);

    if (rc == PL_ENOENT)
        rc = draw_id(path, ret_id, err);
    if (rc < 0 || !text)
        goto out;
    text[strcspn(text, "\r\n")] = '\0';
    rc = pl_life_take(&life, text, 1, err);
    if (rc == PL_OK && !life.run_id[0])
        rc = pl_fail(err, PL_EFORMAT, "it is empty");
    if (rc < 0)
        pl_fail_in(err, rc, "'%s'", path);
    else
        memcpy(ret_id, life.run_id, sizeof life.run_id);
out:
    free(text);
    free(path);
    return rc;
}

/* ---- hashes ---- */

static int begin(EVP_MD_CTX **ret_context)
{
    *ret_context = EVP_MD_CTX_new();
    return *ret_context && EVP_DigestInit_ex(*ret_context, EVP_sha256(), NULL) == 1 ? PL_OK
                                                                                    : PL_ENOMEM;
}

static void add(EVP_MD_CTX *context, const void *bytes, size_t len)
{
    PL_ASSERT(EVP_DigestUpdate(context, bytes, len) == 1);
}

/* With its length, so that two texts are not one. */
static void add_text(EVP_MD_CTX *context, const char *text)
{
    const uint64_t len = text ? strlen(text) : UINT64_MAX;

    add(context, &len, sizeof len);
    if (text)
        add(context, text, strlen(text));
}

static void add_number(EVP_MD_CTX *context, uint64_t n)
{
    add(context, &n, sizeof n);
}

static void end(EVP_MD_CTX *context, char ret_hex[HEX])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    PL_ASSERT(EVP_DigestFinal_ex(context, hash, &n) == 1 && n == 32);
    for (unsigned i = 0; i < n; i++)
        snprintf(ret_hex + (size_t)2 * i, 3, "%02x", hash[i]);
}

static void add_truth(EVP_MD_CTX *context, const struct pl_truth *truth)
{
    add_text(context, truth->answer);
    add_number(context, truth->alias_count);
    for (size_t i = 0; i < truth->alias_count; i++)
        add_text(context, truth->aliases[i]);
}

/* What a verifier goes by: of a task that the user's program decides all of it. */
static void add_task(EVP_MD_CTX *context, const struct pl_task *task)
{
    add_text(context, task->verifier);
    add_truth(context, &task->final);
    add_number(context, task->step_count);
    for (size_t i = 0; i < task->step_count; i++)
        add_truth(context, &task->steps[i]);
    add_number(context, task->ordered);
    add_number(context, task->choice_count);
    for (size_t i = 0; i < task->choice_count; i++)
        add_text(context, task->choices[i]);
    if (strcmp(task->verifier, "exec") == 0)
        add(context, task->line, task->line_len);
}

/* `whole`: each line as it stands, too. */
static int hash_prompts(const struct pl_prompts *prompts, bool whole, char ret_hex[HEX])
{
    EVP_MD_CTX *context;
    int rc = begin(&context);

    for (size_t i = 0; rc == PL_OK && i < prompts->count; i++) {
        const struct pl_prompt *p = &prompts->list[i];

        add_number(context, p->len);
        add(context, p->ids, p->len * sizeof *p->ids);
        add_task(context, p->task);
        if (whole)
            add(context, p->task->line, p->task->line_len);
        pl_pulse();
    }
    if (rc == PL_OK)
        end(context, ret_hex);
    EVP_MD_CTX_free(context);
    return rc;
}

static int hash_tensor(const struct pl_weights *weights, const struct pl_tensor *t,
                       unsigned char ret[32])
{
    uint16_t *rows = pl_alloc(PL_PANEL * t->cols, sizeof *rows);
    unsigned char hash[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context;
    unsigned n = 0;
    int rc = begin(&context);

    if (!rows)
        rc = PL_ENOMEM;
    for (size_t row = 0; rc == PL_OK && row < t->rows; row += PL_PANEL) {
        const size_t count = t->rows - row < PL_PANEL ? t->rows - row : PL_PANEL;

        pl_weights_get(weights, t, row, count, rows);
        add(context, rows, count * t->cols * sizeof *rows);
    }
    if (rc == PL_OK) {
        PL_ASSERT(EVP_DigestFinal_ex(context, hash, &n) == 1 && n == 32);
        memcpy(ret, hash, 32);
    }
    EVP_MD_CTX_free(context);
    free(rows);
    return rc;
}

/* Over the SHA-256 of each tensor, in the order of the shape. */
static int hash_weights(const struct pl_weights *weights, char ret_hex[HEX])
{
    const struct pl_shape *shape = weights->shape;
    unsigned char(*hashes)[32] = pl_alloc(shape->count, sizeof *hashes);
    int failed = 0, rc;

    if (!hashes)
        return PL_ENOMEM;
#pragma omp parallel for schedule(dynamic) reduction(| : failed)
    for (size_t i = 0; i < shape->count; i++) {
        if (!failed)
            failed |= hash_tensor(weights, &shape->tensors[i], hashes[i]) < 0;
        pl_pulse();
    }
    rc = failed ? PL_ENOMEM : pl_agreement_hash(hashes, shape->count * sizeof *hashes, ret_hex);
    free(hashes);
    return rc;
}

/* The text of the template, wherever it is; "" where it is one that plait has. */
static int hash_template(const struct pl_run_conf *conf, char ret_hex[HEX], struct pl_error *err)
{
    const bool given = conf->template_file[0];
    char *path = given ? strdup(conf->template_file) : pl_strf("%s/" PL_CHAT_FILE, conf->model);
    char *text = NULL;
    size_t len = 0;
    int rc = path ? pl_file_read(path, FILE_MAX, &text, &len, err) : no_memory(err);

    if (rc == PL_ENOENT && !given)
        rc = PL_OK;
    if (rc == PL_OK && pl_agreement_hash(text ? text : "", len, ret_hex) < 0)
        rc = no_memory(err);
    free(text);
    free(path);
    return rc;
}

/* ---- rows ---- */

static int set_row(json_t *rows, const char *name, const char *value, struct pl_error *err)
{
    return json_object_set_new(rows, name, json_string(value)) < 0 ? no_memory(err) : PL_OK;
}

static const char model_row[] = "model weights", critic_row[] = "critic weights",
                  verifier_row[] = "verifier";

/* Of the weights that the run began with: they are the reference, where there is one, and else only
 * known from then on. */
static int add_weights(struct pl_identity *id, const struct pl_identity_opts *o, const json_t *was,
                       struct pl_error *err)
{
    const struct pl_models *m = o->models;
    const struct pl_weights *first = m->reference    ? m->reference
                                     : o->checkpoint ? NULL
                                                     : m->weights;
    json_t *model = json_object_get(was, model_row), *critic = json_object_get(was, critic_row);
    char hex[HEX];
    int rc = PL_OK;

    if (first) {
        rc = hash_weights(first, hex) < 0 ? no_memory(err) : set_row(id->rows, model_row, hex, err);
    } else if (model && json_object_set(id->rows, model_row, model) < 0) {
        rc = no_memory(err);
    }
    if (rc == PL_OK && m->critic.weights && !o->checkpoint)
        rc = hash_weights(m->critic.weights, hex) < 0 ? no_memory(err)
                                                      : set_row(id->rows, critic_row, hex, err);
    else if (rc == PL_OK && m->critic.weights && critic &&
             json_object_set(id->rows, critic_row, critic) < 0)
        rc = no_memory(err);
    return rc;
}

static int add_texts(struct pl_identity *id, const struct pl_identity_opts *o, struct pl_error *err)
{
    const char *instruction = o->train->instruction;
    char hex[HEX], value[HEX + 40];
    int rc = hash_prompts(o->train, false, hex) < 0 ? no_memory(err) : PL_OK;

    if (rc == PL_OK) {
        snprintf(value, sizeof value, "%zu tasks, %s", o->train->count, hex);
        rc = set_row(id->rows, "train prompts", value, err);
    }
    if (rc == PL_OK)
        rc = pl_agreement_tokenizer(o->conf->model, hex, err);
    if (rc == PL_OK)
        rc = set_row(id->rows, "tokenizer", hex, err);
    if (rc == PL_OK && instruction && pl_agreement_hash(instruction, strlen(instruction), hex) < 0)
        rc = no_memory(err);
    if (rc == PL_OK)
        rc = set_row(id->rows, "instruction", instruction ? hex : "none", err);
    if (rc == PL_OK)
        rc = hash_template(o->conf, hex, err);
    return rc == PL_OK ? set_row(id->rows, "template", hex, err) : rc;
}

/* Of the program that decides answers; a checkpoint of an earlier plait does not say it, and the
 * run has it from then on. */
static int add_verifier(struct pl_identity *id, const struct pl_run_conf *conf, json_t *was,
                        struct pl_error *err)
{
    char hex[HEX];
    int rc = pl_agreement_verifier(conf, hex, err);

    if (rc < 0 || !hex[0])
        return rc;
    rc = set_row(id->rows, verifier_row, hex, err);
    return rc == PL_OK && was && !json_object_get(was, verifier_row)
               ? set_row(was, verifier_row, hex, err)
               : rc;
}

static int add_blas(struct pl_identity *id, struct pl_error *err)
{
    char version[64];
    int rc = set_row(id->rows, "BLAS kernel", pl_blas_core(), err);

    pl_blas_version(version, sizeof version);
    snprintf(id->blas, sizeof id->blas, "%s %s", version, pl_blas_core());
    return rc == PL_OK ? set_row(id->rows, "OpenBLAS", version, err) : rc;
}

/* What actors and rewarders compare with theirs. */
static int set_roles(struct pl_identity *id, const struct pl_identity_opts *o, struct pl_error *err)
{
    const char *tokenizer = json_string_value(json_object_get(id->rows, "tokenizer"));
    const char *verifier = json_string_value(json_object_get(id->rows, verifier_row));
    struct pl_buf rewarder, sizes;
    int rc;

    pl_buf_init(&rewarder, TEXT_MAX);
    pl_buf_init(&sizes, TEXT_MAX);
    rc = pl_config_sizes(&o->models->shape->config, &sizes);
    if (rc == PL_OK)
        rc = pl_agreement_lines(o->conf, PL_DEPENDS_ACTOR | PL_DEPENDS_REWARDER, sizes.data,
                                tokenizer, verifier, &id->roles);
    if (rc == PL_OK)
        rc = pl_agreement_lines(o->conf, PL_DEPENDS_REWARDER, NULL, tokenizer, verifier, &rewarder);
    if (rc == PL_OK)
        id->rewarder_sum = pl_agreement_sum(rewarder.data, rewarder.len);
    pl_buf_release(&rewarder);
    pl_buf_release(&sizes);
    return rc < 0 ? no_memory(err) : PL_OK;
}

/* Everything that is fed, whether it enters the bits or not. */
static int set_agree(struct pl_identity *id, const struct pl_identity_opts *o, struct pl_error *err)
{
    const struct pl_run_conf *c = o->conf;
    char *rows = json_dumps(id->rows, JSON_SORT_KEYS), train[HEX], val[HEX];
    struct pl_buf all;
    int rc = rows ? PL_OK : PL_ENOMEM;

    pl_buf_init(&all, TEXT_MAX);
    if (rc == PL_OK)
        rc = hash_prompts(o->train, true, train);
    if (rc == PL_OK)
        rc = hash_prompts(o->val, true, val);
    if (rc == PL_OK)
        rc = pl_buf_printf(&all, "%s\n%s%s %s %zu %zu %.17g", rows, id->roles.data, train, val,
                           c->val_tasks_max, c->val_samples, c->val_temperature);
    if (rc == PL_OK)
        rc = pl_agreement_hash(all.data, all.len, id->agree);
    pl_buf_release(&all);
    free(rows);
    return rc < 0 ? no_memory(err) : PL_OK;
}

/* ---- against the checkpoint ---- */

/* A setting that is in one of the two only has its default in the other. */
static int fill_defaults(json_t *rows, const json_t *other)
{
    const char *key;
    json_t *value;
    int rc = PL_OK;

    json_object_foreach((json_t *)other, key, value)
    {
        struct pl_buf text;

        if (rc < 0 || json_object_get(rows, key))
            continue;
        pl_buf_init(&text, TEXT_MAX);
        rc = pl_agreement_default(key, &text);
        if (rc == PL_OK && json_object_set_new(rows, key, json_string(text.data)) < 0)
            rc = PL_ENOMEM;
        if (rc == PL_ENOENT) /* no setting */
            rc = PL_OK;
        pl_buf_release(&text);
    }
    return rc;
}

static int differences(const json_t *was, const json_t *is, struct pl_buf *out, size_t *ret_count)
{
    json_t *before = json_copy((json_t *)was), *now = json_copy((json_t *)is);
    int rc = before && now ? fill_defaults(before, is) : PL_ENOMEM;

    if (rc == PL_OK)
        rc = fill_defaults(now, was);
    if (rc == PL_OK)
        rc = pl_state_differences(before, now, out, ret_count);
    json_decref(before);
    json_decref(now);
    return rc;
}

static int compare(struct pl_identity *id, const struct pl_identity_opts *o, const json_t *was,
                   struct pl_error *err)
{
    const bool go_on = o->conf->resume == PL_RESUME_CHANGED;
    const bool old = json_object_get(was, "config_sha256") != NULL;
    struct pl_buf text;
    size_t count = 0;
    int rc;

    if (old && !go_on)
        return pl_fail(err, PL_EINVAL,
                       "'%s' is of an earlier plait, which kept a hash of the settings instead of "
                       "the settings, so that nobody can tell what differs: if nothing that enters "
                       "the bits does, go on with trainer.resume=changed",
                       o->checkpoint);
    pl_buf_init(&text, TEXT_MAX);
    rc = old ? pl_buf_puts(&text, "what it was is not known")
             : differences(was, id->rows, &text, &count);
    id->changed = old || count > 0;
    if (rc < 0)
        no_memory(err);
    else if (count > 0 && !go_on)
        rc = pl_fail(err, PL_EINVAL,
                     "'%s' was made otherwise: %.400s%s; set it back, or go on with "
                     "trainer.resume=changed",
                     o->checkpoint, text.data, text.len > 400 ? " ..." : "");
    if (id->changed)
        pl_log(go_on ? PL_LEVEL_WARN : PL_LEVEL_ERROR,
               "resume event=%s checkpoint=\"%s\" rows=\"%s\"", go_on ? "changed" : "refused",
               o->checkpoint, text.data);
    pl_buf_release(&text);
    return rc;
}

int pl_identity_open(struct pl_identity *identity, const struct pl_identity_opts *opts,
                     struct pl_error *err)
{
    struct pl_identity *id = identity;
    json_t *was = NULL;
    int rc;

    *id = (struct pl_identity){.dir = realpath(opts->conf->dir, NULL)};
    pl_buf_init(&id->roles, TEXT_MAX);
    rc = id->dir ? read_id(opts->conf->dir, id->life.run_id, err)
                 : pl_fail_errno(err, "find folder '%s'", opts->conf->dir);
    if (rc == PL_OK && pl_agreement_bits(opts->conf, &id->rows) < 0)
        rc = no_memory(err);
    if (rc == PL_OK)
        rc = add_texts(id, opts, err);
    if (rc == PL_OK)
        rc = add_blas(id, err);
    if (rc == PL_OK && opts->checkpoint)
        rc = pl_state_agreed(opts->checkpoint, &was, err);
    if (rc == PL_OK)
        rc = add_verifier(id, opts->conf, was, err);
    if (rc == PL_OK)
        rc = add_weights(id, opts, was, err);
    if (rc == PL_OK)
        rc = set_roles(id, opts, err);
    if (rc == PL_OK)
        rc = set_agree(id, opts, err);
    if (rc == PL_OK && was)
        rc = compare(id, opts, was, err);
    if (rc == PL_OK && opts->checkpoint)
        rc = pl_savepoint_life(opts->checkpoint, &id->from_life, err);
    json_decref(was);
    return rc;
}

void pl_identity_close(struct pl_identity *identity)
{
    json_decref(identity->rows);
    pl_buf_release(&identity->roles);
    free(identity->dir);
    *identity = (struct pl_identity){0};
}

/* ---- against Redis ---- */

static int refuse(const struct pl_identity *id, const struct pl_run_conf *conf,
                  const struct pl_run_note *note, struct pl_error *err)
{
    return pl_fail(err, PL_EINVAL,
                   "Redis holds the run '%s' of folder '%s' (on %s), and this is one of '%s': give "
                   "this one another run.name; or, if that one is over, go on with "
                   "run.takeover=%s, by which all that Redis has of it goes",
                   conf->name, note->dir, note->host[0] ? note->host : "another host", id->dir,
                   note->life.run_id);
}

/* A run that has saved something does not begin again because a folder was emptied or a volume is
 * not there: what it made would be made again, over what is left. */
static int check_lost(const struct pl_identity *id, const struct pl_run_conf *conf,
                      const struct pl_run_note *note, struct pl_error *err)
{
    const bool known = note->there && strcmp(note->life.run_id, id->life.run_id) == 0;

    if (id->from_life > 0 || !known || note->saved_step == 0)
        return PL_OK;
    if (conf->resume == PL_RESUME_CHANGED) {
        pl_warn("resume event=begins_again saved_step=%llu reason=\"there is no checkpoint\"",
                (unsigned long long)note->saved_step);
        return PL_OK;
    }
    return pl_fail(err, PL_EINVAL,
                   "Redis knows that this run had saved step %llu, and '%s/checkpoints' holds no "
                   "checkpoint: put it back, or begin again at step 0 with trainer.resume=changed",
                   (unsigned long long)note->saved_step, id->dir);
}

/* Chooses the life. *ret_purge: what Redis holds of batches to come is of no use. */
static int choose(struct pl_identity *id, const struct pl_run_conf *conf,
                  const struct pl_run_note *note, bool *ret_purge, struct pl_error *err)
{
    const uint64_t own = id->from_life + (id->changed || id->from_life == 0);
    /* In latest mode a sample made by a version that is trained again is of a policy that never
     * was. */
    const bool usable = strcmp(note->agree, id->agree) == 0 &&
                        !(conf->rollout_mode == PL_ROLLOUT_LATEST && note->step > id->from_step);
    char base[64];

    snprintf(base, sizeof base, "%llu:%llu", (unsigned long long)id->from_life,
             (unsigned long long)id->from_step);
    id->life.number = own;
    snprintf(id->base, sizeof id->base, "%s", own == 1 ? "0:0" : base);
    *ret_purge = note->used;
    if (!note->there)
        return PL_OK;
    if (strcmp(note->life.run_id, id->life.run_id) != 0)
        return strcmp(conf->takeover, note->life.run_id) == 0 ? PL_OK : refuse(id, conf, note, err);
    *ret_purge = false;
    if (usable && ((!id->changed && note->life.number == id->from_life) ||
                   strcmp(note->base, base) == 0)) { /* begun, and not come to a checkpoint */
        id->life.number = note->life.number;
        snprintf(id->base, sizeof id->base, "%s", note->base);
        return PL_OK;
    }
    *ret_purge = true;
    snprintf(id->base, sizeof id->base, "%s", base);
    id->life.number = (note->life.number > id->from_life ? note->life.number : id->from_life) + 1;
    return PL_OK;
}

static int tell(const struct pl_identity *id, struct pl_queues *stream, struct pl_error *err)
{
    return pl_run_note_write(stream,
                             &(struct pl_run_said){.life = &id->life,
                                                   .base = id->base,
                                                   .agree = id->agree,
                                                   .settings = id->roles.data,
                                                   .dir = id->dir,
                                                   .blas = id->blas},
                             err);
}

int pl_identity_settle(struct pl_identity *identity, const struct pl_run_conf *conf,
                       struct pl_queues *stream, struct pl_error *err)
{
    struct pl_rewound rewound = {0};
    struct pl_run_note note = {0};
    bool purge = false, other;
    char saved[32];
    int rc = pl_run_note_read(stream, &note, err);

    if (rc < 0)
        return rc;
    rc = check_lost(identity, conf, &note, err);
    if (rc == PL_OK)
        rc = choose(identity, conf, &note, &purge, err);
    other = note.there && strcmp(note.life.run_id, identity->life.run_id) != 0;
    if (rc == PL_OK) /* of another run nothing is kept */
        rc = pl_queues_rewind(stream, other ? 0 : identity->from_step, purge, &rewound, err);
    if (rc == PL_OK)
        rc = tell(identity, stream, err);
    /* A full Redis takes no note until this learner has trained and let go of what fills it; what it
     * has noted of this life stands. */
    if (rc == PL_EFULL && !other && note.life.number == identity->life.number)
        rc = PL_OK;
    if (rc == PL_OK) { /* after the run is told: a step that is not there would forbid a start */
        snprintf(saved, sizeof saved, "%llu", (unsigned long long)identity->from_step);
        rc = pl_queues_note(stream, "run", &(struct pl_field){"saved_step", saved}, 1, err);
        rc = rc == PL_EFULL ? PL_OK : rc;
    }
    if (rc == PL_OK && (purge || rewound.batches + rewound.groups > 0))
        pl_warn("redis event=rewound step=%llu of=%llu life=%llu batches=%zu groups=%zu kept=%s",
                (unsigned long long)identity->from_step, (unsigned long long)note.step,
                (unsigned long long)identity->life.number, rewound.batches, rewound.groups,
                purge ? "no" : "yes");
    if (rc == PL_OK)
        pl_info("run run_id=%s life=%llu step=%llu agree=%.12s", identity->life.run_id,
                (unsigned long long)identity->life.number, (unsigned long long)identity->from_step,
                identity->agree);
    pl_run_note_release(&note);
    return rc;
}

int pl_identity_keep(const struct pl_identity *identity, struct pl_queues *stream, uint64_t step,
                     struct pl_error *err)
{
    struct pl_rewound rewound = {0};
    struct pl_run_note note;
    bool said, older;
    int rc = pl_run_note_read(stream, &note, err);

    if (rc < 0)
        return rc;
    said = note.current && pl_life_same(&note.life, &identity->life) &&
           strcmp(note.agree, identity->agree) == 0 &&
           strcmp(note.settings, identity->roles.data) == 0;
    older = note.there && strcmp(note.life.run_id, identity->life.run_id) == 0 &&
            note.life.number < identity->life.number;
    pl_run_note_release(&note);
    /* It went back to a time before this life: nobody would work on what it holds of that one. */
    if (older)
        rc = pl_queues_rewind(stream, step, true, &rewound, err);
    if (rc == PL_OK && older)
        pl_warn(
            "redis event=rewound step=%llu life=%llu batches=%zu groups=%zu reason=\"it went back "
            "to an earlier life of the run\"",
            (unsigned long long)step, (unsigned long long)identity->life.number, rewound.batches,
            rewound.groups);
    return rc < 0 || said ? rc : tell(identity, stream, err);
}
