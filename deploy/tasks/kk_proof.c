#include "deploy/tasks/kk_proof.h"

#include "common/base/check.h"

#include <string.h>

/* Roles that are known, or supposed: sets of people. */
struct facts {
    uint32_t known, knights; /* knights: within known */
};

struct prover {
    size_t people;
    struct pl_kk_worlds all, claims[PL_KK_PEOPLE_MAX], rules[PL_KK_PEOPLE_MAX];
    struct pl_kk_step *steps; /* PL_KK_STEPS_MAX; the first `count` are in use */
    size_t count;
};

/* A role found within a supposition: the steps that found it and the known roles they went by. */
struct finding {
    size_t person, from, to; /* steps [from, to) */
    uint32_t premises;
};

static struct facts with(struct facts facts, size_t person, bool knight)
{
    facts.known |= 1u << person;
    facts.knights |= (uint32_t)knight << person;
    return facts;
}

static struct facts without(struct facts facts, size_t person)
{
    facts.known &= ~(1u << person);
    facts.knights &= facts.known;
    return facts;
}

static bool knows(struct facts facts, size_t person)
{
    return facts.known >> person & 1;
}

static struct pl_kk_worlds worlds_of(const struct prover *p, struct facts facts)
{
    struct pl_kk_worlds set = p->all;

    for (size_t i = 0; i < p->people; i++) {
        if (!knows(facts, i))
            continue;
        set = facts.knights >> i & 1 ? pl_kk_both(set, pl_kk_knight(i))
                                     : pl_kk_without(set, pl_kk_knight(i));
    }
    return set;
}

/* Whether all worlds of a set that is not empty agree about `in`, and what they say. */
static bool settled(struct pl_kk_worlds set, struct pl_kk_worlds in, bool *ret_yes)
{
    const bool some = !pl_kk_empty(pl_kk_both(set, in));

    *ret_yes = some;
    return some ? pl_kk_empty(pl_kk_without(set, in)) : !pl_kk_empty(set);
}

/* Whether a BY step about `person` can be made, and the role it gives. */
static bool can_infer(const struct prover *p, struct facts facts, size_t speaker, size_t person,
                      bool *ret_knight)
{
    struct pl_kk_worlds set = worlds_of(p, facts);

    if (person == speaker)
        return settled(set, p->claims[speaker], ret_knight);
    if (!knows(facts, speaker))
        return false;
    return settled(pl_kk_both(set, p->rules[speaker]), pl_kk_knight(person), ret_knight);
}

static bool contradicts(const struct prover *p, struct facts facts, size_t speaker)
{
    return knows(facts, speaker) && pl_kk_empty(pl_kk_both(worlds_of(p, facts), p->rules[speaker]));
}

static void add_step(struct prover *p, struct pl_kk_step step)
{
    PL_ASSERT(p->count < PL_KK_STEPS_MAX);
    p->steps[p->count++] = step;
}

static struct pl_kk_step step_by(struct facts facts, size_t speaker, size_t person, bool knight)
{
    return (struct pl_kk_step){.move = PL_KK_BY,
                               .speaker = (uint8_t)speaker,
                               .person = (uint8_t)person,
                               .knight = knight,
                               .speaker_knight =
                                   person == speaker ? knight : facts.knights >> speaker & 1};
}

static struct pl_kk_step step_about(enum pl_kk_move move, size_t person, bool knight)
{
    return (struct pl_kk_step){.move = (uint8_t)move, .person = (uint8_t)person, .knight = knight};
}

/* Drop known roles as long as the step can be made without them: what is left, it goes by. */
static uint32_t premises_by(const struct prover *p, struct facts facts, size_t speaker,
                            size_t person)
{
    bool knight;

    for (size_t i = 0; i < p->people; i++) {
        if (knows(facts, i) && can_infer(p, without(facts, i), speaker, person, &knight))
            facts = without(facts, i);
    }
    return facts.known;
}

