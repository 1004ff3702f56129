#include "deploy/paper/reproduce.h"

#include "common/base/buf.h"
#include "common/base/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64, TEXT_MAX = 1 << 16, NEW_TOKENS_A_TASK = 100 };

/* A command in the making: its words, and the strings that were made for them. */
struct words {
    const char *list[WORDS_MAX + 1];
    char *owned[WORDS_MAX];
    size_t count, owned_count;
    bool failed;
};

static void put(struct words *w, const char *word)
{
    if (!word || w->count == WORDS_MAX)
        w->failed = true;
    else
        w->list[w->count++] = word;
}

/* A word of its own, as printf() makes it. */
static const char *own(struct words *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static const char *own(struct words *w, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    if (!text || w->owned_count == WORDS_MAX) {
        free(text);
        w->failed = true;
        return "";
    }
    return w->owned[w->owned_count++] = text;
}

/* Words with blanks between. */
static void puts_all(struct words *w, const char *line)
{
    char *copy = (char *)own(w, "%s", line), *rest = NULL;

    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        put(w, word);
}

static const char *joined(struct words *w, const struct pl_option_list *list)
{
    const char *text = "";

    for (size_t i = 0; i < list->count; i++)
        text = i == 0 ? own(w, "%s", list->items[0]) : own(w, "%s,%s", text, list->items[i]);
    return text;
}

/* The words become a chore. */
static int add(struct pl_chores *chores, struct words *w, struct pl_chore chore,
               struct pl_error *err)
{
    int rc = w->failed ? pl_fail(err, PL_ENOMEM, "no memory to plan a reproduction") : PL_OK;

    if (rc == PL_OK) {
        chore.args = w->list;
        chore.weight = chore.weight ? chore.weight : 1;
        rc = pl_chores_add(chores, &chore, err);
    }
    for (size_t i = 0; i < w->owned_count; i++)
        free(w->owned[i]);
    return rc;
}

/* ---- problems ---- */

static const char forms[] = "interleave,think-answer,delayed,direct,cot";

struct problems {
    const char *name, *family, *sizes; /* sizes: the option that says how hard */
    const struct pl_option_list *list;
    size_t train, test; /* train 0: one file of `test` problems */
    const char *forms;
    double careful;
    uint64_t seed;
    const char *title;
};

static int add_problems(const struct pl_reproduce *r, struct pl_chores *chores,
                        const struct problems *p, struct pl_error *err)
{
    const struct pl_scale *s = r->scale;
    struct words w = {0};
    const char *at = own(&w, "%s/data/%s%s", r->dir, p->name, p->train ? "" : ".jsonl");

    puts_all(&w, own(&w, "data generate %s --%s %s --seed %llu --wording plain", p->family,
                     p->sizes, joined(&w, p->list), (unsigned long long)p->seed));
    if (strcmp(p->family, "arith") != 0)
        puts_all(&w, own(&w, "--names %zu", s->names));
    if (strcmp(p->family, "hops") == 0)
        puts_all(&w, own(&w, "--distractors %zu", s->distractors));
    if (p->train)
        puts_all(&w, own(&w, "--train %zu --test %zu --answers %s --careful-share %g", p->train,
                         p->test, p->forms, p->careful));
    else
        puts_all(&w, own(&w, "--count %zu", p->test));
    put(&w, "--output");
    put(&w, at);
    return add(chores, &w,
               (struct pl_chore){.name = own(&w, "data-%s", p->name),
                                 .title = p->title,
                                 .made = p->train ? own(&w, "%s/train.jsonl", at) : at,
                                 .weight = (p->train + p->test) / 10},
               err);
}

static int add_data(const struct pl_reproduce *r, struct pl_chores *chores, struct pl_error *err)
{
    const struct pl_scale *s = r->scale;
    const struct problems all[] = {
        {"kk", "kk", "people", &s->people, s->kk_train, s->kk_test, forms, s->careful_share, 1,
         "problems: kk"},
        {"hops", "hops", "hops", &s->hops, s->hops_train, s->hops_test, forms, s->careful_share, 2,
         "problems: hops"},
        {"arith", "arith", "ops", &s->ops, s->arith_train, s->arith_test, forms, s->careful_share,
         3, "problems: arith"},
        {"school-kk", "kk", "people", &s->people, s->kk_school, 1, forms, 1, 4,
         "proofs to read first: kk"},
        {"school-hops", "hops", "hops", &s->hops, s->hops_school, 1, forms, 1, 5,
         "proofs to read first: hops"},
        {"school-arith", "arith", "ops", &s->ops, s->arith_school, 1, forms, 1, 7,
         "proofs to read first: arith"},
        {"kk-unseen", "kk", "people", &s->people_unseen, 0, s->kk_unseen, NULL, 0, 6,
         "problems: kk, sizes never trained on"},
    };
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < sizeof all / sizeof *all; i++)
        rc = add_problems(r, chores, &all[i], err);
    return rc;
}

