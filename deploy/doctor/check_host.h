/*
 * Checks of this machine for a run: limits of the system, room on the disk, memory against the
 * plan.
 */
#ifndef PL_DOCTOR_CHECK_HOST_H
#define PL_DOCTOR_CHECK_HOST_H

#include "common/app/run_conf.h"
#include "deploy/doctor/checkup.h"

#include <stdint.h>

/* *ret_redis_bytes: what the run will hold in Redis by the plan, 0: not known. */
void pl_check_host(struct pl_checkup *checkup, const struct pl_run_conf *conf,
                   uint64_t *ret_redis_bytes);

#endif
