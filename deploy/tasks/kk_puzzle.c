#include "deploy/tasks/kk_puzzle.h"

#include "common/base/check.h"
#include "deploy/tasks/draws.h"
#include "deploy/tasks/key_set.h"

#include <string.h>

static const char *const kind_names[PL_KK_KINDS] = {
    "telling-truth", "lying", "not", "and", "or", "->", "<=>"};

static const char *const first_names[PL_KK_NAMES] = {
    "Zoey",  "Max",    "Ella",  "Ben",    "Ivy",    "Tom",    "Ruth",    "Carl",
    "Dora",  "Finn",   "Nina",  "Hugo",   "Lucy",   "Jack",   "Vera",    "Owen",
    "Alice", "Boris",  "Clara", "David",  "Edith",  "Felix",  "Grace",   "Henry",
    "Irene", "James",  "Karen", "Logan",  "Mason",  "Nora",   "Oscar",   "Paula",
    "Quinn", "Roger",  "Sofia", "Tessa",  "Ulrich", "Violet", "William", "Xenia",
    "Yusuf", "Amelia", "Chloe", "Daniel", "Ethan",  "Harper", "Michael", "Penelope",
};

const char *pl_kk_kind_name(enum pl_kk_kind kind)
{
    PL_ASSERT(kind < PL_KK_KINDS);
    return kind_names[kind];
}

const char *pl_kk_name(size_t i)
{
    PL_ASSERT(i < PL_KK_NAMES);
    return first_names[i];
}

/* Sets of worlds. */

struct pl_kk_worlds pl_kk_all(size_t people)
{
    struct pl_kk_worlds all = {{0}};

    PL_ASSERT(people <= PL_KK_PEOPLE_MAX);
    if (people < 6)
        all.bits[0] = (UINT64_C(1) << (1u << people)) - 1;
    for (size_t i = 0; people >= 6 && i < (size_t)1 << (people - 6); i++)
        all.bits[i] = UINT64_MAX;
    return all;
}

struct pl_kk_worlds pl_kk_knight(size_t person)
{
    static const uint64_t low[6] = {UINT64_C(0xaaaaaaaaaaaaaaaa), UINT64_C(0xcccccccccccccccc),
                                    UINT64_C(0xf0f0f0f0f0f0f0f0), UINT64_C(0xff00ff00ff00ff00),
                                    UINT64_C(0xffff0000ffff0000), UINT64_C(0xffffffff00000000)};
    struct pl_kk_worlds set = {{0}};

    PL_ASSERT(person < PL_KK_PEOPLE_MAX);
    for (size_t i = 0; i < 4; i++)
        set.bits[i] = person < 6 ? low[person] : (i >> (person - 6) & 1) ? UINT64_MAX : 0;
    return set;
}

struct pl_kk_worlds pl_kk_both(struct pl_kk_worlds a, struct pl_kk_worlds b)
{
    for (size_t i = 0; i < 4; i++)
        a.bits[i] &= b.bits[i];
    return a;
}

static struct pl_kk_worlds either(struct pl_kk_worlds a, struct pl_kk_worlds b)
{
    for (size_t i = 0; i < 4; i++)
        a.bits[i] |= b.bits[i];
    return a;
}

struct pl_kk_worlds pl_kk_without(struct pl_kk_worlds a, struct pl_kk_worlds b)
{
    for (size_t i = 0; i < 4; i++)
        a.bits[i] &= ~b.bits[i];
    return a;
}

static struct pl_kk_worlds complement(struct pl_kk_worlds a)
{
    return pl_kk_without(pl_kk_all(PL_KK_PEOPLE_MAX), a);
}

static struct pl_kk_worlds same(struct pl_kk_worlds a, struct pl_kk_worlds b)
{
    for (size_t i = 0; i < 4; i++)
        a.bits[i] = ~(a.bits[i] ^ b.bits[i]);
    return a;
}

bool pl_kk_empty(struct pl_kk_worlds a)
{
    return (a.bits[0] | a.bits[1] | a.bits[2] | a.bits[3]) == 0;
}

/* Prefix order read from its end: the parts of a node are the topmost sets, the first part on top.
 */
struct pl_kk_worlds pl_kk_claim_worlds(const struct pl_kk_claim *claim)
{
    struct pl_kk_worlds stack[PL_KK_NODES_MAX];
    size_t depth = 0;

