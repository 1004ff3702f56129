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

void pl_dict_release(struct pl_dict *table)
{
    free(table->bytes);
    free(table->entries);
    free(table->slots);
    *table = (struct pl_dict){0};
}

const char *pl_dict_key(const struct pl_dict *table, size_t entry, size_t *ret_len)
{
    PL_ASSERT(entry < table->count);
    *ret_len = table->entries[entry].len;
    return table->bytes + table->entries[entry].at;
}

/* The slot that holds the key, or the free one where it would go. */
static size_t slot_of(const struct pl_dict *table, uint32_t hash, const char *key, size_t len)
{
    const size_t mask = table->slots_len - 1;
    size_t slot = hash & mask;

    for (; table->slots[slot]; slot = (slot + 1) & mask) {
        const struct pl_dict_entry *entry = &table->entries[table->slots[slot] - 1];

        if (entry->hash == hash && entry->len == len &&
            (len == 0 || memcmp(table->bytes + entry->at, key, len) == 0))
            break;
    }
    return slot;
}

size_t pl_dict_find(const struct pl_dict *table, const char *key, size_t len)
{
    size_t slot;

    if (table->slots_len == 0)
        return SIZE_MAX;
    slot = slot_of(table, (uint32_t)pl_hash(key, len), key, len);
    return table->slots[slot] ? table->slots[slot] - 1 : SIZE_MAX;
}

static int grow_slots(struct pl_dict *table)
{
    const size_t n = table->slots_len ? table->slots_len * 2 : 256;
    uint32_t *slots = calloc(n, sizeof *slots);

    if (!slots)
        return PL_ENOMEM;
    for (size_t i = 0; i < table->count; i++) {
        size_t slot = table->entries[i].hash & (n - 1);

        while (slots[slot])
            slot = (slot + 1) & (n - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    free(table->slots);
    table->slots = slots;
    table->slots_len = n;
    return PL_OK;
}

static int make_room(struct pl_dict *table, size_t len)
{
    if (table->count == table->cap) {
        const size_t cap = table->cap ? table->cap * 2 : 256;
        struct pl_dict_entry *entries = realloc(table->entries, cap * sizeof *entries);

        if (!entries)
            return PL_ENOMEM;
        table->entries = entries;
        table->cap = cap;
    }
    if (len > table->bytes_cap - table->bytes_len) {
        const size_t cap = (table->bytes_len + len) * 2 + 1024;
        char *bytes = realloc(table->bytes, cap);

        if (!bytes)
            return PL_ENOMEM;
        table->bytes = bytes;
        table->bytes_cap = cap;
    }
    return table->count + table->count / 2 < table->slots_len ? PL_OK : grow_slots(table);
}

int pl_dict_add(struct pl_dict *table, const char *key, size_t len, size_t *ret_entry,
                bool *ret_added)
{
    const uint32_t hash = (uint32_t)pl_hash(key, len);
    size_t slot;
    int rc;

    if (len > UINT32_MAX || table->count >= INT32_MAX)
        return PL_EFULL;
    rc = make_room(table, len);
    if (rc < 0)
        return rc;
    slot = slot_of(table, hash, key, len);
    if (ret_added)
        *ret_added = table->slots[slot] == 0;
    if (table->slots[slot] == 0) {
        table->entries[table->count++] =
            (struct pl_dict_entry){.at = table->bytes_len, .len = (uint32_t)len, .hash = hash};
        if (len > 0)
            memcpy(table->bytes + table->bytes_len, key, len);
        table->bytes_len += len;
        table->slots[slot] = (uint32_t)table->count;
    }
    *ret_entry = table->slots[slot] - 1;
    return PL_OK;
}
