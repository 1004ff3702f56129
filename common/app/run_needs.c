#include "common/app/run_needs.h"

#include "common/app/settings.h"

#include <string.h>

/* In the order of PL_ESTIMATOR_WORDS. */
enum { GAE, GRPO, DR_GRPO, RLOO, RPP, RPP_BASELINE, GDPO };

static bool has_critic(const struct pl_run_conf *c)
{
    return c->estimator == GAE;
}

static bool discounts(const struct pl_run_conf *c)
{
    return c->estimator == GAE || c->estimator == RPP;
}

static bool is_grpo(const struct pl_run_conf *c)
{
    return c->estimator == GRPO;
}

static bool is_gdpo(const struct pl_run_conf *c)
{
    return c->estimator == GDPO;
}

/* GDPO takes the components of the reward, which no KL is charged to. */
static bool is_not_gdpo(const struct pl_run_conf *c)
{
    return c->estimator != GDPO;
}

static bool is_latest(const struct pl_run_conf *c)
{
    return c->rollout_mode == PL_ROLLOUT_LATEST;
}

static bool has_reward_kl(const struct pl_run_conf *c)
{
    return c->kl_in_reward;
}

static bool adapts_kl(const struct pl_run_conf *c)
{
    return c->kl_in_reward && c->kl_ctrl == 1;
}

static bool has_loss_kl(const struct pl_run_conf *c)
{
    return c->use_kl_loss;
}

static bool corrects(const struct pl_run_conf *c)
{
    return pl_run_conf_correction(c) != PL_CORRECTION_NONE;
}

static bool is_scaled(const struct pl_run_conf *c)
{
    return c->loss_agg == 3;
}

static bool evaluates(const struct pl_run_conf *c)
{
    return c->val_files.count > 0;
}

static bool is_gated(const struct pl_run_conf *c)
{
    return c->pay == 0;
}

static bool pays_steps(const struct pl_run_conf *c)
{
    return c->pay != 2;
}

static bool credits_steps(const struct pl_run_conf *c)
{
    return pays_steps(c) || c->wrong_step > 0.0;
}

/* The product form takes what is below 0 for 0. */
static bool counts_wrong(const struct pl_run_conf *c)
{
    return c->combine == 0 || c->wrong > 0.0;
}

static bool counts_unparsed(const struct pl_run_conf *c)
{
    return c->combine == 0 || c->unparsed > 0.0;
}

static bool is_overlong(const struct pl_run_conf *c)
{
    return c->overlong_buffer > 0;
}

static bool runs_program(const struct pl_run_conf *c)
{
    return c->exec_command.count > 0;
}

static bool audits(const struct pl_run_conf *c)
{
    return c->audit_share > 0.0;
}

static bool has_keys(const struct pl_run_conf *c)
{
    return c->keys[0] != '\0';
}

static bool keeps_rollouts(const struct pl_run_conf *c)
{
    return c->rollouts_kept > 0;
}

/* clang-format off */
#define NEEDS_GAE "'algorithm.adv_estimator' gae, which alone has a critic", has_critic
#define WITH_GAE {"algorithm.adv_estimator=gae"}
#define NEEDS_RKL "'algorithm.use_kl_in_reward'", has_reward_kl
#define WITH_RKL {"algorithm.use_kl_in_reward=yes"}
#define NEEDS_LKL "'actor.use_kl_loss'", has_loss_kl
#define WITH_LKL {"actor.use_kl_loss=yes"}
#define NEEDS_VAL "'data.val_files'", evaluates
#define WITH_VAL {"data.val_files=[val.jsonl]"}
#define NEEDS_PROGRAM "'reward.exec.command'", runs_program
#define WITH_PROGRAM {"reward.exec.command=[true]"}
/* clang-format on */

