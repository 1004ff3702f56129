#include "actor/actor.h"

#include <build_tag.h>

static size_t threads(const struct pl_run_conf *conf)
{
    return conf->actor_threads;
}

int main(int argc, char **argv)
{
    const struct pl_daemon_role role = {
        .build = PL_BUILD,
        .program = "plait-actor",
        .about = "Generates rollouts: leases prompts from Redis, samples them with the policy that "
                 "the learner announces, hands them over. Any number may run; each needs a name of "
                 "its own.",
        .role = "actor",
        .threads = threads,
        .run = pl_actor_run,
    };

    return pl_daemon_main(&role, argc, argv);
}
