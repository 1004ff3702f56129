#include "common/app/run_conf.h"

#include "common/app/run_needs.h"
#include "common/base/buf.h"
#include "common/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONF         struct pl_run_conf
#define GROUP(title) PL_OPTION_GROUP(title)
#define FLAG(field, name_, initial_, help_)                                                        \
    {                                                                                              \
        .name = (name_), .place = PL_OPTION_PLACE(CONF, field, bool), .kind = PL_OPTION_KIND_FLAG, \
        .initial = (initial_), .help = (help_)                                                     \
    }
#define SIZE(field, name, initial, least, most, help)                                              \
    PL_OPTION_SIZE(CONF, field, name, "N", initial, least, most, help)
#define REAL(field, name, initial, least, most, help)                                              \
    PL_OPTION_REAL(CONF, field, name, "X", initial, least, most, help)
#define TEXT(field, name, value, initial, help)                                                    \
    PL_OPTION_STRING(CONF, field, name, value, initial, help)
#define ONE_OF(field, name, initial, choices, help)                                                \
    PL_OPTION_CHOICE(CONF, field, name, initial, choices, help)
#define LIST(field, name, initial, help) PL_OPTION_LIST(CONF, field, name, "FILE", initial, help)

static const struct pl_option rows[] = {
    GROUP("Run"),
    TEXT(name, "run.name", "NAME", "run", "name of the run: letters, digits, '-', '_', '.'"),
    TEXT(dir, "run.dir", "DIR", "", "folder of everything the run leaves; must be given"),
    {.name = "run.seed",
     .place = PL_OPTION_PLACE(CONF, seed, size_t),
     .kind = PL_OPTION_KIND_SIZE,
     .value = "N",
     .initial = "0",
     .help = "seed of data order and sampling"},
    SIZE(memory_max, "run.memory_max", "0", 0, 0,
         "most bytes a program may plan; 0: the machine's"),
    TEXT(takeover, "run.takeover", "RUN_ID", "",
         "id of another run whose place in Redis this one takes: what Redis holds of it goes"),

    GROUP("Model"),
    TEXT(model, "model.path", "DIR", "", "model folder to start from; it is the reference too"),
    TEXT(critic, "critic.model.path", "DIR", "",
         "model folder the critic of gae starts from; empty: model.path"),

    GROUP("Data"),
    LIST(train_files, "data.train_files", "", "task files to train on"),
    LIST(val_files, "data.val_files", "", "task files to evaluate on"),
    TEXT(template_file, "data.template", "FILE", "", "prompt template; empty: the model's"),
    TEXT(instruction, "data.instruction", "auto|none|FILE", "auto",
         "what the model is told before the question: a system message, or in front of the "
         "question where it is a control token or the template has no place for one; auto: "
         "plait's for data.method, the control token where the tokenizer has it"),
    ONE_OF(method, "data.method", "interleave", PL_METHOD_WORDS,
           "form of response that the prompt asks for and that counts as valid"),
    SIZE(prompt_tokens_max, "data.max_prompt_length", "512", 1, 1 << 20,
         "longest prompt in tokens; longer tasks are left out and counted"),
    SIZE(response_tokens_max, "data.max_response_length", "512", 1, 1 << 20,
         "longest response in tokens"),
    SIZE(batch_groups, "data.train_batch_size", "16", 1, 65536, "prompts of a step"),
    SIZE(val_tasks_max, "data.val_max_samples", "0", 0, 0, "tasks of an evaluation; 0: all"),

    GROUP("Rollouts"),
    SIZE(samples, "rollout.n", "8", 1, 1024, "samples of a prompt"),
    REAL(temperature, "rollout.temperature", "1", 0, 1000,
         "sampling temperature; ratio, gradient, KL and entropy are of the policy at it"),
    REAL(top_p, "rollout.top_p", "1", 0, 1,
         "nucleus to sample from; 1: off; ratios are of the policy before this cut"),
    SIZE(top_k, "rollout.top_k", "0", 0, 0,
         "likeliest tokens to sample from; 0: off; ratios are of the policy before this cut"),
    REAL(min_p, "rollout.min_p", "0", 0, 1,
         "least share of the likeliest token; 0: off; ratios are of the policy before this cut"),
    REAL(val_temperature, "rollout.val_kwargs.temperature", "0", 0, 1000,
         "temperature of evaluations; 0: greedy"),
    SIZE(val_samples, "rollout.val_kwargs.n", "1", 1, 1024, "samples of a task in evaluations"),
    SIZE(staleness, "rollout.staleness", "1", 0, 3,
         "steps by which the policy that samples a batch is older than the one it trains; 0: "
         "strictly on-policy; in latest mode: batches that are sampled ahead"),
    ONE_OF(
        rollout_mode, "rollout.mode", "pinned", "pinned|latest",
        "pinned: each prompt is sampled with one version, so that a run ends with the same bytes "
        "whoever samples; latest: with the newest that an actor has, changed while it samples, "
        "without waiting; then a run cannot be repeated to the bit"),
    SIZE(staleness_max, "rollout.staleness_max", "4", 0, 8,
         "latest mode: steps by which a sample's oldest token may be older than the policy that "
         "trains; older ones are dropped and their prompts fed again"),

    GROUP("Algorithm"),
    ONE_OF(estimator, "algorithm.adv_estimator", "grpo", PL_ESTIMATOR_WORDS,
           "how advantages are estimated; gae is PPO with a critic"),
    REAL(gamma, "algorithm.gamma", "1", 0, 1, "discount of rewards"),
    REAL(lambda, "algorithm.lam", "1", 0, 1, "lambda of GAE"),
    FLAG(norm_by_std, "algorithm.norm_adv_by_std_in_grpo", "yes",
         "divide GRPO's advantages by the spread of their group"),
    FLAG(kl_in_reward, "algorithm.use_kl_in_reward", "no",
         "take the KL to the reference off the reward"),
    ONE_OF(kl_penalty, "algorithm.kl_penalty", "k1", PL_KL_WORDS, "its estimate"),
    ONE_OF(kl_ctrl, "algorithm.kl_ctrl.type", "fixed", "fixed|adaptive", "its coefficient"),
    REAL(kl_coef, "algorithm.kl_ctrl.kl_coef", "0.001", 0, 1000, "the coefficient at first"),
    REAL(kl_target, "algorithm.kl_ctrl.target_kl", "0.1", 0, 1000, "what adaptive aims at"),
    REAL(kl_horizon, "algorithm.kl_ctrl.horizon", "10000", 1, 1e12, "how slowly it adapts"),
    PL_OPTION_LIST(CONF, gdpo_weights, "algorithm.gdpo_reward_weights", "X", "1,1,1",
                   "weights of format, final and intermediate reward for gdpo"),
    ONE_OF(correction, "algorithm.rollout_correction.rollout_is", "auto", PL_CORRECTION_WORDS,
           "truncated importance sampling between the policy that sampled and the one that trains: "
           "weights of a token or of its sequence; auto: token in latest mode, else none"),
    REAL(correction_max, "algorithm.rollout_correction.rollout_is_threshold", "2", 0.0001, 1e6,
         "the most that such a weight may be"),
    FLAG(segment_credit, "algorithm.segment_credit", "no",
         "place what an intermediate answer earned, or was charged, at the last token of its "
         "segment instead of at the response's last"),
    SIZE(spare_groups, "algorithm.filter_groups.spare", "0", 0, 65536,
         "spare prompts sampled with every batch: they take the place of prompts whose samples all "
         "have the same reward, from which nothing can be learnt; 0: off"),

    GROUP("Policy"),
    REAL(lr, "actor.optim.lr", "1e-6", 0, 1, "learning rate at the peak"),
    SIZE(warmup_steps, "actor.optim.lr_warmup_steps", "0", 0, 0, "steps of warm-up"),
    ONE_OF(schedule, "actor.optim.lr_scheduler_type", "constant", "constant|linear|cosine",
           "learning rate after the warm-up"),
    REAL(weight_decay, "actor.optim.weight_decay", "0.01", 0, 10, "decoupled weight decay"),
    REAL(beta1, "actor.optim.beta1", "0.9", 0, 0.9999999, "AdamW's first moment"),
    REAL(beta2, "actor.optim.beta2", "0.999", 0, 0.9999999, "AdamW's second moment"),
    REAL(grad_clip, "actor.grad_clip", "1", 0, 1e9, "largest norm of the gradient; 0: no limit"),
    REAL(clip_low, "actor.clip_ratio_low", "0.2", 0, 1, "how far a ratio may fall"),
    REAL(clip_high, "actor.clip_ratio_high", "0.2", 0, 1000, "how far a ratio may rise"),
    REAL(clip_c, "actor.clip_ratio_c", "3", 1.0000001, 1e6, "dual clip of bad tokens"),
    ONE_OF(loss_mode, "actor.policy_loss.loss_mode", "vanilla", "vanilla|gspo",
           "ratio of a token, or of its sequence"),
    ONE_OF(loss_agg, "actor.loss_agg_mode", "token-mean",
           "token-mean|seq-mean-token-sum|seq-mean-token-mean|seq-mean-token-sum-norm",
           "how the losses of tokens add up"),
    REAL(loss_scale, "actor.loss_scale_factor", "0", 0, 1e9,
         "length that seq-mean-token-sum-norm divides by; 0: data.max_response_length"),
    REAL(entropy_coef, "actor.entropy_coeff", "0", 0, 1000, "weight of the entropy bonus"),
    FLAG(use_kl_loss, "actor.use_kl_loss", "no", "add the KL to the reference to the loss"),
    REAL(kl_loss_coef, "actor.kl_loss_coef", "0.001", 0, 1000, "its weight"),
    ONE_OF(kl_loss_type, "actor.kl_loss_type", "low_var_kl", PL_KL_WORDS, "its estimate"),
    SIZE(mini_groups, "actor.ppo_mini_batch_size", "0", 0, 65536,
         "prompts of an optimiser step; 0: the whole batch"),
    SIZE(epochs, "actor.ppo_epochs", "1", 1, 100, "times a batch is gone through"),
    SIZE(pack_tokens, "actor.ppo_max_token_len", "4096", 16, 1 << 24,
         "tokens of a micro-batch; what the memory of activations goes by"),
    FLAG(recompute, "actor.enable_activation_recompute", "no",
         "compute activations again in the backward instead of keeping them"),

    GROUP("Critic of gae"),
    REAL(critic_lr, "critic.optim.lr", "1e-5", 0, 1, "its learning rate at the peak"),
    SIZE(critic_warmup_steps, "critic.optim.lr_warmup_steps", "0", 0, 0, "steps of warm-up"),
    ONE_OF(critic_schedule, "critic.optim.lr_scheduler_type", "constant", "constant|linear|cosine",
           "learning rate after the warm-up"),
    REAL(critic_weight_decay, "critic.optim.weight_decay", "-1", -1, 10,
         "decoupled weight decay; below 0: the policy's"),
    REAL(critic_beta1, "critic.optim.beta1", "-1", -1, 0.9999999,
         "AdamW's first moment; below 0: the policy's"),
    REAL(critic_beta2, "critic.optim.beta2", "-1", -1, 0.9999999,
         "AdamW's second moment; below 0: the policy's"),
    REAL(critic_clip, "critic.cliprange_value", "0.5", 0, 1e9, "clip of a value's change"),
    REAL(critic_grad_clip, "critic.grad_clip", "1", 0, 1e9, "largest norm of its gradient"),
    SIZE(critic_epochs, "critic.ppo_epochs", "1", 1, 100, "times a batch is gone through"),
    SIZE(critic_warmup, "trainer.critic_warmup", "0", 0, 0,
         "steps at the start of the run that train the critic alone"),

    GROUP("Reward"),
    REAL(lambda_format, "reward.format", "1", 0, 1000, "weight of the format reward"),
    REAL(lambda_final, "reward.final", "1", 0, 1000, "weight of the final reward"),
    REAL(right, "reward.right", "2", -1000, 1000, "a right final answer"),
    REAL(wrong, "reward.wrong", "-1.5", -1000, 1000, "a wrong one"),
    REAL(unparsed, "reward.unparsed", "-2", -1000, 1000, "one that cannot be read"),
    ONE_OF(pay, "reward.intermediate", "conditional", "conditional|direct|none",
           "when intermediate answers are paid"),
    ONE_OF(
        combine, "reward.combine", "sum", "sum|product",
        "how format, final and intermediate reward come together; product: an invalid form makes "
        "the whole 0, and a wrong final answer earns nothing instead of a charge"),
    ONE_OF(strategy, "reward.strategy", "time", "all|partial|time", "what is paid for them"),
    REAL(reward_base, "reward.base", "0.5", 0, 1000, "most that is paid for them"),
    REAL(gate_epsilon, "reward.gate_epsilon", "0.05", 0, 2,
         "how far a batch's accuracy may fall and the gate stay open"),
    REAL(wrong_step, "reward.wrong_step", "0", 0, 1000, "charge for a wrong intermediate answer"),
    SIZE(overlong_buffer, "reward.overlong_buffer.len", "0", 0, 0,
         "tokens before the limit in which a penalty grows; 0: off"),
    REAL(overlong_factor, "reward.overlong_buffer.penalty_factor", "1", 0, 1000, "its most"),
    PL_OPTION_LIST(CONF, exec_command, "reward.exec.command", "WORD", "",
                   "program and arguments that decide answers to tasks of the verifier exec; one "
                   "process a thread of a rewarder"),
    REAL(exec_timeout_s, "reward.exec.timeout_s", "10", 0.001, 3600,
         "seconds that it may take over an answer before it is killed and asked again; decides no "
         "reward"),
    SIZE(exec_memory_mb, "reward.exec.memory_mb", "4096", 0, 1 << 20,
         "MiB of address space that it may have; 0: no limit"),

    GROUP("Trainer"),
    SIZE(steps, "trainer.total_training_steps", "100", 1, 1e9, "steps of the run"),
    ONE_OF(resume, "trainer.resume", "strict", "strict|changed",
           "a run that goes on with something changed that enters its bits: strict: it does not, "
           "and says what; changed: it does, and what was sampled before is made again"),
    SIZE(save_freq, "trainer.save_freq", "20", 1, 1e9, "steps between checkpoints"),
    SIZE(save_seconds, "trainer.save_seconds", "1800", 0, 1e9,
         "a checkpoint too after a step when the last one is so many seconds old; 0: none"),
    SIZE(test_freq, "trainer.test_freq", "0", 0, 1e9, "steps between evaluations; 0: none"),
    SIZE(keep, "trainer.max_ckpt_to_keep", "3", 1, 1e6, "checkpoints kept"),
    FLAG(val_before_train, "trainer.val_before_train", "yes", "evaluate before the first step"),
    SIZE(rollouts_kept, "trainer.rollout_freq", "1", 0, 1e9,
         "write the rollouts of every N-th step; 0: none"),
    SIZE(rollouts_max, "trainer.max_rollouts_to_keep", "1000", 0, 1e9,
         "files of rollouts kept, the newest; 0: all"),

    GROUP("Trust in actors"),
    SIZE(audit_strikes, "audit.strikes", "1", 0, 1e6,
         "groups that are not what was asked for after which an actor is quarantined; 0: never"),
    REAL(audit_share, "audit.share", "0", 0, 1,
         "share of groups, drawn by a secret of the learner's, whose every token and "
         "log-probability is computed again; an actor whose numbers are others is quarantined"),
    REAL(audit_tolerance, "audit.tolerance", "0", 0, 1,
         "how far log-probabilities may be off in an audit; 0: equal to the bit, which machines "
         "of one build are"),
    REAL(audit_difference, "audit.logp_difference", "0", 0, 100,
         "mean |recorded - computed| log-probability of an actor's tokens in a batch over which "
         "it is quarantined; 0: off"),

    GROUP("Processes"),
    SIZE(actors, "workers.actors", "1", 1, 1024, "actors that plait up starts"),
    SIZE(actor_threads, "workers.actor_threads", "0", 0, 1024, "threads of each; 0: all"),
    SIZE(actor_slots, "workers.actor_slots", "64", 1, 4096, "samples that an actor makes at once"),
    SIZE(drain_s, "workers.drain_s", "60", 0, 86400,
         "seconds that an actor which is to stop may take to finish what it has begun; the rest is "
         "given back for others to make"),
    SIZE(rewarders, "workers.rewarders", "1", 1, 1024, "rewarders that plait up starts"),
    SIZE(rewarder_threads, "workers.rewarder_threads", "1", 1, 256, "threads of each"),
    SIZE(learner_drain_s, "workers.learner_drain_s", "240", 0, 86400 * 7,
         "seconds that an update which is stopped after its first optimiser step may take to its "
         "end; before that step it is given up at once, and the last step is saved"),
    SIZE(learner_threads, "workers.learner_threads", "0", 0, 1024,
         "threads of the learner; 0: all"),
    FLAG(learner_stays, "workers.learner_stays", "no",
         "after the last step the learner stays until it is told to stop: for what starts again "
         "whatever ends, as Kubernetes does"),
    TEXT(redis, "link.redis", "URL", "",
         "Redis: unix:///PATH, redis://HOST:PORT, rediss://HOST:PORT over TLS; empty: a private "
         "one that plait up starts"),
    TEXT(announce, "link.announce", "ENDPOINT", "",
         "where weights are announced; empty: ipc in "
         "run.dir"),
    TEXT(serve, "link.serve", "ENDPOINT", "", "where weights are served; empty: ipc in run.dir"),
    TEXT(score, "link.score", "ENDPOINT", "",
         "where a rewarder scores on request; empty: nowhere, ipc: at run.dir/NAME.sock"),
    TEXT(keys, "link.keys", "DIR", "",
         "folder of keys that plait keygen made: NAME.key or ROLE.key, .pub files, allow; empty: "
         "none, for programs of one machine"),
    TEXT(peer, "link.peer", "NAME", "learner",
         "whose .pub file in link.keys is of who answers actors at link.announce and link.serve: "
         "learner, or a relay"),
    FLAG(insecure, "link.insecure", "no",
         "let everybody on the network in where there are no keys"),
    SIZE(lease_s, "link.lease_s", "60", 1, 86400,
         "seconds after which the work of a silent worker is given to another"),
    SIZE(held_mb, "link.held_mb", "1024", 1, 1 << 24,
         "MiB that trained batches may hold in Redis before the learner writes a checkpoint, with "
         "which they go, earlier than trainer.save_freq says"),
    SIZE(deliveries_max, "link.deliveries_max", "5", 1, 1000,
         "workers that end while they compute a group before it is parked"),

    GROUP("Relay"),
    TEXT(relay_announce, "relay.announce", "ENDPOINT", "",
         "where plait-relay announces weights; what it has upstream is at link.announce"),
    TEXT(relay_serve, "relay.serve", "ENDPOINT", "",
         "where plait-relay serves weights; what it has upstream is at link.serve"),
    SIZE(relay_cache_mb, "relay.cache_mb", "1024", 16, 1 << 20,
         "MiB of weights that a relay keeps: a snapshot and the changes of some versions"),

    GROUP("Access to Redis"),
    TEXT(access.user, "redis.user", "NAME", "",
         "user that plait redis acl made; {role} in it, and in the names of files below, stands "
         "for the program's: learner, actor, rewarder, relay, viewer, admin"),
    TEXT(access.password_file, "redis.password_file", "FILE", "",
         "its password, read at each connect; a relative name is looked for in "
         "$CREDENTIALS_DIRECTORY first"),
    TEXT(access.tls_ca, "redis.tls_ca", "FILE", "",
         "PEM file of the authority that vouches for Redis; empty: the system's"),
    TEXT(access.tls_cert, "redis.tls_cert", "FILE", "",
         "PEM file of the own certificate, where Redis demands one"),
    TEXT(access.tls_key, "redis.tls_key", "FILE", "", "PEM file of its key"),

    GROUP("Logs"),
    ONE_OF(log_format, "log.format", "text", PL_LOG_FORMAT_WORDS,
           "form of the programs' lines on standard error: key=value, or a JSON object each"),
    ONE_OF(log_level, "log.level", "info", PL_LEVEL_WORDS, "least level of lines that are written"),

    GROUP("Probes and metrics"),
    TEXT(http_listen, "http.listen", "HOST:PORT", "",
         "where each program shows /metrics, /livez, /readyz, /startupz; HOST:PORT-PORT: at the "
         "first of these ports that is free; empty: nowhere"),
};

