#include "deploy/cmd_model.h"

#include "actor/engine.h"
#include "common/app/machine.h"
#include "common/app/options.h"
#include "common/app/term.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/model/inventory.h"
#include "common/text/tokenizer.h"
#include "learner/trainer.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CONFIG_BYTES_MAX = 4 << 20, POSITIONS_DEFAULT = 4096, ROWS_A_SAMPLE = 64 };

struct conf {
    const char *model;
    bool json, tensors, recompute;
    int color;
    size_t slots, positions, chunk_tokens, rows;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, model, "MODEL", "a model folder, or a config.json alone"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print one JSON object, for scripts"),
    PL_OPTION_FLAG(struct conf, tensors, "tensors", 0,
                   "a line for every tensor, not for every kind"),
    PL_OPTION_CHOICE(struct conf, color, "color", "auto", PL_COLOR_CHOICES,
                     "whether to colour the tables"),
    PL_OPTION_GROUP("Memory to generate"),
    PL_OPTION_SIZE(struct conf, slots, "slots", "N", "64", 1, 1e6, "samples at once"),
    PL_OPTION_SIZE(struct conf, positions, "positions", "N", "0", 0, PL_POSITIONS_MAX,
                   "tokens of the longest prompt and answer; 0: 4096, or what the model can"),
    PL_OPTION_SIZE(struct conf, chunk_tokens, "chunk-tokens", "N", "256", 1, 1e6,
                   "prompt tokens in a step"),
    PL_OPTION_GROUP("Memory to train"),
    PL_OPTION_SIZE(struct conf, rows, "rows", "N", "2048", 1, 1e7, "tokens in a pack"),
    PL_OPTION_FLAG(struct conf, recompute, "recompute", 0,
                   "activations are computed again instead of kept"),
};

static const struct pl_command command = {
    .name = "plait model info",
    .about = "Tells what is in a model folder: tensors, parameters, bytes, and the memory that "
             "generating and training with it take. Checks that the folder is complete, without "
             "reading the values.",
    .options = options,
    .count = sizeof options / sizeof options[0],
};

/* All that is found out, before any of it is printed. */
struct findings {
    struct pl_shape *shape;
    struct pl_inventory inventory; /* no places: there is only a config.json */
    size_t tokens;                 /* of the tokenizer; 0: none that can be read */
    struct pl_error tokenizer_error;
    struct pl_engine_opts engine;
    struct pl_trainer_opts trainer;
    struct pl_plan generate, train;
    uint64_t usable; /* memory, 0: not known */
};

static bool has_files(const struct findings *f)
{
    return f->inventory.places != NULL;
}

static int load_config_file(const char *path, struct pl_config *config, struct pl_error *err)
{
    json_t *root = NULL;
    int rc = pl_json_load(path, CONFIG_BYTES_MAX, &root, err);

    if (rc == PL_OK)
        rc = pl_config_parse(root, path, config, err);
    json_decref(root);
    return rc;
}

static int read_model(const char *path, struct findings *f, struct pl_error *err)
{
    struct pl_config config;
    struct pl_tokenizer *tokenizer = NULL;
    struct stat st;
    const bool alone = stat(path, &st) == 0 && S_ISREG(st.st_mode);
    int rc = alone ? load_config_file(path, &config, err) : pl_config_load(path, &config, err);

    if (rc == PL_OK)
        rc = pl_shape_create(&config, &f->shape, err);
    if (rc == PL_OK && !alone)
        rc = pl_inventory_open(path, f->shape, &f->inventory, err);
    if (rc == PL_OK && !alone && pl_tokenizer_load(path, &tokenizer, &f->tokenizer_error) == PL_OK)
        f->tokens = pl_tokenizer_size(tokenizer);
    pl_tokenizer_destroy(tokenizer);
    return rc;
}

static void add_engine(struct pl_plan *plan, const struct pl_engine_plan *engine)
{
    pl_plan_add(plan, "weights (bf16)", engine->weights_bytes, NULL);
    pl_plan_add(plan, "key/value cache", engine->kv_bytes, NULL);
    pl_plan_add(plan, "activations", engine->acts_bytes, NULL);
    pl_plan_add(plan, "logits", engine->logits_bytes, NULL);
    pl_plan_add(plan, "rotary angles", engine->rope_bytes, NULL);
    pl_plan_add(plan, "sampler", engine->sampler_bytes, NULL);
    pl_plan_add(plan, "packed rows", engine->packed_bytes, NULL);
    pl_plan_add(plan, "lists", engine->other_bytes, NULL);
}

