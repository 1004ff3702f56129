#include "deploy/tasks/hops.h"

#include "common/base/check.h"
#include "common/base/err.h"
#include "deploy/tasks/draws.h"
#include "deploy/tasks/key_set.h"

#include <string.h>

enum { UNARY = PL_HOPS_RELATIONS - 1, OF_A_TYPE = 3, ENVOY = UNARY };

/* OF_A_TYPE relations of each type in turn, then the envoy. Every type is found by two or more. */
static const struct pl_hops_relation relations[PL_HOPS_RELATIONS] = {
    {"teacher", PL_HOPS_PERSON, PL_HOPS_PERSON, 1}, {"home", PL_HOPS_PERSON, PL_HOPS_TOWN, 1},
    {"country", PL_HOPS_PERSON, PL_HOPS_LAND, 1},   {"mayor", PL_HOPS_TOWN, PL_HOPS_PERSON, 1},
    {"river", PL_HOPS_TOWN, PL_HOPS_RIVER, 1},      {"ally", PL_HOPS_TOWN, PL_HOPS_LAND, 1},
    {"king", PL_HOPS_LAND, PL_HOPS_PERSON, 1},      {"capital", PL_HOPS_LAND, PL_HOPS_TOWN, 1},
    {"border", PL_HOPS_LAND, PL_HOPS_RIVER, 1},     {"source", PL_HOPS_RIVER, PL_HOPS_LAND, 1},
    {"mouth", PL_HOPS_RIVER, PL_HOPS_TOWN, 1},      {"keeper", PL_HOPS_RIVER, PL_HOPS_PERSON, 1},
    {"envoy", PL_HOPS_LAND, PL_HOPS_PERSON, 2},
};

/* A name is one of the first and one of the second; none is contained in another. */
static const char *const first_syllables[] = {"ba", "de", "fi", "go", "ka", "lu",
                                              "mi", "no", "pe", "ra", "so", "ta"};
static const char *const second_syllables[] = {"bo",  "dan", "lek", "mor",
                                               "nel", "pur", "ven", "zil"};

enum {
    FIRSTS = sizeof first_syllables / sizeof first_syllables[0],
    SECONDS = sizeof second_syllables / sizeof second_syllables[0],
};
_Static_assert(FIRSTS *SECONDS == PL_HOPS_NAMES, "names are all pairs of syllables");

const struct pl_hops_relation *pl_hops_relation(size_t i)
{
    PL_ASSERT(i < PL_HOPS_RELATIONS);
    return &relations[i];
}

size_t pl_hops_names_needed(size_t hops, size_t distractors)
{
    /* A chain begins with a name, a branch with two; a distractor has two, one of an envoy three.
     */
    return hops + 1 + 2 * distractors + (hops > 2 ? 2 : 0);
}

/* Drawing. */

struct maker {
    struct pl_draws draws;
    struct pl_hops *hops;
    uint8_t names[PL_HOPS_NAMES]; /* those not used yet stand behind hops->entities */
    size_t names_count;
    bool used[PL_HOPS_RELATIONS][PL_HOPS_NAMES]; /* a fact says that of the entity */
};

static bool coin(struct maker *m)
{
    return pl_draws_below(&m->draws, 2) == 1;
}

static uint8_t fresh(struct maker *m, enum pl_hops_type type)
{
    const size_t entity = m->hops->entities++;
    size_t at;
    uint8_t name;

    PL_ASSERT(entity < m->names_count);
    at = entity + pl_draws_below(&m->draws, m->names_count - entity);
    name = m->names[at];
    m->names[at] = m->names[entity];
    m->names[entity] = name;
    m->hops->entity[entity].name = name;
    m->hops->entity[entity].type = (uint8_t)type;
    return (uint8_t)entity;
}

static void add_fact(struct maker *m, struct pl_hops_fact fact)
{
    if (fact.relation != ENVOY)
        m->used[fact.relation][fact.subjects[0]] = true;
    m->hops->facts[m->hops->facts_count++] = fact;
}

/* The question: a chain of `count` relations that is found from `type`, or that finds it. Sets
 * which relations. */
static void draw_chain_from(struct maker *m, enum pl_hops_type type, size_t count,
                            uint8_t *ret_relations)
{
    for (size_t i = 0; i < count; i++) {
        ret_relations[i] = (uint8_t)(OF_A_TYPE * type + pl_draws_below(&m->draws, OF_A_TYPE));
        type = relations[ret_relations[i]].to;
    }
}

static void draw_chain_to(struct maker *m, enum pl_hops_type type, size_t count,
                          uint8_t *ret_relations)
{
    while (count-- > 0) {
        do {
            ret_relations[count] = (uint8_t)pl_draws_below(&m->draws, UNARY);
        } while (relations[ret_relations[count]].to != type);
        type = relations[ret_relations[count]].from;
    }
}

