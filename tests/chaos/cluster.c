#include "tests/chaos/cluster.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
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

enum { PROGRAM_S = 120 };

const char *const pl_part_names[PL_PARTS] = {"redis", "learner", "rewarder", "actor", "up"};

double pl_chaos_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void pl_chaos_sleep(double s)
{
    const struct timespec pause = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};

    if (s > 0.0)
        nanosleep(&pause, NULL);
}

/* ---- programs ---- */

/* In a child: does not return. */
static void become(char *const *argv, const char *log, const char *folder,
                   const struct pl_member *m, const char *points)
{
    const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    const int null = open("/dev/null", O_RDONLY);
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fd < 0 || null < 0 || (folder && chdir(folder) < 0))
        _exit(126);
    dup2(null, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (m && m->env[0])
        putenv((char *)m->env);
    if (m && m->order[0])
        setenv("PLAIT_FAILPOINTS", m->order, 1);
    if (points && points[0])
        setenv("PLAIT_FAILPOINTS_FILE", points, 1);
    setenv("OMP_WAIT_POLICY", "passive", 1);
    execvp(argv[0], argv);
    _exit(127);
}

int pl_chaos_run(char *const *argv, const char *log, const char *folder)
{
    const double end = pl_chaos_seconds() + PROGRAM_S;
    const pid_t pid = fork();
    int status = 0;

    if (pid == 0)
        become(argv, log, folder, NULL, NULL);
    if (pid < 0)
        return -1;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (pl_chaos_seconds() > end) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -1;
        }
        pl_chaos_sleep(0.002);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int pl_chaos_copy(const char *from, const char *to)
{
    char *const words[] = {"cp", "-a", "--", (char *)from, (char *)to, NULL};

    return pl_chaos_run(words, "/dev/null", NULL) == 0 ? PL_OK : PL_EIO;
}

void pl_chaos_remove(const char *path)
{
    char *const words[] = {"rm", "-rf", "--", (char *)path, NULL};

    (void)pl_chaos_run(words, "/dev/null", NULL);
}

void pl_chaos_hash(const char *path, char ret_hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct pl_map map;
    unsigned n = 0;

    ret_hex[0] = '\0';
    if (pl_map_open(path, &map, NULL) < 0)
        return;
    if (EVP_Digest(map.data, map.len, digest, &n, EVP_sha256(), NULL) == 1)
        for (unsigned i = 0; i < n && i < 32; i++)
            snprintf(ret_hex + (size_t)2 * i, 3, "%02x", digest[i]);
    pl_map_close(&map);
}

/* ---- what a run begins with ---- */

static int write_text(const char *dir, const char *name, const char *text, struct pl_error *err)
{
    char *path = pl_strf("%s/%s", dir, name);
    struct pl_outfile out;
    int rc = path ? pl_outfile_open(path, &out, err) : pl_fail(err, PL_ENOMEM, "no memory");

    if (rc == PL_OK) {
        rc = pl_outfile_write(&out, text, strlen(text), err);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&out, err);
        else
            pl_outfile_abort(&out);
    }
    free(path);
    return rc;
}

static const char config_json[] =
    "{\"model_type\": \"qwen2\", \"hidden_size\": 32, \"num_hidden_layers\": 1,\n"
    " \"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"intermediate_size\": 64,\n"
    " \"vocab_size\": 320, \"rope_theta\": 10000.0, \"max_position_embeddings\": 256,\n"
    " \"rms_norm_eps\": 1e-6, \"tie_word_embeddings\": true}\n";

/* Small enough for some 40 steps a second, and with rewards that differ from sample to sample. */
static const char run_yaml[] =
    "run: {name: t, dir: none, seed: 1}\n"
    "model.path: sft/model\n"
    "data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],\n"
    "       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 64,\n"
    "       train_batch_size: 4}\n"
    "rollout: {n: 4, staleness: 1}\n"
    "reward.unparsed: -0.5\n"
    "actor: {optim.lr: 1e-4, ppo_max_token_len: 1024, ppo_mini_batch_size: 2}\n"
    "trainer: {test_freq: 50}\n"
    "workers: {actor_threads: 1, learner_threads: 1, actor_slots: 16}\n";

