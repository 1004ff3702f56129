/*
 * What `plait data generate` and `plait data import` take alike, and how they end.
 */
#ifndef PL_TASKS_DATA_OPTIONS_H
#define PL_TASKS_DATA_OPTIONS_H

#include "common/app/options.h"
#include "deploy/tasks/data_writer.h"

struct pl_data_options {
    const struct pl_family *family; /* set by the command, not by an option */
    const char *kind, *output, *folder;
    struct pl_option_list answers;
    int instruction, wording;
    double careful_share;
    size_t seed;
    bool json;
};

/* The rows about answers, for a table of options of struct T, which has these as `common`. */
#define PL_DATA_OPTIONS(T)                                                                         \
    PL_OPTION_GROUP("Worked answers"),                                                             \
        PL_OPTION_LIST(T, common.answers, "answers", "TEMPLATE,...", NULL,                         \
                       "write rows for plait sft with worked answers in "                          \
                       "these forms: interleave, think-answer, delayed, direct, cot"),             \
        PL_OPTION_REAL(T, common.careful_share, "careful-share", "X", "1", 0, 1,                   \
                       "share of answers that are proofs; the rest are guesses that look alike"),  \
        PL_OPTION_CHOICE(T, common.instruction, "instruction", "auto", "auto|control|full",        \
                         "what a prompt begins with: a control token or the full instruction; "    \
                         "auto: the token for plain wording"),                                     \
        PL_OPTION_STRING(T, common.folder, "templates", "FOLDER", NULL,                            \
                         "where the instructions are, if not where plait has its own")

/*
 * What the options mean to a writer; `parts` as there. PL_EINVAL: a template is unknown or comes
 * twice, or the output does not go with the parts.
 */
int pl_data_options_read(const struct pl_data_options *options, bool parts,
                         struct pl_data_writer_opts *ret_opts, struct pl_error *err);

/* The work is done, or failed with `rc`: commit, report and release. */
int pl_data_finish(struct pl_data_writer *writer, bool json, int rc, struct pl_error *err);

/* The exit status for `rc`, after its sentence was printed. PL_EINVAL stands for a wrong command
 * line, PL_ECANCELED for a signal. */
int pl_data_status(const struct pl_command *command, int rc, const struct pl_error *err);

#endif
