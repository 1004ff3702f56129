/*
 * Where imported tasks go: a file, standard output ("-"), or with parts a folder, as train.jsonl
 * and test.jsonl. Files show up under their names whole, when all is written, or not at all. Tasks
 * keep the order in which they were read.
 */
#ifndef PL_TASKS_IMPORT_WRITE_H
#define PL_TASKS_IMPORT_WRITE_H

#include "deploy/tasks/import_set.h"

int pl_import_write(const struct pl_import_set *set, const char *output, bool parts,
                    struct pl_error *err);

#endif
