/*
 * A sweep of the settings of a run, by real runs of ten tiny steps on one Redis:
 *
 *   pairs    rows of values in which each two values of two settings meet (rows.h). A run ends
 *            well and is judged, or is refused: exit status 2 and a sentence that names a setting.
 *            It never crashes, hangs, or ends well with something missing.
 *   nothing  settings of which common/app/agreement.c says that they do not enter the bits, changed
 *            all at once: the trained state has the same bytes. --long: each value by itself.
 *   matters  settings of which it says that they do, each by itself, where matters[] says that it
 *            has its effect: some value of it ends with other bytes. With one estimator each;
 *            --long: with every estimator.
 *
 * Compared is all that is trained: weights, f32 master copies, moments, those of the critic too.
 * Many runs go at once; each has the same bytes whatever else the machine does.
 */
#include "common/app/agreement.h"
#include "common/app/options.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/link/queues.h"
#include "tests/chaos/sweep/rows.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SHORT_ROWS = 40, JOBS_MAX = 64, WORDS_MAX = PL_FACTORS_MAX + 16, TOLD_MAX = 40 };

struct conf {
    const char *dir, *build, *only;
    size_t seed, jobs;
    double hang_s;
    bool all, loud, keep;
};

static const struct pl_option option_rows[] = {
    PL_OPTION_SEED(struct conf, seed, "seed", "1", "of the values and rows that are drawn"),
    PL_OPTION_FLAG(struct conf, all, "long", 0,
                   "each effect with every estimator, each value that has none by itself"),
    PL_OPTION_STRING(struct conf, only, "only", "NAME", "",
                     "pairs, nothing or matters alone; or the name of a setting: its effect"),
    PL_OPTION_SIZE(struct conf, jobs, "jobs", "N", "0", 0, JOBS_MAX,
                   "runs at once; 0: four a processor"),
    PL_OPTION_REAL(struct conf, hang_s, "hang", "S", "120", 1, 3600, "when a run hangs"),
    PL_OPTION_STRING(struct conf, dir, "dir", "DIR", "", "where runs are; empty: one under /tmp"),
    PL_OPTION_STRING(struct conf, build, "build", "DIR", "",
                     "folder of the build whose programs run; empty: the one this program is of"),
    PL_OPTION_FLAG(struct conf, loud, "verbose", 'v', "a line for each run"),
    PL_OPTION_FLAG(struct conf, keep, "keep", 0, "keep the folders of good runs, too"),
};

static const struct pl_command command = {
    .name = "plait-sweep",
    .about = "Runs a tiny training with every setting at its ends, at its default and at drawn "
             "values, pairwise, and compares bytes. Exit status 1: something is not as it must be.",
    .options = option_rows,
    .count = sizeof option_rows / sizeof *option_rows,
};

/* ---- where a setting matters ---- */

#define PAID "reward.intermediate=direct"

