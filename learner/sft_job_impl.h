/* What the two halves of a job share (sft_prepare.c, sft_job.c), of no use elsewhere. */
#ifndef PL_LEARNER_SFT_JOB_IMPL_H
#define PL_LEARNER_SFT_JOB_IMPL_H

#include "learner/sft_job.h"

/* A line on standard error, for people. */
void pl_sft_remark(const struct pl_sft_job *job, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* For whoever reports bytes; at: a struct pl_progress. */
void pl_sft_show_bytes(void *at, uint64_t done, uint64_t total);

static inline bool pl_sft_has_eval(const struct pl_sft_job *job)
{
    return job->conf->eval_file != NULL;
}

#endif
