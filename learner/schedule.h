/*
 * Learning rate of a step. Steps count from 0; w warm-up steps, n steps in all, `peak` the rate:
 *
 *   step s < w:  peak (s + 1) / (w + 1)
 *   constant:    peak
 *   linear:      floor + (peak - floor) (1 - x)
 *   cosine:      floor + (peak - floor) (1 + cos(pi x)) / 2
 *   with x = (s - w) / (n - w), 1 from step n on; floor = floor_ratio * peak
 */
#ifndef PL_LEARNER_SCHEDULE_H
#define PL_LEARNER_SCHEDULE_H

#include <stdint.h>

#define PL_SCHEDULE_CHOICES "constant|linear|cosine" /* in the order of the enum */
enum pl_schedule_kind { PL_SCHEDULE_CONSTANT, PL_SCHEDULE_LINEAR, PL_SCHEDULE_COSINE };

struct pl_schedule {
    enum pl_schedule_kind kind;
    double peak, floor_ratio;
    uint64_t warmup, steps; /* w, n */
};

double pl_schedule_lr(const struct pl_schedule *schedule, uint64_t step);

#endif