/* Without a row: some value of it, in the base configuration, with any estimator. */
static const struct matter {
    const char *name;
    const char *context;    /* assignments, by blanks; NULL: none */
    const char *value;      /* one that must matter; NULL: any */
    const char *estimators; /* by '|'; NULL: all; "": none, which `why` explains */
    const char *why;
} matters[] = {
    {"rollout.mode", NULL, NULL, "", "runs of latest cannot be repeated"},
    {"rollout.staleness_max", NULL, NULL, "", "runs of latest cannot be repeated"},
    {"data.max_prompt_length", NULL, "124", NULL, "of tasks with 117 to 128 tokens"},
    {"algorithm.gamma", NULL, "0.9", "gae|reinforce_plus_plus", "of a return over tokens"},
    {"algorithm.lam", NULL, "0.5", "gae", "of GAE alone"},
    {"algorithm.norm_adv_by_std_in_grpo", NULL, NULL, "grpo", "of GRPO alone"},
    {"algorithm.kl_penalty", "algorithm.use_kl_in_reward=yes algorithm.kl_ctrl.kl_coef=1", NULL,
     "!gdpo", "of the KL in the reward"},
    {"algorithm.kl_ctrl.type",
     "algorithm.use_kl_in_reward=yes algorithm.kl_ctrl.kl_coef=1 algorithm.kl_ctrl.horizon=10",
     NULL, "!gdpo", "of the KL in the reward"},
    {"algorithm.kl_ctrl.kl_coef", "algorithm.use_kl_in_reward=yes", "10", "!gdpo",
     "of the KL in the reward"},
    {"algorithm.kl_ctrl.target_kl",
     "algorithm.use_kl_in_reward=yes algorithm.kl_ctrl.kl_coef=1 algorithm.kl_ctrl.horizon=100 "
     "algorithm.kl_ctrl.type=adaptive algorithm.kl_ctrl.target_kl=0.0001",
     "1000", "!gdpo", "of the adaptive coefficient"},
    {"algorithm.kl_ctrl.horizon",
     "algorithm.use_kl_in_reward=yes algorithm.kl_ctrl.kl_coef=1 algorithm.kl_ctrl.type=adaptive",
     "100", "!gdpo", "of the adaptive coefficient"},
    {"algorithm.use_kl_in_reward", "algorithm.kl_ctrl.kl_coef=1", NULL, NULL,
     "a coefficient that is seen"},
    {"algorithm.rollout_correction.rollout_is", NULL, "token", NULL, "auto is none where pinned"},
    {"algorithm.rollout_correction.rollout_is_threshold",
     "algorithm.rollout_correction.rollout_is=token", "0.5", NULL, "of the correction"},
    {"algorithm.segment_credit", PAID, NULL, NULL, "intermediate answers are paid"},
    {"algorithm.filter_groups.spare", NULL, NULL, "grpo|dr_grpo|rloo|reinforce_plus_plus_baseline",
     "where samples of one prompt are compared"},
    {"actor.clip_ratio_c", NULL, "1.0000001", NULL, "the ratios are near 1"},
    {"actor.clip_ratio_low", NULL, "0", NULL, "the ratios are near 1"},
    {"actor.clip_ratio_high", NULL, "0", NULL, "the ratios are near 1"},
    {"actor.grad_clip", NULL, "0.001", NULL, "below the norms of the gradients"},
    {"actor.loss_scale_factor", "actor.loss_agg_mode=seq-mean-token-sum-norm", "7", NULL,
     "of one way to add up"},
    {"actor.kl_loss_coef", "actor.use_kl_loss=yes", "10", NULL, "of the KL in the loss"},
    {"actor.kl_loss_type", "actor.use_kl_loss=yes actor.kl_loss_coef=1", NULL, NULL,
     "of the KL in the loss"},
    {"actor.use_kl_loss", "actor.kl_loss_coef=1", NULL, NULL, "a coefficient that is seen"},
    {"actor.optim.lr_warmup_steps", NULL, "5", NULL, "of ten steps"},
    {"critic.optim.lr", NULL, "0.01", "gae", "there is a critic"},
    {"critic.optim.lr_warmup_steps", NULL, "5", "gae", "there is a critic"},
    {"critic.optim.lr_scheduler_type", NULL, NULL, "gae", "there is a critic"},
    {"critic.optim.weight_decay", NULL, NULL, "gae", "there is a critic"},
    {"critic.optim.beta1", NULL, NULL, "gae", "there is a critic"},
    {"critic.optim.beta2", NULL, NULL, "gae", "there is a critic"},
    {"critic.cliprange_value", "critic.optim.lr=0.01 critic.ppo_epochs=3", "0.0001", "gae",
     "there is a critic, whose values change within a step"},
    {"critic.grad_clip", NULL, "0.001", "gae", "there is a critic"},
    {"critic.ppo_epochs", NULL, NULL, "gae", "there is a critic"},
    {"trainer.critic_warmup", NULL, "3", "gae", "there is a critic"},
    {"reward.base", PAID, NULL, NULL, "intermediate answers are paid"},
    {"reward.strategy", PAID, NULL, NULL, "intermediate answers are paid"},
    {"reward.wrong_step", PAID, "1", NULL, "intermediate answers are paid"},
    {"reward.gate_epsilon", "rollout.n=8", NULL, NULL, "the accuracy falls now and then"},
    {"reward.unparsed", "data.train_files=tasks/train.jsonl", NULL, NULL,
     "some answers cannot be read"},
    {"reward.overlong_buffer.len", NULL, "60", NULL, "of responses of up to 80 tokens"},
    {"reward.overlong_buffer.penalty_factor", "reward.overlong_buffer.len=60", NULL, NULL,
     "there is a penalty"},
    {"trainer.total_training_steps", NULL, NULL, "", "how far a run goes is no other arithmetic"},
};

static const struct matter *matter_of(const char *name)
{
    for (size_t i = 0; i < sizeof matters / sizeof *matters; i++)
        if (strcmp(matters[i].name, name) == 0)
            return &matters[i];
    return NULL;
}

/* Whether a word is one of a '|'-list; "!a|b": none of them. */
static bool is_listed(const char *list, const char *word)
{
    const bool but = list[0] == '!';
    const size_t len = strlen(word);

    for (const char *at = list + but; *at; at += strcspn(at, "|"), at += *at == '|')
        if (strncmp(at, word, len) == 0 && (at[len] == '|' || !at[len]))
            return !but;
    return but;
}

/* ---- one run ---- */

struct job {
    char *words[WORDS_MAX];
    /* while it runs */
    unsigned id;
    pid_t pid;
    double began_s;
    /* afterwards */
    int status;     /* exit status; -1: it hung; 128 + n: signal n */
    char state[65]; /* of what is trained; "": there is nothing */
    char said[400]; /* its last words */
    char wrong[600];
};

