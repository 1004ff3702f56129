/*
 * The configuration of a run: one YAML file that all programs of the run read (settings.h), one
 * table (run_conf.c) that names every setting with its default, its range and its help. Names are
 * verl's where the thing is the same (verl/trainer/config/ppo_trainer.yaml).
 */
#ifndef PL_APP_RUN_CONF_H
#define PL_APP_RUN_CONF_H

#include "common/app/settings.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/redis_access.h"

#include <stdbool.h>
#include <stddef.h>

/* In the order of the enums that are named; higher floors assert that they agree. */
#define PL_METHOD_WORDS "interleave|think-answer|delayed|direct|cot" /* enum pl_method */
#define PL_ESTIMATOR_WORDS                                                                         \
    "gae|grpo|dr_grpo|rloo|reinforce_plus_plus|reinforce_plus_plus_baseline|gdpo"
#define PL_KL_WORDS "k1|abs|k2|low_var_kl" /* enum pl_kl */

enum pl_rollout_mode { PL_ROLLOUT_PINNED, PL_ROLLOUT_LATEST };
/* Whether a run goes on where something that enters its bits is not as it was. */
enum pl_resume { PL_RESUME_STRICT, PL_RESUME_CHANGED };
/* auto: token in latest mode, else none; pl_run_conf_correction() says which */
#define PL_CORRECTION_WORDS "auto|none|token|sequence"
enum pl_correction_kind {
    PL_CORRECTION_AUTO,
    PL_CORRECTION_NONE,
    PL_CORRECTION_TOKEN,
    PL_CORRECTION_SEQUENCE
};

