/* Files with a secret: where they are looked for, who may read them, what is in them and in no
 * error; and what of the access to Redis stands for a program's role. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/redis_access.h"
#include "common/base/secret.h"
#include "tests/scratch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pl_error err;

static void put(const char *name, const char *text, mode_t mode)
{
    pl_scratch_text(pl_scratch(name), text);
    assert_int_equal(chmod(pl_scratch(name), mode), 0);
}

static void one_line(void **state)
{
    static const char *const texts[] = {"hush", "hush\n", "hush\r\n"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *text = NULL;

        put("a", texts[i], 0600);
        assert_int_equal(pl_secret_read(pl_scratch("a"), &text, &err), PL_OK);
        assert_string_equal(text, "hush");
        pl_secret_free(text);
    }
}

static void modes(void **state)
{
    static const struct {
        mode_t mode;
        int rc;
    } rows[] = {{0600, PL_OK},     {0400, PL_OK},     {0440, PL_OK},
                {0640, PL_OK},     {0644, PL_EINVAL}, {0444, PL_EINVAL},
                {0604, PL_EINVAL}, {0602, PL_EINVAL}, {0660, PL_EINVAL}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = NULL;

        put("b", "hush\n", rows[i].mode);
        assert_int_equal(pl_secret_read(pl_scratch("b"), &text, &err), rows[i].rc);
        pl_secret_free(text);
    }
    pl_assert_says(&err,
                   "'$/b' holds a secret, but its mode is 0660: let nobody else read it (chmod "
                   "600, or 440 for a group of its own)");
}

static void nonsense(void **state)
{
    char *text = NULL, *big = malloc(PL_SECRET_MAX + 2);

    (void)state;
    assert_non_null(big);
    put("c", "", 0600);
    assert_int_equal(pl_secret_read(pl_scratch("c"), &text, &err), PL_EFORMAT);
    pl_assert_says(&err, "'$/c' is empty; one line with a secret is expected");
    put("c", "\n", 0600);
    assert_int_equal(pl_secret_read(pl_scratch("c"), &text, &err), PL_EFORMAT);
    put("c", "hush\nhush\n", 0600);
    assert_int_equal(pl_secret_read(pl_scratch("c"), &text, &err), PL_EFORMAT);
    pl_assert_says(&err, "'$/c' has more than one line, or a zero byte");
    pl_scratch_write(pl_scratch("c"), "hu\0sh", 5);
    assert_int_equal(pl_secret_read(pl_scratch("c"), &text, &err), PL_EFORMAT);
    memset(big, 'x', PL_SECRET_MAX + 1);
    pl_scratch_write(pl_scratch("c"), big, PL_SECRET_MAX + 1);
    assert_int_equal(pl_secret_read(pl_scratch("c"), &text, &err), PL_EFORMAT);
    pl_scratch_write(pl_scratch("c"), big, PL_SECRET_MAX);
    assert_int_equal(pl_secret_read(pl_scratch("c"), &text, &err), PL_OK);
    pl_secret_free(text);
    assert_int_equal(pl_secret_read(pl_scratch("none"), &text, &err), PL_ENOENT);
    free(big);
}

static void credentials(void **state)
{
    char *text = NULL;
    char here[4096];

    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(mkdir(pl_scratch("credentials"), 0700), 0);
    put("credentials/p", "of the unit\n", 0440);
    put("p", "of the folder\n", 0600);
    assert_int_equal(chdir(pl_scratch("")), 0);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", pl_scratch("credentials"), 1), 0);
    assert_int_equal(pl_secret_read("p", &text, &err), PL_OK);
    assert_string_equal(text, "of the unit");
    pl_secret_free(text);
    assert_int_equal(pl_secret_read(pl_scratch("p"), &text, &err), PL_OK); /* absolute */
    assert_string_equal(text, "of the folder");
    pl_secret_free(text);
    assert_int_equal(unlink("credentials/p"), 0);
    assert_int_equal(pl_secret_read("p", &text, &err), PL_OK); /* not among them */
    assert_string_equal(text, "of the folder");
    pl_secret_free(text);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_int_equal(chdir(here), 0);
}

static void roles(void **state)
{
    const struct pl_redis_access from = {.user = "{role}",
                                         .password_file = "/k/{role}/{role}.password",
                                         .tls_ca = "{rol}",
                                         .tls_cert = ""};
    struct pl_redis_access a;

    (void)state;
    assert_int_equal(pl_redis_access_copy(&from, "actor", &a, &err), PL_OK);
    assert_string_equal(a.user, "actor");
    assert_string_equal(a.password_file, "/k/actor/actor.password");
    assert_string_equal(a.tls_ca, "{rol}");
    assert_string_equal(a.tls_cert, "");
    assert_string_equal(a.tls_key, "");
    pl_redis_access_release(&a);
    assert_int_equal(pl_redis_access_copy(NULL, "actor", &a, &err), PL_OK);
    assert_string_equal(a.user, "");
    pl_redis_access_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line),    cmocka_unit_test(modes), cmocka_unit_test(nonsense),
        cmocka_unit_test(credentials), cmocka_unit_test(roles),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
