/*
 * Key files: what is made reads back, what others may read or what is broken is refused with what
 * to do; the list of who may connect; what is bound where; what a doctor says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/link/allow.h"
#include "common/link/crowd.h"
#include "common/link/endpoint.h"
#include "common/link/key_folder.h"
#include "common/link/keys.h"
#include "deploy/doctor_keys.h"
#include "tests/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *roles[] = {(char *)"learner", (char *)"rewarder", (char *)"actor", (char *)"relay"};

static const char *make(const char *name)
{
    const char *dir = pl_scratch(name);
    struct pl_error err = {0};

    if (pl_key_folder_make(dir, roles, 4, &err) < 0)
        fail_msg("%s", err.text);
    return dir;
}

static int load(const char *dir, const char *name, const char *role, const char *peer,
                struct pl_keys **ret, struct pl_error *err)
{
    return pl_keys_load(
        &(struct pl_keys_opts){.dir = dir, .name = name, .role = role, .peer = peer}, ret, err);
}

static void what_is_made_reads_back(void **state)
{
    const char *dir = make("made");
    struct pl_keys *learner = NULL, *actor = NULL, *none = NULL;
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(load(dir, "learner", "learner", NULL, &learner, &err), PL_OK);
    assert_false(learner->connects);
    assert_int_equal(load(dir, "actor-3", "actor", "relay", &actor, &err), PL_OK);
    assert_string_equal(actor->name, "actor"); /* there is no actor-3.key */
    assert_true(actor->connects);
    assert_memory_equal(actor->learner.sign, learner->own.sign, PL_KEY_BYTES);
    assert_memory_equal(actor->learner.curve, learner->own.curve, PL_KEY_BYTES);
    assert_memory_not_equal(actor->peer.curve, learner->own.curve, PL_KEY_BYTES);
    assert_memory_not_equal(actor->own.curve, learner->own.curve, PL_KEY_BYTES);
    assert_memory_equal(learner->sign_secret + PL_KEY_BYTES, learner->own.sign, PL_KEY_BYTES);
    assert_int_equal(load("", "actor-3", "actor", "learner", &none, &err), PL_OK);
    assert_null(none);
    pl_keys_destroy(learner);
    pl_keys_destroy(actor);
    pl_keys_destroy(NULL);
}

static void what_is_missing_is_named(void **state)
{
    char *dir = strdup(make("missing"));
    struct pl_keys *keys = NULL;
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(load(dir, "x", "y", NULL, &keys, &err), PL_ENOENT);
    pl_assert_says(&err, "'link.keys' is '$/missing', where there is neither 'x.key' nor 'y.key'; "
                         "plait keygen makes them");
    assert_int_equal(load(dir, "../made/learner", "learner", NULL, &keys, &err), PL_EINVAL);
    remove(pl_scratch_in(dir, "learner.pub"));
    assert_int_equal(load(dir, "actor", "actor", "learner", &keys, &err), PL_ENOENT);
    pl_assert_says(&err, "'$/missing/learner.pub' is not there: it is what 'learner' is known by; "
                         "copy it from where plait keygen made it");
    assert_int_equal(load(dir, "learner", "learner", NULL, &keys, &err), PL_OK);
    pl_keys_destroy(keys);
    free(dir);
}

static void modes(void **state)
{
    static const struct {
        mode_t mode;
        uid_t owner;  /* less that of the process */
        bool service; /* in $CREDENTIALS_DIRECTORY */
        int rc;
    } cases[] = {
        {0600, 0, false, PL_OK},      {0400, 0, false, PL_OK},      {0640, 0, false, PL_EFORMAT},
        {0604, 0, false, PL_EFORMAT}, {0620, 0, false, PL_EFORMAT}, {0440, 0, false, PL_EFORMAT},
        {0440, 0, true, PL_OK},       {0400, 0, true, PL_OK},       {0444, 0, true, PL_EFORMAT},
        {0600, 1, false, PL_EFORMAT}, /* somebody else's */
    };
    const char *path = pl_scratch("service/x.key");
    struct pl_error err = {0};

    (void)state;
    assert_int_equal(mkdir(pl_scratch("service"), 0700), 0);
    pl_scratch_text(path, "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stat st = {.st_mode = S_IFREG | cases[i].mode, .st_uid = geteuid() + cases[i].owner};

        if (cases[i].service)
            setenv("CREDENTIALS_DIRECTORY", pl_scratch("service"), 1);
        if (pl_key_file_modes(path, &st, &err) != cases[i].rc)
            fail_msg("case %zu: %s", i, err.text);
        unsetenv("CREDENTIALS_DIRECTORY");
    }
    setenv("CREDENTIALS_DIRECTORY", pl_scratch("serv"), 1); /* not the folder it lies in */
    struct stat st = {.st_mode = S_IFREG | 0440, .st_uid = geteuid()};

    assert_int_equal(pl_key_file_modes(path, &st, &err), PL_EFORMAT);
    unsetenv("CREDENTIALS_DIRECTORY");
    pl_assert_says(&err,
                   "'$/service/x.key' holds secret keys, but its mode is 0440: others than "
                   "its owner may use it; type chmod 600 '$/service/x.key', and make new keys "
                   "if somebody may have read it");
}

