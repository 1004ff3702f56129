/*
 * One line of a program's log as it was written (common/base/log.h), text or JSON, with or without
 * the journal's priority and with whatever a collector put in front of it.
 */
#ifndef PL_VIEW_LOG_ENTRY_H
#define PL_VIEW_LOG_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

enum { PL_LOG_ENTRY_FIELDS = 32 };

/* Texts are as they were given to the log: nothing of them is to be trusted. What is too long is
 * cut. */
struct pl_log_entry {
    double at_s; /* since 1970, by the clock of the machine that wrote it */
    char level[8], role[16], id[80], run[80];
    char event[64]; /* "weights.installed" */
    struct pl_log_entry_field {
        char key[32], value[512];
    } fields[PL_LOG_ENTRY_FIELDS]; /* those that have no place above, in order */
    size_t field_count;
};

/* false: it is none, or torn. */
bool pl_log_entry_read(const char *line, struct pl_log_entry *ret_entry);

/* "" where there is none. */
const char *pl_log_entry_field(const struct pl_log_entry *entry, const char *key);

#endif