/* Appends a step whose subject was found by step `earlier`, or is a new name if there is none. */
static void add_step(struct maker *m, size_t at, uint8_t relation,
                     const struct pl_hops_step *earlier)
{
    struct pl_hops_step *step = &m->hops->steps[at];

    step->given[0] = !earlier;
    step->fact.relation = relation;
    if (earlier) {
        step->earlier[0] = (uint8_t)(earlier - m->hops->steps);
        step->fact.subjects[0] = earlier->fact.object;
    } else {
        step->fact.subjects[0] = fresh(m, relations[relation].from);
    }
    step->fact.object = fresh(m, relations[relation].to);
}

static void add_chain(struct maker *m, size_t at, const uint8_t *chain, size_t count,
                      const struct pl_hops_step *earlier)
{
    for (size_t i = 0; i < count; i++) {
        add_step(m, at + i, chain[i], earlier);
        earlier = &m->hops->steps[at + i];
    }
}

/* Chains of `left` and `right` steps that each end in a land, their envoy, and a chain from there.
 */
static void draw_branch(struct maker *m)
{
    struct pl_hops_step *steps = m->hops->steps;
    const size_t hops = m->hops->hops;
    uint8_t chain[PL_HOPS_MAX];
    size_t left, right, meet;

    do {
        left = 1 + pl_draws_below(&m->draws, hops - 2);
        right = 1 + pl_draws_below(&m->draws, hops - 2);
        meet = left + right;
    } while (meet + 1 > hops);
    draw_chain_to(m, PL_HOPS_LAND, left, chain);
    add_chain(m, 0, chain, left, NULL);
    draw_chain_to(m, PL_HOPS_LAND, right, chain);
    add_chain(m, left, chain, right, NULL);
    add_step(m, meet, ENVOY, &steps[left - 1]);
    steps[meet].fact.subjects[1] = steps[meet - 1].fact.object;
    steps[meet].earlier[1] = (uint8_t)(meet - 1);
    draw_chain_from(m, PL_HOPS_PERSON, hops - meet - 1, chain);
    add_chain(m, meet + 1, chain, hops - meet - 1, &steps[meet]);
}

static void draw_steps(struct maker *m)
{
    uint8_t chain[PL_HOPS_MAX];

    if (m->hops->hops > 2 && coin(m)) {
        draw_branch(m);
    } else {
        draw_chain_from(m, (enum pl_hops_type)pl_draws_below(&m->draws, PL_HOPS_TYPES),
                        m->hops->hops, chain);
        add_chain(m, 0, chain, m->hops->hops, NULL);
    }
    for (size_t i = 0; i < m->hops->hops; i++)
        add_fact(m, m->hops->steps[i].fact);
}

/* Distractors. */

/* An entity of a type, other than `besides`, of which `relation` is not said yet (ENVOY: never
 * mind); a new one where there is none, or by a coin. */
static uint8_t draw_entity(struct maker *m, enum pl_hops_type type, uint8_t relation,
                           size_t besides)
{
    uint8_t fit[PL_HOPS_NAMES];
    size_t count = 0;

    for (size_t i = 0; i < m->hops->entities; i++)
        if (m->hops->entity[i].type == type && i != besides && !m->used[relation][i])
            fit[count++] = (uint8_t)i;
    return count > 0 && coin(m) ? fit[pl_draws_below(&m->draws, count)] : fresh(m, type);
}

/* The relation of a step, about somebody else, with a new name for its object. */
static void draw_parallel(struct maker *m, const struct pl_hops_fact *like)
{
    const struct pl_hops_relation *relation = &relations[like->relation];
    struct pl_hops_fact fact = {.relation = like->relation};

    if (like->relation == ENVOY) { /* one of the lands may be the same, or both turned round */
        fact.subjects[0] = coin(m) ? like->subjects[1] : fresh(m, PL_HOPS_LAND);
        fact.subjects[1] = coin(m) ? like->subjects[fact.subjects[0] == like->subjects[1] ? 0 : 1]
                                   : fresh(m, PL_HOPS_LAND);
    } else {
        fact.subjects[0] = draw_entity(m, relation->from, like->relation, SIZE_MAX);
    }
    fact.object = fresh(m, relation->to);
    add_fact(m, fact);
}

static bool on_the_way(const struct pl_hops *hops, size_t entity)
{
    for (size_t i = 0; i < hops->hops; i++) {
        const struct pl_hops_fact *fact = &hops->steps[i].fact;

        if (fact->object == entity || fact->subjects[0] == entity)
            return true;
    }
    return false;
}