static int plan_memory(const struct conf *conf, struct findings *f, struct pl_error *err)
{
    const size_t most = f->shape->config.positions_max;
    const size_t usual = most < POSITIONS_DEFAULT ? most : POSITIONS_DEFAULT;
    struct pl_engine_plan engine;
    struct pl_weights *outline = NULL;
    struct pl_machine machine;
    int rc = pl_weights_outline(f->shape, &outline, err);

    if (rc < 0)
        return rc;
    f->engine = (struct pl_engine_opts){
        .weights = outline,
        .slots = conf->slots,
        .positions = conf->positions ? conf->positions : usual,
        .chunk_tokens = conf->chunk_tokens,
        .jobs = conf->slots,
    };
    f->trainer = (struct pl_trainer_opts){
        .limits = {conf->rows, (conf->rows + ROWS_A_SAMPLE - 1) / ROWS_A_SAMPLE},
        .positions = conf->rows,
        .recompute = conf->recompute,
    };
    rc = pl_engine_plan(&f->engine, &engine, err);
    if (rc == PL_OK) {
        add_engine(&f->generate, &engine);
        pl_plan_add(&f->train, "weights (bf16)", engine.weights_bytes, NULL);
        pl_trainer_plan(outline, &f->trainer, &f->train);
    }
    if (pl_machine_read("", &machine, NULL) == PL_OK)
        f->usable = pl_machine_memory_usable(&machine);
    pl_weights_destroy(outline);
    f->engine.weights = NULL;
    return rc;
}

/* --- JSON --- */

