#include "deploy/tasks/data_options.h"

#include "common/app/nearest.h"
#include "common/app/signals.h"

#include <string.h>

static int read_template(const char *name, struct pl_data_writer_opts *opts, struct pl_error *err)
{
    struct pl_nearest nearest = {.word = name};

    for (size_t i = 0; i < PL_TEMPLATES; i++) {
        const enum pl_method template = (enum pl_method)i;

        pl_nearest_offer(&nearest, pl_method_name(template));
        if (strcmp(name, pl_method_name(template)) != 0)
            continue;
        for (size_t k = 0; k < opts->template_count; k++)
            if (opts->templates[k] == template)
                return pl_fail(err, PL_EINVAL, "--answers names '%s' twice", name);
        opts->templates[opts->template_count++] = template;
        return PL_OK;
    }
    if (nearest.best)
        return pl_fail(err, PL_EINVAL, "--answers knows no template '%s'; did you mean '%s'?", name,
                       nearest.best);
    return pl_fail(err, PL_EINVAL,
                   "--answers knows no template '%s'; it takes interleave, think-answer, delayed, "
                   "direct and cot",
                   name);
}

int pl_data_options_read(const struct pl_data_options *options, bool parts,
                         struct pl_data_writer_opts *ret_opts, struct pl_error *err)
{
    enum { AUTO, CONTROL, FULL };
    int rc = PL_OK;

    *ret_opts = (struct pl_data_writer_opts){.family = options->family,
                                             .output = options->output,
                                             .parts = parts,
                                             .folder = options->folder,
                                             .careful_share = options->careful_share,
                                             .seed = options->seed};
    ret_opts->instruction =
        options->instruction == CONTROL ||
                (options->instruction == AUTO && options->wording == PL_WORDING_PLAIN)
            ? PL_INSTRUCTION_CONTROL
            : PL_INSTRUCTION_FULL;
    for (size_t i = 0; rc == PL_OK && i < options->answers.count; i++)
        rc = read_template(options->answers.items[i], ret_opts, err);
    if (rc == PL_OK && !options->output[0])
        rc =
            pl_fail(err, PL_EINVAL, "--output is empty; expected a path, or - for standard output");
    if (rc == PL_OK && parts && strcmp(options->output, "-") == 0)
        rc = pl_fail(err, PL_EINVAL,
                     "--train and --test need a folder to write to: --output FOLDER");
    return rc;
}

int pl_data_finish(struct pl_data_writer *writer, bool json, int rc, struct pl_error *err)
{
    if (rc == PL_OK)
        rc = pl_data_writer_commit(writer, err);
    if (rc == PL_OK)
        rc = pl_data_writer_report(writer, json, err);
    pl_data_writer_release(writer);
    return rc;
}

/* The exit status; PL_EINVAL comes from the command line alone. */
int pl_data_status(const struct pl_command *command, int rc, const struct pl_error *err)
{
    const int stop = pl_signals_stop();
    int status = PL_STATUS_OK;

    if (rc < 0)
        status = pl_command_failed(command, err);
    if (rc == PL_EINVAL)
        status = PL_STATUS_USAGE;
    return rc == PL_ECANCELED ? 128 + stop : status;
}