int pl_cluster_prepare(const char *build, const char *dir, struct pl_error *err)
{
    static const char *const commands[] = {
        "data generate kk --people 2 --wording plain --names 4 --train 60 --test 6 --seed 3 "
        "--split puzzle --output tasks",
        "data generate kk --people 2 --wording plain --names 4 --count 200 --seed 4 --answers "
        "interleave --output sft.jsonl",
        "tokenizer train --size 320 --token <think> --token </think> --token <answer> --token "
        "</answer> --token <|interleave|> --field prompt --field response --output tokenizer "
        "sft.jsonl",
        "model init config.json base --tokenizer tokenizer",
        "sft base sft.jsonl --output sft --steps 150 --batch-size 16 --lr 1e-2 --quiet",
    };
    char *model = pl_strf("%s/sft/model", dir), *plait = pl_strf("%s/deploy/plait", build);
    char *log = pl_strf("%s/prepare.log", dir);
    int rc = model && plait && log ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory");

    if (rc == PL_OK && pl_path_exists(model))
        goto out;
    if (rc == PL_OK)
        rc = pl_dir_make(dir, err);
    if (rc == PL_OK)
        rc = write_text(dir, "config.json", config_json, err);
    if (rc == PL_OK)
        rc = write_text(dir, "run.yaml", run_yaml, err);
    if (rc == PL_OK)
        rc = write_text(dir, "instruction.txt", "<|interleave|>\n", err);
    for (size_t i = 0; rc == PL_OK && i < sizeof commands / sizeof *commands; i++) {
        char *copy = strdup(commands[i]), *rest = copy, *word;
        char *argv[PL_WORDS_MAX + 1] = {plait};
        size_t n = 1;

        while ((word = strsep(&rest, " ")) != NULL && n < PL_WORDS_MAX)
            argv[n++] = word;
        if (!copy || pl_chaos_run(argv, log, dir) != 0)
            rc = pl_fail(err, PL_EIO, "'plait %s' failed; see '%s'", commands[i], log);
        free(copy);
    }
out:
    free(model);
    free(plait);
    free(log);
    return rc;
}

/* ---- putting it together ---- */

static void word(struct pl_member *m, char *text)
{
    PL_ASSERT(m->words < PL_WORDS_MAX && text);
    m->argv[m->words++] = text;
    m->argv[m->words] = NULL;
}

static struct pl_member *room(struct pl_cluster *c, enum pl_part part, const char *name)
{
    struct pl_member *m = &c->members[c->count];

    if (c->count == PL_MEMBERS_MAX)
        return NULL;
    memset(m, 0, sizeof *m);
    m->part = part;
    snprintf(m->name, sizeof m->name, "%s", name);
    snprintf(m->log, sizeof m->log, "%.300s/logs/%s.log", c->run, name);
    c->count++;
    return m;
}