    PL_ASSERT(claim->count > 0 && claim->count <= PL_KK_NODES_MAX);
    for (size_t i = claim->count; i-- > 0;) {
        const struct pl_kk_node node = claim->nodes[i];
        const size_t parts = node.kind <= PL_KK_LYING ? 0 : node.value;
        struct pl_kk_worlds set;

        PL_ASSERT(node.kind < PL_KK_KINDS && parts <= depth);
        if (parts == 0) {
            set = pl_kk_knight(node.value);
            stack[depth++] = node.kind == PL_KK_LYING ? complement(set) : set;
            continue;
        }
        set = stack[--depth];
        if (node.kind == PL_KK_NOT || node.kind == PL_KK_IMPLIES)
            set = complement(set);
        for (size_t k = 1; k < parts; k++) {
            const struct pl_kk_worlds part = stack[--depth];

            set = node.kind == PL_KK_AND      ? pl_kk_both(set, part)
                  : node.kind == PL_KK_EQUALS ? same(set, part)
                                              : either(set, part);
        }
        stack[depth++] = set;
    }
    PL_ASSERT(depth == 1);
    return stack[0];
}

struct pl_kk_worlds pl_kk_rule(const struct pl_kk *puzzle, size_t speaker)
{
    PL_ASSERT(speaker < puzzle->people);
    return pl_kk_both(same(pl_kk_knight(speaker), pl_kk_claim_worlds(&puzzle->claims[speaker])),
                      pl_kk_all(puzzle->people));
}

size_t pl_kk_solve(const struct pl_kk *puzzle, uint32_t *ret_solution)
{
    struct pl_kk_worlds left = pl_kk_all(puzzle->people);
    size_t count = 0;

    for (size_t i = 0; i < puzzle->people; i++)
        left = pl_kk_both(left, pl_kk_rule(puzzle, i));
    for (uint32_t world = 0; world < 1u << puzzle->people; world++) {
        if ((left.bits[world / 64] >> (world % 64) & 1) == 0)
            continue;
        if (count++ == 0)
            *ret_solution = world;
    }
    return count;
}

/* Generation. */

static struct pl_kk_node draw_leaf(struct pl_draws *draws, size_t people, size_t speaker)
{
    struct pl_kk_node leaf;

    do {
        leaf.kind = pl_draws_below(draws, 2) ? PL_KK_LYING : PL_KK_TRUTHFUL;
        leaf.value = (uint8_t)pl_draws_below(draws, people);
    } while (leaf.kind == PL_KK_LYING && leaf.value == speaker); /* nobody can say that */
    return leaf;
}

static void draw_claim(struct pl_draws *draws, size_t people, size_t speaker,
                       struct pl_kk_claim *claim)
{
    static const enum pl_kk_kind forms[] = {PL_KK_TRUTHFUL, PL_KK_NOT,     PL_KK_AND,
                                            PL_KK_OR,       PL_KK_IMPLIES, PL_KK_EQUALS};
    const enum pl_kk_kind form = forms[pl_draws_below(draws, sizeof forms / sizeof forms[0])];
    const uint8_t parts = form == PL_KK_NOT ? 1 : 2;
    struct pl_kk_node *node = claim->nodes;

    if (form != PL_KK_TRUTHFUL)
        *node++ = (struct pl_kk_node){(uint8_t)form, parts};
    *node++ = draw_leaf(draws, people, speaker);
    if (form > PL_KK_NOT) {
        do {
            *node = draw_leaf(draws, people, speaker);
        } while (node->kind == node[-1].kind && node->value == node[-1].value);
        node++;
    }
    claim->count = (size_t)(node - claim->nodes);
}

static void draw_names(struct pl_draws *draws, size_t names, struct pl_kk *puzzle)
{
    uint8_t order[PL_KK_NAMES];

    for (size_t i = 0; i < names; i++)
        order[i] = (uint8_t)i;
    for (size_t i = 0; i < puzzle->people; i++) {
        const size_t at = i + pl_draws_below(draws, names - i);
        const uint8_t name = order[at];

        order[at] = order[i];
        strncpy(puzzle->names[i], first_names[name], PL_KK_NAME_BYTES - 1);
        puzzle->voices[i] = (uint8_t)pl_draws_below(draws, PL_KK_VOICES);
    }
}