static const struct pl_command table = {
    .name = "run", .options = rows, .count = sizeof rows / sizeof *rows};

const struct pl_command *pl_run_conf_table(void)
{
    return &table;
}

/* In the order of PL_ESTIMATOR_WORDS. */
enum {
    ESTIMATOR_GAE,
    ESTIMATOR_GRPO,
    ESTIMATOR_DR_GRPO,
    ESTIMATOR_RLOO,
    ESTIMATOR_RPP,
    ESTIMATOR_RPP_BASELINE,
};
enum { KL_CTRL_FIXED, KL_CTRL_ADAPTIVE };

/* Advantages are differences between the samples of a prompt: equal rewards make them zero. */
static bool compares_samples(int estimator)
{
    return estimator == ESTIMATOR_GRPO || estimator == ESTIMATOR_DR_GRPO ||
           estimator == ESTIMATOR_RLOO || estimator == ESTIMATOR_RPP_BASELINE;
}

static const double TEMPERATURE_LEAST = 1e-3; /* of the sampler (common/model/sampler.h) */

static int check(const struct pl_run_conf *c, struct pl_error *err)
{
    if (!c->dir[0] || !c->model[0])
        return pl_fail(err, PL_EINVAL, "'%s' must be given", c->dir[0] ? "model.path" : "run.dir");
    if (strchr(c->redis, '@') && strncmp(c->redis, "unix://", 7) != 0)
        return pl_fail(
            err, PL_EINVAL,
            "'link.redis' is no address of Redis, and is not shown, as a password may "
            "stand in it; expected unix:///PATH, redis://HOST:PORT or rediss://HOST:PORT "
            "('redis.user' and 'redis.password_file' say who one is)");
    if (c->temperature < TEMPERATURE_LEAST)
        return pl_fail(
            err, PL_EINVAL,
            "'rollout.temperature' is %g; expected at least %g: a policy that is sampled "
            "greedily has no ratios to learn from",
            c->temperature, TEMPERATURE_LEAST);
    if (c->val_temperature > 0 && c->val_temperature < TEMPERATURE_LEAST)
        return pl_fail(err, PL_EINVAL,
                       "'rollout.val_kwargs.temperature' is %g; expected 0, greedy, or at least %g",
                       c->val_temperature, TEMPERATURE_LEAST);
    if (c->train_files.count == 0)
        return pl_fail(err, PL_EINVAL, "'data.train_files' must name at least one file of tasks");
    if (c->mini_groups > c->batch_groups ||
        (c->mini_groups && c->batch_groups % c->mini_groups != 0))
        return pl_fail(err, PL_EINVAL,
                       "'actor.ppo_mini_batch_size' is %zu, which does not divide "
                       "'data.train_batch_size', %zu",
                       c->mini_groups, c->batch_groups);
    if (c->val_files.count > 0 && c->val_samples > c->actor_slots && c->val_samples > c->samples)
        return pl_fail(err, PL_EINVAL,
                       "'rollout.val_kwargs.n' is %zu, more samples than an actor makes at once: "
                       "raise 'workers.actor_slots', %zu, to it",
                       c->val_samples, c->actor_slots);
    if (c->spare_groups > 0 && !compares_samples(c->estimator))
        return pl_fail(
            err, PL_EINVAL,
            "'algorithm.filter_groups.spare' is %zu, but with this "
            "'algorithm.adv_estimator' samples of one reward teach something too; it goes "
            "with grpo, dr_grpo, rloo and reinforce_plus_plus_baseline",
            c->spare_groups);
    if (c->rollout_mode == PL_ROLLOUT_LATEST && c->staleness_max < c->staleness)
        return pl_fail(err, PL_EINVAL,
                       "'rollout.staleness_max' is %zu, but 'rollout.staleness' lets batches be "
                       "sampled %zu steps ahead, which would be dropped",
                       c->staleness_max, c->staleness);
    if (c->rollout_mode == PL_ROLLOUT_LATEST && (c->audit_share > 0 || c->audit_difference > 0))
        return pl_fail(err, PL_EINVAL,
                       "'%s' is over 0, but samples of 'rollout.mode' latest are of several "
                       "versions, and cannot be computed again",
                       c->audit_share > 0 ? "audit.share" : "audit.logp_difference");
    if (c->gdpo_weights.count != 3)
        return pl_fail(err, PL_EINVAL, "'algorithm.gdpo_reward_weights' needs 3 numbers, not %zu",
                       c->gdpo_weights.count);
    if (c->kl_in_reward && c->kl_ctrl == KL_CTRL_ADAPTIVE && c->kl_target <= 0.0)
        return pl_fail(err, PL_EINVAL,
                       "'algorithm.kl_ctrl.target_kl' is %g; the adaptive 'algorithm.kl_ctrl.type' "
                       "divides by it",
                       c->kl_target);
    if (c->kl_in_reward && c->kl_ctrl == KL_CTRL_ADAPTIVE &&
        c->kl_horizon < 0.2 * (double)(c->batch_groups * c->samples))
        return pl_fail(
            err, PL_EINVAL,
            "'algorithm.kl_ctrl.horizon' is %g; with 'data.train_batch_size' times "
            "'rollout.n', %zu samples, expected at least a fifth of them, or a step turns "
            "the coefficient's sign",
            c->kl_horizon, c->batch_groups * c->samples);
    if (c->exec_command.count > 0 && 6 * c->exec_timeout_s > (double)c->lease_s)
        return pl_fail(
            err, PL_EINVAL,
            "'reward.exec.timeout_s' is %g, more than a sixth of 'link.lease_s', %zu: its "
            "group would be taken for abandoned",
            c->exec_timeout_s, c->lease_s);
    if (c->pack_tokens < c->prompt_tokens_max + c->response_tokens_max)
        return pl_fail(err, PL_EINVAL,
                       "'actor.ppo_max_token_len' is %zu; the longest prompt and response take %zu",
                       c->pack_tokens, c->prompt_tokens_max + c->response_tokens_max);
    return PL_OK;
}

