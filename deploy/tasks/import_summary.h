/*
 * What became of the rows, for people or for scripts:
 *
 *   {"kind": "musique", "rows": 317, "duplicates": 1, "bad": 0, "left_out": {"...": 3},
 *    "other_level": 193, "not_drawn": 0, "shared": 2, "components": 67,
 *    "tasks": 121, "train": 100, "test": 21,
 *    "levels": {"3": {"train": 70, "test": 15}, ...},
 *    "notes": {"...": 4},
 *    "question": {"unit": "tokens", "mean": 950.2, "max": 1101}, "steps": {"mean": 2.3, "max": 3}}
 *
 * Reasons and notes are literals, told apart by their address. Where there are no parts, all is
 * "train".
 */
#ifndef PL_TASKS_IMPORT_SUMMARY_H
#define PL_TASKS_IMPORT_SUMMARY_H

#include "deploy/tasks/import_parts.h"

#include <stdio.h>

enum { PL_IMPORT_REASONS_MAX = 16 };

struct pl_import_reasons {
    const char *texts[PL_IMPORT_REASONS_MAX];
    uint64_t counts[PL_IMPORT_REASONS_MAX];
    size_t count;
};
void pl_import_reasons_add(struct pl_import_reasons *reasons, const char *text);

struct pl_import_summary {
    const char *kind;
    bool parts;
    uint64_t rows, duplicates, bad;
    struct pl_import_reasons left_out;
    struct pl_import_chosen chosen;

    /* Of the tasks that are written; set by pl_import_summary_measure(). */
    struct pl_import_reasons notes;
    uint64_t tasks[PL_IMPORT_PARTS];
    bool in_tokens; /* lengths are in tokens, not bytes */
    double length_mean, steps_mean;
    size_t length_max, steps_max;
};

/* Lengths in tokens where the ruler has a tokenizer, else in bytes. Errors of pl_ruler_length(). */
int pl_import_summary_measure(struct pl_import_summary *summary, const struct pl_import_set *set,
                              struct pl_ruler *ruler, struct pl_error *err);

/* PL_EIO from the stream, PL_ENOMEM. */
int pl_import_summary_print(const struct pl_import_summary *summary,
                            const struct pl_import_set *set, FILE *out, struct pl_error *err);

/* A new reference; NULL: memory is out. */
json_t *pl_import_summary_json(const struct pl_import_summary *summary,
                               const struct pl_import_set *set);

#endif