static void add_redis(struct pl_cluster *c)
{
    struct pl_member *m = room(c, PL_PART_REDIS, "redis");
    static const char *const words[] = {
        "/usr/bin/redis-server",  "--port", "0", "--save", "", "--appendonly", "yes",
        "--enable-debug-command", "yes"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        word(m, strdup(words[i]));
    word(m, strdup("--dir"));
    word(m, pl_strf(c->supervised ? "%s" : "%s/redis", c->run)); /* where plait up has it */
    word(m, strdup("--unixsocket"));
    word(m, strdup(c->socket));
}

struct pl_member *pl_cluster_add(struct pl_cluster *c, enum pl_part part, const char *name,
                                 const char *setting)
{
    const struct pl_member *like = NULL;
    struct pl_member *m = room(c, part, name);

    if (!m)
        return NULL;
    for (size_t i = 0; i + 1 < c->count && !like; i++)
        if (c->members[i].part == PL_PART_LEARNER)
            like = &c->members[i];
    PL_ASSERT(like);
    if (strcmp(like->argv[1], "stub") == 0) {
        for (size_t i = 0; i < like->words; i++)
            word(m, i == 2   ? strdup(pl_part_names[part])
                    : i == 3 ? strdup(name)
                             : strdup(like->argv[i]));
        return m;
    }
    word(m, pl_strf("%s/%s/plait-%s", c->build, pl_part_names[part], pl_part_names[part]));
    for (size_t i = 1; i + 1 < like->words; i++)
        word(m, strdup(like->argv[i]));
    if (setting)
        word(m, strdup(setting));
    word(m, pl_strf("--name=%s", name));
    return m;
}

static void add_learner(struct pl_cluster *c, const struct pl_cluster_opts *o)
{
    struct pl_member *m = room(c, PL_PART_LEARNER, "learner");

    if (o->stub) {
        word(m, pl_strf("%s/tests/chaos/plait-chaos", c->build));
        word(m, strdup("stub"));
        word(m, strdup("learner"));
        word(m, strdup("learner"));
        word(m, strdup(c->url));
        word(m, strdup(c->run));
        word(m, pl_strf("%llu", (unsigned long long)o->seed));
        word(m, pl_strf("%llu", (unsigned long long)o->steps));
        return;
    }

    word(m, pl_strf("%s/learner/plait-learner", c->build));
    word(m, pl_strf("%s/run.yaml", o->dir));
    word(m, pl_strf("run.dir=%s", c->run));
    word(m, pl_strf("run.seed=%llu", (unsigned long long)o->seed));
    word(m, pl_strf("trainer.total_training_steps=%llu", (unsigned long long)o->steps));
    word(m, pl_strf("link.redis=%s", c->url));
    for (size_t i = 0; o->settings && o->settings[i]; i++)
        word(m, strdup(o->settings[i]));
    word(m, strdup("--name=learner"));
}

static void add_up(struct pl_cluster *c, const struct pl_cluster_opts *o, const char *name)
{
    struct pl_member *m = room(c, PL_PART_UP, name);

    PL_ASSERT(m);
    word(m, pl_strf("%s/deploy/plait", c->build));
    word(m, strdup("up"));
    word(m, pl_strf("%s/run.yaml", o->dir));
    word(m, pl_strf("run.dir=%s", c->run));
    word(m, pl_strf("run.seed=%llu", (unsigned long long)o->seed));
    word(m, pl_strf("trainer.total_training_steps=%llu", (unsigned long long)o->steps));
    word(m, pl_strf("workers.actors=%zu", o->actors));
    word(m, pl_strf("workers.rewarders=%zu", o->rewarders));
    for (size_t i = 0; o->settings && o->settings[i]; i++)
        word(m, strdup(o->settings[i]));
}

int pl_cluster_init(struct pl_cluster *c, const struct pl_cluster_opts *o, struct pl_error *err)
{
    char path[440];
    int rc;

    *c = (struct pl_cluster){0};
    snprintf(c->build, sizeof c->build, "%s", o->build);
    snprintf(c->dir, sizeof c->dir, "%s", o->dir);
    snprintf(c->run, sizeof c->run, "%s", o->run);
    snprintf(c->socket, sizeof c->socket, "%s/redis.sock", c->run);
    snprintf(c->url, sizeof c->url, "unix://%.440s", c->socket);
    c->supervised = o->supervised;
    if (strlen(c->socket) > 100)
        return pl_fail(err, PL_EINVAL, "'%s' is too long for a socket; choose a shorter folder",
                       c->socket);
    snprintf(path, sizeof path, "%s/redis", c->run);
    rc = pl_dir_make(path, err);
    snprintf(path, sizeof path, "%s/logs", c->run);
    if (rc == PL_OK)
        rc = pl_dir_make(path, err);
    snprintf(path, sizeof path, "%s", c->run);
    if (rc == PL_OK)
        rc = write_text(path, "plait.lock", "", err);
    if (rc < 0)
        return rc;
    add_redis(c);
    if (o->supervised) {
        add_up(c, o, "up");
        add_up(c, o, "second-up");
        return PL_OK;
    }
    add_learner(c, o);
    for (size_t i = 0; i < o->rewarders + o->actors; i++) {
        const bool actor = i >= o->rewarders;
        char name[32];

        snprintf(name, sizeof name, "%s-%zu", actor ? "actor" : "rewarder",
                 actor ? i - o->rewarders + 1 : i + 1);
        PL_ASSERT(pl_cluster_add(c, actor ? PL_PART_ACTOR : PL_PART_REWARDER, name, NULL));
    }
    return PL_OK;
}

struct pl_member *pl_cluster_find(struct pl_cluster *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->members[i].name, name) == 0)
            return &c->members[i];
    return NULL;
}

void pl_cluster_release(struct pl_cluster *c)
{
    pl_cluster_hang_up(c);
    for (size_t i = 0; i < c->count; i++) {
        pl_member_end(&c->members[i]);
        for (size_t k = 0; k < c->members[i].words; k++)
            free(c->members[i].argv[k]);
    }
    if (c->supervised)
        pl_cluster_bury_orphans(c, true, 0);
    c->count = 0;
}

/* ---- lives and deaths ---- */

