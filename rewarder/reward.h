/*
 * The reward of a response (Xie et al., arXiv 2505.19640, appendix C and algorithm 1):
 *
 *   r = r_format + r_final + gate r_intermediate + r_extra
 *   r_format = lambda_f (+1 valid, -1 not)
 *   r_final  = lambda_a (2.0 right, -1.5 wrong, -2.0 not parseable), only when the form is valid
 *   r_intermediate, with R the base reward and g_1 .. g_(N-1) the intermediate truths:
 *     all      R if every one was given, in order where the task says so and none wrong; else 0
 *     partial  R / (N-1) for each that was given
 *     time     R if all N-1 were given; else R / (N-1) sum over those given of 1 / k_j, with k_j
 *              the number (from 1) of the first answer segment that matches g_j
 *     paid when "conditional": the final answer is right, the form valid, and the batch makes
 *              progress: Acc(B) > Acc(B-1) - epsilon, in the order of batches, 0 before the
 *              first (the gate, which Redis decides: common/link/functions.lua); when "direct":
 *              always; "none": never
 *   r_extra  overlong penalty (DAPO) and a charge for each wrong intermediate answer, both off
 *            unless they are asked for
 *
 * The product form (`combine`), after Plantain (Liang et al., arXiv 2512.03176), whose reward is
 * the indicator of a valid format times 1 plus the rewards of the answers:
 *
 *   r = F (lambda_f + max(r_final, 0) + gate r_intermediate) + r_extra,  F = 1 valid, 0 not
 *
 * so that a response of invalid form earns nothing, "direct" too, where the sum pays what stood
 * before it broke and takes lambda_f off. A wrong or unreadable final answer earns nothing either:
 * were it charged, a broken form (0) would be worth more. "conditional", "direct", "none" and the
 * gate say as in the sum when r_intermediate is paid; charges stay outside of the product.
 *
 * Each segment says what it earned, before the gate: of a paid r_intermediate each answer that
 * gives truth j has its own term: all: R / (N-1); partial: R / (N-1); time: R / (N-1), divided by
 * k_j unless all were given; the parts add up to r_intermediate. And what it is charged: an answer
 * that is wrong, once more, or cannot be read has its own part of r_extra; the overlong penalty is
 * nobody's.
 *
 * An answer segment counts for one truth at most, and a truth for one segment. The last answer is
 * the final one and counts for no intermediate truth. Of those before it the first
 * PL_REWARD_ANSWERS_MAX are compared.
 */
#ifndef PL_REWARDER_REWARD_H
#define PL_REWARDER_REWARD_H

#include "proto/rollout.h"
#include "proto/task.h"
#include "rewarder/exec.h"
#include "rewarder/segments.h"
#include "rewarder/verify.h"

enum pl_reward_pay { PL_REWARD_CONDITIONAL, PL_REWARD_DIRECT, PL_REWARD_NONE };
#define PL_REWARD_PAY_CHOICES "conditional|direct|none"
enum pl_reward_strategy { PL_REWARD_ALL, PL_REWARD_PARTIAL, PL_REWARD_TIME };
#define PL_REWARD_STRATEGY_CHOICES "all|partial|time"

enum pl_reward_combine { PL_REWARD_SUM, PL_REWARD_PRODUCT };
#define PL_REWARD_COMBINE_CHOICES "sum|product"

struct pl_reward_opts {
    double lambda_format, lambda_final;     /* 1, 1 */
    double right, wrong, unparsed;          /* 2, -1.5, -2 */
    double base;                            /* R = 0.5 */
    enum pl_reward_pay pay;                 /* conditional */
    enum pl_reward_strategy strategy;       /* time */
    enum pl_reward_combine combine;         /* sum */
    double wrong_step;                      /* charge for a wrong intermediate answer: 0 */
    size_t overlong_buffer, new_tokens_max; /* tokens; buffer 0: off */
    double overlong_factor;                 /* 1 */
    struct pl_exec_opts program;            /* of the verifier exec: none */
    struct pl_exec *exec;                   /* the calling thread's; NULL: there is none */
    struct pl_judge *judge; /* the calling thread's, which has the task; NULL: made for the call */
};
#define PL_REWARD_DEFAULTS                                                                         \
    ((struct pl_reward_opts){.lambda_format = 1,                                                   \
                             .lambda_final = 1,                                                    \
                             .right = 2,                                                           \
                             .wrong = -1.5,                                                        \
                             .unparsed = -2,                                                       \
                             .base = 0.5,                                                          \
                             .strategy = PL_REWARD_TIME,                                           \
                             .overlong_factor = 1})

/* Intermediate answers of a response that are compared with truths; any that follow are UNPARSED,
 * whatever they say. */
enum { PL_REWARD_ANSWERS_MAX = 64 };

/* Room for one score: what pl_score's pointers point into. */
struct pl_reward_room {
    struct pl_segments found;
    struct pl_segment segments[PL_PIECES_MAX];
    char why[256];
};

/*
 * Whether a task can be scored with these settings. PL_EFORMAT as pl_verifier_check() has it;
 * PL_EINVAL: its verifier is exec, and the settings name no program.
 */
int pl_reward_check(const struct pl_reward_opts *opts, const struct pl_task *task,
                    struct pl_error *err);

/*
 * Score a response of `tokens` tokens, of which token i ends at byte ends[i]. ret_score points into
 * room. With pay = none, intermediate is 0 and steps are still counted; with direct,
 * `intermediate` has no condition and the batch's gate must be open (the learner's to see to).
 * PL_EAGAIN: a program of the user's was to say, and did not; the sentence is pl_exec_why()'s.
 * Whether it is of any use is to be asked with pl_exec_broken() then. There is no score: a verifier
 * that fails decides nothing. PL_ENOMEM.
 */
int pl_reward_score(const struct pl_reward_opts *opts, const struct pl_task *task,
                    enum pl_method method, const char *text, size_t len, const size_t *ends,
                    size_t tokens, struct pl_reward_room *room, struct pl_score *ret_score,
                    struct pl_error *err);

#endif
