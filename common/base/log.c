#include "common/base/log.h"

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/base/logfmt.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NAME = 80, STAMP = 32, TOLD = 200, KEPT = 8, JSON_MAX = 16 * PL_LOG_LINE_MAX };

static _Atomic int level_least = PL_LEVEL_INFO;
static enum pl_log_format format;
static char role[NAME], id[NAME], run[NAME];
static bool journal;
static void (*before_line)(void *at);
static void *before_at;

/* A line that was written of late. */
static struct alike {
    uint64_t hash;          /* 0: none */
    double begun_s, last_s; /* when it was first written, and last asked for */
    unsigned times;         /* since then */
    enum pl_level level;
    char line[TOLD]; /* as much of it as is told */
} kept[KEPT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of kept, and one line at a time */

/* ---- who logs, and where to ---- */

/* Whether standard error is the journal: $JOURNAL_STREAM is its "DEVICE:INODE". */
static bool is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;

    return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && (unsigned long long)st.st_dev == device &&
           (unsigned long long)st.st_ino == inode;
}

void pl_log_begin(const struct pl_log_opts *opts)
{
    snprintf(role, sizeof role, "%s", opts->role ? opts->role : "");
    snprintf(id, sizeof id, "%s", opts->id ? opts->id : "");
    snprintf(run, sizeof run, "%s", opts->run ? opts->run : "");
    format = opts->format;
    journal = is_journal();
    pl_log_level_set(opts->least);
}

void pl_log_level_set(enum pl_level least)
{
    atomic_store(&level_least, (int)least);
}

void pl_log_before(void (*before)(void *at), void *at)
{
    before_line = before;
    before_at = at;
}

/* ---- one line ---- */

static void stamp(char text[STAMP])
{
    struct timespec now;
    struct tm utc;
    size_t used;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    used = strftime(text, STAMP, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + used, STAMP - used, ".%03ldZ", now.tv_nsec / 1000000);
}

static void send(const char *bytes, size_t len)
{
    if (before_line)
        before_line(before_at);
    if (write(STDERR_FILENO, bytes, len) < 0)
        return; /* there is nowhere left to say so */
}

static void send_text(const char *prefix, const char *at, const char *level, const char *line)
{
    char text[PL_LOG_LINE_MAX];
    /* Its own end is always there: the line is what is cut. */
    const size_t end = (id[0] ? strlen(" id=") + strlen(id) : 0) + 1;
    int n = snprintf(text, sizeof text - end, "%s%s %s %s", prefix, at, level, line);
    size_t len = n > 0 ? (size_t)n : 0;

    len = len < sizeof text - end ? len : sizeof text - end - 1;
    len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", id[0] ? " id=" : "", id);
    text[len++] = '\n';
    send(text, len);
}

static bool is_key(const struct pl_logfmt_field *f, const char *name)
{
    return f->key_len == strlen(name) && memcmp(f->key, name, f->key_len) == 0;
}

static bool is_any(const struct pl_logfmt_field *f, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_key(f, names[i]))
            return true;
    return false;
}

/* A key that stood in the line before. */
static bool is_second(const char *line, const struct pl_logfmt_field *f)
{
    struct pl_logfmt_field g;

    while (pl_logfmt_next(&line, &g) && g.key != f->key)
        if (g.key_len == f->key_len && memcmp(g.key, f->key, f->key_len) == 0)
            return true;
    return false;
}

static void add_text(struct pl_buf *buf, const char *key, size_t key_len, const char *text,
                     size_t len)
{
    (void)pl_buf_puts(buf, buf->data[buf->len - 1] != '{' ? "," : "");
    (void)pl_json_quote(buf, key, key_len);
    (void)pl_buf_puts(buf, ":");
    (void)pl_json_quote(buf, text, len);
}

static void add_name(struct pl_buf *buf, const char *key, const char *text)
{
    if (text[0])
        add_text(buf, key, strlen(key), text, strlen(text));
}

/* The words in front of the first key, and what `event=` says, with points between. */
static void add_event(struct pl_buf *buf, const char *line)
{
    char event[256] = "", value[128];
    struct pl_logfmt_field f;
    bool more = false;

    for (const char *at = line; pl_logfmt_next(&at, &f);) {
        const size_t len = strlen(event);

        if (f.key_len > 0 && !is_key(&f, "event")) {
            more = true;
            continue;
        }
        if (f.key_len == 0 && more)
            continue;
        pl_logfmt_value(&f, value, sizeof value);
        snprintf(event + len, sizeof event - len, "%s%s", len > 0 ? "." : "", value);
    }
    add_name(buf, "event", event);
}

