/*
 * Calls that change or read files, and calls for memory, made to fail: the functions of libc that
 * this program's libraries call are defined here, count themselves, and fail at the n-th call as
 * they are told. One thread.
 *
 *   pl_faults_io(PL_FAULT_EIO, 7);     the seventh call fails with EIO
 *   ... the code under test ...
 *   calls = pl_faults_end();           how many there were; 7 or more: one failed
 *
 * Streams opened with fopen() go through the same calls. Nothing is really flushed to the disk:
 * the kernel outlives this program. Calls for memory are counted and failed wherever they come
 * from, libc and jansson included, but for the threads' own (libgomp ends the program); not under
 * sanitizers, which have their own malloc().
 */
#ifndef PL_TESTS_CHAOS_FAULTS_H
#define PL_TESTS_CHAOS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

enum pl_fault {
    PL_FAULT_NONE,
    PL_FAULT_EIO,
    PL_FAULT_ENOSPC,
    PL_FAULT_EINTR, /* of open, read and write; EIO of others */
    PL_FAULT_SHORT, /* half of what was to be read or written; EIO of others */
    PL_FAULT_DEAD,  /* this call and all behind it do nothing: what a kill leaves on disk */
    PL_FAULT_MEMORY,
    PL_FAULTS
};

extern const char *const pl_fault_names[PL_FAULTS];

void pl_faults_begin(enum pl_fault fault, long at); /* MEMORY counts calls for memory, else I/O */
void pl_faults_again(
    long gap);            /* and so does the call `gap` later, by another; -1: all from then on */
long pl_faults_end(void); /* calls since, of the kind that counted */

/* What the call that failed was: "fsync '/tmp/x'"; "" while none has. */
const char *pl_faults_met(void);

/* renameat2() as on a file system that cannot exchange two names. */
void pl_faults_no_exchange(bool on);

bool pl_faults_has_memory(void);  /* false under sanitizers */
long pl_faults_blocks(void);      /* of memory that are held now */
long pl_faults_descriptors(void); /* that are open now, of those opened here */

/* --- recording --- */

enum pl_op_kind {
    PL_OP_CREATE, /* path: a file, made or cut to nothing */
    PL_OP_WRITE,  /* path, at, bytes, len */
    PL_OP_SYNC,   /* path: a file or a folder */
    PL_OP_RENAME, /* path to other */
    PL_OP_EXCHANGE,
    PL_OP_UNLINK, /* a file or an empty folder */
    PL_OP_MKDIR,
    PL_OP_MARK, /* said by the test; at: what */
};

struct pl_op {
    enum pl_op_kind kind;
    char path[256], other[256];
    size_t at, len;
    unsigned char *bytes;
};

struct pl_ops {
    struct pl_op *items;
    size_t count, cap;
};

void pl_faults_record(struct pl_ops *ops); /* NULL: no more */
void pl_faults_mark(size_t what);
void pl_ops_release(struct pl_ops *ops);

#endif
