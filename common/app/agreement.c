#include "common/app/agreement.h"

#include "common/app/settings.h"
#include "common/base/file.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ACTOR    PL_DEPENDS_ACTOR
#define REWARDER PL_DEPENDS_REWARDER
#define BOTH     (PL_DEPENDS_ACTOR | PL_DEPENDS_REWARDER)

/* One row of a setting, in the order of run_conf.c. */
static const struct pl_meaning meanings[] = {
    {"run.name", PL_BITS_NONE, 0, "a name"},
    {"run.dir", PL_BITS_NONE, 0, "a place"},
    {"run.seed", PL_BITS_ENTER, 0, "data order and sampling are drawn from it"},
    {"run.memory_max", PL_BITS_NONE, 0, "a limit"},
    {"run.takeover", PL_BITS_NONE, 0, "said once, of what Redis holds"},

    {"model.path", PL_BITS_CONTENT, 0, "its weights, configuration and tokenizer have rows"},
    {"critic.model.path", PL_BITS_CONTENT, 0, "its weights have a row"},

    {"data.train_files", PL_BITS_CONTENT, 0, "the prompts and truths in them have a row"},
    {"data.val_files", PL_BITS_NONE, 0, "nothing is trained on evaluations"},
    {"data.template", PL_BITS_CONTENT, 0, "its text has a row"},
    {"data.instruction", PL_BITS_CONTENT, 0, "its text has a row"},
    {"data.method", PL_BITS_ENTER, 0, "the form that counts as valid"},
    {"data.max_prompt_length", PL_BITS_ENTER, BOTH, "which tasks are trained on; a limit of both"},
    {"data.max_response_length", PL_BITS_ENTER, BOTH, "where responses are cut off"},
    {"data.train_batch_size", PL_BITS_ENTER, 0, "prompts of a step"},
    {"data.val_max_samples", PL_BITS_NONE, 0, "nothing is trained on evaluations"},

    {"rollout.n", PL_BITS_ENTER, ACTOR, "samples of a prompt; what an actor has room for"},
    {"rollout.temperature", PL_BITS_ENTER, 0, "sampling; a prompt carries it"},
    {"rollout.top_p", PL_BITS_ENTER, 0, "sampling; a prompt carries it"},
    {"rollout.top_k", PL_BITS_ENTER, 0, "sampling; a prompt carries it"},
    {"rollout.min_p", PL_BITS_ENTER, 0, "sampling; a prompt carries it"},
    {"rollout.val_kwargs.temperature", PL_BITS_NONE, 0, "nothing is trained on evaluations"},
    {"rollout.val_kwargs.n", PL_BITS_NONE, ACTOR, "evaluations; what an actor has room for"},
    {"rollout.staleness", PL_BITS_ENTER, ACTOR, "which version samples; how many an actor keeps"},
    {"rollout.mode", PL_BITS_ENTER, ACTOR, "which version samples"},
    {"rollout.staleness_max", PL_BITS_ENTER, 0, "what is dropped as too old"},

    {"algorithm.adv_estimator", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.gamma", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.lam", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.norm_adv_by_std_in_grpo", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.use_kl_in_reward", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.kl_penalty", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.kl_ctrl.type", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.kl_ctrl.kl_coef", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.kl_ctrl.target_kl", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.kl_ctrl.horizon", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.gdpo_reward_weights", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.rollout_correction.rollout_is", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.rollout_correction.rollout_is_threshold", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.segment_credit", PL_BITS_ENTER, 0, "the objective"},
    {"algorithm.filter_groups.spare", PL_BITS_ENTER, 0, "which prompts are trained on"},

    {"actor.optim.lr", PL_BITS_ENTER, 0, "the update"},
    {"actor.optim.lr_warmup_steps", PL_BITS_ENTER, 0, "the update"},
    {"actor.optim.lr_scheduler_type", PL_BITS_ENTER, 0, "the update"},
    {"actor.optim.weight_decay", PL_BITS_ENTER, 0, "the update"},
    {"actor.optim.beta1", PL_BITS_ENTER, 0, "the update"},
    {"actor.optim.beta2", PL_BITS_ENTER, 0, "the update"},
    {"actor.grad_clip", PL_BITS_ENTER, 0, "the update"},
    {"actor.clip_ratio_low", PL_BITS_ENTER, 0, "the objective"},
    {"actor.clip_ratio_high", PL_BITS_ENTER, 0, "the objective"},
    {"actor.clip_ratio_c", PL_BITS_ENTER, 0, "the objective"},
    {"actor.policy_loss.loss_mode", PL_BITS_ENTER, 0, "the objective"},
    {"actor.loss_agg_mode", PL_BITS_ENTER, 0, "the objective"},
    {"actor.loss_scale_factor", PL_BITS_ENTER, 0, "the objective"},
    {"actor.entropy_coeff", PL_BITS_ENTER, 0, "the objective"},
    {"actor.use_kl_loss", PL_BITS_ENTER, 0, "the objective"},
    {"actor.kl_loss_coef", PL_BITS_ENTER, 0, "the objective"},
    {"actor.kl_loss_type", PL_BITS_ENTER, 0, "the objective"},
    {"actor.ppo_mini_batch_size", PL_BITS_ENTER, 0, "updates of a batch"},
    {"actor.ppo_epochs", PL_BITS_ENTER, 0, "updates of a batch"},
    {"actor.ppo_max_token_len", PL_BITS_ENTER, 0, "sums are split as the micro-batches are"},
    {"actor.enable_activation_recompute", PL_BITS_NONE, 0,
     "an activation that is computed again has the same bits"},

    {"critic.optim.lr", PL_BITS_ENTER, 0, "the critic's update"},
    {"critic.optim.lr_warmup_steps", PL_BITS_ENTER, 0, "the critic's update"},
    {"critic.optim.lr_scheduler_type", PL_BITS_ENTER, 0, "the critic's update"},
    {"critic.optim.weight_decay", PL_BITS_ENTER, 0, "the critic's update"},
    {"critic.optim.beta1", PL_BITS_ENTER, 0, "the critic's update"},
    {"critic.optim.beta2", PL_BITS_ENTER, 0, "the critic's update"},
    {"critic.cliprange_value", PL_BITS_ENTER, 0, "the critic's objective"},
    {"critic.grad_clip", PL_BITS_ENTER, 0, "the critic's update"},
    {"critic.ppo_epochs", PL_BITS_ENTER, 0, "the critic's updates of a batch"},
    {"trainer.critic_warmup", PL_BITS_ENTER, 0, "when the policy begins to learn"},

    {"reward.format", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.final", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.right", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.wrong", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.unparsed", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.intermediate", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.combine", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.strategy", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.base", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.gate_epsilon", PL_BITS_ENTER, 0, "the reward; a batch carries it"},
    {"reward.wrong_step", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.overlong_buffer.len", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.overlong_buffer.penalty_factor", PL_BITS_ENTER, REWARDER, "the reward"},
    {"reward.exec.command", PL_BITS_ENTER, REWARDER, "who decides answers; its files have a row"},
    {"reward.exec.timeout_s", PL_BITS_NONE, 0, "no time decides a reward"},
    {"reward.exec.memory_mb", PL_BITS_NONE, 0, "no limit of a host decides a reward"},

    {"trainer.total_training_steps", PL_BITS_SCHEDULE, 0,
     "a learning rate that falls reaches its end with them"},
    {"trainer.save_freq", PL_BITS_NONE, 0, "a checkpoint changes no bit"},
    {"trainer.save_seconds", PL_BITS_NONE, 0, "a checkpoint changes no bit"},
    {"trainer.test_freq", PL_BITS_NONE, 0, "nothing is trained on evaluations"},
    {"trainer.max_ckpt_to_keep", PL_BITS_NONE, 0, "a checkpoint changes no bit"},
    {"trainer.val_before_train", PL_BITS_NONE, 0, "nothing is trained on evaluations"},
    {"trainer.rollout_freq", PL_BITS_NONE, 0, "files for people"},
    {"trainer.max_rollouts_to_keep", PL_BITS_NONE, 0, "files for people"},
    {"trainer.resume", PL_BITS_NONE, 0, "what to do where the others differ"},

    {"audit.strikes", PL_BITS_NONE, 0, "who may sample, not what"},
    {"audit.share", PL_BITS_NONE, 0, "who may sample, not what"},
    {"audit.tolerance", PL_BITS_NONE, 0, "who may sample, not what"},
    {"audit.logp_difference", PL_BITS_NONE, 0, "who may sample, not what"},

    {"workers.actors", PL_BITS_NONE, 0, "a row has the same bits whoever samples it"},
    {"workers.actor_threads", PL_BITS_NONE, 0, "sums have one order"},
    {"workers.actor_slots", PL_BITS_NONE, 0, "a row has the same bits in any company"},
    {"workers.drain_s", PL_BITS_NONE, 0, "a time"},
    {"workers.rewarders", PL_BITS_NONE, 0, "a score is the same whoever makes it"},
    {"workers.rewarder_threads", PL_BITS_NONE, 0, "a score is the same whoever makes it"},
    {"workers.learner_threads", PL_BITS_NONE, 0, "sums have one order"},
    {"workers.learner_drain_s", PL_BITS_NONE, 0, "a time"},
    {"workers.learner_stays", PL_BITS_NONE, 0, "after the end"},

    {"link.redis", PL_BITS_NONE, 0, "a place"},
    {"link.announce", PL_BITS_NONE, 0, "a place"},
    {"link.serve", PL_BITS_NONE, 0, "a place"},
    {"link.score", PL_BITS_NONE, 0, "a place"},
    {"link.keys", PL_BITS_NONE, 0, "who may connect"},
    {"link.peer", PL_BITS_NONE, 0, "who may connect"},
    {"link.insecure", PL_BITS_NONE, 0, "who may connect"},
    {"link.held_mb", PL_BITS_NONE, 0, "a checkpoint that is due earlier changes no bit"},
    {"link.lease_s", PL_BITS_NONE, 0, "a time"},
    {"link.deliveries_max", PL_BITS_NONE, 0, "when a group is parked; it is never left out"},

    {"relay.announce", PL_BITS_NONE, 0, "a place"},
    {"relay.serve", PL_BITS_NONE, 0, "a place"},
    {"relay.cache_mb", PL_BITS_NONE, 0, "a limit"},

    {"redis.user", PL_BITS_NONE, 0, "who may connect"},
    {"redis.password_file", PL_BITS_NONE, 0, "who may connect"},
    {"redis.tls_ca", PL_BITS_NONE, 0, "who may connect"},
    {"redis.tls_cert", PL_BITS_NONE, 0, "who may connect"},
    {"redis.tls_key", PL_BITS_NONE, 0, "who may connect"},

    {"log.format", PL_BITS_NONE, 0, "what people see"},
    {"log.level", PL_BITS_NONE, 0, "what people see"},
    {"http.listen", PL_BITS_NONE, 0, "what people see"},
};

enum { VALUE_MAX = 1 << 16, TOKENIZER_MAX = 256 << 20, VERIFIER_MAX = 256 << 20 };

const struct pl_meaning *pl_meanings(size_t *ret_count)
{
    *ret_count = sizeof meanings / sizeof *meanings;
    return meanings;
}

const struct pl_meaning *pl_meaning(const char *name)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (strcmp(meanings[i].name, name) == 0)
            return &meanings[i];
    return NULL;
}

/* Whether the learning rate of anything that is trained depends on where the run ends. */
static bool falls(const struct pl_run_conf *conf)
{
    const bool critic = conf->estimator == 0; /* gae, the first of PL_ESTIMATOR_WORDS */

    return conf->schedule != 0 || (critic && conf->critic_schedule != 0);
}

static bool enters(const char *name, const struct pl_run_conf *conf)
{
    const struct pl_meaning *m = pl_meaning(name);

    return !m || m->bits == PL_BITS_ENTER || (m->bits == PL_BITS_SCHEDULE && falls(conf));
}

/* The one of the table. */
static int print(const struct pl_option *option, const struct pl_run_conf *conf, struct pl_buf *out)
{
    pl_buf_clear(out);
    return pl_settings_value(option, conf, out);
}

int pl_agreement_bits(const struct pl_run_conf *conf, json_t **ret_rows)
{
    const struct pl_command *table = pl_run_conf_table();
    struct pl_run_conf initial = {0};
    struct pl_buf value, other;
    json_t *rows = json_object();
    int rc = pl_settings_defaults(table, &initial, &initial.text, NULL);

    pl_buf_init(&value, VALUE_MAX);
    pl_buf_init(&other, VALUE_MAX);
    if (rc == PL_OK && !rows)
        rc = PL_ENOMEM;
    for (size_t i = 0; rc == PL_OK && i < table->count; i++) {
        const struct pl_option *option = &table->options[i];

        if (option->kind == PL_OPTION_KIND_GROUP || !enters(option->name, conf))
            continue;
        rc = print(option, conf, &value);
        if (rc == PL_OK)
            rc = print(option, &initial, &other);
        if (rc == PL_OK && strcmp(value.data, other.data) != 0 &&
            json_object_set_new(rows, option->name, json_string(value.data)) < 0)
            rc = PL_ENOMEM;
    }
    pl_buf_release(&value);
    pl_buf_release(&other);
    pl_run_conf_release(&initial);
    if (rc < 0)
        json_decref(rows);
    else
        *ret_rows = rows;
    return rc;
}

int pl_agreement_default(const char *name, struct pl_buf *out)
{
    const struct pl_command *table = pl_run_conf_table();
    struct pl_run_conf initial = {0};
    int rc = pl_settings_defaults(table, &initial, &initial.text, NULL);
    bool found = false;

    for (size_t i = 0; rc == PL_OK && !found && i < table->count; i++) {
        const struct pl_option *option = &table->options[i];

        found = option->kind != PL_OPTION_KIND_GROUP && strcmp(option->name, name) == 0;
        if (found)
            rc = pl_settings_value(option, &initial, out);
    }
    pl_run_conf_release(&initial);
    return rc == PL_OK && !found ? PL_ENOENT : rc;
}

int pl_agreement_lines(const struct pl_run_conf *conf, unsigned roles, const char *model,
                       const char *tokenizer, const char *verifier, struct pl_buf *out)
{
    const struct pl_command *table = pl_run_conf_table();
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < table->count; i++) {
        const struct pl_option *option = &table->options[i];
        const struct pl_meaning *m =
            option->kind == PL_OPTION_KIND_GROUP ? NULL : pl_meaning(option->name);

        if (!m || !(m->depends & roles))
            continue;
        rc = pl_buf_printf(out, "%s: ", option->name);
        if (rc == PL_OK)
            rc = pl_settings_value(option, conf, out);
        if (rc == PL_OK)
            rc = pl_buf_puts(out, "\n");
    }
    if (rc == PL_OK && model)
        rc = pl_buf_printf(out, "model: %s\n", model);
    if (rc == PL_OK && tokenizer)
        rc = pl_buf_printf(out, "tokenizer: %s\n", tokenizer);
    if (rc == PL_OK && verifier && verifier[0])
        rc = pl_buf_printf(out, "verifier: %s\n", verifier);
    return rc;
}

