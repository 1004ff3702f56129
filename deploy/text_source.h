/*
 * Texts from a file or from standard input, one after another, without holding all of a large file.
 */
#ifndef PL_DEPLOY_TEXT_SOURCE_H
#define PL_DEPLOY_TEXT_SOURCE_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum pl_text_kind {
    PL_TEXT_WHOLE,  /* the file is one text, of at most 1 GiB */
    PL_TEXT_BLOCKS, /* the file is one text, given in pieces of some MiB that end where a line
                       ends and the next one begins with a visible ASCII character; where there is
                       no such place for 16 MiB, at a space or anywhere */
    PL_TEXT_LINES,  /* each line is a text, without its end */
    PL_TEXT_JSON,   /* each line is a JSON string, or an object of which some fields are texts */
};

struct pl_text_source {
    const char *path; /* NULL or "-": standard input */
    enum pl_text_kind kind;
    char *const *fields; /* of objects, NULL at the end; NULL: "text" */
};

/* `done` bytes of the source have been read; a negative code ends it all. */
typedef int pl_text_fn(void *at, const char *text, size_t len, uint64_t done, struct pl_error *err);

/*
 * PL_ENOENT, PL_EIO; PL_EFORMAT names the line: it is no JSON, has no such field, or is longer than
 * 64 MiB. PL_ENOMEM, and what fn returned.
 */
int pl_text_each(const struct pl_text_source *source, pl_text_fn *fn, void *at,
                 struct pl_error *err);

#endif
