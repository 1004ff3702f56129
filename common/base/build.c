#include "common/base/build.h"

static const char *build_of_main = "unknown";

void pl_build_set(const char *build)
{
    build_of_main = build;
}

const char *pl_build(void)
{
    return build_of_main;
}
