/* An actor that says that it was built from another source. */
#include "actor/actor.h"

int main(int argc, char **argv)
{
    const struct pl_daemon_role role = {
        .build = "another",
        .program = "plait-actor",
        .about = "Generates rollouts.",
        .role = "actor",
        .run = pl_actor_run,
    };

    return pl_daemon_main(&role, argc, argv);
}
