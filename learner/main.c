#include "learner/learner.h"

#include <build_tag.h>

static size_t threads(const struct pl_run_conf *conf)
{
    return conf->learner_threads;
}

int main(int argc, char **argv)
{
    const struct pl_daemon_role role = {
        .build = PL_BUILD,
        .program = "plait-learner",
        .about =
            "Trains the policy: feeds prompts, takes scored batches in order, updates, announces "
            "each version, writes checkpoints. One runs; started again it goes on from its last "
            "checkpoint.",
        .role = "learner",
        .threads = threads,
        .run = pl_learner_run,
    };

    return pl_daemon_main(&role, argc, argv);
}
