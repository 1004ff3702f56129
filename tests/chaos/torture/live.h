/*
 * A small run of real programs in the scratch folder, for who breaks it from outside. Included
 * after cmocka's headers; whatever fails here fails the test.
 */
#ifndef PL_TESTS_CHAOS_LIVE_H
#define PL_TESTS_CHAOS_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

void pl_live_plait(const char *path); /* the front end; programs lie beside it */

/* A model, tasks and an instruction; and run.yaml for `steps` steps, with `more` lines of settings
 * after it. */
void pl_live_prepare(int steps, const char *more);
/* The same with words of its own for `trainer`: ", save_freq: 3" or "". */
void pl_live_prepare_with(int steps, const char *trainer, const char *more);

/* plait WORDS..., what it says in LOG. It ends with this program. */
pid_t pl_live_start(const char *log, const char *words);
void pl_live_run(const char *log, const char *words); /* until it ends well */
bool pl_live_over(pid_t *child, int *ret_status);     /* *child becomes 0 */
void pl_live_end(pid_t *child);                       /* asked, then by force */

char *pl_live_log(const char *name); /* a file of the scratch folder, "" where there is none */
uint64_t pl_live_count(const char *log, const char *word); /* how often it is in there */
void pl_live_tell(const char *log, const char *run);       /* the ends of what was said */

double pl_live_seconds(void);
void pl_live_pause(long ms);

#endif