static int digest(const void *bytes, size_t len, unsigned char ret[32])
{
    unsigned char all[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (EVP_Digest(bytes, len, all, &n, EVP_sha256(), NULL) != 1)
        return PL_ENOMEM;
    memcpy(ret, all, 32);
    return PL_OK;
}

uint64_t pl_agreement_sum(const char *lines, size_t len)
{
    unsigned char hash[32] = {0};
    uint64_t sum = 0;

    (void)digest(lines, len, hash);
    for (size_t i = 0; i < 8; i++)
        sum = sum << 8 | hash[i];
    return sum ? sum : 1;
}

int pl_agreement_hash(const void *bytes, size_t len, char ret_hex[65])
{
    unsigned char hash[32];
    const int rc = digest(bytes, len, hash);

    for (size_t i = 0; rc == PL_OK && i < sizeof hash; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", hash[i]);
    return rc;
}

int pl_agreement_verifier(const struct pl_run_conf *conf, char ret_hex[65], struct pl_error *err)
{
    const struct pl_option_list *command = &conf->exec_command;
    struct pl_buf all; /* of each file its hash */
    int rc = PL_OK;

    ret_hex[0] = '\0';
    if (command->count == 0)
        return PL_OK;
    pl_buf_init(&all, 65 * command->count + 1);
    for (size_t i = 0; rc == PL_OK && i < command->count; i++) {
        const char *word = command->items[i];
        char *data = NULL, hex[65];
        struct stat st;
        size_t len = 0;

        if ((i == 0 && !strchr(word, '/')) || stat(word, &st) < 0 || !S_ISREG(st.st_mode))
            continue;
        rc = pl_file_read(word, VERIFIER_MAX, &data, &len, err);
        if (rc == PL_OK &&
            (pl_agreement_hash(data, len, hex) < 0 || pl_buf_printf(&all, "%s\n", hex) < 0))
            rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for its hash", word);
        free(data);
    }
    if (rc == PL_OK && all.len == 0)
        strcpy(ret_hex, "none");
    else if (rc == PL_OK && pl_agreement_hash(all.data, all.len, ret_hex) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for the hash of reward.exec.command");
    pl_buf_release(&all);
    return rc;
}

int pl_agreement_tokenizer(const char *dir, char ret_hex[65], struct pl_error *err)
{
    static const char *const files[] = {"tokenizer.json", "vocab.json", "merges.txt",
                                        "tokenizer_config.json"};
    struct pl_buf all;
    int rc = PL_OK;

    pl_buf_init(&all, TOKENIZER_MAX);
    for (size_t i = 0; rc == PL_OK && i < sizeof files / sizeof *files; i++) {
        char *path = pl_strf("%s/%s", dir, files[i]), *data = NULL;
        size_t len = 0;

        rc = path ? pl_file_read(path, TOKENIZER_MAX, &data, &len, err)
                  : pl_fail(err, PL_ENOMEM, "no memory for a name");
        if (rc == PL_OK && pl_buf_append(&all, data, len) < 0)
            rc = pl_fail(err, PL_ENOMEM, "'%s': no memory to read it", path);
        free(data);
        free(path);
        if (rc == PL_OK && i == 0)
            break;
        if (rc == PL_ENOENT && (i == 0 || i == 3))
            rc = PL_OK;
    }
    if (rc == PL_OK && pl_agreement_hash(all.data, all.len, ret_hex) < 0)
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory for its hash", dir);
    pl_buf_release(&all);
    return rc;
}
