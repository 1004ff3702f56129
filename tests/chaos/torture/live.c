#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"

#include "tests/chaos/torture/live.h"

#include "common/base/buf.h"
#include "common/base/file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *plait;

void pl_live_plait(const char *path)
{
    plait = realpath(path, NULL);
}

double pl_live_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void pl_live_pause(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

pid_t pl_live_start(const char *log, const char *words)
{
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        char *command = pl_strf("exec '%s' %s >'%s' 2>&1 </dev/null", plait, words, log);

        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (!command || chdir(pl_scratch("")) < 0)
            _exit(126);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return child;
}

char *pl_live_log(const char *name)
{
    size_t len;

    return pl_path_exists(pl_scratch(name)) ? pl_scratch_read(pl_scratch(name), &len) : strdup("");
}

void pl_live_run(const char *log, const char *words)
{
    int status = 0;

    assert_true(waitpid(pl_live_start(log, words), &status, 0) > 0);
    if (status != 0)
        fail_msg("plait %s: %s", words, pl_live_log(log));
}

bool pl_live_over(pid_t *child, int *ret_status)
{
    if (*child != 0 && waitpid(*child, ret_status, WNOHANG) == *child)
        *child = 0;
    return *child == 0;
}

void pl_live_end(pid_t *child)
{
    const double start = pl_live_seconds();
    int status;

    if (*child == 0)
        return;
    kill(*child, SIGTERM);
    while (!pl_live_over(child, &status) && pl_live_seconds() - start < 30.0)
        pl_live_pause(20);
    if (*child != 0) {
        kill(*child, SIGKILL);
        waitpid(*child, &status, 0);
        *child = 0;
    }
}

uint64_t pl_live_count(const char *log, const char *word)
{
    char *text = pl_live_log(log);
    uint64_t n = 0;

    for (const char *at = text; (at = strstr(at, word)); at++)
        n++;
    free(text);
    return n;
}

void pl_live_tell(const char *log, const char *run)
{
    char *command = pl_strf("cd '%s' && for f in '%s' '%s'/logs/*.log; do echo \"== $f\"; "
                            "tail -n 5 \"$f\" | cut -c 1-300; done",
                            pl_scratch(""), log, run);

    if (command && system(command) != 0)
        print_message("there is nothing to tell\n");
    free(command);
}

void pl_live_prepare(int steps, const char *more)
{
    pl_live_prepare_with(steps, ", save_freq: 3", more);
}

void pl_live_prepare_with(int steps, const char *trainer, const char *more)
{
    char *text;

    pl_scratch_text(pl_scratch("config.json"),
                    "{\"model_type\": \"qwen2\", \"hidden_size\": 16, \"num_hidden_layers\": 1, "
                    "\"num_attention_heads\": 2, \"num_key_value_heads\": 1, "
                    "\"intermediate_size\": 32, \"vocab_size\": 320, \"rope_theta\": 10000.0, "
                    "\"max_position_embeddings\": 512, \"rms_norm_eps\": 1e-6, "
                    "\"tie_word_embeddings\": true}\n");
    pl_scratch_text(pl_scratch("instruction.txt"), "<|interleave|>\n");
    pl_live_run("log", "data generate kk --people 2 --wording plain --names 4 --train 60 --test 6 "
                       "--seed 3 --split puzzle --output tasks");
    pl_live_run("log", "data generate kk --people 2 --wording plain --names 4 --count 60 --seed 4 "
                       "--answers interleave --output sft.jsonl");
    pl_live_run("log", "tokenizer train --size 320 --token '<think>' --token '</think>' --token "
                       "'<answer>' --token '</answer>' --token '<|interleave|>' --field prompt "
                       "--field response --output tokenizer sft.jsonl");
    pl_live_run("log", "model init config.json base --tokenizer tokenizer");
    text = pl_strf("run: {name: t, dir: none, seed: 5}\nmodel.path: base\n"
                   "data: {train_files: [tasks/train.jsonl], instruction: instruction.txt, "
                   "max_prompt_length: 128, max_response_length: 24, train_batch_size: 4}\n"
                   "rollout: {n: 4, staleness: 1}\nactor: {optim.lr: 1e-3, ppo_max_token_len: "
                   "1024, entropy_coeff: 0.1}\n"
                   "trainer: {total_training_steps: %d%s}\nworkers.actor_slots: 16\n%s",
                   steps, trainer, more);
    assert_non_null(text);
    pl_scratch_text(pl_scratch("run.yaml"), text);
    free(text);
}