/* ---- the model to begin with ---- */

static const char *const families[] = {"kk", "hops", "arith"};
static const char *const schools[] = {"school-kk", "school-hops", "school-arith"};
enum { FAMILIES = 3 };

static int add_tokenizer(const struct pl_reproduce *r, struct pl_chores *chores,
                         struct pl_error *err)
{
    static const char *const marks[] = {"<think>",     "</think>",       "<answer>",
                                        "</answer>",   "<|interleave|>", "<|think-answer|>",
                                        "<|delayed|>", "<|direct|>",     "<|cot|>"};
    struct words w = {0};
    const char *at = own(&w, "%s/tokenizer", r->dir);

    puts_all(&w, own(&w, "tokenizer train --force --field prompt --field response --size %zu",
                     r->scale->tokens));
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        put(&w, "--token");
        put(&w, marks[i]);
    }
    put(&w, "--output");
    put(&w, at);
    for (size_t i = 0; i < FAMILIES; i++)
        put(&w, own(&w, "%s/data/%s/train-answers.jsonl", r->dir, schools[i]));
    return add(chores, &w,
               (struct pl_chore){.name = "tokenizer",
                                 .title = "training the tokenizer",
                                 .made = own(&w, "%s/tokenizer.json", at),
                                 .weight = 2000},
               err);
}

static int add_base(const struct pl_reproduce *r, struct pl_chores *chores, struct pl_error *err)
{
    struct words w = {0};
    const char *at = own(&w, "%s/base", r->dir);

    puts_all(&w, "model init");
    put(&w, own(&w, "%s/config.json", r->dir));
    put(&w, at);
    put(&w, "--tokenizer");
    put(&w, own(&w, "%s/tokenizer", r->dir));
    return add(
        chores, &w,
        (struct pl_chore){.name = "base", .title = "a model with random weights", .made = at}, err);
}

/* Fine-tuning of `model` on the worked answers of `count` folders of data. */
struct lesson {
    const char *name, *title, *model, *at;
    const char *const *data;
    size_t count, steps, rows;
    double lr;
};

static int add_lesson(const struct pl_reproduce *r, struct pl_chores *chores,
                      const struct lesson *l, struct pl_error *err)
{
    struct words w = {0};

    put(&w, "sft");
    put(&w, own(&w, "%s/%s", r->dir, l->model));
    for (size_t i = 0; i < l->count; i++)
        put(&w, own(&w, "%s/data/%s/train-answers.jsonl", r->dir, l->data[i]));
    puts_all(&w, own(&w, "--resume --keep 1 --steps %zu --batch-size %zu --lr %g --save-every %zu",
                     l->steps, l->rows, l->lr, (l->steps + 7) / 8));
    put(&w, "--template");
    put(&w, own(&w, "%s/prompt_template.txt", r->dir));
    put(&w, "--output");
    put(&w, own(&w, "%s/%s", r->dir, l->at));
    return add(chores, &w,
               (struct pl_chore){.name = l->name,
                                 .title = l->title,
                                 .made = own(&w, "%s/%s/model", r->dir, l->at),
                                 .watch = own(&w, "%s/%s/metrics.jsonl", r->dir, l->at),
                                 .steps = l->steps,
                                 .weight = l->steps * l->rows},
               err);
}

/* ---- the rows ---- */

size_t pl_reproduce_seeds(const struct pl_reproduce *r, const struct pl_grid_row *row)
{
    return pl_grid_every_seed(row) ? r->seed_count : 1;
}

char *pl_reproduce_name(const struct pl_reproduce *r, const struct pl_grid_row *row, size_t s)
{
    return pl_strf("%s-%llu", row->name, (unsigned long long)r->seeds[s]);
}

char *pl_reproduce_before(enum pl_method method)
{
    return pl_strf("before-%s", pl_method_name(method));
}

