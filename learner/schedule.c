#include "learner/schedule.h"

#include <math.h>

double pl_schedule_lr(const struct pl_schedule *schedule, uint64_t step)
{
    const double peak = schedule->peak, least = peak * schedule->floor_ratio;
    double x = 1.0;

    if (step < schedule->warmup)
        return peak * (double)(step + 1) / (double)(schedule->warmup + 1);
    if (step < schedule->steps)
        x = (double)(step - schedule->warmup) / (double)(schedule->steps - schedule->warmup);
    switch (schedule->kind) {
    case PL_SCHEDULE_LINEAR:
        return least + (peak - least) * (1.0 - x);
    case PL_SCHEDULE_COSINE:
        return least + (peak - least) * 0.5 * (1.0 + cos(3.14159265358979323846 * x));
    case PL_SCHEDULE_CONSTANT:
        break;
    }
    return peak;
}
