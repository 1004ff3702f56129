/*
 * Meters: the figures that a program shows to Prometheus, and their text (exposition format 0.0.4).
 *
 *   groups = pl_meters_counter(meters, "plait_groups_scored_total", "Groups scored.", NULL);
 *   pl_meter_add(groups, 1);
 *
 * A program that shows nothing has no meters: where `meters` is NULL each making gives NULL, and
 * all that is done to a meter that is NULL is nothing, so that nobody need ask.
 *
 * Always true:
 *   - a meter is made once, under a name and labels that no other one has; meters of one name are
 *     of one kind and have the same help;
 *   - a counter never falls; the name of a counter ends with _total;
 *   - a gauge is not in the text before it was set, nor after it was taken away: what is not known
 *     is not shown as 0;
 *   - labels are few and known beforehand: queues, outcomes, roles; never groups, texts or hosts.
 *
 * Names, helps and bounds are borrowed and must live as long as the meters; label values are
 * copied. Threads: all of these may be called by any.
 */
#ifndef PL_APP_METERS_H
#define PL_APP_METERS_H

#include "common/base/buf.h"

#include <stddef.h>
#include <stdint.h>

struct pl_meters;
struct pl_meter;

struct pl_meters *pl_meters_create(void);         /* NULL: no memory */
void pl_meters_destroy(struct pl_meters *meters); /* and all meters; NULL is fine */

/* A label that all meters have that are made from now on. */
void pl_meters_common(struct pl_meters *meters, const char *name, const char *value);

/*
 * Behind `help` come labels, name and value, and NULL at the end. Memory that ran out is said by
 * pl_meters_print(); the meter is NULL then.
 */
struct pl_meter *pl_meters_counter(struct pl_meters *meters, const char *name, const char *help,
                                   ...) __attribute__((sentinel));
struct pl_meter *pl_meters_gauge(struct pl_meters *meters, const char *name, const char *help, ...)
    __attribute__((sentinel));
/* `bounds` grow, and are finite; beyond the last is +Inf. */
struct pl_meter *pl_meters_histogram(struct pl_meters *meters, const char *name, const char *help,
                                     const double *bounds, size_t count, ...)
    __attribute__((sentinel));

void pl_meter_add(struct pl_meter *meter, double more);  /* counter; more >= 0 */
void pl_meter_rise(struct pl_meter *meter, double to);   /* counter that is kept elsewhere */
void pl_meter_set(struct pl_meter *meter, double value); /* gauge; NaN and infinities are values */
void pl_meter_unset(struct pl_meter *meter);             /* gauge */
void pl_meter_see(struct pl_meter *meter, double value); /* histogram */

/* `fill` is called before each text, to set what is kept elsewhere, until it is forgotten; then it
 * is not under way any more. */
void pl_meters_fill(struct pl_meters *meters, void (*fill)(void *at), void *at);
void pl_meters_forget(struct pl_meters *meters, void (*fill)(void *at), void *at);

/* Append the text of all meters. PL_ENOMEM, PL_EFULL. */
int pl_meters_print(struct pl_meters *meters, struct pl_buf *buf);

#endif
