/*
 * Log lines for programs, on standard error, units in the key. Libraries do not log; they return
 * errors. Each line is one write(); any thread may log.
 *
 *   text   2026-11-25T05:16:32.123Z info finished group=12:3 tokens=811 id=actor-1
 *   json   {"ts":"2026-11-25T05:16:32.123Z","level":"info","role":"actor","id":"actor-1",
 *           "run":"demo","event":"finished","group":"12:3","tokens":811}
 *
 * JSON is made from the text (logfmt.h): its first word is the event, `finished event=late` is
 * "finished.late", what is written as a number is one, but for names (group, batch, name, actor,
 * worker, ...), which stay strings. A key that is one of those in front is left out.
 *
 * Where standard error is the journal ($JOURNAL_STREAM), "<N>" with the level's priority is in
 * front.
 *
 * The same line more than PL_LOG_ALIKE times within PL_LOG_ALIKE_S seconds is counted, not written;
 * `repeated times=N line="..."` says so when the time is over and something else is logged, or at
 * pl_log_end().
 */
#ifndef PL_BASE_LOG_H
#define PL_BASE_LOG_H

enum pl_level { PL_LEVEL_DEBUG, PL_LEVEL_INFO, PL_LEVEL_WARN, PL_LEVEL_ERROR };
#define PL_LEVEL_WORDS "debug|info|warn|error"

enum pl_log_format { PL_LOG_TEXT, PL_LOG_JSON };
#define PL_LOG_FORMAT_WORDS "text|json"

enum { PL_LOG_ALIKE = 5, PL_LOG_ALIKE_S = 10, PL_LOG_LINE_MAX = 2048 /* bytes of a text line */ };

struct pl_log_opts {
    enum pl_log_format format;
    enum pl_level least;
    const char *role, *id, *run; /* who logs; "" or NULL: not said. Copied, cut at 79 bytes. */
};

/* Text from PL_LEVEL_INFO on, of nobody, until this is called; before other threads log. */
void pl_log_begin(const struct pl_log_opts *opts);
void pl_log_end(void); /* lines that were counted and not written are told of */

void pl_log_level_set(enum pl_level least);

/* Called before each line: what stands on the terminal gets out of the way. NULL: nobody. Set while
 * no other thread logs. */
void pl_log_before(void (*before)(void *at), void *at);

/* The format as in logfmt.h: what strings hold stays within their value. */
void pl_log(enum pl_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A line that pl_logfmt_print() made. */
void pl_log_line(enum pl_level level, const char *line);

#define pl_debug(...) pl_log(PL_LEVEL_DEBUG, __VA_ARGS__)
#define pl_info(...)  pl_log(PL_LEVEL_INFO, __VA_ARGS__)
#define pl_warn(...)  pl_log(PL_LEVEL_WARN, __VA_ARGS__)
#define pl_err(...)   pl_log(PL_LEVEL_ERROR, __VA_ARGS__)

#endif
