#include "deploy/cmd_model.h"

#include "common/app/options.h"
#include "common/app/progress.h"
#include "common/app/term.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/model/checkpoint.h"
#include "common/model/init.h"
#include "common/model/outdir.h"
#include "common/text/tokenizer.h"
#include "learner/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { JSON_BYTES_MAX = 4 << 20 };

struct conf {
    const char *config, *output, *tokenizer;
    size_t seed, shard_bytes;
    bool replace;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, config, "CONFIG", "a config.json, or a folder that holds one"),
    PL_ARG(struct conf, output, "OUTPUT", "the model folder to make"),
    PL_OPTION_SEED(struct conf, seed, "seed", "0", "of the random weights"),
    PL_OPTION_STRING(struct conf, tokenizer, "tokenizer", "DIR", NULL,
                     "a folder whose tokenizer goes along; by default CONFIG, where it is a folder "
                     "with a tokenizer in it"),
    PL_OPTION_SIZE(struct conf, shard_bytes, "shard-bytes", "N", "5000000000", 1, 0,
                   "of the largest file of weights"),
    PL_OPTION_FLAG(struct conf, replace, "replace", 0,
                   "put it in the place of an OUTPUT that is there"),
};

static const struct pl_command command = {
    .name = "plait model init",
    .about =
        "Makes a model with random weights: matrices normal with the config's initializer_range, "
        "norms 1, biases 0. A config.json needs model_type (qwen2 or llama), hidden_size, "
        "num_hidden_layers, num_attention_heads, intermediate_size and vocab_size; the rest has "
        "defaults. With a tokenizer vocab_size may be left out, and so may the ids of the tokens "
        "that begin, end and pad a text: they are the tokenizer's.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "Example:\n"
             "  plait tokenizer train --size 1024 --output tok text.txt\n"
             "  plait model init small.json small --tokenizer tok\n",
};

/* What is known about the model to be made. */
struct draft {
    char *config_path;
    const char *model_dir; /* CONFIG, where that is a folder */
    const char *tokenizer_dir;
    struct pl_tokenizer *tokenizer;
    json_t *root; /* of config.json */
};

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool holds(const char *dir, const char *name)
{
    char *path = pl_strf("%s/%s", dir, name);
    const bool found = path && pl_path_exists(path);

    free(path);
    return found;
}

/* The id of "eos_token" and the like: a string, or an object with its "content". */
static void set_id(json_t *config, const char *key, const json_t *tokenizer_config,
                   const char *token_key, const struct pl_tokenizer *tokenizer)
{
    const json_t *token = json_object_get(tokenizer_config, token_key);
    uint32_t id;

    if (json_is_object(token))
        token = json_object_get(token, "content");
    if (!json_is_string(token) || json_object_get(config, key))
        return;
    id = pl_tokenizer_id(tokenizer, json_string_value(token), json_string_length(token));
    if (id != PL_TOKEN_NONE)
        json_object_set_new(config, key, json_integer(id));
}

/* Ids that config.json does not mention, from tokenizer_config.json where there is one. */
static int set_ids(struct draft *draft, struct pl_error *err)
{
    char *path = pl_strf("%s/tokenizer_config.json", draft->tokenizer_dir);
    json_t *root = NULL;
    int rc = PL_OK;

    if (!path)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", draft->tokenizer_dir);
    if (pl_path_exists(path))
        rc = pl_json_load(path, JSON_BYTES_MAX, &root, err);
    set_id(draft->root, "bos_token_id", root, "bos_token", draft->tokenizer);
    set_id(draft->root, "eos_token_id", root, "eos_token", draft->tokenizer);
    set_id(draft->root, "pad_token_id", root, "pad_token", draft->tokenizer);
    json_decref(root);
    free(path);
    return rc;
}

/* Said before the ids are looked at: those of a tokenizer that does not fit would not fit either.
 */
static int check_fit(const struct draft *draft, struct pl_error *err)
{
    const size_t size = pl_tokenizer_size(draft->tokenizer);
    size_t vocab = 0;
    int rc =
        pl_json_size(draft->root, "vocab_size", draft->config_path, 1, PL_VOCAB_MAX, &vocab, err);

    if (rc == PL_OK && size > vocab)
        rc = pl_fail(err, PL_EINVAL,
                     "%s: vocab_size is %zu, but the tokenizer of '%s' has %zu tokens",
                     draft->config_path, vocab, draft->tokenizer_dir, size);
    return rc;
}

static int use_tokenizer(struct draft *draft, struct pl_error *err)
{
    int rc = pl_tokenizer_load(draft->tokenizer_dir, &draft->tokenizer, err);
    json_t *size;

    if (rc < 0)
        return rc;
    size = json_integer((json_int_t)pl_tokenizer_size(draft->tokenizer));
    if (pl_json_has(draft->root, "vocab_size"))
        json_decref(size);
    else if (json_object_set_new(draft->root, "vocab_size", size) < 0)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory", draft->config_path);
    rc = check_fit(draft, err);
    return rc == PL_OK ? set_ids(draft, err) : rc;
}

