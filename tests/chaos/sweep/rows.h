/*
 * What a sweep of settings tries: for every flag, choice and number of the run's own table
 * (pl_run_conf_table()) some values, and rows of values in which each two values of two settings
 * stand together at least once, where the configuration lets them. A setting that is added to the
 * table is swept by itself.
 *
 *   number   what the base configuration has, the default, the least, the next above a least of 0
 *            (which often means "off"), the most, two that are drawn
 *   choice   each; flag: both
 *
 * bounds[] in rows.c says where a run of a second asks for another least or most than the
 * table's, or for one value alone, and why.
 */
#ifndef PL_CHAOS_SWEEP_ROWS_H
#define PL_CHAOS_SWEEP_ROWS_H

#include "common/app/options.h"
#include "common/base/buf.h"
#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PL_VALUES_MAX = 8, PL_FACTORS_MAX = 200 };

struct pl_factor {
    const struct pl_option *option; /* of the table */
    char *values[PL_VALUES_MAX];    /* the first is what the base configuration has */
    size_t count;
};

/* `config`: the base configuration; ret: PL_FACTORS_MAX, ended with pl_factors_release(). */
int pl_factors_make(const char *config, uint64_t seed, struct pl_factor *ret, size_t *ret_count,
                    struct pl_error *err);
void pl_factors_release(struct pl_factor *factors, size_t count);

/* Choice of a value for each factor; 0: as the base has it. */
struct pl_row {
    unsigned char at[PL_FACTORS_MAX];
};

/* "name=value" of whatever is not the base's, NULL at the end; ret: room for `count` + 1 and the
 * `fixed` ones, which go in front (NULL: none). The words are the caller's to free. */
int pl_row_words(const struct pl_factor *factors, size_t count, const struct pl_row *row,
                 const char *const *fixed, char **ret);
void pl_row_words_free(char **words);

/* Whether the configuration takes it; *ret_text says why not. Within this process. */
bool pl_row_is_taken(const char *config, char *const *words, struct pl_error *ret_why);

struct pl_cover {
    size_t pairs, met, refused; /* of values; refused: by the configuration in any company */
};

/* Rows from malloc() in which all pairs that can stand together do; the first ones have the most.
 * At most rows_max of them; 0: as many as it takes. */
int pl_rows_make(const char *config, const struct pl_factor *factors, size_t count, uint64_t seed,
                 size_t rows_max, struct pl_row **ret_rows, size_t *ret_count,
                 struct pl_cover *ret_cover);

#endif
