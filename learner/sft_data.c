#include "learner/sft_data.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/rng.h"

#include <stdlib.h>
#include <string.h>

static const size_t IDS_MAX = SIZE_MAX / 16, LEN_MAX = (size_t)1 << 31;

void pl_sft_data_init(struct pl_sft_data *data)
{
    *data = (struct pl_sft_data){0};
    pl_ids_init(&data->ids, IDS_MAX);
}

void pl_sft_data_release(struct pl_sft_data *data)
{
    pl_ids_release(&data->ids);
    free(data->rows);
    *data = (struct pl_sft_data){0};
}

static int reserve_row(struct pl_sft_data *data)
{
    const size_t cap = data->cap ? 2 * data->cap : 64;
    struct pl_sft_row *rows;

    if (data->count < data->cap)
        return PL_OK;
    rows = realloc(data->rows, cap * sizeof *rows);
    if (!rows)
        return PL_ENOMEM;
    data->rows = rows;
    data->cap = cap;
    return PL_OK;
}

int pl_sft_data_add(struct pl_sft_data *data, const uint32_t *prompt, size_t prompt_len,
                    const uint32_t *response, size_t response_len)
{
    const size_t at = data->ids.len;
    int rc = reserve_row(data);

    PL_ASSERT(prompt_len > 0 && response_len > 0);
    if (prompt_len > LEN_MAX || response_len > LEN_MAX || data->count == UINT32_MAX)
        return PL_EFULL;
    if (rc == PL_OK)
        rc = pl_ids_append(&data->ids, prompt, prompt_len);
    if (rc == PL_OK)
        rc = pl_ids_append(&data->ids, response, response_len);
    if (rc < 0) {
        data->ids.len = at;
        return rc;
    }
    data->rows[data->count++] =
        (struct pl_sft_row){at, (uint32_t)prompt_len, (uint32_t)response_len};
    data->responses += response_len;
    if (prompt_len + response_len > data->longest)
        data->longest = prompt_len + response_len;
    return PL_OK;
}

/* --- where responses end --- */

int pl_sft_format_ends(struct pl_sft_format *format, const struct pl_config *config,
                       uint32_t *ret_stop, struct pl_error *err)
{
    const struct pl_tokenizer *tokenizer = pl_encoder_tokenizer(format->encoder);
    const uint32_t eos = config->eos_count > 0 ? (uint32_t)config->eos[0] : PL_TOKEN_NONE;
    struct pl_ids *end = &format->end, *before = &format->end_before;
    int rc;

    pl_ids_init(end, IDS_MAX);
    pl_ids_init(before, IDS_MAX);
    rc = pl_chat_close(format->chat, format->encoder, end, err);
    if (rc < 0)
        return rc;
    if (end->len > 0)
        rc = pl_ids_append(before, end->data, end->len);
    if (rc == PL_OK && end->len > 0 && pl_tokenizer_is_special(tokenizer, end->data[0])) {
        *ret_stop = end->data[0];
        return PL_OK;
    }
    if (eos == PL_TOKEN_NONE)
        return pl_fail(err, PL_EINVAL,
                       "nothing would end a response: the template has no special token behind "
                       "{{answer}}, and the model's config.json no eos_token_id");
    if (rc == PL_OK)
        rc = pl_ids_push(end, eos);
    if (rc == PL_OK && before->len == 0)
        rc = pl_ids_push(before, eos);
    if (rc < 0)
        return pl_fail(err, rc, "no memory for the end of a response");
    *ret_stop = eos;
    return PL_OK;
}

void pl_sft_format_release(struct pl_sft_format *format)
{
    pl_ids_release(&format->end);
    pl_ids_release(&format->end_before);
}

/* --- one line --- */

/* A line as it is read; the arrays are used again for the next. */
struct reader {
    struct pl_sft_format *format;
    struct pl_sft_data *data;
    struct pl_ids prompt, response;
    const char *where; /* "file:line" */
};

static int encode_answer(struct reader *r, const char *text, size_t len, struct pl_ids *out,
                         const struct pl_ids *end, struct pl_error *err)
{
    int rc = pl_tokenizer_encode(r->format->encoder, text, len, r->format->responses, out, err);

    if (rc == PL_OK) {
        rc = pl_ids_append(out, end->data, end->len);
        if (rc < 0)
            pl_fail(err, rc, "no memory for a response of %zu bytes", len);
    }
    return rc;
}

