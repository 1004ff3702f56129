#include "deploy/tasks/kk_literal.h"

#include "common/base/check.h"

#include <string.h>

enum { KIND_BYTES_MAX = 16 };

struct reader {
    const char *text;
    size_t len, at;
    struct pl_error *err;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->len && is_blank(r->text[r->at]))
        r->at++;
}

static int unexpected(const struct reader *r, const char *expected)
{
    const unsigned char c = r->at < r->len ? (unsigned char)r->text[r->at] : 0;

    if (r->at >= r->len)
        return pl_fail(r->err, PL_EFORMAT, "byte %zu: expected %s, found the end", r->at, expected);
    if (c < 0x20 || c > 0x7e)
        return pl_fail(r->err, PL_EFORMAT, "byte %zu: expected %s, found byte 0x%02x", r->at,
                       expected, c);
    return pl_fail(r->err, PL_EFORMAT, "byte %zu: expected %s, found '%c'", r->at, expected, c);
}

/* Blanks and then `c`, if it is there. */
static bool take(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->at >= r->len || r->text[r->at] != c)
        return false;
    r->at++;
    return true;
}

/* A quoted kind. */
static int read_kind(struct reader *r, enum pl_kk_kind *ret_kind)
{
    size_t len = 0;
    char quote;

    skip_blanks(r);
    if (r->at >= r->len || (r->text[r->at] != '\'' && r->text[r->at] != '"'))
        return unexpected(r, "the kind of a claim in quotes");
    quote = r->text[r->at];
    while (r->at + 1 + len < r->len && len <= KIND_BYTES_MAX && r->text[r->at + 1 + len] != quote)
        len++;
    for (enum pl_kk_kind kind = 0; kind < PL_KK_KINDS; kind++) {
        const char *name = pl_kk_kind_name(kind);

        if (len == strlen(name) && memcmp(r->text + r->at + 1, name, len) == 0 &&
            r->at + 1 + len < r->len) {
            r->at += len + 2;
            *ret_kind = kind;
            return PL_OK;
        }
    }
    return pl_fail(r->err, PL_EFORMAT,
                   "byte %zu: expected 'telling-truth', 'lying', 'not', 'and', 'or', '->' or "
                   "'<=>', found another kind",
                   r->at);
}

/* The rest of ('lying', 3): a person's number and what closes it. */
static int read_person(struct reader *r, size_t people, uint8_t *ret_person)
{
    size_t at, person = 0;

    if (!take(r, ','))
        return unexpected(r, "','");
    skip_blanks(r);
    at = r->at;
    while (r->at < r->len && r->text[r->at] >= '0' && r->text[r->at] <= '9' && person < people)
        person = person * 10 + (size_t)(r->text[r->at++] - '0');
    if (r->at == at)
        return unexpected(r, "the number of a person");
    if (person >= people)
        return pl_fail(r->err, PL_EFORMAT,
                       "byte %zu: expected a person from 0 to %zu, found a greater number", at,
                       people - 1);
    take(r, ',');
    if (!take(r, ')'))
        return unexpected(r, "')'");
    *ret_person = (uint8_t)person;
    return PL_OK;
}

static const char *parts_fault(enum pl_kk_kind kind, size_t parts)
{
    if (kind == PL_KK_NOT)
        return parts == 1 ? NULL : "'not' takes 1 part";
    if (kind == PL_KK_AND || kind == PL_KK_OR)
        return parts >= 2 ? NULL : "'and' and 'or' take 2 parts or more";
    return parts == 2 ? NULL : "'->' and '<=>' take 2 parts";
}

/* A part has ended: close the nodes that end with it, unless another part follows. */
static int end_part(struct reader *r, struct pl_kk_claim *claim, const size_t *stack, size_t *depth)
{
    while (*depth > 0) {
        struct pl_kk_node *node = &claim->nodes[stack[*depth - 1]];
        const char *fault;
        bool comma;

        node->value++;
        comma = take(r, ',');
        if (!take(r, ')')) {
            if (comma)
                return PL_OK;
            return unexpected(r, "',' or ')'");
        }
        fault = parts_fault((enum pl_kk_kind)node->kind, node->value);
        if (fault)
            return pl_fail(r->err, PL_EFORMAT, "byte %zu: %s, found %u", r->at - 1, fault,
                           node->value);
        --*depth;
    }
    return PL_OK;
}

