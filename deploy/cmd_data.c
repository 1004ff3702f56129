#include "deploy/cmd_data.h"

#include "deploy/subcommand.h"

static const struct pl_subcommand rows[] = {
    {"generate", pl_cmd_data_generate, "problems, and worked answers for fine-tuning"},
    {"import", pl_cmd_data_import, "rows of published data sets as tasks"},
};

static const struct pl_subcommands commands = {
    .name = "plait data",
    .about = "Makes tasks for training and evaluation.",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
};

int pl_cmd_data(int argc, char **argv)
{
    return pl_subcommands_run(&commands, argc, argv);
}