/* Anything not said yet of an entity: by a coin, of one on the way to the answer. */
static void draw_aside(struct maker *m)
{
    struct pl_hops_fact fits[PL_HOPS_NAMES * OF_A_TYPE], fact;
    const bool near = coin(m);
    size_t count = 0;

    for (size_t i = 0; i < m->hops->entities; i++) {
        const size_t first = (size_t)OF_A_TYPE * m->hops->entity[i].type;

        for (size_t r = first; r < first + OF_A_TYPE; r++)
            if (!m->used[r][i] && (!near || on_the_way(m->hops, i)))
                fits[count++] =
                    (struct pl_hops_fact){.relation = (uint8_t)r, .subjects = {(uint8_t)i}};
    }
    if (count > 0) {
        fact = fits[pl_draws_below(&m->draws, count)];
    } else {
        fact = (struct pl_hops_fact){.relation = (uint8_t)pl_draws_below(&m->draws, UNARY)};
        fact.subjects[0] = fresh(m, relations[fact.relation].from);
    }
    /* used[ENVOY] is never set: whoever it is may be found many times */
    fact.object = draw_entity(m, relations[fact.relation].to, ENVOY, fact.subjects[0]);
    add_fact(m, fact);
}

static void shuffle_facts(struct maker *m)
{
    struct pl_hops_fact *facts = m->hops->facts;

    for (size_t i = m->hops->facts_count; i > 1; i--) {
        const size_t at = pl_draws_below(&m->draws, i);
        const struct pl_hops_fact fact = facts[at];

        facts[at] = facts[i - 1];
        facts[i - 1] = fact;
    }
    for (size_t i = 0; i < m->hops->facts_count; i++)
        facts[i].voice = (uint8_t)pl_draws_below(&m->draws, PL_HOPS_VOICES);
}

void pl_hops_draw(uint64_t seed, size_t hops, size_t distractors, size_t names, uint32_t index,
                  struct pl_hops *ret_hops)
{
    struct maker m = {.draws.rng = pl_draws_rng(PL_DRAWS_HOPS, PL_DRAWS_PROBLEM, seed, hops, index),
                      .hops = ret_hops,
                      .names_count = names};

    PL_ASSERT(hops >= PL_HOPS_MIN && hops <= PL_HOPS_MAX);
    PL_ASSERT(distractors <= PL_HOPS_DISTRACTORS_MAX);
    PL_ASSERT(names >= pl_hops_names_needed(hops, distractors) && names <= PL_HOPS_NAMES);
    *ret_hops = (struct pl_hops){.hops = hops, .distractors = distractors};
    for (size_t i = 0; i < names; i++)
        m.names[i] = (uint8_t)i;
    draw_steps(&m);
    for (size_t i = 0; i < distractors; i++) {
        if (i < hops)
            draw_parallel(&m, &ret_hops->steps[hops - 1 - i].fact);
        else
            draw_aside(&m);
    }
    shuffle_facts(&m);
}

/* Numbers that stand for questions. */

bool pl_hops_branches(const struct pl_hops *hops)
{
    for (size_t i = 0; i < hops->hops; i++)
        if (hops->steps[i].fact.relation == ENVOY)
            return true;
    return false;
}

/* Relations in their order, and where chains begin: this tells all graphs apart. */
uint64_t pl_hops_shape(const struct pl_hops *hops)
{
    uint64_t shape = hops->hops;

    for (size_t i = 0; i < hops->hops; i++) {
        shape = pl_key_mix(shape, hops->steps[i].fact.relation);
        shape = pl_key_mix(shape, hops->steps[i].given[0]);
    }
    return shape;
}

uint64_t pl_hops_key(const struct pl_hops *hops)
{
    uint64_t key = pl_hops_shape(hops);

    for (size_t i = 0; i < hops->hops; i++) {
        const struct pl_hops_fact *fact = &hops->steps[i].fact;

        key = pl_key_mix(key, hops->entity[fact->subjects[0]].name);
        key = pl_key_mix(key, hops->entity[fact->object].name);
    }
    return key;
}

size_t pl_hops_alike(const struct pl_hops *hops, size_t entity)
{
    size_t count = 0;

    for (size_t i = 0; i < hops->entities; i++)
        count += hops->entity[i].type == hops->entity[entity].type;
    return count;
}

/* Text. */

int pl_hops_name(const struct pl_hops *hops, size_t entity, enum pl_wording wording,
                 struct pl_buf *buf)
{
    const size_t name = hops->entity[entity].name;
    const size_t from = buf->len;
    int rc;

    PL_ASSERT(entity < hops->entities);
    /* All pairs come, because FIRSTS + 1 and SECONDS share no factor; the first names of few look
     * unlike each other. */
    rc = pl_buf_puts(buf, first_syllables[name % FIRSTS]);
    if (rc == PL_OK)
        rc = pl_buf_puts(buf, second_syllables[(name + name / FIRSTS) % SECONDS]);
    if (rc == PL_OK && wording == PL_WORDING_PUBLISHED)
        buf->data[from] = (char)(buf->data[from] - 'a' + 'A');
    return rc;
}