static void add_fields(struct pl_buf *buf, const char *line)
{
    static const char *const front[] = {"ts", "level", "role", "id", "run", "event"};
    static const char *const names[] = {"group",  "batch", "name", "actor",
                                        "worker", "task",  "code", "entry"};
    char value[PL_LOG_LINE_MAX];
    struct pl_logfmt_field f;

    for (const char *at = line; pl_logfmt_next(&at, &f);) {
        size_t len;

        if (f.key_len == 0 || is_any(&f, front, sizeof front / sizeof *front) ||
            is_second(line, &f))
            continue;
        len = pl_logfmt_value(&f, value, sizeof value);
        if (pl_logfmt_is_number(&f) && !is_any(&f, names, sizeof names / sizeof *names)) {
            (void)pl_buf_puts(buf, ",");
            (void)pl_json_quote(buf, f.key, f.key_len);
            (void)pl_buf_puts(buf, ":");
            (void)pl_buf_append(buf, value, len);
        } else {
            add_text(buf, f.key, f.key_len, value, len);
        }
    }
}

static void send_json(const char *prefix, const char *at, const char *level, const char *line)
{
    struct pl_buf buf;

    pl_buf_init(&buf, JSON_MAX);
    (void)pl_buf_printf(&buf, "%s{", prefix);
    add_name(&buf, "ts", at);
    add_name(&buf, "level", level);
    add_name(&buf, "role", role);
    add_name(&buf, "id", id);
    add_name(&buf, "run", run);
    add_event(&buf, line);
    add_fields(&buf, line);
    if (pl_buf_puts(&buf, "}\n") == PL_OK)
        send(buf.data, buf.len);
    pl_buf_release(&buf);
}

static void send_line(enum pl_level level, const char *line)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    static const char *const priorities[] = {"<7>", "<6>", "<4>", "<3>"};
    char at[STAMP];

    stamp(at);
    (format == PL_LOG_JSON ? send_json : send_text)(journal ? priorities[level] : "", at,
                                                    names[level], line);
}

/* ---- lines alike ---- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t hash_of(enum pl_level level, const char *line)
{
    uint64_t h = 14695981039346656037ull + (uint64_t)level; /* FNV-1a */

    for (; *line; line++)
        h = (h ^ (unsigned char)*line) * 1099511628211ull;
    return h ? h : 1;
}

static void forget(struct alike *a)
{
    char line[PL_LOG_LINE_MAX / 2];

    if (a->times > PL_LOG_ALIKE) {
        pl_logfmt_print(line, sizeof line, "repeated times=%u line=\"%s\"", a->times - PL_LOG_ALIKE,
                        a->line);
        send_line(a->level, line);
    }
    *a = (struct alike){0};
}

/* Whether the line is one too many. */
static bool is_too_often(enum pl_level level, const char *line)
{
    const uint64_t hash = hash_of(level, line);
    const double now = seconds();
    struct alike *found = NULL, *oldest = kept;

    for (size_t i = 0; i < KEPT; i++) {
        if (kept[i].hash && now - kept[i].begun_s > PL_LOG_ALIKE_S)
            forget(&kept[i]);
        found = kept[i].hash == hash ? &kept[i] : found;
        oldest = kept[i].last_s < oldest->last_s ? &kept[i] : oldest;
    }
    if (!found) {
        found = oldest;
        forget(found);
        *found = (struct alike){.hash = hash, .begun_s = now, .level = level};
        snprintf(found->line, sizeof found->line, "%s", line);
    }
    found->last_s = now;
    return ++found->times > PL_LOG_ALIKE;
}

/* ---- logging ---- */

void pl_log_line(enum pl_level level, const char *line)
{
    if ((int)level < atomic_load(&level_least))
        return;
    pthread_mutex_lock(&lock);
    if (!is_too_often(level, line))
        send_line(level, line);
    pthread_mutex_unlock(&lock);
}

void pl_log(enum pl_level level, const char *fmt, ...)
{
    char line[PL_LOG_LINE_MAX - STAMP - NAME - 16];
    va_list ap;

    if ((int)level < atomic_load(&level_least))
        return;
    va_start(ap, fmt);
    pl_logfmt_vprint(line, sizeof line, fmt, ap);
    va_end(ap);
    pl_log_line(level, line);
}

void pl_log_end(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < KEPT; i++)
        forget(&kept[i]);
    pthread_mutex_unlock(&lock);
}