/* One tree. The stack holds the nodes that are open, by their place in the claim. */
static int read_claim(struct reader *r, size_t people, struct pl_kk_claim *claim)
{
    size_t stack[PL_KK_NODES_MAX], depth = 0;

    claim->count = 0;
    do {
        struct pl_kk_node *node = &claim->nodes[claim->count];
        enum pl_kk_kind kind = PL_KK_TRUTHFUL;
        int rc;

        if (!take(r, '('))
            return unexpected(r, "'('");
        if (claim->count == PL_KK_NODES_MAX)
            return pl_fail(r->err, PL_EUNSUPPORTED,
                           "byte %zu: a claim has more than the %d parts that are taken", r->at,
                           PL_KK_NODES_MAX);
        rc = read_kind(r, &kind);
        if (rc < 0)
            return rc;
        *node = (struct pl_kk_node){(uint8_t)kind, 0};
        claim->count++;
        if (kind > PL_KK_LYING) {
            stack[depth++] = claim->count - 1;
            if (!take(r, ','))
                return unexpected(r, "','");
            continue;
        }
        rc = read_person(r, people, &node->value);
        if (rc == PL_OK)
            rc = end_part(r, claim, stack, &depth);
        if (rc < 0)
            return rc;
    } while (depth > 0);
    return PL_OK;
}

int pl_kk_literal_parse(const char *text, size_t len, size_t people, struct pl_kk *ret_puzzle,
                        struct pl_error *err)
{
    struct reader r = {text, len, 0, err};
    struct pl_kk_claim claims[PL_KK_PEOPLE_MAX] = {{0}};
    size_t count = 0;
    bool closed = false;

    PL_ASSERT(people >= PL_KK_PEOPLE_MIN && people <= PL_KK_PEOPLE_MAX);
    if (!take(&r, '('))
        return unexpected(&r, "'('");
    while (!closed) {
        int rc;

        if (count == people)
            return pl_fail(err, PL_EFORMAT, "byte %zu: expected %zu claims, found more", r.at,
                           people);
        rc = read_claim(&r, people, &claims[count]);
        if (rc < 0)
            return rc;
        count++;
        if (take(&r, ','))
            closed = take(&r, ')');
        else if (take(&r, ')'))
            closed = true;
        else
            return unexpected(&r, "',' or ')'");
    }
    if (count < people)
        return pl_fail(err, PL_EFORMAT, "expected %zu claims, found %zu", people, count);
    skip_blanks(&r);
    if (r.at < len)
        return unexpected(&r, "the end");
    ret_puzzle->people = people;
    memcpy(ret_puzzle->claims, claims, sizeof claims);
    return PL_OK;
}

int pl_kk_literal_print(const struct pl_kk *puzzle, struct pl_buf *buf)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < puzzle->people; i++) {
        const struct pl_kk_claim *claim = &puzzle->claims[i];
        size_t left[PL_KK_NODES_MAX], depth = 0; /* parts still to come of the open nodes */

        rc = pl_buf_puts(buf, i == 0 ? "(" : ", ");
        for (size_t k = 0; rc == PL_OK && k < claim->count; k++) {
            const struct pl_kk_node node = claim->nodes[k];
            const char *name = pl_kk_kind_name((enum pl_kk_kind)node.kind);

            if (node.kind > PL_KK_LYING) {
                rc = pl_buf_printf(buf, "('%s', ", name);
                left[depth++] = node.value;
                continue;
            }
            rc = pl_buf_printf(buf, "('%s', %u)", name, node.value);
            while (rc == PL_OK && depth > 0 && --left[depth - 1] == 0) {
                rc = pl_buf_puts(buf, ")");
                depth--;
            }
            if (rc == PL_OK && depth > 0)
                rc = pl_buf_puts(buf, ", ");
        }
    }
    return rc < 0 ? rc : pl_buf_puts(buf, ")");
}
