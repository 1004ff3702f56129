/*
 * Published rows as tasks. Each kind of data set is one row of a table and one file import_KIND.c
 * with one function, which makes of one published row, a JSON object, one task or none:
 *
 *   row ─▶ read() ─▶ draft: the task's line (proto/task.h), what makes it the same as another, what
 *                    it shares with others; or the reason why it is left out
 *
 * A row of a CSV file comes as the object of its fields, under the names in the file's first line.
 * What a kind draws (an order of options, of paragraphs) depends on the seed and on the row alone,
 * so that a row becomes the same task whatever else is imported.
 */
#ifndef PL_TASKS_IMPORT_H
#define PL_TASKS_IMPORT_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/rng.h"
#include "deploy/tasks/ruler.h"
#include "proto/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_IMPORT_ROW_BYTES_MAX = 1 << 20,
    PL_IMPORT_LINKS_MAX = 64,
    PL_IMPORT_CHOICES_MAX = PL_TASK_CHOICES_MAX,
};

/* What all rows are read by. */
struct pl_import_conf {
    uint64_t seed;
    struct pl_ruler *ruler;
    const char *verifier; /* of verl and chat rows; NULL: by where a row is from */
    bool keep_system;     /* verl, chat: a system message goes in front of the question */
    bool shuffle;         /* mmlu: options in drawn order */
    size_t context_tokens;
    bool drop_over_budget; /* musique: leave out what has more in its supporting paragraphs */
};

struct pl_import_row {
    const char *what;   /* "FILE:LINE", for errors */
    const char *stem;   /* the file's name without folder and ending, no other file's */
    size_t number;      /* of the line in it */
    const json_t *json; /* an object */
};

struct pl_import_draft {
    struct pl_buf line;   /* the task, without a newline */
    struct pl_buf worked; /* thoughts that lead to each step and to the answer, a JSON array of as
                             many strings; empty: none are published */
    struct pl_buf key;    /* tasks with the same text here are duplicates; empty: the question */
    const char *left_out; /* why there is no task, a literal; NULL: there is one */
    const char *note;     /* something worth counting, a literal; NULL: nothing */
    uint64_t links[PL_IMPORT_LINKS_MAX]; /* tasks that share one belong to the same component */
    size_t link_count;
};

struct pl_import_kind {
    const char *name;
    const char *about; /* what its rows are known by */
    /* One row. PL_EFORMAT, PL_EUNSUPPORTED: it is not what it should be; PL_ENOMEM. */
    int (*read)(const struct pl_import_conf *conf, const struct pl_import_row *row,
                struct pl_import_draft *draft, struct pl_error *err);
    const char *linked_by;          /* what tasks of a component share; NULL: nothing known */
    const char *const *csv_columns; /* names where a CSV file has no line of names; NULL: none */
    bool components;                /* --split component is the default */
    bool takes_verifier, takes_shuffle, takes_context, takes_answers;
};

extern const struct pl_import_kind pl_import_kinds[]; /* ended by one without a name */

/* NULL: there is none; `ret_nearest` is then a name like it or NULL. */
const struct pl_import_kind *pl_import_kind_named(const char *name, const char **ret_nearest);

void pl_import_draft_init(struct pl_import_draft *draft);
void pl_import_draft_clear(struct pl_import_draft *draft);
void pl_import_draft_release(struct pl_import_draft *draft);

/* What read() is made of. */

struct pl_import_fields {
    const char *id; /* NULL: made of the kind, the file and the line */
    const char *source, *question, *answer, *verifier;
    json_t *aliases, *steps, *meta; /* taken over, even on failure; NULL: empty */
    bool ordered;
};

/* Print the task into the draft. PL_EFORMAT: question or answer is blank; PL_ENOMEM. */
int pl_import_put(struct pl_import_draft *draft, const struct pl_import_row *row,
                  struct pl_import_fields *fields, struct pl_error *err);

/* A string that is not blank. */
int pl_import_string(const struct pl_import_row *row, const char *key, const char **ret,
                     struct pl_error *err);