struct sweep {
    struct conf conf;
    char dir[400], config[440], url[440], plait[440];
    pid_t redis;
    struct pl_factor factors[PL_FACTORS_MAX];
    size_t count;
    unsigned runs, good, refused, told;
    unsigned wrong;
};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static pid_t start(char *const *argv, const char *log, const char *folder)
{
    const pid_t pid = fork();

    if (pid != 0)
        return pid;
    const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    const int null = open("/dev/null", O_RDONLY);

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (fd < 0 || null < 0 || chdir(folder) < 0)
        _exit(126);
    dup2(null, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    execvp(argv[0], argv);
    _exit(127);
}

static int finish(char *const *argv, const char *log, const char *folder)
{
    const pid_t pid = start(argv, log, folder);
    int status = 0;

    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void remove_tree(const char *path)
{
    (void)pl_dir_remove(path, NULL);
}

/* The whole file, "" where it is not there; from malloc(). */
static char *text_of(const char *dir, const char *name)
{
    char *path = pl_strf("%s/%s", dir, name), *text = NULL;
    struct pl_map map;

    if (path && pl_map_open(path, &map, NULL) == PL_OK) {
        text = map.len > 0 ? strndup((const char *)map.data, map.len) : NULL;
        pl_map_close(&map);
    }
    free(path);
    return text ? text : strdup("");
}

static size_t times(const char *text, const char *word)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        n++;
    return n;
}

/* What the last lines say, in one. */
static void last_words(const char *text, char *ret, size_t size)
{
    size_t len = strlen(text), from;

    while (len > 0 && text[len - 1] == '\n')
        len--;
    for (from = len; from > 0 && text[from - 1] != '\n';)
        from--;
    snprintf(ret, size, "%.*s", (int)(len - from), text + from);
}

/* SHA-256 over what is trained: weights, master copies and moments, of the policy and the critic.
 */
static void hash_state(const char *run, const char *checkpoint, char ret_hex[65])
{
    static const char *const files[] = {"model.safetensors", "optimizer.safetensors",
                                        "critic/model.safetensors", "critic/optimizer.safetensors"};
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0, found = 0;

    ret_hex[0] = '\0';
    if (!sum || EVP_DigestInit_ex(sum, EVP_sha256(), NULL) != 1)
        goto out;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = pl_strf("%s/checkpoints/%s/%s", run, checkpoint, files[i]);
        struct pl_map map;

        if (path && pl_map_open(path, &map, NULL) == PL_OK) {
            found++;
            EVP_DigestUpdate(sum, map.data, map.len);
            pl_map_close(&map);
        }
        free(path);
    }
    if (found >= 2 && EVP_DigestFinal_ex(sum, digest, &n) == 1)
        for (unsigned i = 0; i < 32; i++)
            snprintf(ret_hex + (size_t)2 * i, 3, "%02x", digest[i]);
out:
    EVP_MD_CTX_free(sum);
}