int pl_member_start(struct pl_cluster *c, struct pl_member *m, struct pl_error *err)
{
    const pid_t pid = fork();

    if (pid == 0)
        become(m->argv, m->log, c->dir, m, c->points);
    if (pid < 0)
        return pl_fail_errno(err, "start '%s'", m->argv[0]);
    m->pid = pid;
    m->wanted = true;
    m->struck = m->paused = false;
    m->ordered = m->order[0] != '\0';
    m->order[0] = '\0';
    m->started_s = pl_chaos_seconds();
    m->starts++;
    return PL_OK;
}

int pl_cluster_start(struct pl_cluster *c, struct pl_error *err)
{
    const double end = pl_chaos_seconds() + 20.0;
    int rc = PL_OK;

    if (c->supervised)
        return pl_member_start(c, &c->members[1], err);
    for (size_t i = 0; rc == PL_OK && i < c->count; i++) {
        rc = pl_member_start(c, &c->members[i], err);
        while (rc == PL_OK && i == 0 && !pl_cluster_redis(c)) {
            if (pl_chaos_seconds() > end)
                rc = pl_fail(err, PL_EIO, "redis-server does not answer; see '%s'",
                             c->members[0].log);
            pl_chaos_sleep(0.002);
        }
    }
    return rc;
}

bool pl_member_kill(struct pl_member *m)
{
    if (m->pid <= 0 || kill(m->pid, SIGKILL) < 0)
        return false;
    m->struck = true;
    m->paused = false;
    m->killed++;
    return true;
}

bool pl_member_pause(struct pl_member *m)
{
    if (m->pid <= 0 || m->struck || m->paused || kill(m->pid, SIGSTOP) < 0)
        return false;
    m->paused = true;
    m->pauses++;
    return true;
}

bool pl_member_resume(struct pl_member *m)
{
    const bool paused = m->paused && m->pid > 0;

    m->paused = false;
    return paused && kill(m->pid, SIGCONT) == 0;
}

void pl_member_end(struct pl_member *m)
{
    m->wanted = false;
    if (m->pid > 0) {
        kill(m->pid, SIGKILL);
        waitpid(m->pid, NULL, 0);
    }
    m->pid = 0;
    m->paused = false;
}

/* The last line of a log, for people. */
static void last_line(const char *path, char *ret, size_t size)
{
    FILE *file = fopen(path, "re");
    char line[1024];

    ret[0] = '\0';
    if (!file)
        return;
    if (fseek(file, -4096, SEEK_END) < 0)
        rewind(file);
    while (fgets(line, sizeof line, file))
        if (line[0] != '\n')
            snprintf(ret, size, "%.*s", (int)strcspn(line, "\n"), line);
    fclose(file);
}

static bool has_model(const struct pl_cluster *c)
{
    char path[440];

    snprintf(path, sizeof path, "%s/model/model.safetensors", c->run);
    return pl_path_exists(path);
}

static void bury(struct pl_cluster *c, struct pl_member *m, int status)
{
    const bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;

    const bool leads = strcmp(m->name, "learner") == 0 || strcmp(m->name, "up") == 0;

    m->pid = 0;
    m->paused = false;
    m->again_s = 0.0;
    m->status = status;
    if (leads && well && has_model(c)) {
        m->over = true;
        m->wanted = false;
        return;
    }
    if (m->struck && (WIFSIGNALED(status) || well || m->part == PL_PART_UP))
        return;
    if (m->ordered && WIFSIGNALED(status)) {
        m->killed++;
        return;
    }
    if (c->lenient || m->ordered || !m->wanted) /* not wanted: a second instance, that is refused */
        m->asked++;
    else
        m->ended++;
    last_line(m->log, m->last, sizeof m->last);
    m->again_s = pl_chaos_seconds() + 0.2;
}

/* Lines of steps that came to metrics.jsonl; the file is made anew by a learner that resumes. */
static void look_at_progress(struct pl_cluster *c)
{
    static const char mark[] = "{\"training/global_step\": ";
    struct pl_progress *p = &c->progress;
    char path[440], line[8192];
    struct stat st;
    FILE *file;
    bool fresh;

    snprintf(path, sizeof path, "%s/metrics.jsonl", c->run);
    if (stat(path, &st) < 0 || ((long)st.st_ino == p->inode && st.st_size == p->offset))
        return;
    fresh = (long)st.st_ino != p->inode;
    if (fresh) {
        p->inode = (long)st.st_ino;
        p->offset = 0;
        p->step = 0;
    }
    file = fopen(path, "re");
    if (!file)
        return;
    if (fseek(file, p->offset, SEEK_SET) == 0)
        while (fgets(line, sizeof line, file) && strchr(line, '\n')) {
            const bool step = strncmp(line, mark, strlen(mark)) == 0 && strstr(line, "pg_loss");
            const uint64_t n = step ? strtoull(line + strlen(mark), NULL, 10) : 0;

            p->offset = ftell(file);
            if (n > p->step && (!fresh || n > p->most)) { /* not what it resumed with */
                p->lines++;
                p->at_s = pl_chaos_seconds();
            }
            p->step = n > p->step ? n : p->step;
            p->most = n > p->most ? n : p->most;
        }
    fclose(file);
}

