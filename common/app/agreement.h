/*
 * What must agree: which settings enter the bits of a run, and which of them, and of others, actors
 * and rewarders depend on. One table (agreement.c) says so of every setting, and why; a setting
 * without a row of it counts as one that enters the bits.
 *
 * Rows are "name: value" with the value as settings are printed (settings.h). Of the bits only
 * those are kept that differ from their default, so that a setting that a newer plait has and this
 * run does not use changes nothing.
 */
#ifndef PL_APP_AGREEMENT_H
#define PL_APP_AGREEMENT_H

#include "common/app/run_conf.h"
#include "common/base/buf.h"
#include "common/base/err.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum pl_bits {
    PL_BITS_NONE,     /* it may change whenever the run is started again */
    PL_BITS_ENTER,    /* another value ends with other weights */
    PL_BITS_SCHEDULE, /* only where a learning rate falls with the steps */
    PL_BITS_CONTENT,  /* the name does not, what is in it does, which has a row of its own */
};

enum { PL_DEPENDS_ACTOR = 1, PL_DEPENDS_REWARDER = 2 }; /* a set */

struct pl_meaning {
    const char *name;
    enum pl_bits bits;
    unsigned depends; /* roles that take no work where theirs is another than the run's */
    const char *why;
};

const struct pl_meaning *pl_meanings(size_t *ret_count);
const struct pl_meaning *pl_meaning(const char *name); /* NULL: there is no row */

/* An object of the settings that enter the bits and differ from their default: name to value as
 * printed. A new reference. PL_ENOMEM. */
int pl_agreement_bits(const struct pl_run_conf *conf, json_t **ret_rows);

/* Append the default of a setting, as printed. PL_ENOENT: there is no such setting. PL_ENOMEM. */
int pl_agreement_default(const char *name, struct pl_buf *out);

/*
 * Append "name: value" lines of all settings that one of these roles depends on, of what they take
 * from the model's folder: its sizes (pl_config_sizes()), the hash of its tokenizer (below), and of
 * the hash of the program that decides answers (below); NULL or "": not this one. PL_ENOMEM,
 * PL_EFULL.
 */
int pl_agreement_lines(const struct pl_run_conf *conf, unsigned roles, const char *model,
                       const char *tokenizer, const char *verifier, struct pl_buf *out);

/* What lines come to, in a number that travels with what was made under them; never 0. */
uint64_t pl_agreement_sum(const char *lines, size_t len);

/*
 * SHA-256 in hex of the tokenizer in a model's folder: of tokenizer.json, or of the files that
 * stand for it (tokenizer.h). PL_ENOENT: there is none. PL_EIO, PL_ENOMEM.
 */
int pl_agreement_tokenizer(const char *dir, char ret_hex[65], struct pl_error *err);

/*
 * SHA-256 in hex of the files that reward.exec.command names, in its order: the program where its
 * name has a '/', and each argument that names a file. A program that is looked up in PATH is not
 * among them: it is an interpreter, which hosts have of their own. "none": it names no file that is
 * there; "": there is no command. PL_EIO, PL_EFORMAT: a file cannot be read, or is too large.
 * PL_ENOMEM.
 */
int pl_agreement_verifier(const struct pl_run_conf *conf, char ret_hex[65], struct pl_error *err);

/* SHA-256 in hex. PL_ENOMEM. */
int pl_agreement_hash(const void *bytes, size_t len, char ret_hex[65]);

#endif
