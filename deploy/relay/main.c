#include "deploy/relay/relay.h"

#include <build_tag.h>

static size_t threads(const struct pl_run_conf *conf)
{
    (void)conf;
    return 1;
}

int main(int argc, char **argv)
{
    const struct pl_daemon_role role = {
        .build = PL_BUILD,
        .program = "plait-relay",
        .about = "Passes weights on: has each version once from the learner, or from another "
                 "relay, and serves it to those nearby out of a bounded cache. Any number may run; "
                 "each needs a name of its own.",
        .role = "relay",
        .threads = threads,
        .run = pl_relay_run,
    };

    return pl_daemon_main(&role, argc, argv);
}