/* Root's file, which our group may read: as Kubernetes mounts a secret. Only root can play it. */
static void a_file_that_root_gave_to_our_group(void **state)
{
    struct stat st = {.st_mode = S_IFREG | 0440, .st_uid = 0};
    int status = 0;
    pid_t child;

    (void)state;
    if (geteuid() != 0) {
        print_message("not root: skipped\n");
        skip();
    }
    child = fork();
    if (child == 0) {
        bool fine = setuid(65532) == 0 && pl_key_file_modes("/k", &st, NULL) == PL_OK;

        st.st_mode = S_IFREG | 0640; /* root's alone to write, ours to read */
        fine = fine && pl_key_file_modes("/k", &st, NULL) == PL_OK;
        st.st_mode = S_IFREG | 0460;
        fine = fine && pl_key_file_modes("/k", &st, NULL) == PL_EFORMAT;
        st.st_mode = S_IFREG | 0444;
        fine = fine && pl_key_file_modes("/k", &st, NULL) == PL_EFORMAT;
        st.st_mode = S_IFREG | 0440;
        st.st_uid = 1234;
        fine = fine && pl_key_file_modes("/k", &st, NULL) == PL_EFORMAT;
        _exit(fine ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void parse(const char *text, int rc, const char *says)
{
    struct pl_key_file file;
    struct pl_error err = {0};

    assert_int_equal(pl_key_file_parse(text, strlen(text), "f", &file, &err), rc);
    if (rc < 0 && !strstr(err.text, says))
        fail_msg("'%s' does not say '%s'", err.text, says);
}

#define Z85 "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define HEX "8bd0d58d0c6f1ab3a7d40b3bd4ba2d43e94e6a8e0b2c9f8a1b2c3d4e5f607182"

static void broken_files_are_refused(void **state)
{
    (void)state;
    parse("", PL_OK, "");
    parse("# comment\n\n  curve-public \t " Z85 " \r\nsign-public " HEX, PL_OK, "");
    parse("curve-public " Z85 "\ncurve-public " Z85 "\n", PL_EFORMAT, "line 2: a second");
    parse("curve-public", PL_EFORMAT, "40 characters of Z85");
    parse("curve-public " Z85 "x", PL_EFORMAT, "40 characters of Z85");
    parse("curve-public " Z85 " x", PL_EFORMAT, "40 characters of Z85");
    parse("curve-public \"q:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", PL_EFORMAT, "Z85");
    parse("sign-secret 8bd0", PL_EFORMAT, "64 characters of hexadecimal");
    parse("sign-secret x" HEX, PL_EFORMAT, "64 characters of hexadecimal");
    parse("#\nsign " HEX, PL_EFORMAT, "line 2: no line of a key file");
    parse("curve-publi " Z85, PL_EFORMAT, "no line of a key file");

    struct pl_key_file file;
    struct pl_error err = {0};

    assert_int_equal(pl_key_file_parse("#\0\n", 3, "f", &file, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "zero byte"));
    parse("sign-secret " HEX "00", PL_EFORMAT, "");
}

/* A sentence never shows what is in a secret file. */
static void secrets_are_not_shown(void **state)
{
    const char *path = pl_scratch("half.key");
    struct pl_key_file file;
    struct pl_error err = {0};

    (void)state;
    pl_scratch_text(path, "sign-secret " HEX "f\n");
    chmod(path, 0600);
    assert_int_equal(pl_key_file_read(path, true, &file, &err), PL_EFORMAT);
    assert_null(strstr(err.text, "8bd0"));
    pl_scratch_text(path, "sign-secret " HEX "\n");
    assert_int_equal(pl_key_file_read(path, true, &file, &err), PL_EFORMAT);
    pl_assert_says(&err, "'$/half.key' has no 'curve-secret'; a .key file has 'curve-secret' and "
                         "'sign-secret', and plait keygen makes it");
    pl_scratch_text(path, HEX "\n");
    assert_int_equal(pl_key_file_read(path, true, &file, &err), PL_EFORMAT);
    assert_null(strstr(err.text, "8bd0"));
    pl_scratch_text(path, "sign-secret " HEX "\nsign-public " HEX "\ncurve-public " Z85 "\n");
    assert_int_equal(pl_key_file_read(path, false, &file, &err), PL_EFORMAT);
    assert_non_null(strstr(err.text, "has a secret key in it"));
    assert_int_equal(pl_key_file_read(pl_scratch(""), true, &file, &err), PL_EFORMAT);
    assert_int_equal(pl_key_file_read("/dev/null", false, &file, &err), PL_EFORMAT);
}

static void nothing_is_overwritten(void **state)
{
    static char *twice[] = {(char *)"new", (char *)"actor"}, *one[] = {(char *)"late"};
    char *dir = strdup(make("kept"));
    struct pl_error err = {0};
    struct pl_allow *allow;
    char *before, *after;
    size_t len;

    (void)state;
    before = pl_scratch_read(pl_scratch_in(dir, "allow"), &len);
    assert_int_equal(pl_key_folder_make(dir, roles, 4, &err), PL_EINVAL);
    pl_assert_says(&err, "'$/kept/allow' is there already, and keys are not overwritten");
    assert_int_equal(pl_key_folder_add(dir, twice, 2, &err), PL_EINVAL);
    assert_false(pl_path_exists(pl_scratch_in(dir, "new.key"))); /* none, when not all can be */
    after = pl_scratch_read(pl_scratch_in(dir, "allow"), &len);
    assert_string_equal(before, after);
    assert_int_equal(pl_key_folder_add(dir, one, 1, &err), PL_OK);
    assert_int_equal(pl_allow_open(pl_scratch_in(dir, "allow"), &allow, &err), PL_OK);
    assert_int_equal(pl_allow_count(allow), 5);
    assert_string_equal(pl_allow_at(allow, 4)->name, "late");
    pl_allow_close(allow);

    /* A link that lies where a key is to be is not written through. */
    remove(pl_scratch_in(dir, "late.key"));
    remove(pl_scratch_in(dir, "late.pub"));
    assert_int_equal(symlink(pl_scratch("target"), pl_scratch_in(dir, "late.key")), 0);
    assert_int_equal(pl_key_folder_add(dir, one, 1, &err), PL_EINVAL);
    assert_false(pl_path_exists(pl_scratch("target")));

    /* A list that is broken is left as it is. */
    pl_scratch_text(pl_scratch_in(dir, "allow"), "what\n");
    one[0] = (char *)"later";
    assert_int_equal(pl_key_folder_add(dir, one, 1, &err), PL_EFORMAT);
    assert_false(pl_path_exists(pl_scratch_in(dir, "later.key")));
    free(before);
    free(after);
    free(dir);
}

/* ---- the list ---- */

static void lines_of_the_list(void **state)
{
    static const char good[] = "# c\n\n a " Z85 "\r\n b\t" Z85 " " HEX "\na " Z85;
    static const char *const bad[] = {"a",
                                      "a " Z85 "x",
                                      "a x" Z85,
                                      "../a " Z85,
                                      "a " Z85 " 00",
                                      "a " Z85 " " HEX "0",
                                      ".a " Z85,
                                      "a " Z85 " " HEX " more",
                                      "a b " Z85,
                                      "\x01 " Z85};
    struct pl_allowed list[3];
    struct pl_error err = {0};
    size_t count = 0;

    (void)state;
    assert_int_equal(pl_allow_parse(good, strlen(good), "f", list, 3, &count, &err), PL_OK);
    assert_int_equal(count, 3);
    assert_string_equal(list[1].name, "b");
    assert_true(list[1].signs && !list[0].signs);
    assert_int_equal(list[1].sign[0], 0x8b);
    assert_int_equal(pl_allow_parse(good, strlen(good), "f", list, 2, &count, &err), PL_EFULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(pl_allow_parse(bad[i], strlen(bad[i]), "f", list, 3, &count, &err),
                         PL_EFORMAT);
        assert_non_null(strstr(err.text, "'f', line 1: a line is NAME"));
    }
}

static void a_list_is_read_again_when_it_changes(void **state)
{
    const char *path = pl_scratch("list"), *next = pl_scratch("list.next");
    struct pl_allow *allow = NULL;
    struct pl_error err = {0};
    unsigned char key[PL_KEY_BYTES];

    (void)state;
    assert_int_equal(pl_allow_open(path, &allow, &err), PL_ENOENT);
    pl_scratch_text(path, "a " Z85 "\n");
    assert_int_equal(pl_allow_open(path, &allow, &err), PL_OK);
    memcpy(key, pl_allow_at(allow, 0)->curve, sizeof key);
    assert_string_equal(pl_allow_find(allow, key)->name, "a");
    key[31] ^= 1;
    assert_null(pl_allow_find(allow, key));
    key[31] ^= 1;
    pl_scratch_text(next, "b " Z85 "\nc " Z85 "\n"); /* as Kubernetes changes a secret */
    assert_int_equal(rename(next, path), 0);
    assert_int_equal(pl_allow_refresh(allow, &err), PL_OK);
    assert_int_equal(pl_allow_count(allow), 2);
    pl_scratch_text(path, "broken\n");
    assert_int_equal(pl_allow_refresh(allow, &err), PL_EFORMAT);
    assert_int_equal(pl_allow_refresh(allow, &err), PL_OK); /* said once */
    assert_string_equal(pl_allow_find(allow, key)->name, "b");
    pl_scratch_text(path, "# nobody\n");
    assert_int_equal(pl_allow_refresh(allow, &err), PL_EFORMAT);
    assert_int_equal(pl_allow_count(allow), 2);
    remove(path);
    assert_int_equal(pl_allow_refresh(allow, &err), PL_ENOENT);
    assert_int_equal(pl_allow_refresh(allow, &err), PL_OK);
    assert_int_equal(pl_allow_count(allow), 2);
    pl_scratch_text(path, "d " Z85 "\n");
    assert_int_equal(pl_allow_refresh(allow, &err), PL_OK);
    assert_string_equal(pl_allow_find(allow, key)->name, "d");
    pl_allow_close(allow);
    pl_allow_close(NULL);
}

/* ---- where one binds ---- */

static void what_the_network_reaches(void **state)
{
    static const char *const local[] = {"ipc:///run/x",      "inproc://x",
                                        "tcp://127.0.0.1:1", "tcp://127.9.8.7:*",
                                        "tcp://[::1]:7",     "tcp://localhost:7711"},
                             *const open[] = {"tcp://*:7711",
                                              "tcp://0.0.0.0:1",
                                              "tcp://[::]:1",
                                              "tcp://10.0.0.1:1",
                                              "tcp://eth0:1",
                                              "tcp://localhost.example:1",
                                              "tcp://127.0.0.1.example:1",
                                              "tcp://lo:1",
                                              "tcp://:1",
                                              "tcp://",
                                              "tcp://128.0.0.1:1",
                                              "tcp://[::ffff:127.0.0.1]:1",
                                              "udp://127.0.0.1:1",
                                              ""};
    struct pl_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        assert_int_equal(pl_endpoint_check("link.x", local[i], false, false, &err), PL_OK);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        if (pl_endpoint_check("link.x", open[i], false, false, &err) != PL_EINVAL)
            fail_msg("'%s' is taken to be local", open[i]);
        assert_int_equal(pl_endpoint_check("link.x", open[i], true, false, &err), PL_OK);
        assert_int_equal(pl_endpoint_check("link.x", open[i], false, true, &err), PL_OK);
    }
    pl_endpoint_check("link.x", open[0], false, false, &err);
    assert_string_equal(err.text,
                        "'link.x' is 'tcp://*:7711', which the network reaches, and there are no "
                        "keys: make some with plait keygen DIR and set link.keys=DIR, or set "
                        "link.insecure=yes to let in everybody");
}

/* ---- who knocks ---- */

static void a_crowd_is_spoken_of_once_a_minute(void **state)
{
    struct pl_crowd crowd = {0};
    char about[PL_CROWD_ADDRESS];
    size_t lines = 0;

    (void)state;
    assert_true(pl_crowd_speaks(&crowd, "a", 5));
    assert_false(pl_crowd_speaks(&crowd, "a", 5 + PL_CROWD_QUIET_MS - 1));
    assert_true(pl_crowd_speaks(&crowd, "b", 6));
    assert_true(pl_crowd_speaks(&crowd, "a", 5 + PL_CROWD_QUIET_MS));
    for (uint64_t i = 0; i < 10000; i++) { /* many addresses: few lines a minute */
        snprintf(about, sizeof about, "%d", (int)i);
        lines += pl_crowd_speaks(&crowd, about, 1000000 + i);
    }
    assert_int_equal(lines, PL_CROWD_LINES);
    assert_true(pl_crowd_speaks(&crowd, "c", 2000000));
    for (int fd = 0; fd < 1000; fd++) {
        snprintf(about, sizeof about, "at %d", fd);
        pl_crowd_enter(&crowd, fd, about);
    }
    assert_string_equal(pl_crowd_address(&crowd, 999), "at 999");
    assert_string_equal(pl_crowd_address(&crowd, 1000 - PL_CROWD_MAX), "at 936");
    assert_string_equal(pl_crowd_address(&crowd, 1), "");
    pl_crowd_leave(&crowd, 999);
    assert_string_equal(pl_crowd_address(&crowd, 999), "");
    pl_crowd_enter(&crowd, 998, "another");
    assert_string_equal(pl_crowd_address(&crowd, 998), "another");
}

/* ---- the doctor ---- */

static char heard[20][800];
static size_t heard_count;

static void hear(void *at, bool fine, const char *sentence)
{
    (void)at;
    assert_true(heard_count < 20);
    snprintf(heard[heard_count++], sizeof heard[0], "%s %s", fine ? "fine" : "WRONG", sentence);
}

static void examine(const char *dir, size_t wrong, const char *says)
{
    heard_count = 0;
    assert_int_equal(pl_doctor_keys(dir, hear, NULL), wrong);
    for (size_t i = 0; i < heard_count; i++)
        if (strstr(heard[i], says))
            return;
    for (size_t i = 0; i < heard_count; i++)
        print_error("%s\n", heard[i]);
    fail_msg("nothing says '%s'", says);
}

static void a_doctor_looks_at_keys(void **state)
{
    char *dir = strdup(make("doctor")), *other = strdup(make("doctor-other"));
    char *actor = strdup(pl_scratch_in(dir, "actor.key"));

    (void)state;
    examine(dir, 0,
            "fine 4 secret and 4 public keys, each as it should be, and all of them in the");
    chmod(actor, 0644);
    examine(dir, 1, "actor.key' holds secret keys, but its mode is 0644");
    chmod(actor, 0600);
    remove(actor);
    pl_scratch_copy(pl_scratch_in(other, "actor.key"), actor);
    chmod(actor, 0600);
    examine(dir, 1, "actor.pub' are not of one pair");
    remove(pl_scratch_in(dir, "actor.pub"));
    pl_scratch_copy(pl_scratch_in(other, "actor.pub"), pl_scratch_in(dir, "actor.pub"));
    examine(dir, 1, "allow' does not name the key of 'actor.pub'");
    remove(pl_scratch_in(dir, "actor.pub"));
    pl_scratch_copy(pl_scratch_in(dir, "allow"), pl_scratch_in(other, "list"));
    remove(pl_scratch_in(dir, "allow"));
    examine(dir, 0, "so nobody can be let in here");
    chmod(dir, 0777);
    examine(dir, 1, "others may put keys into");
    chmod(dir, 0700);
    for (size_t i = 0; i < 4; i++) {
        char name[64];

        snprintf(name, sizeof name, "%s.key", roles[i]);
        remove(pl_scratch_in(dir, name));
    }
    examine(dir, 1, "has no secret key: a program needs");
    pl_scratch_copy(pl_scratch_in(other, "list"), pl_scratch_in(dir, "allow"));
    examine(dir, 0, "has no secret key: enough for a rewarder");
    examine(pl_scratch("nowhere"), 1, "cannot be read");
    free(actor);
    free(other);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_reads_back),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(modes),
        cmocka_unit_test(a_file_that_root_gave_to_our_group),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(nothing_is_overwritten),
        cmocka_unit_test(lines_of_the_list),
        cmocka_unit_test(a_list_is_read_again_when_it_changes),
        cmocka_unit_test(what_the_network_reaches),
        cmocka_unit_test(a_crowd_is_spoken_of_once_a_minute),
        cmocka_unit_test(a_doctor_looks_at_keys),
    };

    return cmocka_run_group_tests(tests, pl_scratch_setup, pl_scratch_teardown);
}
