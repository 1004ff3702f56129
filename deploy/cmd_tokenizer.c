#include "deploy/cmd_tokenizer.h"

#include "deploy/subcommand.h"

static const struct pl_subcommand rows[] = {
    {"train", pl_cmd_tokenizer_train, "learn a vocabulary from text"},
    {"encode", pl_cmd_tokenizer_encode, "text to token ids"},
    {"decode", pl_cmd_tokenizer_decode, "token ids to text"},
    {"info", pl_cmd_tokenizer_info, "what a tokenizer is made of"},
};

static const struct pl_subcommands commands = {
    .name = "plait tokenizer",
    .about = "Learns a vocabulary from text, applies one, and tells what is in one.",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
};

int pl_cmd_tokenizer(int argc, char **argv)
{
    return pl_subcommands_run(&commands, argc, argv);
}