static int add_training(const struct pl_reproduce *r, struct pl_chores *chores,
                        const struct pl_grid_row *row, size_t s, struct pl_error *err)
{
    const struct pl_scale *scale = r->scale;
    char *name = pl_reproduce_name(r, row, s);
    struct words w = {0};

    put(&w, "up");
    put(&w, own(&w, "%s/small/%s.yaml", r->recipes, row->name));
    put(&w, own(&w, "run.dir=%s/runs/%s", r->dir, name));
    put(&w, own(&w, "run.seed=%llu", (unsigned long long)r->seeds[s]));
    put(&w, own(&w, "model.path=%s/warm-start/model", r->dir));
    put(&w, own(&w, "data.train_files=%s/data/kk/train.jsonl,%s/data/hops/train.jsonl", r->dir,
                r->dir));
    put(&w, own(&w, "trainer.total_training_steps=%zu", scale->steps));
    for (size_t i = 0; i < scale->train.count; i++)
        put(&w, scale->train.items[i]);
    const int rc =
        add(chores, &w,
            (struct pl_chore){.name = own(&w, "train-%s", name),
                              .title = own(&w, "training %s, seed %llu", row->name,
                                           (unsigned long long)r->seeds[s]),
                              .made = own(&w, "%s/runs/%s/model", r->dir, name),
                              .watch = own(&w, "%s/runs/%s/metrics.jsonl", r->dir, name),
                              .steps = scale->steps,
                              .weight = scale->steps * 200 * (strstr(row->name, "ppo") ? 2 : 1)},
            err);

    free(name);
    return rc;
}

static int add_eval(const struct pl_reproduce *r, struct pl_chores *chores, const char *name,
                    const char *title, const char *model, enum pl_method method,
                    struct pl_error *err)
{
    const struct pl_scale *s = r->scale;
    struct words w = {0};

    puts_all(&w, own(&w, "eval --json --quiet --method %s --max-tokens %zu", pl_method_name(method),
                     s->answer_tokens));
    for (size_t i = 0; i < FAMILIES; i++) {
        put(&w, "--data");
        put(&w, own(&w, "%s/data/%s/test.jsonl", r->dir, families[i]));
    }
    put(&w, "--data");
    put(&w, own(&w, "%s/data/kk-unseen.jsonl", r->dir));
    put(&w, "--out");
    put(&w, own(&w, "%s/evals/%s.jsonl", r->dir, name));
    put(&w, model);
    return add(chores, &w,
               (struct pl_chore){.name = own(&w, "eval-%s", name),
                                 .title = own(&w, "measuring %s", title),
                                 .made = own(&w, "%s/evals/%s.json", r->dir, name),
                                 .prints = true,
                                 .weight = s->kk_test + s->hops_test + s->arith_test},
               err);
}

static int add_row(const struct pl_reproduce *r, struct pl_chores *chores,
                   const struct pl_grid_row *row, size_t s, struct pl_error *err)
{
    char *name = pl_reproduce_name(r, row, s);
    char *model = !name                       ? NULL
                  : row->kind == PL_GRID_BASE ? pl_strf("%s/warm-start/model", r->dir)
                                              : pl_strf("%s/runs/%s/model", r->dir, name);
    char *at = name ? pl_strf("runs/%s", name) : NULL;
    char *title = row->kind == PL_GRID_TRAIN
                      ? pl_strf("%s, seed %llu", row->name, (unsigned long long)r->seeds[s])
                      : pl_strf("%s", row->name);
    int rc = name && model && at && title ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for a plan");

    if (rc == PL_OK && row->kind == PL_GRID_SFT)
        rc = add_lesson(
            r, chores,
            &(struct lesson){.name = row->name,
                             .title = "training sft on worked answers, all of them proofs",
                             .model = "warm-start/model",
                             .at = at,
                             .data = schools,
                             .count = FAMILIES,
                             .steps = r->scale->sft_steps,
                             .rows = r->scale->sft_rows,
                             .lr = r->scale->sft_lr},
            err);
    else if (rc == PL_OK && row->kind == PL_GRID_TRAIN)
        rc = add_training(r, chores, row, s, err);
    if (rc == PL_OK)
        rc = add_eval(r, chores, name, title, model, row->method, err);
    free(title);
    free(at);
    free(model);
    free(name);
    return rc;
}

/* What the trained forms were before. */
static int add_before(const struct pl_reproduce *r, struct pl_chores *chores, enum pl_method method,
                      struct pl_error *err)
{
    char *name = pl_reproduce_before(method), *model = pl_strf("%s/warm-start/model", r->dir);
    char *title = pl_strf("the warm start, asked for %s", pl_method_name(method));
    const int rc = name && model && title ? add_eval(r, chores, name, title, model, method, err)
                                          : pl_fail(err, PL_ENOMEM, "no memory for a plan");

    free(title);
    free(model);
    free(name);
    return rc;
}