int pl_cluster_tend(struct pl_cluster *c, bool *ret_over, struct pl_error *err)
{
    int rc = PL_OK;

    *ret_over = false;
    for (size_t i = 0; rc == PL_OK && i < c->count; i++) {
        struct pl_member *m = &c->members[i];
        int status;

        if (m->pid > 0 && waitpid(m->pid, &status, WNOHANG) == m->pid) {
            bury(c, m, status);
            if (i == 0)
                pl_cluster_hang_up(c);
        }
        if (m->pid == 0 && m->wanted && pl_chaos_seconds() >= m->again_s)
            rc = pl_member_start(c, m, err);
        *ret_over = *ret_over || m->over;
    }
    if (c->supervised)
        pl_cluster_bury_orphans(c, false, 0);
    look_at_progress(c);
    return rc;
}

void pl_cluster_bury_orphans(struct pl_cluster *c, bool all, pid_t but)
{
    char path[64], list[4096] = "";
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    file = fopen(path, "re");
    if (!file)
        return;
    if (!fgets(list, sizeof list, file))
        list[0] = '\0';
    fclose(file);
    for (char *at = list, *end; strtol(at, &end, 10) > 0; at = end) {
        const pid_t pid = (pid_t)strtol(at, NULL, 10);
        bool own = pid == but;

        for (size_t i = 0; i < c->count; i++)
            own = own || c->members[i].pid == pid;
        if (own)
            continue;
        if (all)
            kill(pid, SIGKILL);
        waitpid(pid, NULL, all ? 0 : WNOHANG);
    }
}

bool pl_cluster_drain(struct pl_cluster *c, double within_s)
{
    const double end = pl_chaos_seconds() + within_s;
    bool all = true, left = true;

    for (size_t i = 1; i < c->count; i++) {
        struct pl_member *m = &c->members[i];

        pl_member_resume(m);
        m->wanted = false;
        if (m->pid > 0) {
            m->struck = true;
            kill(m->pid, SIGTERM);
        }
    }
    while (left && pl_chaos_seconds() < end) {
        left = false;
        for (size_t i = 1; i < c->count; i++) {
            struct pl_member *m = &c->members[i];
            int status;

            if (m->pid > 0 && waitpid(m->pid, &status, WNOHANG) == m->pid)
                bury(c, m, status);
            left = left || m->pid > 0;
        }
        pl_chaos_sleep(0.005);
    }
    for (size_t i = 1; i < c->count; i++) {
        all = all && c->members[i].pid == 0;
        pl_member_end(&c->members[i]);
    }
    return all;
}

/* ---- Redis ---- */

void pl_cluster_hang_up(struct pl_cluster *c)
{
    if (c->redis)
        redisFree(c->redis);
    c->redis = NULL;
}

redisContext *pl_cluster_redis(struct pl_cluster *c)
{
    const struct timeval limit = {1, 0};
    redisReply *reply;
    bool up;

    if (c->redis && c->redis->err)
        pl_cluster_hang_up(c);
    if (c->redis)
        return c->redis;
    c->redis = redisConnectUnixWithTimeout(c->socket, limit);
    if (!c->redis || c->redis->err) {
        pl_cluster_hang_up(c);
        return NULL;
    }
    redisSetTimeout(c->redis, limit);
    reply = redisCommand(c->redis, "PING");
    up = reply && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    if (!up)
        pl_cluster_hang_up(c);
    return c->redis;
}

redisReply *pl_cluster_ask(struct pl_cluster *c, const char *format, ...)
{
    redisContext *redis = pl_cluster_redis(c);
    redisReply *reply = NULL;
    va_list args;

    if (!redis)
        return NULL;
    va_start(args, format);
    reply = redisvCommand(redis, format, args);
    va_end(args);
    if (!reply)
        pl_cluster_hang_up(c);
    return reply;
}
