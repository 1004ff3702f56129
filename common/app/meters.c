#include "common/app/meters.h"

#include "common/base/check.h"
#include "common/base/err.h"
#include "common/text/utf8.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILLS_MAX = 8, LABELS_BYTES_MAX = 4096 };

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const char *const kind_names[] = {"counter", "gauge", "histogram"};

struct pl_meter {
    struct pl_meter *next;
    struct family *family;
    char *labels; /* `run="x",queue="prompts"`, "" for none */
    double value; /* histogram: the sum of what was seen */
    bool set;
    uint64_t seen;     /* histogram: how often */
    uint64_t counts[]; /* (bound_count) not more than the bound, and more than the one before */
};

/* Meters of one name. */
struct family {
    struct family *next;
    enum kind kind;
    const char *name, *help;
    const double *bounds;
    size_t bound_count;
    struct pl_meters *meters;
    struct pl_meter *first, **last;
};

struct pl_meters {
    pthread_mutex_t lock;    /* all values and lists */
    pthread_mutex_t filling; /* held before `lock`, while fills are called */
    struct family *first, **last;
    struct pl_buf common; /* labels of all, as they are printed */
    struct {
        void (*fill)(void *at);
        void *at;
    } fills[FILLS_MAX];
    size_t fill_count;
    bool failed; /* memory ran out while a meter was made */
};

struct pl_meters *pl_meters_create(void)
{
    struct pl_meters *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->filling, NULL);
    pl_buf_init(&m->common, LABELS_BYTES_MAX);
    m->last = &m->first;
    return m;
}

void pl_meters_destroy(struct pl_meters *meters)
{
    if (!meters)
        return;
    for (struct family *f = meters->first; f;) {
        struct family *next = f->next;

        for (struct pl_meter *m = f->first; m;) {
            struct pl_meter *after = m->next;

            free(m->labels);
            free(m);
            m = after;
        }
        free(f);
        f = next;
    }
    pl_buf_release(&meters->common);
    pthread_mutex_destroy(&meters->filling);
    pthread_mutex_destroy(&meters->lock);
    free(meters);
}

/* ---- names and labels ---- */

static bool is_name(const char *name, bool colons)
{
    for (const char *c = name; *c; c++) {
        const bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_';

        if (!letter && !(*c == ':' && colons) && !(c > name && *c >= '0' && *c <= '9'))
            return false;
    }
    return name[0] != '\0';
}

/* Text in which backslashes and line feeds, and quotes where `quotes`, are escaped. */
static int escape(struct pl_buf *buf, const char *text, bool quotes)
{
    int rc = PL_OK;

    for (; rc == PL_OK && *text; text++) {
        if (*text == '\\' || (*text == '"' && quotes))
            rc = pl_buf_append(buf, "\\", 1);
        if (rc == PL_OK)
            rc = *text == '\n' ? pl_buf_puts(buf, "\\n") : pl_buf_append(buf, text, 1);
    }
    return rc;
}

/* One label more: `,name="value"`, the value as UTF-8 whatever it is. */
static int add_label(struct pl_buf *buf, const char *name, const char *value)
{
    struct pl_buf good;
    int rc = PL_OK;

    PL_ASSERT(is_name(name, false) && strcmp(name, "le") != 0);
    pl_buf_init(&good, LABELS_BYTES_MAX);
    if (buf->len > 0)
        rc = pl_buf_append(buf, ",", 1);
    if (rc == PL_OK)
        rc = pl_utf8_repair(value, strlen(value), &good);
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "%s=\"", name);
    if (rc == PL_OK)
        rc = escape(buf, good.data ? good.data : "", true);
    if (rc == PL_OK)
        rc = pl_buf_append(buf, "\"", 1);
    pl_buf_release(&good);
    return rc;
}

void pl_meters_common(struct pl_meters *meters, const char *name, const char *value)
{
    if (!meters)
        return;
    pthread_mutex_lock(&meters->lock);
    if (add_label(&meters->common, name, value) < 0)
        meters->failed = true;
    pthread_mutex_unlock(&meters->lock);
}

/* The labels of a new meter, from malloc(); NULL: no memory. */
static char *labels_of(const struct pl_meters *meters, va_list ap)
{
    struct pl_buf buf;
    const char *name;
    char *labels = NULL;
    int rc;

    pl_buf_init(&buf, LABELS_BYTES_MAX);
    rc = pl_buf_puts(&buf, meters->common.data ? meters->common.data : "");
    while (rc == PL_OK && (name = va_arg(ap, const char *)))
        rc = add_label(&buf, name, va_arg(ap, const char *));
    if (rc == PL_OK)
        labels = strdup(buf.data ? buf.data : "");
    pl_buf_release(&buf);
    return labels;
}

