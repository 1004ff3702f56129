/*
 * Files of keys. The first byte of the input is what it is: a key file, or a list of who may
 * connect. What is taken prints to what reads back the same.
 */
#include "common/link/allow.h"
#include "common/link/key_file.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { REFUSED = PL_FUZZ_CODE(PL_EFORMAT), REFUSED_LIST = REFUSED | PL_FUZZ_CODE(PL_EFULL) };
enum { LIST_MAX = 8 };

static int run_file(struct pl_fuzz_in in, struct pl_error *err)
{
    struct pl_key_file file, back;
    struct pl_buf text;
    const int rc = pl_key_file_parse((const char *)in.data, in.size, "keys", &file, err);

    if (rc < 0)
        return rc;
    pl_buf_init(&text, PL_KEY_FILE_MAX);
    PL_ASSERT(pl_key_file_print(&file, &text) == PL_OK);
    PL_ASSERT(pl_key_file_parse(text.data ? text.data : "", text.len, "keys", &back, err) == PL_OK);
    PL_ASSERT(memcmp(&file, &back, sizeof file) == 0);
    pl_buf_release(&text);
    return rc;
}

static int run_list(struct pl_fuzz_in in, struct pl_error *err)
{
    static struct pl_allowed list[LIST_MAX], back[LIST_MAX];
    size_t count = 0, again = 0;
    struct pl_buf text;
    const int rc =
        pl_allow_parse((const char *)in.data, in.size, "allow", list, LIST_MAX, &count, err);

    if (rc < 0)
        return rc;
    PL_ASSERT(count <= LIST_MAX);
    pl_buf_init(&text, PL_ALLOW_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        PL_ASSERT(pl_key_name_check(list[i].name, NULL) == PL_OK);
        PL_ASSERT(pl_allow_print(&list[i], &text) == PL_OK);
    }
    PL_ASSERT(pl_allow_parse(text.data ? text.data : "", text.len, "allow", back, LIST_MAX, &again,
                             err) == PL_OK);
    PL_ASSERT(again == count && memcmp(list, back, count * sizeof *list) == 0);
    pl_buf_release(&text);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_fuzz_in in = {data, size};
    struct pl_error err = {0};
    const bool list = pl_fuzz_byte(&in) % 2 == 1;
    const int rc = list ? run_list(in, &err) : run_file(in, &err);

    if (rc < 0)
        pl_fuzz_refused(rc, &err, list ? REFUSED_LIST : REFUSED);
    return 0;
}
