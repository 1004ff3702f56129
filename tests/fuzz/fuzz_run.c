/*
 * Small files of runs and models: `latest` names a checkpoint in the run's own folder or is
 * refused; generation_config.json gives settings that the sampler takes. The input is the files, as
 * pl_fuzz_unpack() has them.
 */
#include "actor/sampling_file.h"
#include "common/base/file.h"
#include "learner/rundir.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"checkpoints/latest", "generation_config.json"};

static void check_latest(void)
{
    char *checkpoint = NULL, *folder = pl_fuzz_path("checkpoints/global_step_");
    struct pl_error err = {0};
    const int rc = pl_rundir_latest(pl_fuzz_dir(), &checkpoint, &err);

    if (rc < 0) {
        pl_fuzz_refused(rc, &err, PL_FUZZ_CODE(PL_EFORMAT));
    } else if (checkpoint) {
        const char *number = checkpoint + strlen(folder);

        PL_ASSERT(strncmp(checkpoint, folder, strlen(folder)) == 0);
        PL_ASSERT(*number && number[strspn(number, "0123456789")] == '\0');
        PL_ASSERT(pl_path_exists(checkpoint));
    }
    free(checkpoint);
    free(folder);
}

static void check_sampling(void)
{
    struct pl_sampling_file file;
    struct pl_error err = {0};
    const int rc = pl_sampling_load(pl_fuzz_dir(), &file, &err);

    if (rc < 0)
        pl_fuzz_refused(rc, &err, PL_FUZZ_CODE(PL_EFORMAT));
    else
        PL_ASSERT(pl_sampling_check(&file.sampling, &err) == PL_OK);
    PL_ASSERT(rc < 0 || file.repetition_penalty >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pl_fuzz_unpack((struct pl_fuzz_in){data, size}, names, sizeof names / sizeof names[0]);
    pl_fuzz_write("checkpoints/global_step_7/there", "", 0);
    check_latest();
    check_sampling();
    return 0;
}
