/* parrot DIR POSITIONS SCRIPT...: a model folder whose model says the scripts (tests/parrot.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/parrot.h"

#include <stdio.h>
#include <stdlib.h>

static char **words;
static size_t count;

static void make(void **state)
{
    struct pl_parrot parrot;

    (void)state;
    pl_parrot_create(&parrot, (const char *const *)words + 3, count - 3,
                     strtoul(words[2], NULL, 10));
    pl_parrot_save(&parrot, words[1]);
    pl_parrot_destroy(&parrot);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(make)};

    if (argc < 4) {
        fprintf(stderr, "Usage: parrot DIR POSITIONS SCRIPT...\n");
        return 2;
    }
    words = argv;
    count = (size_t)argc;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
