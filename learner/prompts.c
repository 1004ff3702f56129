#include "learner/prompts.h"

#include "common/app/template.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/pulse.h"
#include "common/base/rng.h"
#include "common/text/chat.h"
#include "proto/rollout.h"

#include <stdlib.h>
#include <string.h>

enum { INSTRUCTION_MAX = 1 << 16, IDS_MAX = 1 << 30 };

/* How a question becomes ids. */
struct maker {
    struct pl_chat *chat;
    struct pl_encoder *encoder;
    char *instruction; /* without the white space around it; NULL: none */
    bool in_front;     /* of the question: a control token, or no place for a system message */
    const char *apart; /* what stands between them then */
    size_t len_max, vocab;
};

static bool is_token(const struct pl_tokenizer *tokenizer, const char *text)
{
    return pl_tokenizer_id(tokenizer, text, strlen(text)) != PL_TOKEN_NONE;
}

/* plait's own of the method: its control token where the tokenizer has it. */
static int load_own_instruction(enum pl_method method, const struct pl_tokenizer *tokenizer,
                                char **ret_text, struct pl_error *err)
{
    const char *name = pl_method_name(method);
    char *text;
    int rc = pl_template_load(NULL, name, PL_INSTRUCTION_CONTROL, &text, err);

    if (rc == PL_OK && !is_token(tokenizer, text)) {
        free(text);
        rc = pl_template_load(NULL, name, PL_INSTRUCTION_FULL, &text, err);
    }
    if (rc == PL_OK)
        *ret_text = text;
    return rc;
}

static int load_instruction(const struct pl_run_conf *conf, const struct pl_tokenizer *tokenizer,
                            char **ret_text, struct pl_error *err)
{
    if (strcmp(conf->instruction, "auto") == 0)
        return load_own_instruction((enum pl_method)conf->method, tokenizer, ret_text, err);
    if (conf->instruction[0] == '\0' || strcmp(conf->instruction, "none") == 0)
        return PL_OK;
    return pl_template_read(conf->instruction, ret_text, err);
}

