#include "tests/kk_naive.h"

#include <string.h>

/* The tree at *at, which is moved behind it. */
static bool tree(const struct pl_kk_claim *claim, size_t *at, uint32_t world)
{
    const struct pl_kk_node node = claim->nodes[(*at)++];
    bool first, second;

    switch ((enum pl_kk_kind)node.kind) {
    case PL_KK_TRUTHFUL:
        return world >> node.value & 1;
    case PL_KK_LYING:
        return !(world >> node.value & 1);
    case PL_KK_NOT:
        return !tree(claim, at, world);
    case PL_KK_AND:
    case PL_KK_OR:
        first = tree(claim, at, world);
        for (size_t i = 1; i < node.value; i++) {
            second = tree(claim, at, world);
            first = node.kind == PL_KK_AND ? first && second : first || second;
        }
        return first;
    case PL_KK_IMPLIES:
        first = tree(claim, at, world);
        second = tree(claim, at, world);
        return !first || second;
    case PL_KK_EQUALS:
        first = tree(claim, at, world);
        second = tree(claim, at, world);
        return first == second;
    case PL_KK_KINDS:
        break;
    }
    return false;
}

bool pl_naive_true(const struct pl_kk_claim *claim, uint32_t world)
{
    size_t at = 0;

    return tree(claim, &at, world);
}

bool pl_naive_fits(const struct pl_kk *puzzle, size_t speaker, uint32_t world)
{
    return pl_naive_true(&puzzle->claims[speaker], world) == (world >> speaker & 1);
}

size_t pl_naive_solve(const struct pl_kk *puzzle, uint32_t *ret_solution)
{
    size_t count = 0;

    for (uint32_t world = 0; world < 1u << puzzle->people; world++) {
        bool fits = true;

        for (size_t i = 0; fits && i < puzzle->people; i++)
            fits = pl_naive_fits(puzzle, i, world);
        if (fits && count++ == 0)
            *ret_solution = world;
    }
    return count;
}

struct draws {
    struct pl_rng rng;
    uint32_t position;
};

static size_t below(struct draws *draws, size_t n)
{
    return (size_t)pl_rng_below(&draws->rng, draws->position++, n);
}

/* A tree of at most `nodes` nodes, at least one. */
static void grow(struct draws *draws, size_t people, size_t nodes, struct pl_kk_claim *claim)
{
    const size_t kind = nodes < 3 ? below(draws, 2) : PL_KK_NOT + below(draws, 5);
    struct pl_kk_node *node = &claim->nodes[claim->count++];

    node->kind = (uint8_t)kind;
    if (kind <= PL_KK_LYING) {
        node->value = (uint8_t)below(draws, people);
        return;
    }
    node->value = kind == PL_KK_NOT                                      ? 1
                  : (kind == PL_KK_AND || kind == PL_KK_OR) && nodes > 3 ? 2 + below(draws, 2)
                                                                         : 2;
    for (size_t i = 0; i < node->value; i++)
        grow(draws, people, (nodes - 1) / node->value, claim);
}

/* Of the people in `set`, an odd or even number are knights: leaf <=> (leaf <=> (... leaf)). */
static void add_parity(struct draws *draws, uint32_t set, struct pl_kk_claim *claim)
{
    for (uint8_t i = 0; set; i++, set >>= 1) {
        if (!(set & 1))
            continue;
        if (set > 1)
            claim->nodes[claim->count++] = (struct pl_kk_node){PL_KK_EQUALS, 2};
        claim->nodes[claim->count++] =
            (struct pl_kk_node){below(draws, 2) ? PL_KK_LYING : PL_KK_TRUTHFUL, i};
    }
}

static void begin_puzzle(size_t people, struct pl_kk *puzzle)
{
    static const char names[PL_KK_PEOPLE_MAX][4] = {"Ann", "Bob", "Cid", "Dot",
                                                    "Eve", "Fay", "Gus", "Hal"};

    memset(puzzle, 0, sizeof *puzzle);
    puzzle->people = people;
    for (size_t i = 0; i < people; i++)
        memcpy(puzzle->names[i], names[i], sizeof names[i]);
}

size_t pl_naive_random(size_t people, size_t nodes, uint32_t index, struct pl_kk *ret_puzzle)
{
    struct draws draws = {{77, (uint32_t)PL_RNG_TEST, (uint32_t)(people << 8 | nodes), index}, 0};

    begin_puzzle(people, ret_puzzle);
    for (size_t i = 0; i < people; i++)
        grow(&draws, people, nodes, &ret_puzzle->claims[i]);
    return pl_naive_solve(ret_puzzle, &ret_puzzle->solution);
}

size_t pl_naive_parity(size_t people, uint32_t index, struct pl_kk *ret_puzzle)
{
    struct draws draws = {{78, (uint32_t)PL_RNG_TEST, (uint32_t)people, index}, 0};

    begin_puzzle(people, ret_puzzle);
    for (uint8_t i = 0; i < people; i++) {
        struct pl_kk_claim *claim = &ret_puzzle->claims[i];

        claim->nodes[claim->count++] = (struct pl_kk_node){PL_KK_EQUALS, 2};
        claim->nodes[claim->count++] = (struct pl_kk_node){PL_KK_TRUTHFUL, i};
        add_parity(&draws, 1 + (uint32_t)below(&draws, ((size_t)1 << people) - 1), claim);
    }
    return pl_naive_solve(ret_puzzle, &ret_puzzle->solution);
}