static uint32_t premises_but(const struct prover *p, struct facts facts, size_t speaker)
{
    for (size_t i = 0; i < p->people; i++) {
        if (knows(facts, i) && contradicts(p, without(facts, i), speaker))
            facts = without(facts, i);
    }
    return facts.known;
}

/* Whom the facts contradict; `people` where nobody. */
static size_t contradicted(const struct prover *p, struct facts facts)
{
    size_t speaker = 0;

    while (speaker < p->people && !contradicts(p, facts, speaker))
        speaker++;
    return speaker;
}

/*
 * The facts contradict `speaker`: the findings that takes are kept, packed together at `base`, and
 * BUT is added. Returns the known roles that it takes of those before the findings.
 */
static uint32_t conclude(struct prover *p, struct facts facts, size_t speaker,
                         const struct finding *findings, size_t count, size_t base)
{
    uint32_t premises = premises_but(p, facts, speaker);
    bool needed[PL_KK_PEOPLE_MAX];

    for (size_t i = count; i-- > 0;) {
        needed[i] = premises >> findings[i].person & 1;
        if (needed[i])
            premises = (premises & ~(1u << findings[i].person)) | findings[i].premises;
    }
    p->count = base;
    for (size_t i = 0; i < count; i++) {
        const size_t len = findings[i].to - findings[i].from;

        if (!needed[i])
            continue;
        memmove(p->steps + p->count, p->steps + findings[i].from, len * sizeof p->steps[0]);
        p->count += len;
    }
    add_step(p, (struct pl_kk_step){.move = PL_KK_BUT,
                                    .speaker = (uint8_t)speaker,
                                    .speaker_knight = facts.knights >> speaker & 1});
    return premises;
}

/* Everything that one BY step gives from the same facts, up to a contradiction. */
static size_t infer_all(struct prover *p, struct facts *facts, struct finding *findings)
{
    const struct facts before = *facts;
    size_t count = 0;
    bool knight;

    for (size_t speaker = 0; speaker < p->people; speaker++) {
        for (size_t person = 0; person < p->people; person++) {
            if (knows(*facts, person) || !can_infer(p, before, speaker, person, &knight))
                continue;
            findings[count++] =
                (struct finding){.person = person,
                                 .from = p->count,
                                 .to = p->count + 1,
                                 .premises = premises_by(p, before, speaker, person)};
            add_step(p, step_by(before, speaker, person, knight));
            *facts = with(*facts, person, knight);
            if (contradicted(p, *facts) < p->people)
                return count;
        }
    }
    return count;
}

static bool refute(struct prover *p, struct facts facts, bool nested, uint32_t *ret_premises);

/*
 * Suppose `person` to be `knight` and refute it: SUPPOSE ... BUT, SO are added. False, and nothing
 * is added, where that is not possible.
 */
static bool refute_role(struct prover *p, struct facts facts, size_t person, bool knight,
                        bool nested, uint32_t *ret_premises)
{
    const size_t base = p->count;

    add_step(p, step_about(PL_KK_SUPPOSE, person, knight));
    if (!refute(p, with(facts, person, knight), nested, ret_premises)) {
        p->count = base;
        return false;
    }
    add_step(p, step_about(PL_KK_SO, person, !knight));
    *ret_premises &= ~(1u << person);
    return true;
}

/*
 * The shortest refutation of a role that is not known is added; `roles` are the only ones tried:
 * bit 2 i for person i a knave, bit 2 i + 1 for a knight. False where there is none.
 */
static bool refute_any(struct prover *p, struct facts facts, uint32_t roles, bool nested,
                       struct finding *ret_finding, bool *ret_knight)
{
    const size_t base = p->count;
    size_t best = 0; /* steps of the best, which lies at base */

    for (size_t i = 0; i < 2 * p->people; i++) {
        const size_t person = i / 2, from = p->count;
        const bool knight = i % 2;
        uint32_t premises;

        if (knows(facts, person) || !(roles >> i & 1) ||
            !refute_role(p, facts, person, knight, nested, &premises))
            continue;
        if (best == 0 || p->count - from < best) {
            best = p->count - from;
            memmove(p->steps + base, p->steps + from, best * sizeof p->steps[0]);
            *ret_finding = (struct finding){person, base, base + best, premises};
            *ret_knight = !knight;
        }
        p->count = base + best;
    }
    return best > 0;
}