static int maker_init(struct maker *m, const struct pl_run_conf *conf,
                      const struct pl_tokenizer *tokenizer, size_t vocab, struct pl_error *err)
{
    int rc;

    *m = (struct maker){.len_max = conf->prompt_tokens_max, .vocab = vocab};
    rc = load_instruction(conf, tokenizer, &m->instruction, err);
    if (rc == PL_OK)
        rc = pl_chat_load(conf->template_file[0] ? conf->template_file : NULL, conf->model,
                          tokenizer, &m->chat, err);
    if (rc == PL_OK && pl_encoder_create(tokenizer, &m->encoder) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory to read tasks");
    if (rc == PL_OK && m->instruction) {
        const bool token = is_token(tokenizer, m->instruction);

        m->in_front = token || !pl_chat_has_system(m->chat);
        m->apart = token ? "" : "\n\n";
    }
    return rc;
}

static void maker_release(struct maker *m)
{
    pl_chat_destroy(m->chat);
    pl_encoder_destroy(m->encoder);
    free(m->instruction);
}

/* Append the prompt of a question to ids. */
static int make(struct maker *m, const char *question, struct pl_ids *ids, struct pl_error *err)
{
    struct pl_buf user;
    int rc;

    if (!m->in_front)
        return pl_chat_turn(m->chat, m->encoder, true, m->instruction, question, strlen(question),
                            ids, err);
    pl_buf_init(&user, PL_TASK_BYTES_MAX + INSTRUCTION_MAX);
    rc = pl_buf_printf(&user, "%s%s%s", m->instruction, m->apart, question);
    rc = rc < 0 ? pl_fail(err, rc, "no memory for a prompt")
                : pl_chat_turn(m->chat, m->encoder, true, NULL, user.data, user.len, ids, err);
    pl_buf_release(&user);
    return rc;
}

/* All tasks of all files; `at` of each prompt is kept in len's place until the ids stop moving. */
static int add_tasks(struct pl_prompts *p, const struct pl_tasks *tasks, struct maker *m,
                     struct pl_ids *ids, size_t *starts, struct pl_error *err)
{
    for (size_t i = 0; i < tasks->count; i++) {
        const size_t before = ids->len;
        const int rc = make(m, tasks->tasks[i].question, ids, err);

        pl_pulse();
        if (rc < 0)
            return pl_fail_in(err, rc, "task '%.80s'", tasks->tasks[i].id);
        if (ids->len - before > m->len_max) {
            ids->len = before;
            p->left_out++;
            continue;
        }
        for (size_t k = before; k < ids->len; k++)
            if (ids->data[k] >= m->vocab)
                return pl_fail(err, PL_EFORMAT,
                               "task '%.80s' has token %u; the model's vocabulary has %zu",
                               tasks->tasks[i].id, ids->data[k], m->vocab);
        starts[p->count] = before;
        p->list[p->count++] =
            (struct pl_prompt){.task = &tasks->tasks[i], .len = ids->len - before};
    }
    return PL_OK;
}

static int make_all(struct pl_prompts *p, struct maker *m, struct pl_error *err)
{
    size_t tasks = 0, *starts;
    struct pl_ids ids;
    int rc = PL_OK;

    for (size_t f = 0; f < p->file_count; f++)
        tasks += p->files[f].count;
    pl_ids_init(&ids, IDS_MAX);
    p->list = calloc(tasks + 1, sizeof *p->list);
    p->order = calloc(tasks + 1, sizeof *p->order);
    starts = calloc(tasks + 1, sizeof *starts);
    if (!p->list || !p->order || !starts)
        rc = pl_fail(err, PL_ENOMEM, "no memory for %zu tasks", tasks);
    for (size_t f = 0; rc == PL_OK && f < p->file_count; f++)
        rc = add_tasks(p, &p->files[f], m, &ids, starts, err);
    if (rc == PL_OK && p->count == 0)
        rc = pl_fail(err, PL_EINVAL,
                     "none of %zu tasks is short enough: data.max_prompt_length is %zu", tasks,
                     m->len_max);
    for (size_t i = 0; rc == PL_OK && i < p->count; i++)
        p->list[i].ids = ids.data + starts[i];
    free(starts);
    p->ids = ids.data;
    return rc;
}

int pl_prompts_load(const struct pl_run_conf *conf, const struct pl_option_list *files,
                    const struct pl_tokenizer *tokenizer, size_t vocab,
                    struct pl_prompts *ret_prompts, struct pl_error *err)
{
    struct pl_prompts p = {.order_pass = UINT64_MAX};
    struct maker maker;
    int rc = maker_init(&maker, conf, tokenizer, vocab, err);

    p.files = calloc(files->count + 1, sizeof *p.files);
    if (rc == PL_OK && !p.files)
        rc = pl_fail(err, PL_ENOMEM, "no memory to read tasks");
    while (rc == PL_OK && p.file_count < files->count) {
        rc = pl_tasks_load(files->items[p.file_count], &p.files[p.file_count], err);
        p.file_count += rc == PL_OK;
    }
    if (rc == PL_OK)
        rc = make_all(&p, &maker, err);
    p.instruction = maker.instruction;
    maker.instruction = NULL;
    maker_release(&maker);
    if (rc < 0)
        pl_prompts_release(&p);
    else
        *ret_prompts = p;
    return rc;
}

void pl_prompts_release(struct pl_prompts *prompts)
{
    for (size_t f = 0; f < prompts->file_count; f++)
        pl_tasks_release(&prompts->files[f]);
    free(prompts->files);
    free(prompts->list);
    free(prompts->ids);
    free(prompts->order);
    free(prompts->instruction);
    *prompts = (struct pl_prompts){0};
}

/* Fisher and Yates. */
static void shuffle(struct pl_prompts *p, uint64_t seed, uint64_t pass)
{
    const struct pl_rng rng = {
        .seed = seed, .batch = (uint32_t)PL_RNG_SHUFFLE, .prompt = (uint32_t)pass};

    for (size_t i = 0; i < p->count; i++)
        p->order[i] = (uint32_t)i;
    for (size_t i = p->count; i > 1; i--) {
        const size_t j = pl_rng_below(&rng, (uint32_t)i, i);
        const uint32_t held = p->order[i - 1];

        p->order[i - 1] = p->order[j];
        p->order[j] = held;
    }
    p->order_pass = pass;
}

const struct pl_prompt *pl_prompts_at(struct pl_prompts *prompts, uint64_t seed, uint64_t batch,
                                      size_t groups, size_t i, uint64_t *ret_epoch)
{
    const uint64_t n = batch * groups + i, pass = n / prompts->count;

    PL_ASSERT(i < groups && prompts->count > 0);
    if (prompts->order_pass != pass)
        shuffle(prompts, seed, pass);
    if (ret_epoch)
        *ret_epoch = pass;
    return &prompts->list[prompts->order[n % prompts->count]];
}

const struct pl_prompt *pl_prompts_spare(const struct pl_prompts *prompts, uint64_t seed,
                                         uint64_t batch, size_t j)
{
    const struct pl_rng rng = {seed, (uint32_t)PL_RNG_SPARE, (uint32_t)batch, (uint32_t)j};

    PL_ASSERT(prompts->count > 0);
    return &prompts->list[pl_rng_below(&rng, 0, prompts->count)];
}
