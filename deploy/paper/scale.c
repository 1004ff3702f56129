#include "deploy/paper/scale.h"

typedef struct pl_scale C;

static const struct pl_option rows[] = {
    PL_OPTION_GROUP("Problems"),
    PL_OPTION_SIZE(C, names, "names", "N", "16", 2, 1000, "first names in use"),
    PL_OPTION_LIST(C, people, "kk.people", "N,...", "2,3,4,5", "sizes of puzzles, in turn"),
    PL_OPTION_SIZE(C, kk_train, "kk.train", "N", "20000", 1, 1 << 30, "puzzles to learn from"),
    PL_OPTION_SIZE(C, kk_test, "kk.test", "N", "800", 1, 1 << 30, "others to measure with"),
    PL_OPTION_LIST(C, people_unseen, "kk.people_unseen", "N,...", "6",
                   "sizes that are only measured with"),
    PL_OPTION_SIZE(C, kk_unseen, "kk.unseen", "N", "200", 1, 1 << 30, "puzzles of those"),
    PL_OPTION_LIST(C, hops, "hops.hops", "N,...", "2,3,4", "sizes of questions over facts"),
    PL_OPTION_SIZE(C, hops_train, "hops.train", "N", "12000", 1, 1 << 30,
                   "questions to learn from"),
    PL_OPTION_SIZE(C, hops_test, "hops.test", "N", "600", 1, 1 << 30, "others to measure with"),
    PL_OPTION_SIZE(C, distractors, "hops.distractors", "N", "4", 0, 64,
                   "facts that do not lead to the answer"),
    PL_OPTION_LIST(C, ops, "arith.ops", "N,...", "2,3", "sizes of chains of sums"),
    PL_OPTION_SIZE(C, arith_train, "arith.train", "N", "6000", 1, 1 << 30,
                   "chains whose worked answers are read; none is trained by reward"),
    PL_OPTION_SIZE(C, arith_test, "arith.test", "N", "400", 1, 1 << 30, "others to measure with"),
    PL_OPTION_GROUP("Model and warm start"),
    PL_OPTION_SIZE(C, tokens, "tokenizer.size", "N", "465", 260, 1 << 20, "tokens of it"),
    PL_OPTION_SIZE(C, width, "model.width", "N", "128", 8, 1 << 16, "width"),
    PL_OPTION_SIZE(C, layers, "model.layers", "N", "4", 1, 1000, "layers"),
    PL_OPTION_SIZE(C, heads, "model.heads", "N", "4", 1, 1000, "heads"),
    PL_OPTION_SIZE(C, kv_heads, "model.kv_heads", "N", "2", 1, 1000, "heads of keys and values"),
    PL_OPTION_SIZE(C, ffn, "model.ffn", "N", "384", 1, 1 << 20, "width within the MLP"),
    PL_OPTION_SIZE(C, positions, "model.positions", "N", "640", 16, 1 << 20, "longest text"),
    PL_OPTION_REAL(C, spread, "model.initializer_range", "X", "0.05", 0, 1,
                   "standard deviation of the first weights"),
    PL_OPTION_SIZE(C, kk_school, "school.kk", "N", "60000", 1, 1 << 30,
                   "puzzles with proofs that are read first"),
    PL_OPTION_SIZE(C, hops_school, "school.hops", "N", "40000", 1, 1 << 30, "and questions"),
    PL_OPTION_SIZE(C, arith_school, "school.arith", "N", "20000", 1, 1 << 30, "and chains"),
    PL_OPTION_SIZE(C, school_steps, "school.steps", "N", "15000", 1, 1 << 30, "steps on those"),
    PL_OPTION_SIZE(C, school_rows, "school.rows", "N", "12", 1, 1 << 20, "rows of a step"),
    PL_OPTION_REAL(C, school_lr, "school.lr", "X", "1e-3", 0, 1, "learning rate"),
    PL_OPTION_REAL(C, careful_share, "warm_start.careful_share", "X", "0.3", 0, 1,
                   "proofs among the worked answers read then; the rest are guesses"),
    PL_OPTION_SIZE(C, warm_steps, "warm_start.steps", "N", "1500", 1, 1 << 30, "steps of it"),
    PL_OPTION_SIZE(C, warm_rows, "warm_start.rows", "N", "12", 1, 1 << 20, "rows of a step"),
    PL_OPTION_REAL(C, warm_lr, "warm_start.lr", "X", "5e-4", 0, 1, "learning rate"),
    PL_OPTION_GROUP("The row sft: after the warm start fine-tuned on proofs again"),
    PL_OPTION_SIZE(C, sft_steps, "sft.steps", "N", "600", 1, 1 << 30, "steps of it"),
    PL_OPTION_SIZE(C, sft_rows, "sft.rows", "N", "12", 1, 1 << 20, "rows of a step"),
    PL_OPTION_REAL(C, sft_lr, "sft.lr", "X", "5e-4", 0, 1, "learning rate"),
    PL_OPTION_GROUP("Training by reward, and evaluation"),
    PL_OPTION_SIZE(C, steps, "train.steps", "N", "100", 1, 1 << 30, "steps of each run"),
    PL_OPTION_LIST(C, train, "train.settings", "NAME=VALUE,...", NULL,
                   "further settings, before those of a recipe"),
    PL_OPTION_SIZE(C, answer_tokens, "eval.max_tokens", "N", "320", 1, 1 << 20,
                   "tokens of a response"),
};

static const struct pl_command table = {
    .name = "plait reproduce", .options = rows, .count = sizeof rows / sizeof *rows};

int pl_scale_load(const char *path, struct pl_scale *ret_scale, struct pl_error *err)
{
    return pl_settings_load(&table, path, NULL, 0, ret_scale, &ret_scale->text, err);
}

void pl_scale_release(struct pl_scale *scale)
{
    pl_settings_release(&table, scale, scale->text);
    *scale = (struct pl_scale){0};
}

int pl_scale_print(const struct pl_scale *scale, struct pl_buf *buf)
{
    return pl_settings_print(&table, scale, false, buf);
}
