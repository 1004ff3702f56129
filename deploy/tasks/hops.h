/*
 * Questions over given facts that take several hops: 2 to 6 sub-questions, each of which is about
 * what an earlier one found, and a text of facts of which most lead nowhere.
 *
 *   the capital of dora is mell . the river of mell is tane . the river of pern is bolek .
 *   what is the river of the capital of dora ?
 *
 * There are people, towns, lands and rivers, all with invented names, and relations between two
 * types each ("capital", of a land, a town); one, "envoy", is of two lands: "the envoy of dora to
 * pern". A question composes relations as a chain, or, from 3 hops on, with even chances, as a
 * branch: two chains that meet in an envoy, and maybe a chain from there. These are the graphs of
 * MuSiQue (Trivedi et al., arXiv 2108.00573) of 2 to 4 hops, and their like beyond.
 *
 * Always true of what pl_hops_draw() returned:
 *   - no two facts have the same relation and subjects, so the question has exactly one answer, and
 *     every sub-question, too;
 *   - names given in the question and answers of sub-questions are all different, and no two
 *     entities have the same name;
 *   - every sub-question's fact is in the text, every name in the question and each answer with it;
 *   - facts stand in an order of their own, which says nothing about the question.
 *
 * Distractors: the first, second, ... has the relation of the last, next to last, ... sub-question
 * about somebody else, and a name not met before for its answer; so with one of them or more the
 * relation asked for last does not tell the answer. The rest are about anybody, half of them about
 * somebody on the way to the answer.
 *
 * Nothing here allocates or keeps state; threads may use it freely.
 */
#ifndef PL_TASKS_HOPS_H
#define PL_TASKS_HOPS_H

#include "common/base/buf.h"
#include "deploy/tasks/wording.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PL_HOPS_MIN = 2,
    PL_HOPS_MAX = 6,
    PL_HOPS_DISTRACTORS_MAX = 24,
    PL_HOPS_FACTS_MAX = PL_HOPS_MAX + PL_HOPS_DISTRACTORS_MAX,
    PL_HOPS_NAMES = 96,
    PL_HOPS_NAME_BYTES = 8,
    PL_HOPS_RELATIONS = 13,
    PL_HOPS_VOICES = 3, /* ways to state a fact in published wording */
};

enum pl_hops_type { PL_HOPS_PERSON, PL_HOPS_TOWN, PL_HOPS_LAND, PL_HOPS_RIVER, PL_HOPS_TYPES };

struct pl_hops_relation {
    const char *name;
    enum pl_hops_type from, to;
    size_t subjects; /* 1, or 2, both of type `from` */
};

/* The relation of the subjects is the object; these are entities. */
struct pl_hops_fact {
    uint8_t relation, subjects[2], object;
    uint8_t voice;
};

/* A sub-question. A subject is an entity that is given, or what an earlier sub-question found. */
struct pl_hops_step {
    struct pl_hops_fact fact; /* that answers it */
    bool given[2];
    uint8_t earlier[2]; /* where not given: the number of the sub-question */
};

struct pl_hops {
    size_t hops, distractors, facts_count, entities;
    struct {
        uint8_t name, type;
    } entity[PL_HOPS_NAMES];
    struct pl_hops_fact facts[PL_HOPS_FACTS_MAX]; /* in the order of the text */
    struct pl_hops_step steps[PL_HOPS_MAX];       /* the last is the question */
};

const struct pl_hops_relation *pl_hops_relation(size_t i);

/* How many names questions of so many hops, among so many distractors, may use up. */
size_t pl_hops_names_needed(size_t hops, size_t distractors);

/* Question `index`, a pure function of the arguments; names: how many of them are in use, at least
 * pl_hops_names_needed(). */
void pl_hops_draw(uint64_t seed, size_t hops, size_t distractors, size_t names, uint32_t index,
                  struct pl_hops *ret_hops);

/* The same number for questions with the same names and relations on the way to the answer,
 * whatever stands around them. */
uint64_t pl_hops_key(const struct pl_hops *hops);

/* The same number for questions that compose the same relations in the same way. There are 36
 * shapes of 2 hops, 117 of 3, 405 of 4. */
uint64_t pl_hops_shape(const struct pl_hops *hops);

bool pl_hops_branches(const struct pl_hops *hops);

/* How many entities there are of an entity's type: of so many a guess is one. */
size_t pl_hops_alike(const struct pl_hops *hops, size_t entity);

/* Text. These add to buf: PL_OK, PL_ENOMEM, PL_EFULL. */

/* "mell" or "Mell" */
int pl_hops_name(const struct pl_hops *hops, size_t entity, enum pl_wording wording,
                 struct pl_buf *buf);

/* "the envoy of dora to mell" */
int pl_hops_subject(const struct pl_hops *hops, size_t relation, const uint8_t subjects[2],
                    enum pl_wording wording, struct pl_buf *buf);

/* All facts and the question. */
int pl_hops_question(const struct pl_hops *hops, enum pl_wording wording, struct pl_buf *buf);

#endif
