#include "common/text/chat.h"

#include "common/base/file.h"
#include "common/text/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { TEMPLATE_BYTES_MAX = 1 << 20, PARTS_MAX = 6 };

static const char chatml[] = "<|im_start|>system\n{{system}}<|im_end|>\n"
                             "<|im_start|>user\n{{user}}<|im_end|>\n"
                             "<|im_start|>assistant\n{{answer}}<|im_end|>\n";
static const char chatml_system[] =
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

enum slot { SLOT_SYSTEM, SLOT_USER, SLOT_ANSWER, SLOTS };
static const char *const slot_names[SLOTS] = {"{{system}}", "{{user}}", "{{answer}}"};

struct span {
    const char *text; /* into the template */
    size_t len;
};

struct pl_chat {
    char *text;
    bool has_system;
    struct span before;       /* {{system}}, or if there is none {{user}} */
    struct span system_user;  /* between the two */
    struct span later;        /* before {{user}} on later turns */
    struct span behind;       /* {{user}}, up to the answer */
    struct span end, between; /* of an answer; an answer and the next turn */
    const char *system;       /* where none is given */
};

void pl_chat_destroy(struct pl_chat *chat)
{
    if (chat)
        free(chat->text);
    free(chat);
}

bool pl_chat_has_system(const struct pl_chat *chat)
{
    return chat->has_system;
}

static struct span span(const char *from, const char *to)
{
    return (struct span){from, (size_t)(to - from)};
}

/* The length of a {{name}} at text, or 0. */
static size_t name_len(const char *text)
{
    size_t n = 2;

    if (text[0] != '{' || text[1] != '{')
        return 0;
    while ((text[n] >= 'a' && text[n] <= 'z') || text[n] == '_')
        n++;
    return n > 2 && text[n] == '}' && text[n + 1] == '}' ? n + 2 : 0;
}

static int find_slots(const char *text, const char *what, const char *places[SLOTS],
                      struct pl_error *err)
{
    int last = -1;

    for (const char *p = text; *p;) {
        const size_t n = name_len(p);
        int slot = 0;

        if (n == 0) {
            p++;
            continue;
        }
        while (slot < SLOTS &&
               !(strlen(slot_names[slot]) == n && strncmp(p, slot_names[slot], n) == 0))
            slot++;
        if (slot == SLOTS)
            return pl_fail(err, PL_EFORMAT,
                           "%s: '%.*s' is not known; there are {{system}}, {{user}} and "
                           "{{answer}}",
                           what, (int)(n < 60 ? n : 60), p);
        if (places[slot])
            return pl_fail(err, PL_EFORMAT, "%s: %s is there twice", what, slot_names[slot]);
        if (slot < last)
            return pl_fail(err, PL_EFORMAT, "%s: %s stands behind %s", what, slot_names[slot],
                           slot_names[last]);
        places[slot] = p;
        last = slot;
        p += n;
    }
    if (!places[SLOT_USER])
        return pl_fail(err, PL_EFORMAT, "%s: {{user}} is missing", what);
    return PL_OK;
}

static void lay_out(struct pl_chat *chat, const char *const places[SLOTS], const char *end)
{
    const char *user = places[SLOT_USER], *system = places[SLOT_SYSTEM];
    const char *answer = places[SLOT_ANSWER] ? places[SLOT_ANSWER] : end;
    const char *end_of_answer = answer, *last = end, *line;

    chat->before = span(chat->text, system ? system : user);
    chat->later = chat->before;
    if (system) {
        chat->has_system = true;
        chat->system_user = span(system + strlen(slot_names[SLOT_SYSTEM]), user);
        line = memchr(chat->system_user.text, '\n', chat->system_user.len);
        if (line)
            chat->later = span(line + 1, user);
    }
    chat->behind = span(user + strlen(slot_names[SLOT_USER]), answer);
    if (places[SLOT_ANSWER])
        end_of_answer = answer + strlen(slot_names[SLOT_ANSWER]);
    while (last > end_of_answer && last[-1] == '\n')
        last--;
    chat->end = span(end_of_answer, last);
    chat->between = span(last, end);
    chat->system = "";
}

int pl_chat_parse(const char *text, size_t len, const char *what, struct pl_chat **ret_chat,
                  struct pl_error *err)
{
    const char *places[SLOTS] = {NULL};
    struct pl_chat *chat = NULL;
    int rc;

    if (memchr(text, '\0', len) || !pl_utf8_valid(text, len))
        return pl_fail(err, PL_EFORMAT, "%s: expected a template in UTF-8 without NUL", what);
    chat = calloc(1, sizeof *chat);
    if (chat)
        chat->text = malloc(len + 1);
    if (!chat || !chat->text) {
        rc = pl_fail(err, PL_ENOMEM, "%s: no memory for the template", what);
        goto out;
    }
    memcpy(chat->text, text, len);
    chat->text[len] = '\0';
    rc = find_slots(chat->text, what, places, err);
    if (rc < 0)
        goto out;
    lay_out(chat, places, chat->text + len);
    *ret_chat = chat;
    chat = NULL;
out:
    pl_chat_destroy(chat);
    return rc;
}

