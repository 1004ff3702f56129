/*
 * The log of a child of plait up, DIR/logs/<name>.log: bounded, and asked for what the child said
 * last.
 */
#ifndef PL_DEPLOY_CREW_LOG_H
#define PL_DEPLOY_CREW_LOG_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a log, and as many of the part before it: 32 MiB a child in all. */
enum { PL_CREW_LOG_BYTES = 16 << 20 };

/*
 * A log over `most` bytes becomes <path>.1, in the place of the one before, and begins again. The
 * child goes on writing meanwhile (it has the file open to append); a line that it writes just then
 * may be lost. PL_EIO, PL_ENOMEM: the log stays as it is.
 */
int pl_crew_log_bound(const char *path, uint64_t most, struct pl_error *err);

/* Its size in bytes, 0 where it is not there. */
uint64_t pl_crew_log_size(const char *path);

/*
 * The last error that the program said in what was written from byte `from` on: the line "PROGRAM:
 * SENTENCE", or the reason in the last line of level error. False: it said none, and `text` is its
 * last line, "" where there is none. For a terminal: control characters become '?'.
 */
bool pl_crew_log_last(const char *path, uint64_t from, const char *program, char *text,
                      size_t size);

#endif
