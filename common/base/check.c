#include "common/base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void pl_assert_failed(const char *cond, const char *file, int line, const char *func)
{
    fprintf(stderr, "plait: internal error: expected %s in %s() at %s:%d; please report this\n",
            cond, func, file, line);
    abort();
}
