/*
 * What this process takes of the machine, as meters by their standard names:
 * process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
 * process_open_fds, process_max_fds, process_start_time_seconds, process_threads.
 */
#ifndef PL_APP_PROCESS_H
#define PL_APP_PROCESS_H

#include "common/app/meters.h"

struct pl_process_meters {
    struct pl_meter *cpu, *resident, *virtual_size, *fds, *fds_max, *start, *threads;
};

void pl_process_meters_make(struct pl_process_meters *process, struct pl_meters *meters);

/* A fill of meters (pl_meters_fill()): reads /proc/self. What it does not tell is not shown. */
void pl_process_meters_fill(void *process);

#endif