static int read_draft(const struct conf *conf, struct draft *draft, struct pl_error *err)
{
    int rc;

    draft->model_dir = is_folder(conf->config) ? conf->config : NULL;
    draft->config_path =
        draft->model_dir ? pl_strf("%s/config.json", conf->config) : strdup(conf->config);
    if (!draft->config_path)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory for a name", conf->config);
    draft->tokenizer_dir = conf->tokenizer;
    if (!draft->tokenizer_dir && draft->model_dir &&
        (holds(draft->model_dir, "tokenizer.json") || holds(draft->model_dir, "vocab.json")))
        draft->tokenizer_dir = draft->model_dir;
    rc = pl_json_load(draft->config_path, JSON_BYTES_MAX, &draft->root, err);
    if (rc < 0)
        return rc;
    if (!json_is_object(draft->root))
        return pl_fail(err, PL_EFORMAT, "%s: expected an object", draft->config_path);
    if (draft->tokenizer_dir)
        return use_tokenizer(draft, err);
    if (!pl_json_has(draft->root, "vocab_size"))
        return pl_fail(err, PL_EFORMAT,
                       "%s: key 'vocab_size' is missing, and there is no tokenizer to take it from",
                       draft->config_path);
    return PL_OK;
}

static int make_config(const struct draft *draft, struct pl_config *config, struct pl_error *err)
{
    int rc = pl_config_parse(draft->root, draft->config_path, config, err);

    if (rc == PL_OK && draft->model_dir)
        rc = pl_config_generation(draft->model_dir, config, err);
    return rc;
}

static void show(void *at, uint64_t done, uint64_t total)
{
    (void)total;
    pl_progress_update(at, done, done, NULL);
}

static int fill(struct pl_weights *weights, uint64_t seed, struct pl_error *err)
{
    struct pl_progress progress;
    const struct pl_watch watch = {&progress, show};
    int rc;

    pl_progress_begin(&progress, &(struct pl_progress_opts){
                                     .what = "make",
                                     .unit = "B",
                                     .total = weights->shape->params * sizeof(uint16_t),
                                 });
    rc = pl_weights_init(weights, seed, &watch, err);
    pl_progress_end(&progress);
    return rc;
}

static int write_model(const struct conf *conf, const struct draft *draft,
                       const struct pl_shape *shape, const char *dir, struct pl_error *err)
{
    struct pl_weights *weights = NULL;
    struct pl_plan plan;
    int rc;

    pl_plan_init(&plan);
    pl_plan_add(&plan, "weights", pl_weights_bytes(shape), NULL);
    rc = pl_plan_check(&plan, 0, err);
    if (rc == PL_OK)
        rc = pl_weights_create(shape, &weights, err);
    if (rc == PL_OK)
        rc = fill(weights, conf->seed, err);
    if (rc == PL_OK)
        rc = pl_model_write(dir, weights, draft->tokenizer_dir, conf->shard_bytes, err);
    pl_weights_destroy(weights);
    return rc;
}

/* The folder is begun first: that it cannot be made should not come out after the work. */
static int make_model(const struct conf *conf, const struct draft *draft,
                      const struct pl_shape *shape, struct pl_error *err)
{
    struct pl_outdir out;
    int rc = pl_outdir_open(conf->output, conf->replace, &out, err);

    if (rc < 0)
        return rc;
    rc = write_model(conf, draft, shape, out.tmp, err);
    if (rc == PL_OK)
        return pl_outdir_commit(&out, err);
    pl_outdir_abort(&out);
    return rc;
}

static int make(const struct conf *conf, struct draft *draft, struct pl_error *err)
{
    struct pl_config config;
    struct pl_shape *shape = NULL;
    char count[PL_HUMAN_MAX], bytes[PL_HUMAN_MAX];
    int rc = read_draft(conf, draft, err);

    if (rc == PL_OK)
        rc = make_config(draft, &config, err);
    if (rc == PL_OK)
        rc = pl_shape_create(&config, &shape, err);
    if (rc == PL_OK)
        rc = make_model(conf, draft, shape, err);
    if (rc == PL_OK && (printf("made '%s': %s parameters, %s\n", conf->output,
                               pl_human_count(count, (double)shape->params),
                               pl_human_bytes(bytes, shape->params * sizeof(uint16_t))) < 0 ||
                        fflush(stdout) != 0))
        rc = pl_fail_errno(err, "write to standard output");
    pl_shape_destroy(shape);
    return rc;
}

int pl_cmd_model_init(int argc, char **argv)
{
    struct conf conf;
    struct draft draft = {0};
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    rc = make(&conf, &draft, &err);
    pl_tokenizer_destroy(draft.tokenizer);
    json_decref(draft.root);
    free(draft.config_path);
    pl_options_release(&command, &conf);
    return rc < 0 ? pl_command_failed(&command, &err) : PL_STATUS_OK;
}