/* ---- making ---- */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);

    return n > k && strcmp(text + n - k, end) == 0;
}

static struct family *family_of(struct pl_meters *meters, enum kind kind, const char *name,
                                const char *help, const double *bounds, size_t count)
{
    struct family *f;

    for (f = meters->first; f; f = f->next) {
        if (strcmp(f->name, name) != 0)
            continue;
        PL_ASSERT(f->kind == kind && f->bounds == bounds && f->bound_count == count);
        return f;
    }
    f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    *f = (struct family){.kind = kind,
                         .name = name,
                         .help = help,
                         .bounds = bounds,
                         .bound_count = count,
                         .meters = meters};
    f->last = &f->first;
    *meters->last = f;
    meters->last = &f->next;
    return f;
}

static struct pl_meter *make(struct pl_meters *meters, enum kind kind, const char *name,
                             const char *help, const double *bounds, size_t count, va_list ap)
{
    struct pl_meter *m = NULL;
    struct family *f;
    char *labels;

    PL_ASSERT(is_name(name, true) && help[0] && (kind == COUNTER) == ends_with(name, "_total"));
    for (size_t i = 0; i < count; i++)
        PL_ASSERT(isfinite(bounds[i]) && (i == 0 || bounds[i] > bounds[i - 1]));
    pthread_mutex_lock(&meters->lock);
    labels = labels_of(meters, ap);
    f = labels ? family_of(meters, kind, name, help, bounds, count) : NULL;
    for (const struct pl_meter *other = f ? f->first : NULL; other; other = other->next)
        PL_ASSERT(strcmp(other->labels, labels) != 0);
    if (f)
        m = calloc(1, sizeof *m + count * sizeof *m->counts);
    if (m) {
        m->family = f;
        m->labels = labels;
        m->set = kind != GAUGE;
        *f->last = m;
        f->last = &m->next;
    } else {
        meters->failed = true;
        free(labels);
    }
    pthread_mutex_unlock(&meters->lock);
    return m;
}

struct pl_meter *pl_meters_counter(struct pl_meters *meters, const char *name, const char *help,
                                   ...)
{
    struct pl_meter *m = NULL;
    va_list ap;

    va_start(ap, help);
    if (meters)
        m = make(meters, COUNTER, name, help, NULL, 0, ap);
    va_end(ap);
    return m;
}

struct pl_meter *pl_meters_gauge(struct pl_meters *meters, const char *name, const char *help, ...)
{
    struct pl_meter *m = NULL;
    va_list ap;

    va_start(ap, help);
    if (meters)
        m = make(meters, GAUGE, name, help, NULL, 0, ap);
    va_end(ap);
    return m;
}

struct pl_meter *pl_meters_histogram(struct pl_meters *meters, const char *name, const char *help,
                                     const double *bounds, size_t count, ...)
{
    struct pl_meter *m = NULL;
    va_list ap;

    va_start(ap, count);
    if (meters)
        m = make(meters, HISTOGRAM, name, help, bounds, count, ap);
    va_end(ap);
    return m;
}

/* ---- values ---- */

static void change(struct pl_meter *m, double value, bool set)
{
    pthread_mutex_lock(&m->family->meters->lock);
    m->value = value;
    m->set = set;
    pthread_mutex_unlock(&m->family->meters->lock);
}

void pl_meter_add(struct pl_meter *meter, double more)
{
    if (!meter)
        return;
    PL_ASSERT(meter->family->kind == COUNTER && more >= 0.0);
    pthread_mutex_lock(&meter->family->meters->lock);
    meter->value += more;
    pthread_mutex_unlock(&meter->family->meters->lock);
}

void pl_meter_rise(struct pl_meter *meter, double to)
{
    if (!meter)
        return;
    PL_ASSERT(meter->family->kind == COUNTER);
    pthread_mutex_lock(&meter->family->meters->lock);
    if (to > meter->value)
        meter->value = to;
    pthread_mutex_unlock(&meter->family->meters->lock);
}

void pl_meter_set(struct pl_meter *meter, double value)
{
    if (!meter)
        return;
    PL_ASSERT(meter->family->kind == GAUGE);
    change(meter, value, true);
}

void pl_meter_unset(struct pl_meter *meter)
{
    if (!meter)
        return;
    PL_ASSERT(meter->family->kind == GAUGE);
    change(meter, 0.0, false);
}