static int string_of(const json_t *object, const char *key, const char *where,
                     const json_t **ret_string, struct pl_error *err)
{
    const char *text;
    const int rc = pl_json_string(object, key, where, &text, err);

    if (rc == PL_OK)
        *ret_string = json_object_get(object, key);
    return rc;
}

static int read_pair(struct reader *r, const json_t *root, struct pl_error *err)
{
    const struct pl_sft_format *f = r->format;
    const json_t *prompt = NULL, *response = NULL;
    int rc = string_of(root, f->prompt_key, r->where, &prompt, err);

    if (rc == PL_OK)
        rc = string_of(root, f->response_key, r->where, &response, err);
    if (rc < 0)
        return rc;
    rc = pl_chat_turn(f->chat, f->encoder, true, NULL, json_string_value(prompt),
                      json_string_length(prompt), &r->prompt, err);
    if (rc == PL_OK)
        rc = encode_answer(r, json_string_value(response), json_string_length(response),
                           &r->response, &f->end, err);
    return rc < 0 ? pl_fail_in(err, rc, "%s", r->where) : PL_OK;
}

enum role { SYSTEM, USER, ASSISTANT, ROLES };
static const char *const role_names[ROLES] = {"system", "user", "assistant"};

static int message_of(const json_t *message, const char *where, enum role *ret_role,
                      const json_t **ret_content, struct pl_error *err)
{
    const char *name = NULL;
    int rc = pl_json_string(message, "role", where, &name, err);
    int role = 0;

    if (rc == PL_OK)
        rc = string_of(message, "content", where, ret_content, err);
    if (rc < 0)
        return rc;
    while (role < ROLES && strcmp(name, role_names[role]) != 0)
        role++;
    if (role == ROLES)
        return pl_fail(err, PL_EFORMAT,
                       "%s: role '%.40s' is not known; it is system, user or assistant", where,
                       name);
    *ret_role = (enum role)role;
    return PL_OK;
}

/* A system's message where there is one, then user and assistant in turns, the last word the
 * assistant's. */
static int read_messages(struct reader *r, const json_t *root, struct pl_error *err)
{
    const struct pl_sft_format *f = r->format;
    const json_t *messages = json_object_get(root, "messages"), *content = NULL;
    const size_t count = json_array_size(messages);
    const char *system = NULL;
    enum role role = SYSTEM, expected = USER;
    bool first = true;
    int rc = PL_OK;

    if (!json_is_array(messages) || count == 0)
        return pl_fail(err, PL_EFORMAT, "%s: 'messages' is not a list of messages", r->where);
    for (size_t i = 0; i < count && rc == PL_OK; i++) {
        rc = message_of(json_array_get(messages, i), r->where, &role, &content, err);
        if (rc < 0)
            return rc;
        const char *text = json_string_value(content);
        const size_t len = json_string_length(content);

        if (i == 0 && role == SYSTEM) {
            system = text;
            continue;
        }
        if (role != expected)
            return pl_fail(err, PL_EFORMAT, "%s: message %zu is of role %s; %s is expected",
                           r->where, i + 1, role_names[role], role_names[expected]);
        if (role == USER)
            rc = pl_chat_turn(f->chat, f->encoder, first, system, text, len, &r->prompt, err);
        else if (i + 1 < count)
            rc = encode_answer(r, text, len, &r->prompt, &f->end_before, err);
        else
            rc = encode_answer(r, text, len, &r->response, &f->end, err);
        first = false;
        expected = role == USER ? ASSISTANT : USER;
    }
    if (rc < 0)
        return pl_fail_in(err, rc, "%s", r->where);
    if (r->response.len == 0)
        return pl_fail(err, PL_EFORMAT, "%s: the last message is not the assistant's", r->where);
    return PL_OK;
}

/* Put the row in, if it is short enough or can be made so. */
static int keep(struct reader *r, struct pl_error *err)
{
    const size_t most = r->format->length_max;
    int rc;

    if (r->prompt.len == 0)
        return pl_fail(err, PL_EFORMAT, "%s: the prompt is empty", r->where);
    if (r->prompt.len + r->response.len > most) {
        if (!r->format->truncate || r->prompt.len >= most) {
            r->data->dropped++;
            return PL_OK;
        }
        r->response.len = most - r->prompt.len;
        r->data->truncated++;
    }
    rc = pl_sft_data_add(r->data, r->prompt.data, r->prompt.len, r->response.data, r->response.len);
    return rc < 0 ? pl_fail(err, rc, "%s: no room for one more row", r->where) : PL_OK;
}