static int parse_file(const char *path, struct pl_chat **ret_chat, struct pl_error *err)
{
    char *data = NULL;
    size_t len = 0;
    int rc = pl_file_read(path, TEMPLATE_BYTES_MAX, &data, &len, err);

    if (rc == PL_OK)
        rc = pl_chat_parse(data, len, path, ret_chat, err);
    free(data);
    return rc;
}

static bool has_token(const struct pl_tokenizer *tokenizer, const char *token)
{
    return pl_tokenizer_id(tokenizer, token, strlen(token)) != PL_TOKEN_NONE;
}

int pl_chat_load(const char *path, const char *model_dir, const struct pl_tokenizer *tokenizer,
                 struct pl_chat **ret_chat, struct pl_error *err)
{
    char *in_model = NULL;
    int rc;

    if (path)
        return parse_file(path, ret_chat, err);
    if (model_dir) {
        in_model = pl_strf("%s/" PL_CHAT_FILE, model_dir);
        if (!in_model)
            return pl_fail(err, PL_ENOMEM, "'%s': no memory for the name", model_dir);
        rc = pl_path_exists(in_model) ? parse_file(in_model, ret_chat, err) : PL_ENOENT;
        free(in_model);
        if (rc != PL_ENOENT)
            return rc;
    }
    if (!has_token(tokenizer, "<|im_start|>") || !has_token(tokenizer, "<|im_end|>"))
        return pl_chat_parse("{{user}}", strlen("{{user}}"), "the plain template", ret_chat, err);
    rc = pl_chat_parse(chatml, strlen(chatml), "ChatML", ret_chat, err);
    if (rc == PL_OK)
        (*ret_chat)->system = chatml_system;
    return rc;
}

static void add_part(struct pl_text_part *parts, size_t *count, const char *text, size_t len,
                     enum pl_encode how)
{
    if (len > 0)
        parts[(*count)++] = (struct pl_text_part){text, len, how};
}

/* Put pl_tokenizer_front() in at `at`, unless it is there. */
static int put_front(const struct pl_tokenizer *tokenizer, size_t at, struct pl_ids *out)
{
    size_t n;
    const uint32_t *front = pl_tokenizer_front(tokenizer, &n);
    int rc;

    if (n == 0 || (out->len - at >= n && memcmp(out->data + at, front, n * sizeof *front) == 0))
        return PL_OK;
    rc = pl_ids_append(out, front, n); /* room for it */
    if (rc < 0)
        return rc;
    memmove(out->data + at + n, out->data + at, (out->len - n - at) * sizeof *out->data);
    memcpy(out->data + at, front, n * sizeof *front);
    return PL_OK;
}

int pl_chat_turn(const struct pl_chat *chat, struct pl_encoder *encoder, bool first,
                 const char *system, const char *user, size_t user_len, struct pl_ids *out,
                 struct pl_error *err)
{
    const size_t before = out->len;
    struct pl_text_part parts[PARTS_MAX];
    size_t count = 0;
    int rc;

    if (first && system && !chat->has_system)
        return pl_fail(err, PL_EINVAL,
                       "a system text was given, but the template has no {{system}}");
    if (!first) {
        add_part(parts, &count, chat->between.text, chat->between.len, PL_ENCODE_ALL);
        add_part(parts, &count, chat->later.text, chat->later.len, PL_ENCODE_ALL);
    } else {
        add_part(parts, &count, chat->before.text, chat->before.len, PL_ENCODE_ALL);
        system = system ? system : chat->system;
        if (chat->has_system)
            add_part(parts, &count, system, strlen(system), PL_ENCODE_UNTRUSTED);
        add_part(parts, &count, chat->system_user.text, chat->system_user.len, PL_ENCODE_ALL);
    }
    add_part(parts, &count, user, user_len, PL_ENCODE_UNTRUSTED);
    add_part(parts, &count, chat->behind.text, chat->behind.len, PL_ENCODE_ALL);
    rc = pl_tokenizer_encode_parts(encoder, parts, count, out, err);
    if (rc < 0 || !first)
        return rc;
    rc = put_front(pl_encoder_tokenizer(encoder), before, out);
    if (rc < 0) {
        out->len = before;
        return pl_fail(err, rc, "no room for the tokens that begin a text");
    }
    return PL_OK;
}

int pl_chat_close(const struct pl_chat *chat, struct pl_encoder *encoder, struct pl_ids *out,
                  struct pl_error *err)
{
    return pl_tokenizer_encode(encoder, chat->end.text, chat->end.len, PL_ENCODE_ALL, out, err);
}
