/*
 * The option parser: whatever is typed, values are within their bounds, or one sentence names what
 * is wrong; and what was read, given again in full, is read the same.
 *
 * The input is the words of a command line, one a line; "$NAME=VALUE" sets a variable instead. The
 * variables of other inputs are gone.
 */
#include "common/app/options.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conf {
    const char *model, *out;
    struct pl_option_list files, tags;
    size_t steps, seed;
    double lr, scale;
    bool quiet, color;
    int order;
    const char *label;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, model, "MODEL", "folder of the model"),
    PL_ARG_LIST(struct conf, files, "FILES", 0, "files"),
    PL_OPTION_GROUP("Training"),
    PL_OPTION_SIZE(struct conf, steps, "steps", "N", "100", 1, 1e6, "optimiser steps"),
    PL_OPTION_SIZE(struct conf, seed, "seed", "N", "1", 0, 0, "of all that is random"),
    PL_OPTION_REAL(struct conf, lr, "lr", "X", "1e-4", 0, 1, "learning rate at the peak"),
    PL_OPTION_REAL(struct conf, scale, "loss-scale", "X", "-1", -1e9, 1e9, "factor of the loss"),
    PL_OPTION_CHOICE(struct conf, order, "order", "shuffled", "shuffled|file|length", "data order"),
    PL_OPTION_STRING(struct conf, label, "label", "TEXT", NULL, "what to call it"),
    PL_OPTION_STRING(struct conf, out, "out", "DIR", "run", "where it goes"),
    {.name = "tags",
     .place = offsetof(struct conf, tags),
     .kind = PL_OPTION_KIND_LIST,
     .value = "A,B",
     .most = 8,
     .help = "words to find it by"},
    PL_OPTION_FLAG(struct conf, quiet, "quiet", 'q', "say nothing but errors"),
    PL_OPTION_FLAG(struct conf, color, "color", 'c', "colours"),
};
static const struct pl_command command = {.name = "plait fuzz",
                                          .about = "Is fuzzed.",
                                          .options = options,
                                          .count = sizeof options / sizeof options[0]};

enum { WORDS_MAX = 256, REFUSED = PL_FUZZ_CODE(PL_EINVAL) };

static const char *const variables[] = {
    "PLAIT_STEPS", "PLAIT_SEED", "PLAIT_LR",   "PLAIT_LOSS_SCALE", "PLAIT_ORDER",
    "PLAIT_LABEL", "PLAIT_OUT",  "PLAIT_TAGS", "PLAIT_QUIET",      "PLAIT_COLOR"};

struct words {
    char *at[WORDS_MAX + 1];
    int count;
};

static void add_word(struct words *words, char *word)
{
    PL_ASSERT(word);
    PL_ASSERT(words->count < WORDS_MAX);
    words->at[words->count++] = word;
    words->at[words->count] = NULL;
}

static void free_words(struct words *words)
{
    for (int i = 0; i < words->count; i++)
        free(words->at[i]);
}

/* Only variables of the table: PATH and the like are not the input's to set. */
static void set_variable(char *text)
{
    char *equals = strchr(text, '=');

    if (equals)
        *equals = '\0';
    for (size_t i = 0; equals && i < sizeof variables / sizeof variables[0]; i++) {
        if (strcmp(text, variables[i]) == 0)
            setenv(text, equals + 1, 1);
    }
    free(text);
}

static void read_input(struct pl_fuzz_in in, struct words *words)
{
    add_word(words, pl_strf("plait"));
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    while (in.size > 0 && words->count < WORDS_MAX) {
        const struct pl_fuzz_in line = pl_fuzz_cut(&in, '\n');

        if (line.size > 0 && line.data[0] == '$')
            set_variable(pl_fuzz_string((struct pl_fuzz_in){line.data + 1, line.size - 1}));
        else
            add_word(words, pl_fuzz_string(line));
    }
}

static void check_conf(const struct conf *conf)
{
    PL_ASSERT(conf->model && conf->out);
    PL_ASSERT(conf->steps >= 1 && conf->steps <= 1000000);
    PL_ASSERT(conf->lr >= 0 && conf->lr <= 1);
    PL_ASSERT(isfinite(conf->scale) && conf->scale >= -1e9 && conf->scale <= 1e9);
    PL_ASSERT(conf->order >= 0 && conf->order <= 2);
    PL_ASSERT(conf->tags.count <= 8 && (conf->tags.count == 0) == (conf->tags.items == NULL));
    PL_ASSERT((conf->files.count == 0) == (conf->files.items == NULL));
    for (size_t i = 0; i < conf->tags.count; i++)
        PL_ASSERT(conf->tags.items[i][0] != '\0');
}