void pl_kk_generate(uint64_t seed, size_t people, uint32_t index, size_t names,
                    struct pl_kk *ret_puzzle)
{
    enum { TRIES_MAX = 100000 }; /* about one in four is taken */
    struct pl_draws draws = {.rng =
                                 pl_draws_rng(PL_DRAWS_KK, PL_DRAWS_PROBLEM, seed, people, index)};

    PL_ASSERT(people >= PL_KK_PEOPLE_MIN && people <= PL_KK_PEOPLE_MAX);
    PL_ASSERT(names >= people && names <= PL_KK_NAMES);
    memset(ret_puzzle, 0, sizeof *ret_puzzle);
    ret_puzzle->people = people;
    draw_names(&draws, names, ret_puzzle);
    for (size_t tries = 0; tries < TRIES_MAX; tries++) {
        for (size_t i = 0; i < people; i++)
            draw_claim(&draws, people, i, &ret_puzzle->claims[i]);
        if (pl_kk_solve(ret_puzzle, &ret_puzzle->solution) == 1)
            return;
    }
    PL_ASSERT(!"a puzzle with one solution was drawn");
}

/* Numbers that stand for puzzles. */

uint64_t pl_kk_key(const struct pl_kk *puzzle)
{
    uint64_t key = puzzle->people;

    for (size_t i = 0; i < puzzle->people; i++) {
        for (const char *c = puzzle->names[i]; *c; c++)
            key = pl_key_mix(key, (unsigned char)*c);
        key = pl_key_mix(key, puzzle->claims[i].count);
        for (size_t k = 0; k < puzzle->claims[i].count; k++)
            key = pl_key_mix(key, (uint64_t)puzzle->claims[i].nodes[k].kind << 8 |
                                      puzzle->claims[i].nodes[k].value);
    }
    return key;
}

/* How often a claim speaks of a person: people of one colour are not one person. */
static size_t mentions(const struct pl_kk_claim *claim, size_t person)
{
    size_t count = 0;

    for (size_t i = 0; i < claim->count; i++)
        count += claim->nodes[i].kind <= PL_KK_LYING && claim->nodes[i].value == person;
    return count;
}

/* A number for one claim, of its speaker and of the colours of the people in it. */
static uint64_t claim_colour(const struct pl_kk_claim *claim, size_t speaker,
                             const uint64_t *colours)
{
    uint64_t stack[PL_KK_NODES_MAX];
    size_t depth = 0;

    for (size_t i = claim->count; i-- > 0;) {
        const struct pl_kk_node node = claim->nodes[i];
        const bool leaf = node.kind <= PL_KK_LYING;
        uint64_t colour = 0;

        if (leaf) {
            const bool denied = i > 0 && claim->nodes[i - 1].kind == PL_KK_NOT;

            colour = pl_key_mix((node.kind == PL_KK_LYING) != denied, node.value == speaker);
            colour = pl_key_mix(colour, mentions(claim, node.value));
            colour = pl_key_mix(colour, colours[node.value]);
            stack[depth++] = colour;
            continue;
        }
        if (node.kind == PL_KK_NOT && claim->nodes[i + 1].kind <= PL_KK_LYING)
            continue; /* counted in the leaf */
        for (size_t k = 0; k < node.value; k++) {
            const uint64_t part = stack[--depth];

            colour +=
                node.kind == PL_KK_IMPLIES ? pl_key_mix(part, k) : part; /* a sum has no order */
        }
        stack[depth++] = pl_key_mix(colour, node.kind);
    }
    return stack[0];
}

/* Every person's colour is refined by his or her claim, `people` times; where it started does not
 * matter, so what comes out does not depend on names or order. */
uint64_t pl_kk_shape(const struct pl_kk *puzzle)
{
    uint64_t colours[PL_KK_PEOPLE_MAX], next[PL_KK_PEOPLE_MAX], shape = 0;

    for (size_t i = 0; i < puzzle->people; i++)
        colours[i] = 1;
    for (size_t round = 0; round < puzzle->people; round++) {
        for (size_t i = 0; i < puzzle->people; i++)
            next[i] = pl_key_mix(colours[i], claim_colour(&puzzle->claims[i], i, colours));
        memcpy(colours, next, sizeof colours);
    }
    for (size_t i = 0; i < puzzle->people; i++)
        shape += pl_key_mix(colours[i], puzzle->people);
    return pl_key_mix(shape, puzzle->people);
}