static int read_line(struct reader *r, const char *line, size_t len, struct pl_error *err)
{
    json_t *root = NULL;
    int rc = pl_json_parse(line, len, r->where, &root, err);

    if (rc < 0)
        return rc;
    pl_ids_clear(&r->prompt);
    pl_ids_clear(&r->response);
    if (!json_is_object(root))
        rc = pl_fail(err, PL_EFORMAT, "%s: a JSON object is expected", r->where);
    else if (pl_json_has(root, "messages"))
        rc = read_messages(r, root, err);
    else
        rc = read_pair(r, root, err);
    if (rc == PL_OK)
        rc = keep(r, err);
    json_decref(root);
    return rc;
}

/* --- the file --- */

static bool is_blank(const char *line, size_t len)
{
    while (len > 0 && memchr(" \t\r", line[len - 1], 3))
        len--;
    return len == 0;
}

static int read_lines(struct reader *r, const char *path, const struct pl_map *map,
                      struct pl_error *err)
{
    const char *start = (const char *)map->data, *at = start, *end = at + map->len;
    int rc = PL_OK;

    for (size_t number = 1; at < end && rc == PL_OK; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t len = (size_t)((stop ? stop : end) - at);
        char *where;

        if (!is_blank(at, len)) {
            where = pl_strf("%s:%zu", path, number);
            r->where = where;
            rc = where ? read_line(r, at, len, err)
                       : pl_fail(err, PL_ENOMEM, "'%s': no memory to read it", path);
            free(where);
        }
        at += len + (stop != NULL);
        if (r->format->watch)
            r->format->watch(r->format->watch_at, (uint64_t)(at - start), map->len);
    }
    return rc;
}

int pl_sft_data_read(const char *path, struct pl_sft_format *format, struct pl_sft_data *data,
                     struct pl_error *err)
{
    struct reader reader = {.format = format, .data = data};
    const size_t count = data->count, dropped = data->dropped;
    struct pl_map map = {0};
    int rc;

    PL_ASSERT(format->end.len > 0 && format->end_before.len > 0 && format->length_max >= 2);
    rc = pl_map_open(path, &map, err);
    if (rc < 0)
        return rc;
    pl_ids_init(&reader.prompt, IDS_MAX);
    pl_ids_init(&reader.response, IDS_MAX);
    rc = read_lines(&reader, path, &map, err);
    if (rc == PL_OK && data->count == count && data->dropped == dropped)
        rc = pl_fail(err, PL_EINVAL, "'%s' holds no rows", path);
    else if (rc == PL_OK && data->count == count)
        rc = pl_fail(err, PL_EINVAL, "'%s': all %zu rows have more than %zu tokens", path,
                     data->dropped - dropped, format->length_max);
    pl_ids_release(&reader.prompt);
    pl_ids_release(&reader.response);
    pl_map_close(&map);
    return rc;
}

/* --- order --- */

/* Each word changes all bits behind it (a multiplicative hash, not a cryptographic one). */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

uint64_t pl_sft_data_hash(const struct pl_sft_data *data)
{
    uint64_t hash = mix(0, data->count);

    for (size_t i = 0; i < data->count; i++) {
        const struct pl_sft_row *row = &data->rows[i];
        const uint32_t *ids = data->ids.data + row->at;

        hash = mix(mix(hash, row->prompt_len), row->response_len);
        for (size_t t = 0; t < (size_t)row->prompt_len + row->response_len; t++)
            hash = mix(hash, ids[t]);
    }
    return hash;
}

void pl_sft_order(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch)
{
    const struct pl_rng rng = {
        .seed = seed,
        .batch = (uint32_t)PL_RNG_SHUFFLE,
        .prompt = (uint32_t)epoch,
        .sample = (uint32_t)(epoch >> 32),
    };

    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n; i-- > 1;) {
        const size_t other = (size_t)pl_rng_below(&rng, (uint32_t)i, i + 1);
        const uint32_t kept = order[i];

        order[i] = order[other];
        order[other] = kept;
    }
}
