/*
 * Options of a command: one table row each, read from the environment and the command line through
 * the same checks, and printed by --help from the same table.
 *
 *   struct conf { const char *model; size_t steps; double lr; bool quiet; int order; };
 *
 *   static const struct pl_option options[] = {
 *       PL_ARG(struct conf, model, "MODEL", "folder of the model"),
 *       PL_OPTION_GROUP("Training"),
 *       PL_OPTION_SIZE(struct conf, steps, "steps", "N", "100", 1, 1e9, "optimiser steps"),
 *       PL_OPTION_REAL(struct conf, lr, "lr", "X", "1e-4", 0, 1, "learning rate at the peak"),
 *       PL_OPTION_CHOICE(struct conf, order, "order", "shuffled", "shuffled|file", "data order"),
 *       PL_OPTION_FLAG(struct conf, quiet, "quiet", 'q', "say nothing but errors"),
 *   };
 *   static const struct pl_command command = {
 *       .name = "plait sft", .about = "Fine-tunes a model.", .options = options,
 *       .count = sizeof options / sizeof options[0]};
 *
 *   int pl_cmd_sft(int argc, char **argv)
 *   {
 *       struct conf conf;
 *       int status;
 *
 *       if (!pl_options_read(&command, argc, argv, &conf, &status))
 *           return status;
 *       ... pl_options_release(&command, &conf); ...
 *
 * Order of precedence: the default in the row, then the variable PLAIT_<NAME> ("lr" is PLAIT_LR,
 * "batch-size" is PLAIT_BATCH_SIZE; an empty one counts as not set), then the command line, where
 * the last one wins. `--name value`, `--name=value`, `-n value` and `-nvalue` are taken; options
 * and arguments may be mixed; after `--` everything is an argument. A flag is set by `--name`,
 * cleared by `--no-name`, and takes `=yes` or `=no`. Underscores in a typed name are read as
 * dashes.
 */
#ifndef PL_APP_OPTIONS_H
#define PL_APP_OPTIONS_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pl_option_kind {
    PL_OPTION_KIND_GROUP,  /* a heading in the help, holds nothing */
    PL_OPTION_KIND_FLAG,   /* bool */
    PL_OPTION_KIND_SIZE,   /* size_t; decimal, "4k", "2M" and "1G" are powers of 1024 */
    PL_OPTION_KIND_REAL,   /* double, finite */
    PL_OPTION_KIND_STRING, /* const char *, borrowed from argv, the environment or the table */
    PL_OPTION_KIND_CHOICE, /* int, index into choices */
    PL_OPTION_KIND_LIST,   /* struct pl_option_list */
};

/* Options split values at commas ("\," is a comma) and add up when repeated; arguments take all
 * that are left, each as it is. */
struct pl_option_list {
    char **items; /* NULL terminated; NULL when count is 0 */
    size_t count;
};

struct pl_option {
    const char *name; /* without dashes; of an argument: in capitals */
    size_t place;     /* offset in the caller's struct */
    enum pl_option_kind kind;
    char letter;       /* short form, 0: none */
    bool argument;     /* taken by position, not by name */
    const char *value; /* how help calls the value: "N", "FILE" */
    const char
        *initial; /* the default, as typed; NULL: none. An argument without one must be given. */
    double least, most;  /* of a size or real, or how many items a list needs; both 0: any */
    const char *choices; /* "a|b|c" */
    const char *help;    /* what it does and in what unit, a clause without capital and full stop */
};

/* Fails to compile when the field has not the type that the kind stores into. */
#define PL_OPTION_PLACE(T, field, type)                                                            \
    (offsetof(T, field) + 0 * _Generic(((T *)0)->field, type : 1))

#define PL_OPTION_GROUP(title)                                                                     \
    {                                                                                              \
        .kind = PL_OPTION_KIND_GROUP, .help = (title)                                              \
    }
#define PL_OPTION_FLAG(T, field, name_, letter_, help_)                                            \
    {                                                                                              \
        .name = (name_), .place = PL_OPTION_PLACE(T, field, bool), .kind = PL_OPTION_KIND_FLAG,    \
        .letter = (letter_), .initial = "no", .help = (help_)                                      \
    }
#define PL_OPTION_SIZE(T, field, name_, value_, initial_, least_, most_, help_)                    \
    {                                                                                              \
        .name = (name_), .place = PL_OPTION_PLACE(T, field, size_t), .kind = PL_OPTION_KIND_SIZE,  \
        .value = (value_), .initial = (initial_), .least = (double)(least_),                       \
        .most = (double)(most_), .help = (help_)                                                   \
    }
#define PL_OPTION_REAL(T, field, name_, value_, initial_, least_, most_, help_)                    \
    {                                                                                              \
        .name = (name_), .place = PL_OPTION_PLACE(T, field, double), .kind = PL_OPTION_KIND_REAL,  \
        .value = (value_), .initial = (initial_), .least = (double)(least_),                       \
        .most = (double)(most_), .help = (help_)                                                   \
    }
