#include "deploy/cmd_model.h"

#include "deploy/subcommand.h"

static const struct pl_subcommand rows[] = {
    {"init", pl_cmd_model_init, "a model with random weights from a config.json"},
    {"info", pl_cmd_model_info, "tensors, parameters, bytes and memory of a model"},
    {"score", pl_cmd_model_score, "the log-probability of every token of given texts"},
};

static const struct pl_subcommands commands = {
    .name = "plait model",
    .about = "Makes model folders as Hugging Face lays them out, describes them, scores texts.",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
};

int pl_cmd_model(int argc, char **argv)
{
    return pl_subcommands_run(&commands, argc, argv);
}