/* No single supposition is refuted: suppose the first open role to be a knave's and go as deep as
 * it takes. That it is a knight's becomes a finding, and goes on being refuted where we came from.
 */
static void split(struct prover *p, struct facts facts, struct finding *ret_finding,
                  bool *ret_knight)
{
    size_t person = 0;
    bool refuted;

    while (knows(facts, person))
        person++;
    *ret_finding = (struct finding){.person = person, .from = p->count};
    refuted = refute_role(p, facts, person, false, true, &ret_finding->premises);
    PL_ASSERT(refuted);
    ret_finding->to = p->count;
    *ret_knight = true;
}

/*
 * Derive a contradiction from `facts`; the steps, up to BUT, are added, and the known roles that
 * they need are *ret_premises. `nested`: make further suppositions if need be; then a contradiction
 * is found whenever the facts fit no solution. Otherwise false, and nothing is added.
 */
static bool refute(struct prover *p, struct facts facts, bool nested, uint32_t *ret_premises)
{
    struct finding findings[PL_KK_PEOPLE_MAX];
    const size_t base = p->count;
    size_t count = 0;

    for (;;) {
        const size_t speaker = contradicted(p, facts);
        size_t found;
        bool knight;

        if (speaker < p->people) {
            *ret_premises = conclude(p, facts, speaker, findings, count, base);
            return true;
        }
        found = infer_all(p, &facts, findings + count);
        count += found;
        if (found > 0)
            continue;
        if (!nested) {
            p->count = base;
            return false;
        }
        /* With all roles known, somebody was contradicted: else they are a second solution. */
        PL_ASSERT(facts.known != (1u << p->people) - 1);
        if (!refute_any(p, facts, UINT32_MAX, false, &findings[count], &knight))
            split(p, facts, &findings[count], &knight);
        facts = with(facts, findings[count++].person, knight);
    }
}

/* The next role that follows without a supposition. */
static bool prove_directly(struct prover *p, struct facts *facts, size_t *ret_person)
{
    bool knight;

    for (size_t speaker = 0; speaker < p->people; speaker++) {
        for (size_t person = 0; person < p->people; person++) {
            if (knows(*facts, person) || !can_infer(p, *facts, speaker, person, &knight))
                continue;
            add_step(p, step_by(*facts, speaker, person, knight));
            *facts = with(*facts, person, knight);
            *ret_person = person;
            return true;
        }
    }
    return false;
}

void pl_kk_prove(const struct pl_kk *puzzle, struct pl_kk_proof *ret_proof)
{
    struct prover prover = {
        .people = puzzle->people, .all = pl_kk_all(puzzle->people), .steps = ret_proof->steps};
    struct facts facts = {0};
    uint32_t wrong = 0; /* the roles that nobody has, as refute_any() takes them */

    for (size_t i = 0; i < puzzle->people; i++) {
        prover.claims[i] = pl_kk_claim_worlds(&puzzle->claims[i]);
        prover.rules[i] = pl_kk_rule(puzzle, i);
        wrong |= (puzzle->solution >> i & 1 ? 1u : 2u) << (2 * i);
    }
    ret_proof->people = puzzle->people;
    for (size_t n = 0; n < puzzle->people; n++) {
        struct finding finding = {0};
        bool knight;

        if (!prove_directly(&prover, &facts, &finding.person)) {
            const bool refuted = refute_any(&prover, facts, wrong, false, &finding, &knight) ||
                                 refute_any(&prover, facts, wrong, true, &finding, &knight);

            PL_ASSERT(refuted);
            facts = with(facts, finding.person, knight);
        }
        ret_proof->order[n] = (uint8_t)finding.person;
        ret_proof->ends[n] = prover.count;
    }
    PL_ASSERT(facts.knights == puzzle->solution);
}