#define PL_OPTION_STRING(T, field, name_, value_, initial_, help_)                                 \
    {                                                                                              \
        .name = (name_), .place = PL_OPTION_PLACE(T, field, const char *),                         \
        .kind = PL_OPTION_KIND_STRING, .value = (value_), .initial = (initial_), .help = (help_)   \
    }
#define PL_OPTION_CHOICE(T, field, name_, initial_, choices_, help_)                               \
    {                                                                                              \
        .name = (name_), .place = PL_OPTION_PLACE(T, field, int), .kind = PL_OPTION_KIND_CHOICE,   \
        .value = (choices_), .initial = (initial_), .choices = (choices_), .help = (help_)         \
    }
#define PL_OPTION_LIST(T, field, name_, value_, initial_, help_)                                   \
    {                                                                                              \
        .name = (name_), .place = PL_OPTION_PLACE(T, field, struct pl_option_list),                \
        .kind = PL_OPTION_KIND_LIST, .value = (value_), .initial = (initial_), .help = (help_)     \
    }
/* A seed or another 64-bit number without a sensible bound. On this platform size_t has 64 bits. */
#define PL_OPTION_SEED(T, field, name_, initial_, help_)                                           \
    PL_OPTION_SIZE(T, field, name_, "N", initial_, 0, 0, help_)

/* Arguments: one that must be there, one that may be left out, and all that follow (at least n). */
#define PL_ARG(T, field, name_, help_)                                                             \
    {                                                                                              \
        .name = (name_), .place = PL_OPTION_PLACE(T, field, const char *),                         \
        .kind = PL_OPTION_KIND_STRING, .argument = true, .least = 1, .help = (help_)               \
    }
#define PL_ARG_OPTIONAL(T, field, name_, help_)                                                    \
    {                                                                                              \
        .name = (name_), .place = PL_OPTION_PLACE(T, field, const char *),                         \
        .kind = PL_OPTION_KIND_STRING, .argument = true, .help = (help_)                           \
    }
#define PL_ARG_LIST(T, field, name_, n, help_)                                                     \
    {                                                                                              \
        .name = (name_), .place = PL_OPTION_PLACE(T, field, struct pl_option_list),                \
        .kind = PL_OPTION_KIND_LIST, .argument = true, .least = (n), .help = (help_)               \
    }

struct pl_command {
    const char *name;  /* as typed: "plait sft" */
    const char *about; /* what it does, some sentences */
    const struct pl_option *options;
    size_t count;
    const char *after; /* printed under the options as it is (examples), NULL: nothing */
};

/* Exit statuses of plait. USAGE: what it was given is wrong, and whoever starts it again will see
 * the same. */
enum { PL_STATUS_OK = 0, PL_STATUS_FAILED = 1, PL_STATUS_USAGE = 2 };

/*
 * Fill conf, whose fields named by the table are all set; argv[0] is not looked at.
 * Returns PL_OK, or 1 when --help was asked for. PL_EINVAL: a sentence that names the option, what
 * it takes and what was found. PL_ENOMEM. After an error or help conf holds nothing to be released.
 */
int pl_options_parse(const struct pl_command *command, int argc, char **argv, void *conf,
                     struct pl_error *err);

/*
 * The same for a program: true when it is to go on. Otherwise help is on standard output, or the
 * error on standard error, and *ret_status is the exit status.
 */
bool pl_options_read(const struct pl_command *command, int argc, char **argv, void *conf,
                     int *ret_status);

void pl_options_release(const struct pl_command *command, void *conf); /* frees lists */

/* The help text, wrapped to `width` columns, added to buf. PL_ENOMEM or PL_EFULL from buf. */
int pl_options_help(const struct pl_command *command, size_t width, struct pl_buf *buf);

/* Add the resolved options, one `name = value` a line in table order, arguments included, to buf.
 */
int pl_options_print(const struct pl_command *command, const void *conf, struct pl_buf *buf);

/* The resolved options as one object, in table order, exact (numbers are not rounded, a string that
 * was not given is null); a new reference, NULL when memory is out or a string is not UTF-8. */
json_t *pl_options_json(const struct pl_command *command, const void *conf);

/* For errors of a program: "plait sft: <sentence>" on standard error; returns PL_STATUS_FAILED. */
int pl_command_failed(const struct pl_command *command, const struct pl_error *err);

/* For errors of what a program was given, its settings and the files that they name: trying again
 * does not help, a person has to look. The same line; returns PL_STATUS_USAGE, or PL_STATUS_FAILED
 * where memory or the disk failed. */
int pl_command_refused(const struct pl_command *command, const struct pl_error *err);
int pl_status_of_given(int code); /* the status alone */

/* The end of a command: PL_STATUS_OK, or the line of pl_command_failed() and PL_STATUS_USAGE for
 * PL_EINVAL, PL_STATUS_FAILED for the rest. */
int pl_command_ended(const struct pl_command *command, int rc, const struct pl_error *err);

#endif
