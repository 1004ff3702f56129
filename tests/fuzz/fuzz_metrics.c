/*
 * metrics.jsonl of a run that is resumed: what is kept are whole lines of the file up to the step,
 * in order; what follows can be appended and read; a file that is refused stays as it was.
 *
 * The first byte of the input is the step, the rest the file.
 */
#include "common/app/metrics.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { REFUSED = PL_FUZZ_CODE(PL_EFORMAT), FILE_MAX = 1 << 22 };

struct text {
    char *data;
    size_t len;
};

static struct text read_file(const char *path)
{
    struct text text = {0};

    PL_ASSERT(pl_file_read(path, FILE_MAX, &text.data, &text.len, NULL) == PL_OK);
    return text;
}

/* Kept are the whole lines up to `step`, all of them, in order. */
static void check_kept(struct pl_fuzz_in was, const struct text *kept, size_t step)
{
    struct pl_fuzz_in left = {(const uint8_t *)kept->data, kept->len};

    while (was.size > 0) {
        struct pl_fuzz_in line = was, next;
        json_t *root = NULL;
        size_t at = 0;

        next = pl_fuzz_cut(&was, '\n');
        line.size = next.size + 1;
        if (next.data + next.size == was.data) /* torn: it has no end */
            break;
        PL_ASSERT(pl_json_parse((const char *)line.data, line.size, "line", &root, NULL) == PL_OK);
        PL_ASSERT(pl_json_size(root, "training/global_step", "line", 0, INT64_MAX, &at, NULL) ==
                  PL_OK);
        json_decref(root);
        if (at > step)
            continue;
        PL_ASSERT(left.size >= line.size && memcmp(left.data, line.data, line.size) == 0);
        left.data += line.size;
        left.size -= line.size;
    }
    PL_ASSERT(left.size == 0);
}

static void append(struct pl_metrics *metrics, size_t step)
{
    struct pl_error err = {0};

    pl_metrics_begin(metrics, step);
    pl_metrics_real(metrics, "train/loss", 0.5);
    pl_metrics_text(metrics, "note", "\xFF\n\"");
    PL_ASSERT(pl_metrics_end(metrics, &err) == PL_OK);
    pl_metrics_close(metrics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    const uint8_t step = pl_fuzz_byte(&in);
    char *path = pl_fuzz_path("metrics.jsonl"), *aside = pl_fuzz_path("metrics.jsonl.tmp");
    struct pl_metrics *metrics = NULL;
    struct pl_error err = {0};
    struct text kept, longer;
    int rc;

    pl_fuzz_write("metrics.jsonl", in.data, in.size);
    rc = pl_metrics_open(path, step, &metrics, &err);
    PL_ASSERT(!pl_path_exists(aside));
    kept = read_file(path);
    if (rc < 0) {
        pl_fuzz_refused(rc, &err, REFUSED);
        PL_ASSERT(kept.len == in.size && memcmp(kept.data, in.data, in.size) == 0);
    } else {
        check_kept(in, &kept, step);
        append(metrics, step + 1u);
        PL_ASSERT(pl_metrics_open(path, step + 1, &metrics, &err) == PL_OK);
        longer = read_file(path);
        PL_ASSERT(longer.len > kept.len && memcmp(longer.data, kept.data, kept.len) == 0);
        free(longer.data);
        pl_metrics_close(metrics);
        PL_ASSERT(pl_metrics_open(path, step, &metrics, &err) == PL_OK);
        longer = read_file(path);
        PL_ASSERT(longer.len == kept.len && memcmp(longer.data, kept.data, kept.len) == 0);
        free(longer.data);
        pl_metrics_close(metrics);
    }
    free(kept.data);
    free(path);
    free(aside);
    return 0;
}
