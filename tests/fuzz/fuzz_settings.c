/*
 * Configurations in YAML: what is taken prints to a text that is taken again and prints to the
 * same, and has the same hash; what is not is refused with a sentence and leaves nothing behind.
 *
 * The input is files (fuzz.h): run.yaml, and more.yaml, which it may inherit.
 */
#include "common/app/agreement.h"
#include "common/app/run_conf.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum {
    REFUSED = PL_FUZZ_CODE(PL_EFORMAT) | PL_FUZZ_CODE(PL_EINVAL) | PL_FUZZ_CODE(PL_EUNSUPPORTED) |
              PL_FUZZ_CODE(PL_ENOENT) | PL_FUZZ_CODE(PL_EIO),
    TEXT_MAX = 1 << 20,
};

static void print(const struct pl_run_conf *conf, bool comments, struct pl_buf *text)
{
    pl_buf_init(text, TEXT_MAX);
    PL_ASSERT(pl_run_conf_print(conf, comments, text) == PL_OK);
}

static void check(const struct pl_run_conf *conf)
{
    char *path = pl_fuzz_path("again.yaml");
    json_t *rows, *again_rows;
    struct pl_run_conf again;
    struct pl_buf text, with_help, again_text;
    struct pl_error err = {0};

    print(conf, false, &text);
    print(conf, true, &with_help);
    pl_fuzz_write("again.yaml", with_help.data, with_help.len);
    PL_ASSERT(pl_run_conf_load(path, NULL, 0, &again, &err) == PL_OK);
    print(&again, false, &again_text);
    PL_ASSERT(strcmp(text.data, again_text.data) == 0);
    PL_ASSERT(pl_agreement_bits(conf, &rows) == PL_OK &&
              pl_agreement_bits(&again, &again_rows) == PL_OK);
    PL_ASSERT(json_equal(rows, again_rows));
    json_decref(rows);
    json_decref(again_rows);
    pl_run_conf_release(&again);
    pl_buf_release(&text);
    pl_buf_release(&with_help);
    pl_buf_release(&again_text);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"run.yaml", "more.yaml"};
    char *path = pl_fuzz_path("run.yaml");
    struct pl_run_conf conf;
    struct pl_error err = {0};
    int rc;

    pl_fuzz_unpack((struct pl_fuzz_in){data, size}, names, 2);
    rc = pl_run_conf_load(path, NULL, 0, &conf, &err);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
    } else {
        check(&conf);
        pl_run_conf_release(&conf);
        pl_fuzz_taken(true);
    }
    free(path);
    return 0;
}
