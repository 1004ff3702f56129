/* Addresses of Redis, as people write them: taken apart, or refused with a sentence that tells no
 * password. */
#include "common/link/redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_text(const char *is, const char *want)
{
    if (!want)
        assert_null(is);
    else
        assert_string_equal(is, want);
}

static void good_ones(void **state)
{
    static const struct {
        const char *text, *path, *host, *user, *password, *shown;
        int port, db;
        bool tls;
    } rows[] = {
        {"unix:///run/redis.sock", "/run/redis.sock", NULL, NULL, NULL, "unix:///run/redis.sock", 0,
         0, false},
        {"unix:///tmp/a@b", "/tmp/a@b", NULL, NULL, NULL, "unix:///tmp/a@b", 0, 0, false},
        {"6380", NULL, "127.0.0.1", NULL, NULL, "6380", 6380, 0, false},
        {"redis://queue", NULL, "queue", NULL, NULL, "redis://queue", 6379, 0, false},
        {"redis://queue:1/3", NULL, "queue", NULL, NULL, "redis://queue:1/3", 1, 3, false},
        {"rediss://queue:6380", NULL, "queue", NULL, NULL, "rediss://queue:6380", 6380, 0, true},
        {"redis://me:secret@queue", NULL, "queue", "me", "secret", "redis://...@queue", 6379, 0,
         false},
        {"rediss://:secret@10.0.0.1:7", NULL, "10.0.0.1", "", "secret", "rediss://...@10.0.0.1:7",
         7, 0, true},
        {"redis://me:a@b/c:d@queue:8/1", NULL, "queue", "me", "a@b/c:d", "redis://...@queue:8/1", 8,
         1, false},
        {"rediss://[::1]:9", NULL, "::1", NULL, NULL, "rediss://[::1]:9", 9, 0, true},
        {"redis://[fe80::1]", NULL, "fe80::1", NULL, NULL, "redis://[fe80::1]", 6379, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_error err = {0};
        struct pl_redis_url u;

        assert_int_equal(pl_redis_url_parse(rows[i].text, &u, &err), PL_OK);
        assert_text(u.path, rows[i].path);
        assert_text(u.host, rows[i].host);
        assert_text(u.user, rows[i].user);
        assert_text(u.password, rows[i].password);
        assert_string_equal(u.shown, rows[i].shown);
        assert_int_equal(u.port, rows[i].port);
        assert_int_equal(u.db, rows[i].db);
        assert_int_equal(u.tls, rows[i].tls);
        pl_redis_url_release(&u);
    }
}

static void bad_ones(void **state)
{
    static const char *const rows[][2] = {
        {"", "is no address of Redis"},
        {"0", "is no address of Redis"},
        {"65536", "is no address of Redis"},
        {"-1", "is no address of Redis"},
        {" 6379", "is no address of Redis"},
        {"ftp://me:hush@x", "'ftp://...@x' is no address of Redis"},
        {"me:hush@x", "'...@x' is no address of Redis"},
        {"unix://relative", "is no address of Redis"},
        {"redis://", "the host is missing"},
        {"redis://:7", "the host is missing"},
        {"redis://me:hush@", "the host is missing"},
        {"redis://hush@x", "'USER:PASSWORD@' is expected"},
        {"redis://x:", "'' is no port"},
        {"redis://x:0", "'0' is no port"},
        {"redis://x:99999", "'99999' is no port"},
        {"redis://x:7a", "'7a' is no port"},
        {"redis://x/db", "'db' is no number of a database"},
        {"redis://x/-1", "'-1' is no number of a database"},
        {"redis://::1", "needs brackets"},
        {"redis://[::1", "'[ADDRESS]' or"},
        {"redis://[::1]7", "'[ADDRESS]' or"},
        {"redis://[]:7", "the host is missing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pl_error err = {0};
        struct pl_redis_url u;

        assert_int_equal(pl_redis_url_parse(rows[i][0], &u, &err), PL_EINVAL);
        if (!strstr(err.text, rows[i][1]))
            fail_msg("'%s': %s", rows[i][0], err.text);
        assert_null(strstr(err.text, "hush"));
        assert_null(u.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),
        cmocka_unit_test(bad_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