static json_t *tensors_json(const struct findings *f)
{
    json_t *list = json_array();

    for (size_t i = 0; i < f->shape->count; i++) {
        const struct pl_tensor *t = &f->shape->tensors[i];
        const struct pl_st_entry *e = has_files(f) ? f->inventory.places[i].entry : NULL;
        json_t *item = json_pack("{s:s, s:[I], s:I}", "name", t->name, "shape", (json_int_t)t->rows,
                                 "parameters", (json_int_t)pl_tensor_size(t));

        if (t->rank == 2)
            json_array_append_new(json_object_get(item, "shape"),
                                  json_integer((json_int_t)t->cols));
        if (e) {
            json_object_set_new(item, "dtype", json_string(pl_dtype_name(e->dtype)));
            json_object_set_new(item, "bytes", json_integer((json_int_t)e->bytes));
            json_object_set_new(item, "file", json_string(f->inventory.places[i].file->name));
        }
        if (json_array_append_new(list, item) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *plan_json(const struct pl_plan *plan)
{
    json_t *parts = json_object();

    for (size_t i = 0; i < plan->count; i++)
        json_object_set_new(parts, plan->rows[i].what,
                            json_integer((json_int_t)plan->rows[i].bytes));
    return parts;
}

static json_t *memory_json(const struct findings *f)
{
    return json_pack(
        "{s:{s:I, s:I, s:I, s:o, s:I}, s:{s:I, s:I, s:b, s:o, s:I}, s:I}", "generate", "slots",
        (json_int_t)f->engine.slots, "positions", (json_int_t)f->engine.positions, "chunk_tokens",
        (json_int_t)f->engine.chunk_tokens, "parts_bytes", plan_json(&f->generate), "total_bytes",
        (json_int_t)pl_plan_total(&f->generate), "train", "rows",
        (json_int_t)f->trainer.limits.rows, "samples", (json_int_t)f->trainer.limits.samples,
        "recompute", (int)f->trainer.recompute, "parts_bytes", plan_json(&f->train), "total_bytes",
        (json_int_t)pl_plan_total(&f->train), "usable_bytes", (json_int_t)f->usable);
}

static int print_json(const struct findings *f, struct pl_error *err)
{
    json_t *root = json_pack("{s:I, s:o, s:o, s:o}", "parameters", (json_int_t)f->shape->params,
                             "config", pl_config_json(&f->shape->config), "memory", memory_json(f),
                             "tensors", tensors_json(f));

    if (!root)
        return pl_fail(err, PL_ENOMEM, "no memory to write the report");
    if (has_files(f)) {
        json_object_set_new(root, "files", json_integer((json_int_t)f->inventory.file_count));
        json_object_set_new(root, "tensor_bytes",
                            json_integer((json_int_t)pl_inventory_bytes(&f->inventory)));
    }
    json_object_set_new(root, "tokenizer_tokens",
                        f->tokens ? json_integer((json_int_t)f->tokens) : json_null());
    const int rc = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));

    json_decref(root);
    if (rc < 0 || putchar('\n') == EOF || fflush(stdout) != 0)
        return pl_fail_errno(err, "write to standard output");
    return PL_OK;
}

/* --- tables --- */

/* Tensors that are one line of the table: one, or those of a role in all layers. */
struct line {
    const struct pl_tensor *first;
    size_t count;
    uint64_t parameters, bytes;
    const char *dtype;
};

static void line_add(struct line *line, const struct findings *f, const struct pl_tensor *t)
{
    const struct pl_st_entry *e =
        has_files(f) ? f->inventory.places[t - f->shape->tensors].entry : NULL;
    const char *dtype = e ? pl_dtype_name(e->dtype) : "";

    if (line->count++ == 0) {
        line->first = t;
        line->dtype = dtype;
    }
    if (strcmp(line->dtype, dtype) != 0)
        line->dtype = "mixed";
    line->parameters += pl_tensor_size(t);
    line->bytes += e ? e->bytes : pl_tensor_size(t) * sizeof(uint16_t);
}

static int print_line(struct pl_table *table, const struct line *line)
{
    const struct pl_tensor *t = line->first;
    char name[80], shape[48], count[24], parameters[24], bytes[PL_HUMAN_MAX];

    if (line->count > 1)
        snprintf(name, sizeof name, "model.layers.*%s",
                 strchr(t->name + strlen("model.layers."), '.'));
    else
        snprintf(name, sizeof name, "%s", t->name);
    snprintf(shape, sizeof shape, t->rank == 1 ? "%zu" : "%zu x %zu", t->rows, t->cols);
    snprintf(count, sizeof count, "%zu", line->count);
    snprintf(parameters, sizeof parameters, "%" PRIu64, line->parameters);
    return pl_table_add(table, (const char *const[]){name, shape, line->dtype, count, parameters,
                                                     pl_human_bytes(bytes, line->bytes)});
}

static int fill_table(struct pl_table *table, const struct findings *f, bool each)
{
    static const char *const heading[] = {"tensor", "shape",      "type",
                                          "count",  "parameters", "bytes"};
    int rc = pl_table_add(table, heading);

    for (size_t i = 0; i < f->shape->count && rc == PL_OK; i++) {
        const struct pl_tensor *t = &f->shape->tensors[i];
        const bool grouped = !each && pl_shape_find(f->shape, t->role, 1);
        struct line line = {0};

        if (grouped && t->layer > 0)
            continue;
        line_add(&line, f, t);
        for (size_t l = 1; grouped && l < f->shape->config.layers; l++)
            line_add(&line, f, pl_shape_find(f->shape, t->role, l));
        rc = print_line(table, &line);
    }
    return rc;
}

static void print_summary(const struct findings *f)
{
    const struct pl_config *c = &f->shape->config;
    char count[PL_HUMAN_MAX], bytes[PL_HUMAN_MAX];

    printf("architecture  %s, %s embeddings\n", c->arch == PL_ARCH_QWEN2 ? "qwen2" : "llama",
           c->tied ? "tied" : "untied");
    printf("size          hidden %zu, layers %zu, heads %zu, key/value heads %zu, head %zu, "
           "feed-forward %zu\n",
           c->hidden, c->layers, c->heads, c->kv_heads, c->head_dim, c->ffn);
    printf("vocabulary    %zu", c->vocab);
    if (f->tokens)
        printf(", tokenizer of %zu%s", f->tokens, f->tokens > c->vocab ? ": TOO LARGE" : "");
    else if (f->tokenizer_error.code == PL_ENOENT)
        printf(", no tokenizer");
    else if (f->tokenizer_error.code < 0)
        printf(", no usable tokenizer: %s", f->tokenizer_error.text);
    printf("\npositions     %zu\n", c->positions_max);
    printf("parameters    %zu (%s)\n", f->shape->params,
           pl_human_count(count, (double)f->shape->params));
    if (has_files(f))
        printf("files         %zu, %s of tensors\n", f->inventory.file_count,
               pl_human_bytes(bytes, pl_inventory_bytes(&f->inventory)));
    printf("\n");
}

static int print_report(const struct conf *conf, const struct findings *f, struct pl_error *err)
{
    char usable[PL_HUMAN_MAX];
    struct pl_table table;
    int rc;

    print_summary(f);
    pl_table_init(&table, "lrlrrr");
    rc = fill_table(&table, f, conf->tensors);
    if (rc == PL_OK)
        rc = pl_table_print(&table, stdout, (enum pl_color)conf->color);
    pl_table_release(&table);
    if (rc < 0)
        return pl_fail(err, rc, "the table could not be printed");
    printf("\nTo generate %zu samples at once of %zu tokens, prompt included:\n", f->engine.slots,
           f->engine.positions);
    rc = pl_plan_print(&f->generate, stdout, err);
    if (rc < 0)
        return rc;
    printf("\nTo train with packs of %zu tokens, activations %s:\n", f->trainer.limits.rows,
           f->trainer.recompute ? "recomputed" : "kept");
    rc = pl_plan_print(&f->train, stdout, err);
    if (rc < 0)
        return rc;
    if (f->usable)
        printf("\nThis machine has %s to give now.\n", pl_human_bytes(usable, f->usable));
    return fflush(stdout) == 0 ? PL_OK : pl_fail_errno(err, "write to standard output");
}

int pl_cmd_model_info(int argc, char **argv)
{
    struct conf conf;
    struct findings findings = {0};
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    rc = read_model(conf.model, &findings, &err);
    if (rc == PL_OK)
        rc = plan_memory(&conf, &findings, &err);
    if (rc == PL_OK)
        rc = conf.json ? print_json(&findings, &err) : print_report(&conf, &findings, &err);
    pl_inventory_close(&findings.inventory);
    pl_shape_destroy(findings.shape);
    pl_options_release(&command, &conf);
    return rc < 0 ? pl_command_failed(&command, &err) : PL_STATUS_OK;
}