int pl_hops_subject(const struct pl_hops *hops, size_t relation, const uint8_t subjects[2],
                    enum pl_wording wording, struct pl_buf *buf)
{
    int rc = pl_buf_printf(buf, "the %s of ", relations[relation].name);

    if (rc == PL_OK)
        rc = pl_hops_name(hops, subjects[0], wording, buf);
    if (rc == PL_OK && relation == ENVOY)
        rc = pl_buf_puts(buf, " to ");
    if (rc == PL_OK && relation == ENVOY)
        rc = pl_hops_name(hops, subjects[1], wording, buf);
    return rc;
}

/* {s} is "the capital of Dora", {S} the same with a capital, {o} what that is; {x} is "Dora's
 * capital". */
static const char *const voices[PL_HOPS_VOICES] = {"{S} is {o}.", "{o} is {s}.", "{x} is {o}."};

static int put_possessive(const struct pl_hops *hops, const struct pl_hops_fact *fact,
                          struct pl_buf *buf)
{
    int rc = pl_hops_name(hops, fact->subjects[0], PL_WORDING_PUBLISHED, buf);

    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "'s %s", relations[fact->relation].name);
    if (rc == PL_OK && fact->relation == ENVOY)
        rc = pl_buf_puts(buf, " to ");
    if (rc == PL_OK && fact->relation == ENVOY)
        rc = pl_hops_name(hops, fact->subjects[1], PL_WORDING_PUBLISHED, buf);
    return rc;
}

static int state_published(const struct pl_hops *hops, const struct pl_hops_fact *fact,
                           struct pl_buf *buf)
{
    int rc = PL_OK;

    for (const char *at = voices[fact->voice]; rc == PL_OK && *at;) {
        const size_t text = strcspn(at, "{"), from = buf->len + text;

        rc = pl_buf_append(buf, at, text);
        at += text;
        if (rc < 0 || !*at)
            break;
        if (at[1] == 'o')
            rc = pl_hops_name(hops, fact->object, PL_WORDING_PUBLISHED, buf);
        else if (at[1] == 'x')
            rc = put_possessive(hops, fact, buf);
        else
            rc = pl_hops_subject(hops, fact->relation, fact->subjects, PL_WORDING_PUBLISHED, buf);
        if (rc == PL_OK && at[1] == 'S')
            buf->data[from] = 'T';
        at += strlen("{o}");
    }
    return rc;
}

static int state_plain(const struct pl_hops *hops, const struct pl_hops_fact *fact,
                       struct pl_buf *buf)
{
    int rc = pl_hops_subject(hops, fact->relation, fact->subjects, PL_WORDING_PLAIN, buf);

    if (rc == PL_OK)
        rc = pl_buf_puts(buf, " is ");
    if (rc == PL_OK)
        rc = pl_hops_name(hops, fact->object, PL_WORDING_PLAIN, buf);
    return rc < 0 ? rc : pl_buf_puts(buf, " .");
}

/* "the river of the capital of dora": what step `at` asks for. No deeper than there are hops. */
static int put_nested(const struct pl_hops *hops, size_t at, enum pl_wording wording,
                      struct pl_buf *buf)
{
    const struct pl_hops_step *step = &hops->steps[at];
    const size_t relation = step->fact.relation;
    int rc = pl_buf_printf(buf, "the %s of ", relations[relation].name);

    for (size_t i = 0; rc == PL_OK && i < relations[relation].subjects; i++) {
        if (i > 0)
            rc = pl_buf_puts(buf, " to ");
        if (rc == PL_OK)
            rc = step->given[i] ? pl_hops_name(hops, step->fact.subjects[i], wording, buf)
                                : put_nested(hops, step->earlier[i], wording, buf);
    }
    return rc;
}

int pl_hops_question(const struct pl_hops *hops, enum pl_wording wording, struct pl_buf *buf)
{
    const size_t last = hops->hops - 1;
    const bool plain = wording == PL_WORDING_PLAIN;
    const bool who = relations[hops->steps[last].fact.relation].to == PL_HOPS_PERSON;
    int rc = plain ? PL_OK : pl_buf_puts(buf, "Read these notes.");

    for (size_t i = 0; rc == PL_OK && i < hops->facts_count; i++) {
        rc = pl_buf_puts(buf, " ");
        if (rc == PL_OK)
            rc = plain ? state_plain(hops, &hops->facts[i], buf)
                       : state_published(hops, &hops->facts[i], buf);
    }
    if (rc == PL_OK)
        rc =
            pl_buf_printf(buf, plain ? " %s is " : " By these notes, %s is ", who ? "who" : "what");
    if (rc == PL_OK)
        rc = put_nested(hops, last, wording, buf);
    return rc < 0 ? rc : pl_buf_puts(buf, plain ? " ?" : "?");
}
