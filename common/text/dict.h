/*
 * Hash table from byte strings to numbers, for vocabularies and word counts: open addressing over
 * one block of key bytes. Entries are numbered 0, 1, ... in the order they were added and are never
 * removed. Reading is safe from several threads, adding is not.
 */
#ifndef PL_TEXT_DICT_H
#define PL_TEXT_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pl_dict_entry {
    size_t at; /* of the key in bytes */
    uint32_t len;
    uint32_t hash;
};

struct pl_dict {
    char *bytes; /* keys, one behind another */
    size_t bytes_len, bytes_cap;
    struct pl_dict_entry *entries; /* count of them */
    size_t count, cap;
    uint32_t *slots; /* entry + 1, 0 is free; slots_len is 0 or a power of two */
    size_t slots_len;
};

uint64_t pl_hash(const void *bytes, size_t len);

void pl_dict_release(struct pl_dict *dict); /* zeroed is an empty table */

/* The entry's number, or SIZE_MAX. */
size_t pl_dict_find(const struct pl_dict *dict, const char *key, size_t len);

/*
 * Find or add: *ret_entry is the number, *ret_added (may be NULL) whether it is new.
 * PL_ENOMEM; PL_EFULL: the key has 4 GiB, or there are 2^31 entries.
 */
int pl_dict_add(struct pl_dict *dict, const char *key, size_t len, size_t *ret_entry,
                bool *ret_added);

/* Borrowed until the next add. Not NUL terminated. */
const char *pl_dict_key(const struct pl_dict *dict, size_t entry, size_t *ret_len);

#endif
