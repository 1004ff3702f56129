#include "common/app/template.h"

#include "common/app/share.h"
#include "common/base/buf.h"
#include "common/base/file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { TEMPLATE_BYTES_MAX = 64 << 10 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int pl_template_read(const char *path, char **ret_text, struct pl_error *err)
{
    char *text = NULL;
    size_t len = 0, from = 0;
    int rc = pl_file_read(path, TEMPLATE_BYTES_MAX, &text, &len, err);

    if (rc < 0)
        return rc;
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    while (from < len && is_blank(text[from]))
        from++;
    if (from == len || memchr(text, '\0', len)) {
        rc = pl_fail(err, PL_EFORMAT, "template '%s': expected text, found %s", path,
                     from == len ? "nothing but white space" : "a NUL byte");
        free(text);
        return rc;
    }
    memmove(text, text + from, len - from);
    text[len - from] = '\0';
    *ret_text = text;
    return PL_OK;
}

int pl_template_load(const char *folder, const char *name, enum pl_instruction instruction,
                     char **ret_text, struct pl_error *err)
{
    char *in = folder ? strdup(folder) : pl_share_folder("PLAIT_TEMPLATES", "templates");
    char *path = in ? pl_strf("%s/%s%s.txt", in, name,
                              instruction == PL_INSTRUCTION_CONTROL ? ".control" : "")
                    : NULL;
    const int rc = path ? pl_template_read(path, ret_text, err)
                        : pl_fail(err, PL_ENOMEM, "template '%s': no memory for its path", name);

    free(path);
    free(in);
    return rc;
}
