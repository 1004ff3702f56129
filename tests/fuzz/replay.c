/*
 * Runs a fuzz target without libFuzzer, as a test: each file of a corpus, then mutations of them,
 * which are the same every time.
 *
 *   fuzz_NAME [-runs=N] [-seed=N] FOLDER|FILE...
 *
 * A seed called good-* must be taken by its reader, one called bad-* must be refused. The target
 * runs in a child, so that an input that ends it, or takes too long, is saved in the current folder
 * (crash-NAME) whatever the way it ended; `fuzz_NAME crash-NAME` then runs it alone.
 */
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { INPUT_MAX = 16384, SEEDS_MAX = 1024, RUNS_DEFAULT = 2000, INPUT_SECONDS = 60 };
enum { STATUS_SEEDS = 3 }; /* of the child: some seed is not what its name says */

struct seed {
    char *path;
    uint8_t *bytes;
    size_t size;
};

/* The input that is running, seen by parent and child. */
struct current {
    uint8_t bytes[INPUT_MAX];
    size_t size;
    char what[512]; /* where it comes from */
};

static struct seed seeds[SEEDS_MAX];
static size_t seeds_count;
static struct current *current;

/* --- seeds --- */

static void add_file(const char *path)
{
    struct pl_error err = {0};
    struct seed *seed = &seeds[seeds_count];
    char *data = NULL;

    if (seeds_count == SEEDS_MAX) {
        fprintf(stderr, "replay: more than %d seeds\n", SEEDS_MAX);
        exit(1);
    }
    if (pl_file_read(path, INPUT_MAX, &data, &seed->size, &err) < 0) {
        fprintf(stderr, "replay: %s\n", err.text);
        exit(1);
    }
    seed->bytes = (uint8_t *)data;
    seed->path = strdup(path);
    PL_ASSERT(seed->path);
    seeds_count++;
}

/* In the order of their names, which is the same on every machine. */
static void add_folder(const char *path)
{
    struct dirent **entries = NULL;
    const int n = scandir(path, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        char *file = pl_strf("%s/%s", path, entries[i]->d_name);

        PL_ASSERT(file);
        if (entries[i]->d_name[0] != '.')
            add_file(file);
        free(file);
        free(entries[i]);
    }
    free(entries);
}

/* --- mutations --- */

static struct pl_rng rng = {.batch = (uint32_t)PL_RNG_TEST};
static uint32_t drawn;

static size_t below(size_t n)
{
    return n ? (size_t)pl_rng_below(&rng, drawn++, n) : 0;
}

/* Replace n bytes at `at` by `size` others, as far as there is room. */
static void splice(size_t at, size_t n, const void *bytes, size_t size)
{
    uint8_t *b = current->bytes;
    const size_t tail = current->size - at - n;

    if (at + size + tail > INPUT_MAX)
        return;
    memmove(b + at + size, b + at + n, tail);
    if (size)
        memcpy(b + at, bytes, size);
    current->size = at + size + tail;
}