int pl_run_conf_load(const char *path, char *const *assignments, size_t count,
                     struct pl_run_conf *ret_conf, struct pl_error *err)
{
    struct pl_run_conf conf = {0};
    int rc = pl_settings_load(&table, path, assignments, count, &conf, &conf.text, err);

    if (rc < 0)
        return rc;
    rc = pl_run_needs_check(&conf, err);
    if (rc == PL_OK)
        rc = check(&conf, err);
    if (rc < 0) {
        pl_fail_in(err, rc, "%s", path ? path : "settings");
        pl_settings_release(&table, &conf, conf.text);
        return rc;
    }
    *ret_conf = conf;
    return PL_OK;
}

enum pl_correction_kind pl_run_conf_correction(const struct pl_run_conf *conf)
{
    if (conf->correction != PL_CORRECTION_AUTO)
        return (enum pl_correction_kind)conf->correction;
    return conf->rollout_mode == PL_ROLLOUT_LATEST ? PL_CORRECTION_TOKEN : PL_CORRECTION_NONE;
}

void pl_run_conf_release(struct pl_run_conf *conf)
{
    pl_settings_release(&table, conf, conf->text);
    *conf = (struct pl_run_conf){0};
}

int pl_run_conf_print(const struct pl_run_conf *conf, bool comments, struct pl_buf *buf)
{
    return pl_settings_print(&table, conf, comments, buf);
}

static char *given_or(const char *given, const char *scheme, const char *dir, const char *name)
{
    char real[4096];

    if (given[0])
        return strdup(given);
    if (!realpath(dir, real)) /* not made yet: as it is */
        snprintf(real, sizeof real, "%s", dir);
    return pl_strf("%s%s/%s", scheme, real, name);
}

char *pl_run_conf_redis(const struct pl_run_conf *conf)
{
    return given_or(conf->redis, "unix://", conf->dir, "redis.sock");
}

char *pl_run_conf_announce(const struct pl_run_conf *conf)
{
    return given_or(conf->announce, "ipc://", conf->dir, "announce.sock");
}

char *pl_run_conf_serve(const struct pl_run_conf *conf)
{
    return given_or(conf->serve, "ipc://", conf->dir, "serve.sock");
}

char *pl_run_conf_score(const struct pl_run_conf *conf, const char *worker)
{
    char name[128];

    snprintf(name, sizeof name, "%s.sock", worker);
    return given_or(strcmp(conf->score, "ipc") == 0 ? "" : conf->score, "ipc://", conf->dir, name);
}