void pl_meter_see(struct pl_meter *meter, double value)
{
    const struct family *f;
    size_t i = 0;

    if (!meter)
        return;
    f = meter->family;
    PL_ASSERT(f->kind == HISTOGRAM);
    while (i < f->bound_count && !(value <= f->bounds[i]))
        i++;
    pthread_mutex_lock(&f->meters->lock);
    meter->seen++;
    meter->value += value;
    if (i < f->bound_count)
        meter->counts[i]++;
    pthread_mutex_unlock(&f->meters->lock);
}

/* ---- the text ---- */

void pl_meters_fill(struct pl_meters *meters, void (*fill)(void *at), void *at)
{
    if (!meters)
        return;
    pthread_mutex_lock(&meters->filling);
    PL_ASSERT(meters->fill_count < FILLS_MAX);
    meters->fills[meters->fill_count].fill = fill;
    meters->fills[meters->fill_count++].at = at;
    pthread_mutex_unlock(&meters->filling);
}

void pl_meters_forget(struct pl_meters *meters, void (*fill)(void *at), void *at)
{
    size_t kept = 0;

    if (!meters)
        return;
    pthread_mutex_lock(&meters->filling);
    for (size_t i = 0; i < meters->fill_count; i++)
        if (meters->fills[i].fill != fill || meters->fills[i].at != at)
            meters->fills[kept++] = meters->fills[i];
    meters->fill_count = kept;
    pthread_mutex_unlock(&meters->filling);
}

/* The shortest digits that read back to the same value, or the format's words. */
static void number(double value, char ret_text[40])
{
    if (isnan(value)) {
        strcpy(ret_text, "NaN");
        return;
    }
    if (isinf(value)) {
        strcpy(ret_text, value > 0.0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(ret_text, 40, "%.*g", digits, value);
        if (strtod(ret_text, NULL) == value)
            return;
    }
}

/* `name{labels,le="0.5"} value`; le: NULL for none. */
static int line(struct pl_buf *buf, const struct pl_meter *m, const char *suffix, const char *le,
                double value)
{
    const bool both = m->labels[0] && le;
    char text[40];

    number(value, text);
    if (!m->labels[0] && !le)
        return pl_buf_printf(buf, "%s%s %s\n", m->family->name, suffix, text);
    return pl_buf_printf(buf, "%s%s{%s%s%s%s%s} %s\n", m->family->name, suffix, m->labels,
                         both ? "," : "", le ? "le=\"" : "", le ? le : "", le ? "\"" : "", text);
}

static int print_histogram(struct pl_buf *buf, const struct pl_meter *m)
{
    const struct family *f = m->family;
    uint64_t below = 0;
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < f->bound_count; i++) {
        char le[40];

        number(f->bounds[i], le);
        below += m->counts[i];
        rc = line(buf, m, "_bucket", le, (double)below);
    }
    if (rc == PL_OK)
        rc = line(buf, m, "_bucket", "+Inf", (double)m->seen);
    if (rc == PL_OK)
        rc = line(buf, m, "_sum", NULL, m->value);
    return rc == PL_OK ? line(buf, m, "_count", NULL, (double)m->seen) : rc;
}

static int print_family(struct pl_buf *buf, const struct family *f)
{
    const struct pl_meter *m = f->first;
    int rc;

    while (m && !m->set)
        m = m->next;
    if (!m) /* nothing of it is known */
        return PL_OK;
    rc = pl_buf_printf(buf, "# HELP %s ", f->name);
    if (rc == PL_OK)
        rc = escape(buf, f->help, false);
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "\n# TYPE %s %s\n", f->name, kind_names[f->kind]);
    for (; rc == PL_OK && m; m = m->next)
        if (m->set)
            rc = f->kind == HISTOGRAM ? print_histogram(buf, m) : line(buf, m, "", NULL, m->value);
    return rc;
}

int pl_meters_print(struct pl_meters *meters, struct pl_buf *buf)
{
    int rc;

    pthread_mutex_lock(&meters->filling);
    for (size_t i = 0; i < meters->fill_count; i++)
        meters->fills[i].fill(meters->fills[i].at);
    pthread_mutex_lock(&meters->lock);
    rc = meters->failed ? PL_ENOMEM : PL_OK;
    for (const struct family *f = meters->first; rc == PL_OK && f; f = f->next)
        rc = print_family(buf, f);
    pthread_mutex_unlock(&meters->lock);
    pthread_mutex_unlock(&meters->filling);
    return rc;
}