int pl_reproduce_plan(const struct pl_reproduce *r, struct pl_chores *chores, struct pl_error *err)
{
    const struct lesson school = {.name = "school",
                                  .title = "school: training on worked answers that are proofs",
                                  .model = "base",
                                  .at = "school",
                                  .data = schools,
                                  .count = FAMILIES,
                                  .steps = r->scale->school_steps,
                                  .rows = r->scale->school_rows,
                                  .lr = r->scale->school_lr};
    const struct lesson warm = {.name = "warm-start",
                                .title = "warm start: training on worked answers of all kinds",
                                .model = "school/model",
                                .at = "warm-start",
                                .data = families,
                                .count = FAMILIES,
                                .steps = r->scale->warm_steps,
                                .rows = r->scale->warm_rows,
                                .lr = r->scale->warm_lr};
    bool before[PL_METHOD_COT + 1] = {false};
    int rc = add_data(r, chores, err);

    if (rc == PL_OK)
        rc = add_tokenizer(r, chores, err);
    if (rc == PL_OK)
        rc = add_base(r, chores, err);
    if (rc == PL_OK)
        rc = add_lesson(r, chores, &school, err);
    if (rc == PL_OK)
        rc = add_lesson(r, chores, &warm, err);
    for (size_t i = 0; rc == PL_OK && i < pl_grid_count; i++) {
        const struct pl_grid_row *row = &pl_grid[i];

        if (r->wants && !r->wants(row, r->wants_at))
            continue;
        if (row->kind == PL_GRID_TRAIN && !before[row->method]) {
            before[row->method] = true;
            rc = add_before(r, chores, row->method, err);
        }
        for (size_t s = 0; rc == PL_OK && s < pl_reproduce_seeds(r, row); s++)
            rc = add_row(r, chores, row, s, err);
    }
    return rc;
}

/* ---- the folder ---- */

/* Write a file, unless it is there with the same text; PL_EINVAL: it is there with another. */
static int keep_file(const struct pl_reproduce *r, const char *name, const char *text, size_t len,
                     struct pl_error *err)
{
    char *path = pl_strf("%s/%s", r->dir, name), *was = NULL;
    struct pl_outfile out = {0};
    size_t was_len = 0;
    int rc = PL_OK;

    if (!path)
        return pl_fail(err, PL_ENOMEM, "no memory for the name of a file");
    if (pl_path_exists(path)) {
        rc = pl_file_read(path, TEXT_MAX, &was, &was_len, err);
        if (rc == PL_OK && (was_len != len || memcmp(was, text, len) != 0))
            rc = pl_fail(err, PL_EINVAL,
                         "'%s' was made with another scale (see its %s); choose another folder, or "
                         "delete it",
                         r->dir, name);
    } else {
        rc = pl_outfile_open(path, &out, err);
        if (rc == PL_OK)
            rc = pl_outfile_write(&out, text, len, err);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&out, err);
        pl_outfile_abort(&out);
    }
    free(was);
    free(path);
    return rc;
}

int pl_reproduce_open(const struct pl_reproduce *r, struct pl_error *err)
{
    static const char *const folders[] = {"data", "runs", "evals"};
    static const char template[] = "{{user}}{{answer}}<|im_end|>\n";
    const struct pl_scale *s = r->scale;
    struct pl_buf buf;
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < sizeof folders / sizeof *folders; i++) {
        char *path = pl_strf("%s/%s", r->dir, folders[i]);

        rc = path ? pl_dir_make(path, err) : pl_fail(err, PL_ENOMEM, "no memory for a folder");
        free(path);
    }
    pl_buf_init(&buf, TEXT_MAX);
    if (rc == PL_OK && (rc = pl_scale_print(s, &buf)) < 0)
        pl_fail(err, rc, "no memory to write the scale");
    if (rc == PL_OK)
        rc = keep_file(r, "scale.yaml", buf.data, buf.len, err);
    if (rc == PL_OK)
        rc = keep_file(r, "prompt_template.txt", template, sizeof template - 1, err);
    pl_buf_clear(&buf);
    if (rc == PL_OK) {
        rc = pl_buf_printf(&buf,
                           "{\n  \"model_type\": \"qwen2\",\n  \"hidden_size\": %zu,\n"
                           "  \"num_hidden_layers\": %zu,\n  \"num_attention_heads\": %zu,\n"
                           "  \"num_key_value_heads\": %zu,\n  \"intermediate_size\": %zu,\n"
                           "  \"max_position_embeddings\": %zu,\n"
                           "  \"initializer_range\": %g,\n"
                           "  \"tie_word_embeddings\": true\n}\n",
                           s->width, s->layers, s->heads, s->kv_heads, s->ffn, s->positions,
                           s->spread);
        rc = rc < 0 ? pl_fail(err, rc, "no memory for a configuration")
                    : keep_file(r, "config.json", buf.data, buf.len, err);
    }
    pl_buf_release(&buf);
    return rc;
}