struct pl_run_conf {
    /* run */
    const char *name, *dir; /* run.name, run.dir: where everything of the run is */
    size_t seed;            /* run.seed */
    /* model */
    const char *model;  /* model.path: the policy to start from, and the reference */
    const char *critic; /* critic.model.path: "" the policy's */
    /* data */
    struct pl_option_list train_files, val_files; /* data.train_files, data.val_files: tasks */
    const char *template_file;                    /* data.template: prompt template, "" by method */
    const char *instruction;                      /* data.instruction: auto, none or a file */
    int method;                                   /* data.method: enum pl_method */
    size_t prompt_tokens_max;                     /* data.max_prompt_length */
    size_t response_tokens_max;                   /* data.max_response_length */
    size_t batch_groups;                          /* data.train_batch_size, in prompts */
    size_t val_tasks_max;                         /* data.val_max_samples, 0: all */
    /* rollout */
    size_t samples; /* rollout.n */
    double temperature, top_p, min_p;
    size_t top_k;           /* rollout.{temperature,top_p,min_p,top_k} */
    double val_temperature; /* rollout.val_kwargs.temperature */
    size_t val_samples;     /* rollout.val_kwargs.n */
    size_t staleness;       /* rollout.staleness: 0 to 3 */
    int rollout_mode;       /* rollout.mode: enum pl_rollout_mode */
    size_t staleness_max;   /* rollout.staleness_max: of latest */
    /* algorithm */
    int estimator;                         /* algorithm.adv_estimator */
    double gamma, lambda;                  /* algorithm.gamma, algorithm.lam */
    bool norm_by_std;                      /* algorithm.norm_adv_by_std_in_grpo */
    bool kl_in_reward;                     /* algorithm.use_kl_in_reward */
    int kl_penalty;                        /* algorithm.kl_penalty */
    int kl_ctrl;                           /* algorithm.kl_ctrl.type: fixed | adaptive */
    double kl_coef, kl_target, kl_horizon; /* algorithm.kl_ctrl.{kl_coef,target_kl,horizon} */
    struct pl_option_list gdpo_weights;    /* algorithm.gdpo_reward_weights */
    int correction;                        /* algorithm.rollout_correction.rollout_is */
    double correction_max;                 /* algorithm.rollout_correction.rollout_is_threshold */
    bool segment_credit;                   /* algorithm.segment_credit */
    size_t spare_groups;                   /* algorithm.filter_groups.spare, in prompts; 0: off */
    /* policy */
    double lr, weight_decay, beta1, beta2, grad_clip; /* actor.optim.*, actor.grad_clip */
    size_t warmup_steps;                              /* actor.optim.lr_warmup_steps */
    int schedule;                                     /* actor.optim.lr_scheduler_type */
    double clip_low, clip_high, clip_c;               /* actor.clip_ratio_low, _high, _c */
    int loss_mode, loss_agg; /* actor.policy_loss.loss_mode, actor.loss_agg_mode */
    double loss_scale;       /* actor.loss_scale_factor, for seq-mean-token-sum-norm */
    double entropy_coef;     /* actor.entropy_coeff */
    bool use_kl_loss;        /* actor.use_kl_loss */
    double kl_loss_coef;     /* actor.kl_loss_coef */
    int kl_loss_type;        /* actor.kl_loss_type */
    size_t mini_groups;      /* actor.ppo_mini_batch_size, in prompts; 0: all */
    size_t epochs;           /* actor.ppo_epochs */
    size_t pack_tokens;      /* actor.ppo_max_token_len: tokens of a micro-batch */
    bool recompute;          /* actor.enable_activation_recompute */
    /* critic */
    double critic_lr, critic_clip,
        critic_grad_clip;       /* critic.optim.lr, cliprange_value, grad_clip */
    size_t critic_warmup_steps; /* critic.optim.lr_warmup_steps */
    int critic_schedule;        /* critic.optim.lr_scheduler_type */
    double critic_weight_decay, critic_beta1, critic_beta2; /* critic.optim.*; < 0: the policy's */
    size_t critic_warmup, critic_epochs; /* trainer.critic_warmup, critic.ppo_epochs */
    /* reward */
    double lambda_format, lambda_final, right, wrong, unparsed, reward_base, wrong_step;
    int pay, strategy;                  /* reward.intermediate, reward.strategy */
    int combine;                        /* reward.combine: sum | product */
    double gate_epsilon;                /* reward.gate_epsilon */
    size_t overlong_buffer;             /* reward.overlong_buffer.len */
    double overlong_factor;             /* reward.overlong_buffer.penalty_factor */
    struct pl_option_list exec_command; /* reward.exec.command: program and arguments */
    double exec_timeout_s;              /* reward.exec.timeout_s */
    size_t exec_memory_mb;              /* reward.exec.memory_mb */
    /* trainer */
    size_t steps;                      /* trainer.total_training_steps */
    size_t save_seconds;               /* trainer.save_seconds; 0: by steps alone */
    int resume;                        /* trainer.resume: enum pl_resume */
    size_t save_freq, test_freq, keep; /* trainer.save_freq, test_freq, max_ckpt_to_keep */
    bool val_before_train;
    size_t rollouts_max;  /* trainer.max_rollouts_to_keep; 0: all */
    size_t rollouts_kept; /* trainer.rollout_data: write rollouts of every n-th step, 0: none */
    /* trust in actors */
    double audit_share, audit_tolerance; /* audit.share, audit.tolerance */
    size_t audit_strikes;                /* audit.strikes */
    double audit_difference;             /* audit.logp_difference */
    /* processes */
    size_t actors, actor_threads, actor_slots, drain_s, rewarders, rewarder_threads,
        learner_threads;
    bool learner_stays;
    const char *redis;             /* link.redis: "" a private one in run.dir */
    struct pl_redis_access access; /* redis.user, password_file, tls_ca, tls_cert, tls_key */
    const char *announce, *serve;  /* link.announce, link.serve: "" ipc in run.dir */
    const char *score;             /* link.score: "" nowhere, "ipc" in run.dir */
    const char *keys;              /* link.keys: folder of the keys, "" none */
    const char *peer;              /* link.peer: who answers at announce and serve */
    bool insecure;                 /* link.insecure: an open bind without keys is meant */
    const char *relay_announce, *relay_serve; /* relay.announce, relay.serve: must be given there */
    size_t relay_cache_mb;                    /* relay.cache_mb */
    size_t learner_drain_s;                   /* workers.learner_drain_s */
    size_t held_mb;                           /* link.held_mb */
    size_t lease_s, deliveries_max;
    const char *takeover; /* run.takeover: the run_id whose place in Redis is taken, "" nobody's */
    size_t memory_max;    /* run.memory_max in bytes, 0: what the machine has */
    int log_format, log_level; /* log.format: enum pl_log_format; log.level: enum pl_level */
    const char *http_listen;   /* http.listen: "" nowhere */
    struct pl_settings_text *text;
};

/*
 * Read `path` (and what it inherits) and then `count` assignments "key=value". Ended with
 * pl_run_conf_release(). PL_ENOENT, PL_EIO; PL_EFORMAT: not YAML, or a value out of range, with
 * file and line; PL_EINVAL: values that do not go together. PL_ENOMEM.
 */
int pl_run_conf_load(const char *path, char *const *assignments, size_t count,
                     struct pl_run_conf *ret_conf, struct pl_error *err);
void pl_run_conf_release(struct pl_run_conf *conf);

const struct pl_command *pl_run_conf_table(void); /* for help */

/* The resolved whole as YAML that reads back to the same, every key with its help as a comment when
 * `comments`. */
int pl_run_conf_print(const struct pl_run_conf *conf, bool comments, struct pl_buf *buf);

/* What algorithm.rollout_correction.rollout_is comes to: never auto. */
enum pl_correction_kind pl_run_conf_correction(const struct pl_run_conf *conf);

/* Where things are: DIR/redis.sock, DIR/weights.pub, ... ; from malloc(). */
char *pl_run_conf_redis(const struct pl_run_conf *conf);
char *pl_run_conf_announce(const struct pl_run_conf *conf);
char *pl_run_conf_serve(const struct pl_run_conf *conf);
char *pl_run_conf_score(const struct pl_run_conf *conf, const char *worker); /* DIR/<worker>.sock */

#endif
