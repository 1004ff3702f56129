#include "common/text/dict.h"

#include "common/base/check.h"
#include "common/base/err.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

uint64_t pl_hash(const void *bytes, size_t len)
{
    const char *p = bytes;
    uint64_t hash = 0x9E3779B97F4A7C15u ^ len, word;

    for (; len >= 8; p += 8, len -= 8) {
        memcpy(&word, p, 8);
        hash = (hash ^ word) * 0xA24BAED4963EE407u;
        hash ^= hash >> 29;
    }
    word = 0;
    if (len > 0)
        memcpy(&word, p, len);
    return mix(hash ^ word);
}

void pl_dict_release(struct pl_dict *dict)
{
    free(dict->bytes);
    free(dict->entries);
    free(dict->slots);
    *dict = (struct pl_dict){0};
}

const char *pl_dict_key(const struct pl_dict *dict, size_t entry, size_t *ret_len)
{
    PL_ASSERT(entry < dict->count);
    *ret_len = dict->entries[entry].len;
    return dict->bytes + dict->entries[entry].at;
}

/* The slot that holds the key, or the free one where it would go. */
static size_t slot_of(const struct pl_dict *dict, uint32_t hash, const char *key, size_t len)
{
    const size_t mask = dict->slots_len - 1;
    size_t slot = hash & mask;

    for (; dict->slots[slot]; slot = (slot + 1) & mask) {
        const struct pl_dict_entry *entry = &dict->entries[dict->slots[slot] - 1];

        if (entry->hash == hash && entry->len == len &&
            (len == 0 || memcmp(dict->bytes + entry->at, key, len) == 0))
            break;
    }
    return slot;
}

size_t pl_dict_find(const struct pl_dict *dict, const char *key, size_t len)
{
    size_t slot;

    if (dict->slots_len == 0)
        return SIZE_MAX;
    slot = slot_of(dict, (uint32_t)pl_hash(key, len), key, len);
    return dict->slots[slot] ? dict->slots[slot] - 1 : SIZE_MAX;
}

static int grow_slots(struct pl_dict *dict)
{
    const size_t n = dict->slots_len ? dict->slots_len * 2 : 256;
    uint32_t *slots = calloc(n, sizeof *slots);

    if (!slots)
        return PL_ENOMEM;
    for (size_t i = 0; i < dict->count; i++) {
        size_t slot = dict->entries[i].hash & (n - 1);

        while (slots[slot])
            slot = (slot + 1) & (n - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    free(dict->slots);
    dict->slots = slots;
    dict->slots_len = n;
    return PL_OK;
}

static int make_room(struct pl_dict *dict, size_t len)
{
    if (dict->count == dict->cap) {
        const size_t cap = dict->cap ? dict->cap * 2 : 256;
        struct pl_dict_entry *entries = realloc(dict->entries, cap * sizeof *entries);

        if (!entries)
            return PL_ENOMEM;
        dict->entries = entries;
        dict->cap = cap;
    }
    if (len > dict->bytes_cap - dict->bytes_len) {
        const size_t cap = (dict->bytes_len + len) * 2 + 1024;
        char *bytes = realloc(dict->bytes, cap);

        if (!bytes)
            return PL_ENOMEM;
        dict->bytes = bytes;
        dict->bytes_cap = cap;
    }
    return dict->count + dict->count / 2 < dict->slots_len ? PL_OK : grow_slots(dict);
}

int pl_dict_add(struct pl_dict *dict, const char *key, size_t len, size_t *ret_entry,
                bool *ret_added)
{
    const uint32_t hash = (uint32_t)pl_hash(key, len);
    size_t slot;
    int rc;

    if (len > UINT32_MAX || dict->count >= INT32_MAX)
        return PL_EFULL;
    rc = make_room(dict, len);
    if (rc < 0)
        return rc;
    slot = slot_of(dict, hash, key, len);
    if (ret_added)
        *ret_added = dict->slots[slot] == 0;
    if (dict->slots[slot] == 0) {
        dict->entries[dict->count++] =
            (struct pl_dict_entry){.at = dict->bytes_len, .len = (uint32_t)len, .hash = hash};
        if (len > 0)
            memcpy(dict->bytes + dict->bytes_len, key, len);
        dict->bytes_len += len;
        dict->slots[slot] = (uint32_t)dict->count;
    }
    *ret_entry = dict->slots[slot] - 1;
    return PL_OK;
}