/* The text of a string, number or truth value as a new string; NULL: it is another thing, or memory
 * is out. White space around it is left off. */
json_t *pl_import_text(const json_t *value);

/* The same of a field. PL_EFORMAT: it is missing, another thing or blank. */
int pl_import_answer(const struct pl_import_row *row, const json_t *obj, const char *key,
                     json_t **ret_text, struct pl_error *err);

/* {"answer": text, "aliases": []}; takes the text over. NULL: memory is out. */
json_t *pl_import_step(json_t *text);

/* Append an alias unless it is empty, the answer, or there already. */
int pl_import_alias(json_t *aliases, const char *answer, json_t *text);

/* A difficulty: 5 of 5, "5" and "Level 5"; any other text as it is. A new reference. */
json_t *pl_import_level(const json_t *value);

/* Not enough room for what comes of a row, `rc` says why: PL_EFORMAT where it would be too large,
 * PL_ENOMEM where memory is out, with the sentence. */
int pl_import_no_room(const struct pl_import_row *row, int rc, struct pl_error *err);

/* The only thought: the solution, without the white space around it; a blank one is none. */
int pl_import_solution(struct pl_import_draft *draft, const char *solution);

/* Put `key` into obj, taking `value` over; PL_ENOMEM also where that is NULL. */
int pl_import_set(json_t *obj, const char *key, json_t *value);
int pl_import_append(json_t *list, json_t *value);

void pl_import_link(struct pl_import_draft *draft, const char *text);

/* A text with each run of white space as one space and none around it, appended. */
int pl_import_flat(struct pl_buf *buf, const char *text);

uint64_t pl_import_hash(const char *text); /* FNV-1a */

/* Draws that depend on the seed, a purpose and a text. */
enum pl_import_draw {
    PL_IMPORT_DRAW_OPTIONS,
    PL_IMPORT_DRAW_PARAGRAPHS,
    PL_IMPORT_DRAW_ORDER,
    PL_IMPORT_DRAW_PART
};
struct pl_rng pl_import_rng(uint64_t seed, enum pl_import_draw draw, uint64_t key);
void pl_import_order(const struct pl_rng *rng, size_t *order, size_t n); /* a shuffle of 0..n-1 */

/* A question with options, in drawn order or as they are. */
struct pl_import_choices {
    const char *question;
    const char *options[PL_IMPORT_CHOICES_MAX];
    size_t count, right;
    bool shuffle;
};

/*
 * The task is printed into the draft: options as lines "A. ..." behind the question, the letter as
 * the answer, the text of the right option as its alias, meta.choices as they are shown. fields has
 * the rest. PL_EFORMAT: an option is blank.
 */
int pl_import_put_choices(const struct pl_import_conf *conf, const struct pl_import_row *row,
                          const struct pl_import_choices *choices, struct pl_import_fields *fields,
                          struct pl_import_draft *draft, struct pl_error *err);

/* The kinds. */
int pl_import_kk(const struct pl_import_conf *conf, const struct pl_import_row *row,
                 struct pl_import_draft *draft, struct pl_error *err);
int pl_import_musique(const struct pl_import_conf *conf, const struct pl_import_row *row,
                      struct pl_import_draft *draft, struct pl_error *err);
int pl_import_gsm8k(const struct pl_import_conf *conf, const struct pl_import_row *row,
                    struct pl_import_draft *draft, struct pl_error *err);
int pl_import_math(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   struct pl_import_draft *draft, struct pl_error *err);
int pl_import_mmlu(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   struct pl_import_draft *draft, struct pl_error *err);
int pl_import_gpqa(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   struct pl_import_draft *draft, struct pl_error *err);
int pl_import_verl(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   struct pl_import_draft *draft, struct pl_error *err);
int pl_import_chat(const struct pl_import_conf *conf, const struct pl_import_row *row,
                   struct pl_import_draft *draft, struct pl_error *err);

#endif