static const struct pl_run_need table[] = {
    {"critic.model.path", NEEDS_GAE, "other", WITH_GAE},
    {"critic.optim.lr", NEEDS_GAE, "0.5", WITH_GAE},
    {"critic.optim.lr_warmup_steps", NEEDS_GAE, "3", WITH_GAE},
    {"critic.optim.lr_scheduler_type", NEEDS_GAE, "cosine", WITH_GAE},
    {"critic.optim.weight_decay", NEEDS_GAE, "0.5", WITH_GAE},
    {"critic.optim.beta1", NEEDS_GAE, "0.5", WITH_GAE},
    {"critic.optim.beta2", NEEDS_GAE, "0.5", WITH_GAE},
    {"critic.cliprange_value", NEEDS_GAE, "0.25", WITH_GAE},
    {"critic.grad_clip", NEEDS_GAE, "0.5", WITH_GAE},
    {"critic.ppo_epochs", NEEDS_GAE, "2", WITH_GAE},
    {"trainer.critic_warmup", NEEDS_GAE, "2", WITH_GAE},
    {"algorithm.lam", NEEDS_GAE, "0.5", WITH_GAE},
    {"algorithm.gamma",
     "'algorithm.adv_estimator' gae or reinforce_plus_plus, which alone discount",
     discounts,
     "0.5",
     {"algorithm.adv_estimator=reinforce_plus_plus"}},
    {"algorithm.norm_adv_by_std_in_grpo",
     "'algorithm.adv_estimator' grpo",
     is_grpo,
     "no",
     {"algorithm.adv_estimator=grpo"}},
    {"algorithm.gdpo_reward_weights",
     "'algorithm.adv_estimator' gdpo",
     is_gdpo,
     "[1, 2, 3]",
     {"algorithm.adv_estimator=gdpo"}},
    {"algorithm.use_kl_in_reward",
     "another 'algorithm.adv_estimator' than gdpo, which takes the parts of the reward, none of "
     "which a KL is taken off; 'actor.use_kl_loss' goes with it",
     is_not_gdpo,
     "yes",
     {"algorithm.adv_estimator=grpo"}},
    {"algorithm.kl_penalty", NEEDS_RKL, "k2", WITH_RKL},
    {"algorithm.kl_ctrl.type", NEEDS_RKL, "adaptive", WITH_RKL},
    {"algorithm.kl_ctrl.kl_coef", NEEDS_RKL, "0.5", WITH_RKL},
    {"algorithm.kl_ctrl.target_kl",
     "'algorithm.kl_ctrl.type' adaptive, of a KL in the reward",
     adapts_kl,
     "0.5",
     {"algorithm.use_kl_in_reward=yes", "algorithm.kl_ctrl.type=adaptive"}},
    {"algorithm.kl_ctrl.horizon",
     "'algorithm.kl_ctrl.type' adaptive, of a KL in the reward",
     adapts_kl,
     "50",
     {"algorithm.use_kl_in_reward=yes", "algorithm.kl_ctrl.type=adaptive"}},
    {"algorithm.rollout_correction.rollout_is_threshold",
     "'algorithm.rollout_correction.rollout_is' token or sequence, or 'rollout.mode' latest",
     corrects,
     "3",
     {"algorithm.rollout_correction.rollout_is=token"}},
    {"algorithm.segment_credit",
     "intermediate answers that are paid or charged: 'reward.intermediate' conditional or direct, "
     "or 'reward.wrong_step'",
     credits_steps,
     "yes",
     {"reward.intermediate=direct"}},
    {"actor.kl_loss_coef", NEEDS_LKL, "0.5", WITH_LKL},
    {"actor.kl_loss_type", NEEDS_LKL, "k2", WITH_LKL},
    {"actor.loss_scale_factor",
     "'actor.loss_agg_mode' seq-mean-token-sum-norm",
     is_scaled,
     "100",
     {"actor.loss_agg_mode=seq-mean-token-sum-norm"}},
    {"rollout.staleness_max", "'rollout.mode' latest", is_latest, "3", {"rollout.mode=latest"}},
    {"rollout.val_kwargs.temperature", NEEDS_VAL, "0.5", WITH_VAL},
    {"rollout.val_kwargs.n", NEEDS_VAL, "3", WITH_VAL},
    {"data.val_max_samples", NEEDS_VAL, "3", WITH_VAL},
    {"trainer.test_freq", NEEDS_VAL, "3", WITH_VAL},
    {"reward.gate_epsilon",
     "'reward.intermediate' conditional, which alone has a gate",
     is_gated,
     "0.5",
     {"reward.intermediate=conditional"}},
    {"reward.strategy",
     "'reward.intermediate' conditional or direct",
     pays_steps,
     "all",
     {"reward.intermediate=direct"}},
    {"reward.base",
     "'reward.intermediate' conditional or direct",
     pays_steps,
     "0.25",
     {"reward.intermediate=direct"}},
    {"reward.wrong",
     "'reward.combine' sum: as a product it counts as 0",
     counts_wrong,
     "-1",
     {"reward.combine=sum"}},
    {"reward.unparsed",
     "'reward.combine' sum: as a product it counts as 0",
     counts_unparsed,
     "-1",
     {"reward.combine=sum"}},
    {"reward.overlong_buffer.penalty_factor",
     "'reward.overlong_buffer.len' over 0",
     is_overlong,
     "2",
     {"reward.overlong_buffer.len=8"}},
    {"reward.exec.timeout_s", NEEDS_PROGRAM, "5", WITH_PROGRAM},
    {"reward.exec.memory_mb", NEEDS_PROGRAM, "100", WITH_PROGRAM},
    {"audit.tolerance", "'audit.share' over 0", audits, "0.5", {"audit.share=1"}},
    {"link.peer", "'link.keys'", has_keys, "relay-1", {"link.keys=keys"}},
    {"trainer.max_rollouts_to_keep",
     "'trainer.rollout_freq' over 0",
     keeps_rollouts,
     "5",
     {"trainer.rollout_freq=1"}},
};

const struct pl_run_need *pl_run_needs(size_t *ret_count)
{
    *ret_count = sizeof table / sizeof *table;
    return table;
}

int pl_run_needs_check(struct pl_run_conf *conf, struct pl_error *err)
{
    const struct pl_command *rows = pl_run_conf_table();

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct pl_run_need *need = &table[i];
        struct pl_run_conf scratch = {0};
        bool same = true;
        int rc;

        if (need->is_met(conf))
            continue;
        rc = pl_settings_is_default(rows, need->name, conf, &scratch, &same);
        if (rc < 0)
            return pl_fail(err, rc, "no memory for settings");
        if (same)
            continue;
        if (pl_settings_given(conf->text, need->name))
            return pl_fail(err, PL_EINVAL,
                           "'%s' has no effect here: it needs %s; leave one out, or give the other",
                           need->name, need->needs);
        rc = pl_settings_reset(rows, need->name, conf, err);
        if (rc < 0)
            return rc;
    }
    return PL_OK;
}
