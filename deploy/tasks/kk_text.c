#include "deploy/tasks/kk_text.h"

#include "common/base/check.h"
#include "common/base/err.h"

#include <string.h>

/* {name} and {claim} are filled in; {Claim} begins with a capital. */
static const char *const voices[PL_KK_VOICES] = {
    "{name} remarked, \"{Claim}.\"",
    "\"{Claim},\" said {name}.",
    "{name} lets you know that {claim}.",
    "Asked about it, {name} answered: \"{Claim}.\"",
    "{name} would have you believe that {claim}.",
    "\"{Claim},\" {name} whispered.",
    "You hear {name} say, \"{Claim}.\"",
    "{name} insists that {claim}.",
    "The words of {name} are: \"{Claim}.\"",
    "\"{Claim}\" is what {name} says.",
    "{name} swears that {claim}.",
    "As {name} tells it, {claim}.",
};

void pl_kk_names_lower(struct pl_kk *puzzle)
{
    for (size_t i = 0; i < puzzle->people; i++) {
        for (char *c = puzzle->names[i]; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
    }
}

int pl_kk_role_text(const struct pl_kk *puzzle, size_t person, bool knight, struct pl_buf *buf)
{
    PL_ASSERT(person < puzzle->people);
    return pl_buf_printf(buf, "%s is a %s", puzzle->names[person], knight ? "knight" : "knave");
}

int pl_kk_solution_text(const struct pl_kk *puzzle, uint32_t world, struct pl_buf *buf)
{
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < puzzle->people; i++) {
        if (i > 0)
            rc = pl_buf_puts(buf, i + 1 < puzzle->people ? ", " : " and ");
        if (rc == PL_OK)
            rc = pl_kk_role_text(puzzle, i, world >> i & 1, buf);
    }
    return rc;
}

/* A claim is written from its prefix form: a stack holds the nodes whose parts are not all written.
 */
struct open_node {
    enum pl_kk_kind kind;
    size_t parts, written;
    bool bracket;
};

/* What stands before part number `part` of a node. */
static const char *before_part(enum pl_kk_kind kind, size_t part, enum pl_wording wording)
{
    switch (kind) {
    case PL_KK_NOT:
        return wording == PL_WORDING_PLAIN ? "not " : "it is not the case that ";
    case PL_KK_AND:
        return part > 0 ? " and " : "";
    case PL_KK_OR:
        return part > 0 ? " or " : "";
    case PL_KK_IMPLIES:
        return part > 0 ? " then " : "if ";
    case PL_KK_EQUALS:
        return part == 0 ? "" : wording == PL_WORDING_PLAIN ? " iff " : " if and only if ";
    case PL_KK_TRUTHFUL:
    case PL_KK_LYING:
    case PL_KK_KINDS:
        break;
    }
    PL_ASSERT(!"only a node with parts has something before them");
    return "";
}

static const char *bracket(bool open, enum pl_wording wording)
{
    if (wording == PL_WORDING_PLAIN)
        return open ? "( " : " )";
    return open ? "(" : ")";
}

/* A part is written: close every bracket that ends with it. */
static int end_part(struct open_node *stack, size_t *depth, enum pl_wording wording,
                    struct pl_buf *buf)
{
    int rc = PL_OK;

    while (rc == PL_OK && *depth > 0 && ++stack[*depth - 1].written == stack[*depth - 1].parts) {
        if (stack[*depth - 1].bracket)
            rc = pl_buf_puts(buf, bracket(false, wording));
        --*depth;
    }
    return rc;
}

int pl_kk_claim_text(const struct pl_kk *puzzle, size_t speaker, enum pl_wording wording,
                     struct pl_buf *buf)
{
    const struct pl_kk_claim *claim = &puzzle->claims[speaker];
    struct open_node stack[PL_KK_NODES_MAX];
    size_t depth = 0;
    int rc = PL_OK;

    PL_ASSERT(speaker < puzzle->people);
    for (size_t i = 0; rc == PL_OK && i < claim->count; i++) {
        const struct pl_kk_node node = claim->nodes[i];
        const bool leaf = node.kind <= PL_KK_LYING;
        const bool denial =
            node.kind == PL_KK_NOT && claim->nodes[i + 1].kind <= PL_KK_LYING; /* of one person */

        if (depth > 0)
            rc = pl_buf_puts(buf,
                             before_part(stack[depth - 1].kind, stack[depth - 1].written, wording));
        if (rc == PL_OK && (leaf || denial)) {
            const struct pl_kk_node about = denial ? claim->nodes[++i] : node;

            rc =
                pl_buf_printf(buf, "%s is %sa %s", puzzle->names[about.value], denial ? "not " : "",
                              about.kind == PL_KK_TRUTHFUL ? "knight" : "knave");
            if (rc == PL_OK)
                rc = end_part(stack, &depth, wording, buf);
        } else if (rc == PL_OK) {
            stack[depth] = (struct open_node){(enum pl_kk_kind)node.kind, node.value, 0, depth > 0};
            if (stack[depth++].bracket)
                rc = pl_buf_puts(buf, bracket(true, wording));
        }
    }
    return rc;
}

/* One sentence of a voice: its places filled in. */
static int say(const struct pl_kk *puzzle, size_t speaker, struct pl_buf *buf)
{
    const char *at = voices[puzzle->voices[speaker]];
    int rc = PL_OK;

    while (rc == PL_OK && *at) {
        const size_t text = strcspn(at, "{");

        rc = pl_buf_append(buf, at, text);
        at += text;
        if (rc < 0 || !*at)
            break;
        if (at[1] == 'n') {
            rc = pl_buf_puts(buf, puzzle->names[speaker]);
        } else {
            const size_t from = buf->len;

            rc = pl_kk_claim_text(puzzle, speaker, PL_WORDING_PUBLISHED, buf);
            if (rc == PL_OK && at[1] == 'C' && buf->data[from] >= 'a' && buf->data[from] <= 'z')
                buf->data[from] = (char)(buf->data[from] - 'a' + 'A');
        }
        at = strchr(at, '}') + 1;
    }
    return rc;
}

static int question_published(const struct pl_kk *puzzle, struct pl_buf *buf)
{
    int rc = pl_buf_printf(buf,
                           "On an island every inhabitant is either a knight, who only ever tells "
                           "the truth, or a knave, who only ever lies. You come across %zu of "
                           "them: ",
                           puzzle->people);

    for (size_t i = 0; rc == PL_OK && i < puzzle->people; i++)
        rc = pl_buf_printf(buf, "%s%s",
                           i == 0                   ? ""
                           : i + 1 < puzzle->people ? ", "
                                                    : " and ",
                           puzzle->names[i]);
    for (size_t i = 0; rc == PL_OK && i < puzzle->people; i++) {
        rc = pl_buf_puts(buf, i == 0 ? ". " : " ");
        if (rc == PL_OK)
            rc = say(puzzle, i, buf);
    }
    return rc < 0 ? rc : pl_buf_puts(buf, " Who is a knight, and who is a knave?");
}

int pl_kk_question(const struct pl_kk *puzzle, enum pl_wording wording, struct pl_buf *buf)
{
    int rc = PL_OK;

    if (wording == PL_WORDING_PUBLISHED)
        return question_published(puzzle, buf);
    for (size_t i = 0; rc == PL_OK && i < puzzle->people; i++) {
        rc = pl_buf_printf(buf, " %s says ", puzzle->names[i]);
        if (rc == PL_OK)
            rc = pl_kk_claim_text(puzzle, i, wording, buf);
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, " .");
    }
    return rc < 0 ? rc : pl_buf_puts(buf, " who is what ?");
}
