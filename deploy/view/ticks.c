#include "deploy/view/ticks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double far = 1e300;   /* beyond it sums of the axis would not be finite */
static const double near = 1e-290; /* and within it not exact */

static double tame(double value)
{
    return fmin(fmax(value, -far), far);
}

/* Data that are a point, or nothing, get room around them. */
static void widen(double *least, double *most)
{
    double size;

    if (!isfinite(*least) || !isfinite(*most) || *least > *most) {
        *least = 0.0;
        *most = 1.0;
    }
    *least = tame(*least);
    *most = tame(*most);
    size = fmax(fabs(*least), fabs(*most));
    if (size < near) {
        *least = 0.0;
        *most = 1.0;
    } else if (*most - *least <= 1e-9 * size) {
        *least -= size / 2.0;
        *most += size / 2.0;
    }
}

/* The least of 1, 2, 5, 10 times a power of ten that is not below raw. */
static double nice(double raw)
{
    const double power = pow(10.0, floor(log10(raw)));
    const double part = raw / power;

    return power * (part <= 1.0 + 1e-9   ? 1.0
                    : part <= 2.0 + 1e-9 ? 2.0
                    : part <= 5.0 + 1e-9 ? 5.0
                                         : 10.0);
}

static void find_even(const struct pl_ticks_ask *ask, struct pl_ticks *t)
{
    const double about = ask->about > 0 ? fmin((double)ask->about, 10.0) : 4.0;
    double first, last;

    t->step = nice((t->most - t->least) / about);
    if (ask->whole && t->step < 1.0)
        t->step = 1.0;
    if (ask->loose) {
        t->least = t->step * floor(t->least / t->step + 1e-9);
        t->most = t->step * ceil(t->most / t->step - 1e-9);
    }
    first = ceil(t->least / t->step - 1e-9);
    last = floor(t->most / t->step + 1e-9);
    for (double i = first; i <= last && t->count < PL_TICKS_MAX; i += 1.0)
        t->at[t->count++] = i == 0.0 ? 0.0 : i * t->step;
}

static void find_log(const struct pl_ticks_ask *ask, struct pl_ticks *t)
{
    static const double parts[] = {1.0, 2.0, 5.0};
    const double about = ask->about > 0 ? (double)ask->about : 4.0;
    double low, high, every;
    bool between;

    low = floor(log10(t->least) + 1e-9);
    high = ceil(log10(t->most) - 1e-9);
    high = high > low ? high : low + 1.0;
    if (ask->loose) {
        t->least = pow(10.0, low);
        t->most = pow(10.0, high);
    }
    every = ceil((high - low) / fmin(about, PL_TICKS_MAX - 2.0));
    between = high - low <= 2.0;
    for (double e = low; e <= high; e += every)
        for (size_t k = 0; k < (between ? 3 : 1); k++) {
            const double at = parts[k] * pow(10.0, e);

            if (at >= t->least * (1 - 1e-9) && at <= t->most * (1 + 1e-9) &&
                t->count < PL_TICKS_MAX)
                t->at[t->count++] = at;
        }
}

void pl_ticks_find(const struct pl_ticks_ask *ask, struct pl_ticks *ret_ticks)
{
    struct pl_ticks t = {.least = ask->least, .most = ask->most, .log = ask->log};

    if (ask->log && !(t.most > 0.0))
        t.most = 1.0;
    widen(&t.least, &t.most);
    if (ask->log && !(t.least > 0.0))
        t.least = t.most / 1000.0;
    if (ask->log)
        find_log(ask, &t);
    else
        find_even(ask, &t);
    *ret_ticks = t;
}

double pl_ticks_place(const struct pl_ticks *ticks, double value)
{
    const double v = isnan(value) ? ticks->least : fmin(fmax(value, ticks->least), ticks->most);

    if (ticks->log)
        return log(v / ticks->least) / log(ticks->most / ticks->least);
    return (v - ticks->least) / (ticks->most - ticks->least);
}

/* No zeros behind the point that say nothing, no minus in front of nothing. */
static void trim(char *text)
{
    char *exponent = strchr(text, 'e'), rest[PL_TICK_TEXT] = "";
    size_t len;

    if (!strchr(text, '.'))
        return;
    if (exponent) {
        snprintf(rest, sizeof rest, "%s", exponent);
        *exponent = '\0';
    }
    len = strlen(text);
    while (len > 0 && text[len - 1] == '0')
        len--;
    if (len > 0 && text[len - 1] == '.')
        len--;
    snprintf(text + len, PL_TICK_TEXT - len, "%s", rest);
}

const char *pl_ticks_text(const struct pl_ticks *ticks, double value, char text[PL_TICK_TEXT])
{
    const double size = fmax(fabs(ticks->least), fabs(ticks->most));
    const char *unit = size >= 2e9 ? "G" : size >= 2e6 ? "M" : size >= 1e4 ? "k" : "";
    const double scale = *unit == 'G' ? 1e9 : *unit == 'M' ? 1e6 : *unit == 'k' ? 1e3 : 1.0;
    const double step = ticks->step > 0.0 ? ticks->step / scale : 0.0;

    if (value == 0.0)
        return strcpy(text, "0");
    if (ticks->log || size >= 1e13 || size < 1e-3) {
        snprintf(text, PL_TICK_TEXT, "%.3g", value);
        trim(text);
        return text;
    }
    snprintf(text, PL_TICK_TEXT, "%.*f%s",
             step > 0 && step < 1.0 ? (int)ceil(-log10(step) - 1e-9) : 0, value / scale, unit);
    return text;
}

const char *pl_number_text(double value, char text[PL_TICK_TEXT])
{
    const double size = fabs(value);

    if (!isfinite(value))
        return strcpy(text, "-");
    if (value == 0.0)
        return strcpy(text, "0");
    if (size >= 1e15 || size < 1e-4)
        snprintf(text, PL_TICK_TEXT, "%.3e", value);
    else
        snprintf(text, PL_TICK_TEXT, "%.*f",
                 size >= 1000.0 ? 0 : (int)fmax(0.0, 3.0 - floor(log10(size))), value);
    trim(text);
    return text;
}