/* An item with its commas escaped; one before a comma must not end with a backslash. */
static void add_tag(struct words *words, const char *item)
{
    struct pl_buf buf;

    pl_buf_init(&buf, SIZE_MAX / 2);
    PL_ASSERT(pl_buf_puts(&buf, "--tags=") == PL_OK);
    for (; *item; item++)
        PL_ASSERT(pl_buf_printf(&buf, *item == ',' ? "\\%c" : "%c", *item) == PL_OK);
    add_word(words, buf.data);
}

static void spell_out(const struct conf *conf, struct words *words)
{
    static const char *const orders[] = {"shuffled", "file", "length"};

    add_word(words, pl_strf("plait"));
    add_word(words, pl_strf("--steps=%zu", conf->steps));
    add_word(words, pl_strf("--seed=%zu", conf->seed));
    add_word(words, pl_strf("--lr=%.17g", conf->lr));
    add_word(words, pl_strf("--loss-scale=%.17g", conf->scale));
    add_word(words, pl_strf("--order=%s", orders[conf->order]));
    if (conf->label)
        add_word(words, pl_strf("--label=%s", conf->label));
    add_word(words, pl_strf("--out=%s", conf->out));
    for (size_t i = 0; i < conf->tags.count; i++)
        add_tag(words, conf->tags.items[i]);
    add_word(words, pl_strf(conf->quiet ? "-q" : "--no-quiet"));
    add_word(words, pl_strf("--color=%s", conf->color ? "on" : "off"));
    add_word(words, pl_strf("--"));
    add_word(words, pl_strf("%s", conf->model));
    for (size_t i = 0; i < conf->files.count && words->count < WORDS_MAX; i++)
        add_word(words, pl_strf("%s", conf->files.items[i]));
}

static bool same_list(const struct pl_option_list *a, const struct pl_option_list *b)
{
    bool same = a->count == b->count;

    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

static void check_again(const struct conf *conf)
{
    struct words words = {0};
    struct conf again;
    struct pl_error err = {0};

    if (conf->files.count > WORDS_MAX - 32)
        return;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    spell_out(conf, &words);
    PL_ASSERT(pl_options_parse(&command, words.count, words.at, &again, &err) == PL_OK);
    PL_ASSERT(again.steps == conf->steps && again.seed == conf->seed);
    PL_ASSERT(again.lr == conf->lr && again.scale == conf->scale);
    PL_ASSERT(again.order == conf->order);
    PL_ASSERT(again.quiet == conf->quiet && again.color == conf->color);
    PL_ASSERT(strcmp(again.model, conf->model) == 0 && strcmp(again.out, conf->out) == 0);
    PL_ASSERT(!again.label == !conf->label);
    PL_ASSERT(!conf->label || strcmp(again.label, conf->label) == 0);
    PL_ASSERT(same_list(&again.tags, &conf->tags) && same_list(&again.files, &conf->files));
    pl_options_release(&command, &again);
    free_words(&words);
}

/* One line for each row, and as JSON as many members; the latter only of what is UTF-8. */
static void check_printed(const struct conf *conf)
{
    json_t *json = pl_options_json(&command, conf);
    struct pl_buf buf;

    pl_buf_init(&buf, SIZE_MAX / 2);
    PL_ASSERT(pl_options_print(&command, conf, &buf) == PL_OK);
    PL_ASSERT(strstr(buf.data, "\nsteps = ") && strstr(buf.data, "\nlr = "));
    if (json) {
        PL_ASSERT(json_object_size(json) == command.count - 1);
        PL_ASSERT(json_number_value(json_object_get(json, "lr")) == conf->lr);
        PL_ASSERT((size_t)json_integer_value(json_object_get(json, "seed")) == conf->seed);
    }
    json_decref(json);
    pl_buf_release(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct words words = {0};
    struct pl_error err = {0};
    struct conf conf;
    int rc;

    read_input((struct pl_fuzz_in){data, size}, &words);
    rc = pl_options_parse(&command, words.count, words.at, &conf, &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
    } else if (rc == PL_OK) {
        check_conf(&conf);
        check_printed(&conf);
        check_again(&conf);
        pl_options_release(&command, &conf);
    } else {
        PL_ASSERT(rc == 1); /* --help */
    }
    free_words(&words);
    return 0;
}
