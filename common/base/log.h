/*
 * Log lines for programs: `time level event key=value ...` on standard error, units in the key.
 * Libraries do not log; they return errors. Each call writes one line with one write().
 */
#ifndef PL_BASE_LOG_H
#define PL_BASE_LOG_H

enum pl_level { PL_LEVEL_DEBUG, PL_LEVEL_INFO, PL_LEVEL_WARN, PL_LEVEL_ERROR };

void pl_log_level_set(enum pl_level least); /* default PL_LEVEL_INFO */

/* Called before each line: what stands on the terminal gets out of the way. NULL: nobody. Set while
 * no other thread logs. */
void pl_log_before(void (*before)(void *at), void *at);

void pl_log(enum pl_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define pl_debug(...) pl_log(PL_LEVEL_DEBUG, __VA_ARGS__)
#define pl_info(...)  pl_log(PL_LEVEL_INFO, __VA_ARGS__)
#define pl_warn(...)  pl_log(PL_LEVEL_WARN, __VA_ARGS__)
#define pl_err(...)   pl_log(PL_LEVEL_ERROR, __VA_ARGS__)

#endif
