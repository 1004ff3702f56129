#include "rewarder/rewarder.h"

#include <build_tag.h>

static size_t threads(const struct pl_run_conf *conf)
{
    (void)conf;
    return 1; /* scoring threads are its own, not OpenMP's */
}

int main(int argc, char **argv)
{
    const struct pl_daemon_role role = {
        .build = PL_BUILD,
        .program = "plait-rewarder",
        .about =
            "Scores rollouts by rule: leases them from Redis, commits them into their batches. "
            "Any number may run; each needs a name of its own.",
        .role = "rewarder",
        .threads = threads,
        .run = pl_rewarder_run,
    };

    return pl_daemon_main(&role, argc, argv);
}