static void blame(struct job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void blame(struct job *j, const char *fmt, ...)
{
    va_list args;

    if (j->wrong[0])
        return;
    va_start(args, fmt);
    vsnprintf(j->wrong, sizeof j->wrong, fmt, args);
    va_end(args);
}

/* The value that a run has of a setting, as its own configuration says. */
static bool run_has(const char *config, const char *line)
{
    const char *at = strstr(config, line);

    return at && (at == config || at[-1] == '\n') && at[strlen(line)] == '\n';
}

static size_t run_number(const char *config, const char *name)
{
    const char *at = strstr(config, name);

    return at ? (size_t)strtoull(at + strlen(name), NULL, 10) : 0;
}

/* The ledger of a run that is over: nothing is lost, and nothing is left out unsaid. */
static void judge_ledger(const struct sweep *s, struct job *j, const char *config)
{
    char name[32];
    const struct pl_queues_opts opts = {.url = s->url,
                                        .run = name,
                                        .worker = "sweep",
                                        .role = "sweep",
                                        .lease_ms = 60000,
                                        .deliveries_max = 5,
                                        .patience_ms = 20000};
    struct pl_queues *q = NULL;
    struct pl_error err = {0};
    struct pl_ledger l;

    snprintf(name, sizeof name, "r%u", j->id);
    if (pl_queues_open(&opts, &q, &err) < 0 || pl_queues_ledger(q, &l, &err) < 0) {
        blame(j, "the ledger: %s", err.text);
    } else if (!l.balanced) {
        blame(j, "the ledger does not balance: fed %llu, trained %llu, dropped %llu",
              (unsigned long long)l.fed, (unsigned long long)l.trained,
              (unsigned long long)l.dropped);
    } else if (l.dropped > 0 && run_has(config, "rollout.mode: pinned") &&
               run_has(config, "algorithm.filter_groups.spare: 0")) {
        blame(j, "%llu groups were dropped", (unsigned long long)l.dropped);
    }
    pl_queues_close(q);
}

/* What a run that says that it ended well must have left. */
static void judge_good(const struct sweep *s, struct job *j, const char *run)
{
    char *config = text_of(run, "config.yaml"), *metrics = text_of(run, "metrics.jsonl");
    char *latest = text_of(run, "checkpoints/latest");
    char *model = pl_strf("%s/model/model.safetensors", run);
    const size_t steps = run_number(config, "trainer.total_training_steps: ");

    latest[strcspn(latest, "\n")] = '\0';
    hash_state(run, latest, j->state);
    if (!model || !pl_path_exists(model))
        blame(j, "it ended well, and there is no model");
    if (!j->state[0])
        blame(j, "it ended well, and there is no checkpoint");
    if (times(metrics, "\"timing_s/update_weights\"") != steps)
        blame(j, "%zu lines of steps, not %zu", times(metrics, "\"timing_s/update_weights\""),
              steps);
    if (strstr(metrics, "\"val-core/acc\": null"))
        blame(j, "an evaluation without a sample counts as one");
    judge_ledger(s, j, config);
    free(config);
    free(metrics);
    free(latest);
    free(model);
}

/* A refusal is exit status 2 and a sentence that names a setting of the table. */
static void judge_refusal(const struct sweep *s, struct job *j, const char *said)
{
    /* A rate or a coefficient at its most may leave nothing that is finite, which is said as well.
     */
    if (strstr(said, "had a finite gradient"))
        return;
    for (size_t i = 0; i < s->count; i++) {
        const char *at = strstr(said, s->factors[i].option->name);

        if (at)
            return;
    }
    blame(j, "it is refused without the name of a setting");
}

static void judge(const struct sweep *s, struct job *j, const char *run)
{
    char log[32], *said;

    snprintf(log, sizeof log, "runs/%u.log", j->id);
    said = text_of(s->dir, log);

    last_words(said, j->said, sizeof j->said);
    if (strstr(said, "event=died"))
        blame(j, "a program ended by itself: %.300s", strstr(said, "event=died"));
    else if (j->status == -1)
        blame(j, "it hangs");
    else if (j->status == 2)
        judge_refusal(s, j, said);
    else if (j->status == 0)
        judge_good(s, j, run);
    else
        blame(j, "exit status %d", j->status);
    free(said);
}

/* ---- many runs ---- */

static void tell(struct sweep *s, const struct job *j)
{
    if (j->wrong[0])
        s->wrong++;
    if (!j->wrong[0] ? !s->conf.loud : s->told++ >= TOLD_MAX)
        return;
    printf("%s run %u: %s%s%s\n", j->wrong[0] ? "WRONG" : "     ", j->id,
           j->wrong[0]      ? j->wrong
           : j->status == 2 ? "refused"
                            : "good",
           j->said[0] ? ": " : "", j->said);
    printf("     ");
    for (size_t i = 0; j->words[i]; i++)
        printf(" %s", j->words[i]);
    printf("\n");
    fflush(stdout);
}

/* Everything of run N is in runs/N and runs/N.log. */
static void begin_run(struct sweep *s, struct job *j)
{
    char *argv[WORDS_MAX + 8], *words[3];
    size_t n = 0;

    j->id = s->runs++;
    words[0] = pl_strf("run.dir=%s/runs/%u", s->dir, j->id);
    words[1] = pl_strf("run.name=r%u", j->id);
    words[2] = pl_strf("link.redis=%s", s->url);
    char *log = pl_strf("%s/runs/%u.log", s->dir, j->id);

    PL_ASSERT(words[0] && words[1] && words[2] && log);
    argv[n++] = s->plait;
    argv[n++] = (char *)"up";
    argv[n++] = s->config;
    for (size_t i = 0; j->words[i]; i++)
        argv[n++] = j->words[i];
    for (size_t i = 0; i < 3; i++)
        argv[n++] = words[i];
    argv[n] = NULL;
    j->began_s = seconds();
    j->pid = start(argv, log, s->dir);
    PL_ASSERT(j->pid > 0);
    for (size_t i = 0; i < 3; i++)
        free(words[i]);
    free(log);
}

/* Whether it is over; judged, then. */
static bool end_run(struct sweep *s, struct job *j)
{
    const bool hangs = seconds() - j->began_s > s->conf.hang_s;
    char *run;
    int status = 0;

    if (waitpid(j->pid, &status, WNOHANG) == 0) {
        if (!hangs)
            return false;
        kill(j->pid, SIGTERM); /* it takes the others with it */
        for (int i = 0; i < 2000 && waitpid(j->pid, &status, WNOHANG) == 0; i++)
            usleep(10000);
        kill(-j->pid, SIGKILL);
        (void)waitpid(j->pid, &status, 0);
        j->status = -1;
    } else {
        j->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    j->pid = 0;
    run = pl_strf("%s/runs/%u", s->dir, j->id);
    PL_ASSERT(run);
    judge(s, j, run);
    s->good += !j->wrong[0] && j->status == 0;
    s->refused += !j->wrong[0] && j->status == 2;
    tell(s, j);
    if (!j->wrong[0] && !s->conf.keep)
        remove_tree(run);
    free(run);
    return true;
}

static void run_all(struct sweep *s, struct job *const *jobs, size_t count)
{
    struct job *at[JOBS_MAX];
    size_t busy = 0, next = 0;

    while (busy > 0 || next < count) {
        while (busy < s->conf.jobs && next < count) {
            at[busy] = jobs[next++];
            begin_run(s, at[busy++]);
        }
        for (size_t i = 0; i < busy;)
            if (end_run(s, at[i]))
                at[i] = at[--busy];
            else
                i++;
        usleep(5000);
    }
}

static struct job *job_of(struct sweep *s, const struct pl_row *row, const char *const *fixed)
{
    struct job *j = calloc(1, sizeof *j);

    PL_ASSERT(j && pl_row_words(s->factors, s->count, row, fixed, j->words) == PL_OK);
    return j;
}

static void drop(struct job **jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (jobs[i]) {
            pl_row_words_free(jobs[i]->words);
            free(jobs[i]);
        }
    free(jobs);
}

/* ---- pairs ---- */

static void sweep_pairs(struct sweep *s)
{
    struct pl_row *rows = NULL;
    struct pl_cover cover;
    struct job **jobs;
    size_t count = 0;

    PL_ASSERT(pl_rows_make(s->config, s->factors, s->count, s->conf.seed,
                           s->conf.all ? 0 : SHORT_ROWS, &rows, &count, &cover) == PL_OK);
    printf("pairs: %zu settings; %zu of %zu pairs of values, %zu others are refused by the "
           "configuration; %zu runs\n",
           s->count, cover.met, cover.pairs, cover.refused, count);
    fflush(stdout);
    jobs = calloc(count, sizeof *jobs);
    PL_ASSERT(jobs);
    for (size_t i = 0; i < count; i++)
        jobs[i] = job_of(s, &rows[i], NULL);
    run_all(s, jobs, count);
    drop(jobs, count);
    free(rows);
}

/* ---- settings that have no effect on the bits ---- */

static bool enters(const struct pl_factor *f)
{
    const struct pl_meaning *m = pl_meaning(f->option->name);

    return !m || m->bits != PL_BITS_NONE;
}

static void same(struct sweep *s, const struct job *base, struct job *j)
{
    if (j->wrong[0] || j->status != 0 || strcmp(j->state, base->state) == 0)
        return;
    blame(j,
          "nothing of this enters the bits, by common/app/agreement.c, and the bytes are others");
    tell(s, j);
}

/* Value k of each that enters no bit, as far as it has so many and they go together. */
static struct job *all_at(struct sweep *s, size_t k)
{
    struct pl_row row = {0};
    char *words[WORDS_MAX];

    for (size_t f = 0; f < s->count; f++) {
        if (enters(&s->factors[f]) || s->factors[f].count < 2)
            continue;
        row.at[f] = (unsigned char)(1 + k % (s->factors[f].count - 1));
        PL_ASSERT(pl_row_words(s->factors, s->count, &row, NULL, words) == PL_OK);
        if (!pl_row_is_taken(s->config, words, NULL))
            row.at[f] = 0;
        pl_row_words_free(words);
    }
    return job_of(s, &row, NULL);
}

static void sweep_nothing(struct sweep *s)
{
    const size_t most = 2 + s->count * PL_VALUES_MAX;
    struct job **jobs = calloc(most, sizeof *jobs);
    size_t n = 0;

    PL_ASSERT(jobs);
    jobs[n++] = job_of(s, NULL, NULL);
    if (!s->conf.all) {
        for (size_t k = 0; k < 4; k++)
            jobs[n++] = all_at(s, k);
    } else {
        for (size_t f = 0; f < s->count; f++)
            for (size_t v = 1; v < s->factors[f].count && !enters(&s->factors[f]); v++) {
                struct pl_row row = {0};

                row.at[f] = (unsigned char)v;
                jobs[n++] = job_of(s, &row, NULL);
                if (!pl_row_is_taken(s->config, jobs[n - 1]->words, NULL)) {
                    pl_row_words_free(jobs[--n]->words);
                    free(jobs[n]);
                }
            }
    }
    printf("nothing: %zu runs\n", n);
    fflush(stdout);
    run_all(s, jobs, n);
    for (size_t i = 1; i < n; i++)
        same(s, jobs[0], jobs[i]);
    drop(jobs, n);
}

/* ---- settings that have ---- */

struct effect {
    const struct pl_factor *factor;
    const struct matter *matter; /* NULL: none */
    char estimator[64];
    struct job *base, *trial; /* base: shared */
    size_t value;             /* of the factor, tried last; 0: none yet */
    bool seen, over;
};

/* The words of its context, and a value where one is given; *ret: NULL at the end, to be freed. */
static void context_words(const struct effect *e, const char *value, char **ret)
{
    char *copy = strdup(e->matter && e->matter->context ? e->matter->context : "");
    char *rest = copy, *word;
    size_t n = 0;

    PL_ASSERT(copy);
    ret[n++] = pl_strf("algorithm.adv_estimator=%s", e->estimator);
    while ((word = strsep(&rest, " ")) != NULL)
        if (*word)
            ret[n++] = strdup(word);
    if (value)
        ret[n++] = pl_strf("%s=%s", e->factor->option->name, value);
    ret[n] = NULL;
    for (size_t i = 0; i < n; i++)
        PL_ASSERT(ret[i]);
    free(copy);
}

/* Sets the next trial; false: there is none. */
static bool next_trial(struct sweep *s, struct effect *e)
{
    const char *given = e->matter ? e->matter->value : NULL;

    for (;;) {
        const char *value = given;
        struct job *j;

        e->value++;
        if (given ? e->value > 1 : e->value >= e->factor->count)
            return false;
        if (!given)
            value = e->factor->values[e->value];
        j = calloc(1, sizeof *j);
        PL_ASSERT(j);
        context_words(e, value, j->words);
        if (pl_row_is_taken(s->config, j->words, NULL)) {
            e->trial = j;
            return true;
        }
        e->seen = true; /* what has no effect here is refused: as good */
        pl_row_words_free(j->words);
        free(j);
    }
}

static bool same_words(char *const *a, char *const *b)
{
    while (*a && *b && strcmp(*a, *b) == 0)
        a++, b++;
    return !*a && !*b;
}

/* A run in the context without the setting, made once for all that have that one. */
static struct job *base_of(const struct effect *e, struct job **bases, size_t *count)
{
    struct job *j = calloc(1, sizeof *j);

    PL_ASSERT(j);
    context_words(e, NULL, j->words);
    for (size_t i = 0; i < *count; i++)
        if (same_words(bases[i]->words, j->words)) {
            pl_row_words_free(j->words);
            free(j);
            return bases[i];
        }
    return bases[(*count)++] = j;
}

static size_t add_effects(struct sweep *s, struct effect *effects, const char *estimators)
{
    size_t n = 0, turn = s->conf.seed;

    for (size_t f = 0; f < s->count; f++) {
        const struct pl_factor *factor = &s->factors[f];
        const struct matter *m = matter_of(factor->option->name);
        char *copy = strdup(estimators), *rest = copy, *word, *fit[16];
        size_t fits = 0;

        PL_ASSERT(copy);
        if (enters(factor) && strcmp(factor->option->name, "algorithm.adv_estimator") != 0)
            while ((word = strsep(&rest, "|")) != NULL)
                if (!m || !m->estimators || (m->estimators[0] && is_listed(m->estimators, word)))
                    fit[fits++] = word;
        if (strchr(s->conf.only, '.') && strcmp(s->conf.only, factor->option->name) != 0)
            fits = 0;
        turn++;
        for (size_t i = 0; i < fits; i++)
            if (s->conf.all || strchr(s->conf.only, '.') || i == turn % fits) {
                effects[n] = (struct effect){.factor = factor, .matter = m};
                snprintf(effects[n++].estimator, sizeof effects[0].estimator, "%s", fit[i]);
            }
        free(copy);
    }
    return n;
}

static const char *estimator_choices(const struct sweep *s)
{
    for (size_t f = 0; f < s->count; f++)
        if (strcmp(s->factors[f].option->name, "algorithm.adv_estimator") == 0)
            return s->factors[f].option->choices;
    return "";
}

static void sweep_matters(struct sweep *s)
{
    const size_t most = s->count * 16;
    struct effect *effects = calloc(most, sizeof *effects);
    struct job **bases = calloc(most, sizeof *bases), **jobs = calloc(most, sizeof *jobs);
    size_t n, base_count = 0, left;

    PL_ASSERT(effects && bases && jobs);
    n = add_effects(s, effects, estimator_choices(s));
    for (size_t i = 0; i < n; i++)
        effects[i].base = base_of(&effects[i], bases, &base_count);
    printf("matters: %zu effects in %zu contexts\n", n, base_count);
    fflush(stdout);
    run_all(s, bases, base_count);
    do {
        left = 0;
        for (size_t i = 0; i < n; i++)
            if (!effects[i].over && next_trial(s, &effects[i]))
                jobs[left++] = effects[i].trial;
            else
                effects[i].over = true;
        run_all(s, jobs, left);
        for (size_t i = 0; i < n; i++) {
            struct effect *e = &effects[i];

            if (e->over)
                continue;
            if (e->trial->status == 2 || e->trial->wrong[0] || e->base->status != 0 ||
                strcmp(e->trial->state, e->base->state) != 0)
                e->seen = e->over = true; /* what is wrong was told */
            pl_row_words_free(e->trial->words);
            free(e->trial);
            e->trial = NULL;
        }
    } while (left > 0);
    for (size_t i = 0; i < n; i++)
        if (!effects[i].seen) {
            s->wrong++;
            printf(
                "WRONG %s with %s%s%s: it enters the bits, by common/app/agreement.c, and no "
                "value of it changes them; where it has none to have it is refused, or has a row "
                "in matters[] of tests/chaos/sweep/sweep.c\n",
                effects[i].factor->option->name, effects[i].estimator,
                effects[i].matter && effects[i].matter->context ? " and " : "",
                effects[i].matter && effects[i].matter->context ? effects[i].matter->context : "");
        }
    drop(bases, base_count);
    free(jobs);
    free(effects);
}

/* ---- what runs begin with ---- */

static const char config_json[] =
    "{\"model_type\": \"qwen2\", \"hidden_size\": 32, \"num_hidden_layers\": 1,\n"
    " \"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"intermediate_size\": 64,\n"
    " \"vocab_size\": 300, \"rope_theta\": 10000.0, \"max_position_embeddings\": 256,\n"
    " \"rms_norm_eps\": 1e-6, \"tie_word_embeddings\": true}\n";

/* Right and wrong by a rule that no model learns: half of all answers, whatever it is. */
static const char check_sh[] = "while IFS= read -r line; do\n"
                               "    if [ $((${#line} % 2)) -eq 0 ]; then\n"
                               "        echo '{\"correct\":true}'\n"
                               "    else\n"
                               "        echo '{\"correct\":false}'\n"
                               "    fi\n"
                               "done\n";

static const char run_yaml[] =
    "run: {name: r, dir: none, seed: 1}\n"
    "model.path: sft/model\n"
    "data: {train_files: [train.jsonl], val_files: [test.jsonl], instruction: instruction.txt,\n"
    "       max_prompt_length: 128, max_response_length: 80, train_batch_size: 4}\n"
    "rollout: {n: 4, staleness: 1, temperature: 0.4}\n"
    "reward: {exec.command: [sh, check.sh]}\n"
    "actor: {optim.lr: 1e-3, ppo_max_token_len: 1024, ppo_mini_batch_size: 2, ppo_epochs: 2}\n"
    "trainer: {total_training_steps: 10}\n"
    "workers: {actor_threads: 1, learner_threads: 1, actor_slots: 16}\n";

/* All tasks are for the program. */
static void write_tasks(const char *dir, const char *from, const char *to)
{
    static const char kk[] = "\"verifier\": \"kk\"";
    char *text = text_of(dir, from), *path = pl_strf("%s/%s", dir, to);
    FILE *f = path ? fopen(path, "w") : NULL;

    PL_ASSERT(f && strstr(text, kk));
    for (char *at = text, *next; at; at = next) {
        next = strstr(at, kk);
        fwrite(at, 1, next ? (size_t)(next - at) : strlen(at), f);
        if (next) {
            fputs("\"verifier\": \"exec\"", f);
            next += strlen(kk);
        }
    }
    PL_ASSERT(fclose(f) == 0);
    free(text);
    free(path);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char *path = pl_strf("%s/%s", dir, name);
    FILE *f = path ? fopen(path, "w") : NULL;

    PL_ASSERT(f && fputs(text, f) >= 0 && fclose(f) == 0);
    free(path);
}

static bool prepare(struct sweep *s)
{
    static const char *const commands[] = {
        "data generate kk --people 2 --wording plain --names 2 --train 40 --test 4 --seed 3 "
        "--split "
        "puzzle --output tasks",
        "data generate kk --people 2 --wording plain --names 2 --count 100 --seed 4 --answers "
        "interleave --output sft.jsonl",
        "tokenizer train --size 300 --token <think> --token </think> --token <answer> --token "
        "</answer> --token <|interleave|> --field prompt --field response --output tokenizer "
        "sft.jsonl",
        "model init config.json base --tokenizer tokenizer",
        "sft base sft.jsonl --output sft --steps 120 --batch-size 4 --lr 1e-2 --quiet",
    };
    char *log = pl_strf("%s/prepare.log", s->dir), *runs = pl_strf("%s/runs", s->dir);
    bool done = log && runs && pl_dir_make(runs, NULL) == PL_OK;

    write_file(s->dir, "config.json", config_json);
    write_file(s->dir, "check.sh", check_sh);
    write_file(s->dir, "instruction.txt", "<|interleave|>\n");
    for (size_t i = 0; done && i < sizeof commands / sizeof *commands; i++) {
        char *copy = strdup(commands[i]), *rest = copy, *word, *argv[40] = {s->plait};
        size_t n = 1;

        while ((word = strsep(&rest, " ")) != NULL && n < 39)
            argv[n++] = word;
        done = copy && finish(argv, log, s->dir) == 0;
        if (!done)
            printf("'plait %s' failed; see '%s'\n", commands[i], log);
        free(copy);
    }
    free(log);
    free(runs);
    if (!done)
        return false;
    write_tasks(s->dir, "tasks/train.jsonl", "train.jsonl");
    write_tasks(s->dir, "tasks/test.jsonl", "test.jsonl");
    write_file(s->dir, "run.yaml", run_yaml);
    return true;
}

static bool start_redis(struct sweep *s)
{
    char *socket = pl_strf("%s/redis.sock", s->dir), *log = pl_strf("%s/redis.log", s->dir);
    char *argv[] = {(char *)"redis-server",
                    (char *)"--port",
                    (char *)"0",
                    (char *)"--unixsocket",
                    socket,
                    (char *)"--save",
                    (char *)"",
                    (char *)"--appendonly",
                    (char *)"no",
                    (char *)"--dir",
                    s->dir,
                    NULL};
    bool up = false;

    PL_ASSERT(socket && log);
    snprintf(s->url, sizeof s->url, "unix://%s", socket);
    s->redis = start(argv, log, s->dir);
    for (int i = 0; i < 6000 && !up; i++) {
        up = pl_path_exists(socket);
        usleep(10000);
    }
    free(socket);
    free(log);
    return up;
}

/* This program is tests/chaos/sweep/plait-sweep of it. */
static bool find_build(struct sweep *s)
{
    char self[PATH_MAX], *slash;
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (s->conf.build[0])
        return snprintf(s->plait, sizeof s->plait, "%s/deploy/plait", s->conf.build) > 0;
    if (n < 0)
        return false;
    self[n] = '\0';
    for (int i = 0; i < 4; i++) {
        slash = strrchr(self, '/');
        if (!slash)
            return false;
        *slash = '\0';
    }
    return snprintf(s->plait, sizeof s->plait, "%s/deploy/plait", self) < (int)sizeof s->plait;
}

/* A line for plait-chaos report, where PLAIT_CHAOS_RESULTS names the file. */
static void note_result(const struct sweep *s)
{
    const char *path = getenv("PLAIT_CHAOS_RESULTS");
    FILE *f = path && path[0] ? fopen(path, "ae") : NULL;

    if (!f)
        return;
    fprintf(f,
            "{\"area\": \"sweep\", \"name\": \"settings\", \"form\": \"%s\", \"seed\": %zu, "
            "\"count\": %u, "
            "\"failures\": %u, \"refused\": %u}\n",
            s->conf.all ? "long" : "short", s->conf.seed, s->runs, s->wrong, s->refused);
    fclose(f);
}

static bool wants(const struct sweep *s, const char *part)
{
    return !s->conf.only[0] || strcmp(s->conf.only, part) == 0;
}

int main(int argc, char **argv)
{
    static struct sweep s;
    const double from = seconds();
    struct pl_error err = {0};
    char whole[PATH_MAX];
    int status;

    if (!pl_options_read(&command, argc, argv, &s.conf, &status))
        return status;
    if (s.conf.jobs == 0)
        s.conf.jobs = (size_t)(4 * sysconf(_SC_NPROCESSORS_ONLN)) % (JOBS_MAX + 1);
    snprintf(s.dir, sizeof s.dir, "%s", s.conf.dir[0] ? s.conf.dir : "/tmp/plait-sweep-XXXXXX");
    if ((s.conf.dir[0] ? pl_dir_make(s.dir, NULL) < 0 : !mkdtemp(s.dir)) || !find_build(&s)) {
        printf("no folder for the runs\n");
        return PL_STATUS_FAILED;
    }
    if (!realpath(s.dir, whole) || strlen(whole) >= sizeof s.dir) {
        printf("'%s' is no folder for the runs\n", s.dir);
        return PL_STATUS_FAILED;
    }
    strcpy(s.dir, whole);
    if (access("/usr/bin/redis-server", X_OK) != 0) {
        printf("skipped: redis-server is not installed (deploy/install-deps.sh installs it)\n");
        rmdir(s.dir);
        return 77;
    }
    snprintf(s.config, sizeof s.config, "%s/run.yaml", s.dir);
    if (!prepare(&s) || !start_redis(&s))
        return PL_STATUS_FAILED;
    if (pl_factors_make(s.config, s.conf.seed, s.factors, &s.count, &err) < 0) {
        printf("%s\n", err.text);
        return PL_STATUS_FAILED;
    }
    printf("seed %zu\n", s.conf.seed);
    if (wants(&s, "nothing"))
        sweep_nothing(&s);
    if (wants(&s, "matters") || strchr(s.conf.only, '.'))
        sweep_matters(&s);
    if (wants(&s, "pairs"))
        sweep_pairs(&s);
    kill(s.redis, SIGTERM);
    (void)waitpid(s.redis, NULL, 0);
    note_result(&s);
    printf("%u runs: %u good, %u refused, %u wrong; %.0f s%s%s\n", s.runs, s.good, s.refused,
           s.wrong, seconds() - from, s.wrong ? "; see " : "", s.wrong ? s.dir : "");
    pl_factors_release(s.factors, s.count);
    if (s.wrong == 0 && !s.conf.keep && !s.conf.dir[0])
        remove_tree(s.dir);
    return s.wrong == 0 ? PL_STATUS_OK : PL_STATUS_FAILED;
}
