/*
 * Checks of a run's Redis, asked as the user of the role "viewer" where the settings say "{role}":
 * by HELLO, INFO, TIME and what a viewer may read, and by CONFIG GET where it is allowed.
 */
#ifndef PL_DOCTOR_CHECK_REDIS_H
#define PL_DOCTOR_CHECK_REDIS_H

#include "common/app/run_conf.h"
#include "deploy/doctor/checkup.h"

#include <stdint.h>

/* `wanted_bytes`: what the run will hold in it, 0: not known. What cannot be asked is a check too.
 */
void pl_check_redis(struct pl_checkup *checkup, const struct pl_run_conf *conf,
                    uint64_t wanted_bytes);

#endif