static void mutate_byte(void)
{
    static const uint8_t special[] = {0,   0xFF, 0x7F, 0x80, '"', '\\', '{',  '}', '[',
                                      ']', ',',  ':',  '\n', ' ', '-',  0xEF, 0xC0};
    const size_t at = below(current->size);

    if (current->size == 0)
        return;
    switch (below(3)) {
    case 0:
        current->bytes[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        current->bytes[at] = (uint8_t)below(256);
        break;
    default:
        current->bytes[at] = special[below(sizeof special)];
    }
}

/* A little-endian number at any place, as binary formats have it. */
static void mutate_word(void)
{
    static const uint64_t special[] = {0,          1,          7,          8,
                                       0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 100000000,
                                       100000001,  INT64_MAX,  INT64_MIN,  UINT64_MAX};
    const size_t width = (size_t)1 << below(4);
    uint64_t word = special[below(sizeof special / sizeof special[0])];

    if (current->size < width)
        return;
    word += below(3) - 1;
    memcpy(current->bytes + below(current->size - width + 1), &word, width);
}

/* Another number where digits stand. */
static void mutate_digits(void)
{
    static const char *const special[] = {"0",
                                          "-1",
                                          "1",
                                          "2",
                                          "4294967296",
                                          "9223372036854775807",
                                          "9223372036854775808",
                                          "18446744073709551616",
                                          "1e308",
                                          "1e999",
                                          "0.5",
                                          "-0.0",
                                          "1e-400",
                                          "00"};
    const char *number = special[below(sizeof special / sizeof special[0])];
    size_t at = below(current->size), n = 0;

    while (at < current->size && (current->bytes[at] < '0' || current->bytes[at] > '9'))
        at++;
    while (at + n < current->size && current->bytes[at + n] >= '0' && current->bytes[at + n] <= '9')
        n++;
    splice(at, n, number, strlen(number));
}

/* Remove, repeat, move or fetch a block; small ones mostly. */
static void mutate_block(void)
{
    uint8_t block[INPUT_MAX];
    const size_t n = below(1 + (below(2)             ? current->size
                                : current->size < 16 ? current->size
                                                     : 16));
    const size_t from = below(current->size - n + 1);
    const struct seed *other = &seeds[below(seeds_count)];
    const size_t size = below(other->size + 1);

    memcpy(block, current->bytes + from, n);
    switch (below(4)) {
    case 0:
        splice(from, n, NULL, 0);
        break;
    case 1:
        splice(below(current->size + 1), 0, block, n);
        break;
    case 2:
        splice(from, n, NULL, 0);
        splice(below(current->size + 1), 0, block, n);
        break;
    default:
        splice(from, n, other->bytes + below(other->size - size + 1), size);
    }
}

static void mutate(uint64_t seed, uint32_t run)
{
    static void (*const kinds[])(void) = {mutate_byte,   mutate_byte,  mutate_word,
                                          mutate_digits, mutate_block, mutate_block};
    const struct seed *base;

    rng.seed = seed;
    rng.prompt = run;
    drawn = 0;
    base = &seeds[below(seeds_count)];
    memcpy(current->bytes, base->bytes, base->size);
    current->size = base->size;
    for (size_t left = 1 + below(6); left > 0; left--)
        kinds[below(sizeof kinds / sizeof kinds[0])]();
    if (below(16) == 0)
        current->size = below(current->size + 1);
}

/* --- running --- */

/* True when the reader took the bytes. */
static bool run_current(void)
{
    uint8_t *exact = malloc(current->size ? current->size : 1);

    PL_ASSERT(exact);
    memcpy(exact, current->bytes, current->size);
    pl_fuzz_taken(true);
    alarm(INPUT_SECONDS);
    LLVMFuzzerTestOneInput(current->size ? exact : exact + 1, current->size);
    alarm(0);
    free(exact);
    return pl_fuzz_was_taken();
}

static bool run_seed(const struct seed *seed)
{
    const char *name = strrchr(seed->path, '/') ? strrchr(seed->path, '/') + 1 : seed->path;
    bool taken;

    memcpy(current->bytes, seed->bytes, seed->size);
    current->size = seed->size;
    snprintf(current->what, sizeof current->what, "%s", seed->path);
    taken = run_current();
    if (!taken && strncmp(name, "good-", 5) == 0) {
        fprintf(stderr, "%s: was refused (%s); a seed of this name is to be taken\n", seed->path,
                pl_fuzz_why());
        return false;
    }
    if (taken && strncmp(name, "bad-", 4) == 0) {
        fprintf(stderr, "%s: was taken; a seed of this name is to be refused\n", seed->path);
        return false;
    }
    return true;
}

/* In the child. */
static int run_all(size_t runs, uint64_t seed)
{
    size_t wrong = 0, taken = 0;

    for (size_t i = 0; i < seeds_count; i++)
        wrong += !run_seed(&seeds[i]);
    for (size_t i = 0; i < runs; i++) {
        mutate(seed, (uint32_t)i);
        snprintf(current->what, sizeof current->what, "mutation %zu of seed %llu", i,
                 (unsigned long long)seed);
        taken += run_current();
    }
    printf("%zu seeds, %zu of them not as their name says; %zu mutations, %zu of them taken\n",
           seeds_count, wrong, runs, taken);
    return wrong ? STATUS_SEEDS : 0;
}

/* What the child left behind when it did not end by itself. */
static void tell_crash(const char *program, int status)
{
    const char *name = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;
    char *path = pl_strf("crash-%s", strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
    FILE *out = path ? fopen(path, "we") : NULL;

    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: %s in %s\n", name,
                WTERMSIG(status) == SIGALRM ? "over 60 seconds" : strsignal(WTERMSIG(status)),
                current->what);
    else
        fprintf(stderr, "%s: exit status %d in or after %s\n", name, WEXITSTATUS(status),
                current->what);
    if (out && fwrite(current->bytes, 1, current->size, out) == current->size && fclose(out) == 0)
        fprintf(stderr, "%s: its %zu bytes are in %s; again with: %s %s\n", name, current->size,
                path, program, path);
    free(path);
}

static void read_arguments(int argc, char **argv, size_t *runs, uint64_t *seed)
{
    bool folders = false;
    struct stat st;

    *runs = RUNS_DEFAULT;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-runs=", 6) == 0) {
            *runs = strtoul(argv[i] + 6, NULL, 10);
        } else if (strncmp(argv[i], "-seed=", 6) == 0) {
            *seed = strtoull(argv[i] + 6, NULL, 10);
        } else if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            add_folder(argv[i]);
            folders = true;
        } else {
            add_file(argv[i]);
        }
    }
    if (!folders)
        *runs = 0;
}

int main(int argc, char **argv)
{
    char folder[] = "/dev/shm/plait-fuzz-XXXXXX", elsewhere[] = "/tmp/plait-fuzz-XXXXXX";
    const char *dir;
    uint64_t seed = 1;
    size_t runs;
    pid_t child;
    int status = 0;

    read_arguments(argc, argv, &runs, &seed);
    if (seeds_count == 0) {
        fprintf(stderr, "usage: %s [-runs=N] [-seed=N] FOLDER|FILE...: no seeds are there\n",
                argv[0]);
        return 2;
    }
    current =
        mmap(NULL, sizeof *current, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    PL_ASSERT(current != MAP_FAILED);
    dir = mkdtemp(folder) ? folder : mkdtemp(elsewhere);
    PL_ASSERT(dir && setenv("PLAIT_FUZZ_DIR", dir, 1) == 0);
    child = fork();
    PL_ASSERT(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        exit(run_all(runs, seed));
    }
    PL_ASSERT(waitpid(child, &status, 0) == child);
    (void)pl_dir_remove(dir, NULL);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != STATUS_SEEDS)
        tell_crash(argv[0], status);
    return 1;
}
