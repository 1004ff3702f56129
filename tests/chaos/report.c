#include "tests/chaos/report.h"

#include "common/base/buf.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "tests/chaos/nemesis.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    COVERED = 20,
    REPORTS_MAX = 2048,
    RESULTS_MAX = 512,
    BYTES_MAX = 16 << 20,
    TEXT_MAX = 1 << 20,
    SAMPLES_MAX = 65536
};

const char *pl_report_commit(const char *build)
{
    static char commit[64];
    char command[500];
    FILE *pipe;

    snprintf(commit, sizeof commit, "unknown");
    snprintf(command, sizeof command, "git -C '%.400s' rev-parse --short=10 HEAD 2>/dev/null",
             build);
    pipe = popen(command, "re");
    if (pipe) {
        if (fgets(commit, sizeof commit, pipe))
            commit[strcspn(commit, "\n")] = '\0';
        pclose(pipe);
    }
    return commit;
}

/* ---- reading ---- */

struct sums {
    json_t *reports[REPORTS_MAX]; /* in order of plan and seed */
    size_t count;
    json_t *figures[64];
    size_t figure_count;
    json_t *results[RESULTS_MAX]; /* lines of results.jsonl */
    size_t result_count;
    char dir[400];
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

static int read_all(struct sums *s, struct pl_error *err)
{
    char *names[REPORTS_MAX];
    size_t count = 0;
    DIR *dir = opendir(s->dir);
    struct dirent *e;
    int rc = dir ? PL_OK : pl_fail_errno(err, "open folder '%s'", s->dir);

    while (dir && (e = readdir(dir)) && count < REPORTS_MAX)
        if (ends_with(e->d_name, ".report.json") || ends_with(e->d_name, ".figures.json"))
            names[count++] = strdup(e->d_name);
    if (dir)
        closedir(dir);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        char path[800];
        json_t *root = NULL;

        snprintf(path, sizeof path, "%s/%s", s->dir, names[i]);
        if (rc == PL_OK)
            rc = pl_json_load(path, BYTES_MAX, &root, err);
        if (root && ends_with(names[i], ".report.json"))
            s->reports[s->count++] = root;
        else if (root && s->figure_count < 64)
            s->figures[s->figure_count++] = root;
        free(names[i]);
    }
    if (rc == PL_OK && s->count == 0)
        rc = pl_fail(err, PL_ENOENT, "'%s' has no report of a run; plait-chaos run --dir it first",
                     s->dir);
    return rc;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static long long count_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

enum verdict { VERDICT_GOOD, VERDICT_KNOWN, VERDICT_BAD };

/* As its findings say: a run with a known failure is no good one. */
static enum verdict verdict_of(const json_t *report)
{
    enum verdict verdict =
        json_is_true(json_object_get(report, "good")) ? VERDICT_GOOD : VERDICT_BAD;
    size_t i;
    json_t *at;

    json_array_foreach(json_object_get(report, "findings"), i, at)
    {
        if (text_of(at, "found")[0] == 'b')
            verdict = VERDICT_BAD;
        else if (text_of(at, "found")[0] == 'k' && verdict == VERDICT_GOOD)
            verdict = VERDICT_KNOWN;
    }
    return verdict;
}

/* Of a finding: 'g'ood, 'b'ad, 's'kipped, 'k'nown; 0: it was not looked at. */
static char found(const json_t *report, const char *name, const char **ret_detail)
{
    size_t i;
    json_t *row;

    json_array_foreach(json_object_get(report, "findings"), i, row)
    {
        if (strcmp(text_of(row, "name"), name) == 0) {
            if (ret_detail)
                *ret_detail = text_of(row, "detail");
            return text_of(row, "found")[0];
        }
    }
    return '\0';
}

/* Faults of a class over all runs. */
static long long faults_of(const struct sums *s, enum pl_fault_class class)
{
    long long sum = 0;

    for (size_t r = 0; r < s->count; r++)
        for (size_t i = 0; i < pl_fault_count; i++)
            if (pl_faults[i].class == class)
                sum += count_of(json_object_get(s->reports[r], "faults"), pl_faults[i].name);
    return sum;
}

static long long killed_of(const struct sums *s, const char *role)
{
    long long sum = 0;

    for (size_t r = 0; r < s->count; r++) {
        const char *name;
        json_t *member;

        json_object_foreach(json_object_get(s->reports[r], "members"), name, member)
        {
            if (strcmp(text_of(member, "role"), role) == 0)
                sum += count_of(member, "killed");
        }
    }
    return sum;
}

/* ---- the scorecard ---- */

static void row(struct pl_buf *out, const char *figure, const char *goal, bool met,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

static void row(struct pl_buf *out, const char *figure, const char *goal, bool met,
                const char *format, ...)
{
    char text[600];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)pl_buf_printf(out, "| %s | %s | %s | %s |\n", figure, goal, text, met ? "yes" : "**no**");
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_kills(const struct sums *s, struct pl_buf *out)
{
    long long each[PL_PARTS], sum = 0, least = 1ll << 60;

    for (int p = 0; p < PL_PART_UP; p++) {
        each[p] = killed_of(s, pl_part_names[p]);
        sum += each[p];
        least = each[p] < least ? each[p] : least;
    }
    row(out, "SIGKILLs", "1,000, 100 of each role", sum >= 1000 && least >= 100,
        "%lld: redis %lld, learner %lld, rewarder %lld, actor %lld", sum, each[PL_PART_REDIS],
        each[PL_PART_LEARNER], each[PL_PART_REWARDER], each[PL_PART_ACTOR]);
}

static void print_faults(const struct sums *s, struct pl_buf *out)
{
    static const struct {
        enum pl_fault_class class;
        const char *figure;
        long long goal;
    } rows[] = {
        {PL_CLASS_PAUSE, "SIGSTOP past the lease, and back", 200},
        {PL_CLASS_NETWORK, "network faults", 300},
        {PL_CLASS_LOSS, "partial and whole losses in Redis", 200},
        {PL_CLASS_ROLLBACK, "rollbacks of Redis or of the learner's folder", 50},
        {PL_CLASS_SECOND, "second instances", 1},
        {PL_CLASS_DAMAGE, "files of checkpoints cut, flipped, lost", 1},
        {PL_CLASS_LIMIT, "Redis full, evicting, read-only", 1},
        {PL_CLASS_CLOCK, "Redis' clock put back or forth", 1},
        {PL_CLASS_FORGED, "forged and replayed entries and fields", 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const long long sum = faults_of(s, rows[i].class);
        char goal[32];

        snprintf(goal, sizeof goal, rows[i].goal > 1 ? "%lld" : "some", rows[i].goal);
        row(out, rows[i].figure, goal, sum >= rows[i].goal, "%lld", sum);
    }
}

static void print_once(const struct sums *s, struct pl_buf *out)
{
    long long groups = 0, lost = 0, stuck = 0, versions = 0, bad_versions = 0, same = 0, other = 0;
    long long seeds[REPORTS_MAX];
    size_t seed_count = 0;

    for (size_t r = 0; r < s->count; r++) {
        const char same_weights = found(s->reports[r], "same-weights", NULL);
        const long long seed = count_of(s->reports[r], "seed");
        bool known = false;

        if (found(s->reports[r], "progress", NULL) == 'g')
            groups += count_of(s->reports[r], "groups");
        stuck += found(s->reports[r], "progress", NULL) == 'b';
        lost += found(s->reports[r], "exactly-once", NULL) == 'b';
        versions += count_of(s->reports[r], "versions");
        bad_versions += found(s->reports[r], "versions", NULL) == 'b';
        same += same_weights == 'g';
        other += same_weights == 'b';
        for (size_t i = 0; i < seed_count; i++)
            known = known || seeds[i] == seed;
        if (!known && same_weights == 'g')
            seeds[seed_count++] = seed;
    }
    row(out, "groups trained under faults", "100,000", groups >= 100000, "%lld", groups);
    row(out, "runs that lost a group or trained one twice", "0", lost == 0, "%lld of %zu", lost,
        s->count);
    row(out, "runs that stood still after the last fault", "0", stuck == 0, "%lld of %zu", stuck,
        s->count);
    row(out, "final weights equal to the undisturbed run's", "20 seeds, no other",
        seed_count >= 20 && other == 0, "%zu seeds in %lld runs; other weights: %lld", seed_count,
        same, other);
    row(out, "versions of the policy seen; runs with a torn one or one that went back", "500; 0",
        versions >= 500 && bad_versions == 0, "%lld; %lld", versions, bad_versions);
}

/* Of the plan that leaves time between faults. */
static void print_recovery(const struct sums *s, struct pl_buf *out)
{
    static double list[SAMPLES_MAX];
    double phases[3][2] = {{0}};
    static const char *const names[] = {"before", "during", "after"};

    (void)pl_buf_puts(out, "\n## Recovery\n\nFrom a fault to the next step that is trained, where "
                           "no other fault came in between; plan `spaced`, settings at their "
                           "defaults (`lease_s` 60).\n\n| after | times | p50 | p99 | most |\n"
                           "|---|---|---|---|---|\n");
    for (size_t f = 0; f < pl_fault_count; f++) {
        size_t n = 0;

        for (size_t r = 0; r < s->count; r++) {
            size_t i;
            json_t *at;

            if (strcmp(text_of(s->reports[r], "plan"), "spaced") != 0)
                continue;
            json_array_foreach(json_object_get(s->reports[r], "recoveries"), i, at)
            {
                if (strcmp(text_of(at, "fault"), pl_faults[f].name) == 0 && n < SAMPLES_MAX)
                    list[n++] = json_real_value(json_object_get(at, "s"));
            }
        }
        if (n == 0)
            continue;
        qsort(list, n, sizeof *list, by_value);
        (void)pl_buf_printf(out, "| %s | %zu | %.2f s | %.2f s | %.2f s |\n", pl_faults[f].name, n,
                            list[n / 2], list[(size_t)(0.99 * (double)(n - 1) + 0.5)], list[n - 1]);
    }
    (void)pl_buf_puts(out, "\nSteps a second, repeated ones too, before the first fault, while "
                           "faults come, and after the last:\n\n| plan | before | during | after "
                           "|\n|---|---|---|---|\n");
    for (size_t p = 0; p < pl_plan_count; p++) {
        memset(phases, 0, sizeof phases);
        for (size_t r = 0; r < s->count; r++)
            for (size_t k = 0;
                 k < 3 && strcmp(text_of(s->reports[r], "plan"), pl_plans[p].name) == 0; k++) {
                const json_t *phase = json_object_get(s->reports[r], names[k]);

                phases[k][0] += (double)count_of(phase, "steps");
                phases[k][1] += json_number_value(json_object_get(phase, "s"));
            }
        if (phases[1][1] > 0.0)
            (void)pl_buf_printf(out, "| %s | %.1f | %.1f | %.1f |\n", pl_plans[p].name,
                                phases[0][1] > 0 ? phases[0][0] / phases[0][1] : 0.0,
                                phases[1][0] / phases[1][1],
                                phases[2][1] > 0 ? phases[2][0] / phases[2][1] : 0.0);
    }
}

static void print_runs(const struct sums *s, struct pl_buf *out)
{
    (void)pl_buf_puts(out, "\n## Runs\n\n| plan | what | runs | seeds | faults | good | "
                           "with a known failure | bad |\n|---|---|---|---|---|---|---|---|\n");
    for (size_t p = 0; p < pl_plan_count; p++) {
        long long runs = 0, faults = 0, first = 0, last = 0, by_verdict[3] = {0};

        for (size_t r = 0; r < s->count; r++) {
            const char *name;
            json_t *n;

            if (strcmp(text_of(s->reports[r], "plan"), pl_plans[p].name) != 0)
                continue;
            last = count_of(s->reports[r], "seed");
            first = runs == 0 || last < first ? last : first;
            runs++;
            by_verdict[verdict_of(s->reports[r])]++;
            json_object_foreach(json_object_get(s->reports[r], "faults"), name, n) faults +=
                json_integer_value(n);
        }
        if (runs > 0)
            (void)pl_buf_printf(
                out, "| `%s` | %s | %lld | %lld to %lld | %lld | %lld | %lld | %lld |\n",
                pl_plans[p].name, pl_plans[p].about, runs, first, last, faults,
                by_verdict[VERDICT_GOOD], by_verdict[VERDICT_KNOWN], by_verdict[VERDICT_BAD]);
        else if (strcmp(pl_plans[p].name, "none") != 0)
            (void)pl_buf_printf(out, "| `%s` | %s | not run | | | | | |\n", pl_plans[p].name,
                                pl_plans[p].about);
    }
    (void)pl_buf_puts(
        out, "\nRuns that were not as they must be, with what was found (known: open in the table "
             "of faults at the end):\n\n");
    for (size_t r = 0; r < s->count; r++) {
        size_t i;
        json_t *finding;

        json_array_foreach(json_object_get(s->reports[r], "findings"), i, finding)
        {
            const char kind = text_of(finding, "found")[0];

            if (kind == 'b' || kind == 'k')
                (void)pl_buf_printf(out, "- `%s` seed %lld: %s%s: %.300s\n",
                                    text_of(s->reports[r], "plan"), count_of(s->reports[r], "seed"),
                                    text_of(finding, "name"), kind == 'k' ? " (known)" : "",
                                    text_of(finding, "detail"));
        }
    }
}

static void print_points(const struct sums *s, struct pl_buf *out)
{
    static struct pl_failpoint_slot slots[PL_FAILPOINT_SLOTS];
    char path[440];
    FILE *file;
    size_t used = 0, rare = 0;

    snprintf(path, sizeof path, "%s/failpoints", s->dir);
    file = fopen(path, "re");
    (void)pl_buf_puts(out, "\n## Failpoints\n\n");
    if (!file || fread(slots, sizeof *slots, PL_FAILPOINT_SLOTS, file) != PL_FAILPOINT_SLOTS) {
        (void)pl_buf_puts(out, "Not run: the build had no failpoints (`-Dfailpoints=true`).\n");
        if (file)
            fclose(file);
        return;
    }
    fclose(file);
    (void)pl_buf_puts(out, "| point | came by | killed or failed there |\n|---|---|---|\n");
    for (size_t i = 0; i < PL_FAILPOINT_SLOTS; i++) {
        if (slots[i].state != 2)
            continue;
        used++;
        rare += slots[i].hits < 20;
        if (slots[i].fired > 0)
            (void)pl_buf_printf(out, "| %s | %llu | %llu |\n", slots[i].name,
                                (unsigned long long)slots[i].hits,
                                (unsigned long long)slots[i].fired);
    }
    (void)pl_buf_printf(out, "\n%zu points, %zu of them passed fewer than 20 times.\n", used, rare);
}

int pl_report_cover(const char *dir, struct pl_error *err)
{
    static struct pl_failpoint_slot slots[PL_FAILPOINT_SLOTS];
    char path[440];
    FILE *file;
    size_t rare = 0;
    bool read;

    snprintf(path, sizeof path, "%.400s/failpoints", dir);
    file = fopen(path, "re");
    read = file && fread(slots, sizeof *slots, PL_FAILPOINT_SLOTS, file) == PL_FAILPOINT_SLOTS;
    if (file)
        fclose(file);
    if (!read)
        return pl_fail(err, PL_ENOENT,
                       "'%s' counts no failpoints: a build with -Dfailpoints=true "
                       "writes it",
                       path);
    for (size_t p = 0; pl_nemesis_point(p); p++) {
        unsigned long long hits = 0;

        for (size_t i = 0; i < PL_FAILPOINT_SLOTS; i++)
            if (slots[i].state == 2 && strcmp(slots[i].name, pl_nemesis_point(p)) == 0)
                hits = slots[i].hits;
        if (hits >= COVERED)
            continue;
        printf("failpoint %s: passed %llu times, at least %d are wanted\n", pl_nemesis_point(p),
               hits, COVERED);
        rare++;
    }
    return rare == 0 ? PL_OK : pl_fail(err, PL_EINVAL, "%zu failpoints are not covered", rare);
}

static void print_mutants(const struct sums *s, struct pl_buf *out)
{
    size_t all = 0, caught = 0;

    for (size_t f = 0; f < s->figure_count; f++) {
        size_t i;
        json_t *at;

        if (strcmp(text_of(s->figures[f], "title"), "Mutants") != 0)
            continue;
        json_array_foreach(json_object_get(s->figures[f], "rows"), i, at)
        {
            all++;
            caught += json_is_true(json_object_get(at, "met"));
        }
    }
    if (all > 0)
        row(out, "programs that are wrong on purpose, caught", "all", caught == all, "%zu of %zu",
            caught, all);
    else
        row(out, "programs that are wrong on purpose, caught", "all", false, "not run");
}

static void print_verdicts(const struct sums *s, struct pl_buf *out)
{
    long long count[3] = {0};

    for (size_t r = 0; r < s->count; r++)
        count[verdict_of(s->reports[r])]++;
    row(out, "runs that were good in everything; with a known failure; bad", "all; 0; 0",
        count[VERDICT_KNOWN] + count[VERDICT_BAD] == 0, "%lld; %lld; %lld", count[VERDICT_GOOD],
        count[VERDICT_KNOWN], count[VERDICT_BAD]);
}

static void print_figures(const struct sums *s, struct pl_buf *out)
{
    for (size_t f = 0; f < s->figure_count; f++) {
        size_t i;
        json_t *at;

        (void)pl_buf_printf(
            out, "\n## %s\n\n`%s`\n\n| figure | goal | here | met |\n|---|---|---|---|\n",
            text_of(s->figures[f], "title"), text_of(s->figures[f], "command"));
        json_array_foreach(json_object_get(s->figures[f], "rows"), i, at)
            row(out, text_of(at, "figure"), text_of(at, "goal"),
                json_is_true(json_object_get(at, "met")), "%s", text_of(at, "value"));
    }
}

/* results.jsonl: one line a test of other harnesses, {"area", "name", "form", "seed", "count",
 * "failures", ...}. One that ran again stands there as it ran last. */
static void read_results(struct sums *s)
{
    char path[440], line[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/results.jsonl", s->dir);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        static const char *const same[] = {"area", "name", "form"};
        json_t *root = json_loads(line, 0, NULL);
        size_t at = 0;

        for (; root && at < s->result_count; at++) {
            bool equal = count_of(root, "seed") == count_of(s->results[at], "seed");

            for (size_t i = 0; i < 3; i++)
                equal =
                    equal && strcmp(text_of(root, same[i]), text_of(s->results[at], same[i])) == 0;
            if (equal)
                break;
        }
        if (root && at < s->result_count) {
            json_decref(s->results[at]);
            s->results[at] = root;
        } else if (root && at < RESULTS_MAX) {
            s->results[s->result_count++] = root;
        } else {
            json_decref(root);
        }
    }
    if (file)
        fclose(file);
}

/* What other harnesses are to come to; a name that ends with a star is the beginning of several. */
static const struct goal {
    const char *figure, *area, *name;
    long long each; /* cases, of each of the names */
} goals[] = {
    {"calls of the hand-overs checked against the model", "model", "calls", 10000000},
    {"the protocol and its wrong variants, by spin", "model", "spin", 8},
    {"runs with other settings", "sweep", "settings", 300},
    {"hostile answers, to all verifiers", "answers", "hostile", 1000000},
    {"random writes to Redis, as each user", "torture", "writers-*", 1000000},
    {"calls for files that fail", "torture", "io-*", 1},
    {"calls for memory that fail", "torture", "memory", 1},
    {"moments at which power is lost", "torture", "power", 1},
    {"files flipped, cut, extended, lost", "torture", "files", 1},
    {"backups restored in parts", "torture", "backups", 1},
    {"weights on a broken line", "torture", "weights", 1},
    {"garbage to sockets of a run at work", "torture", "frames", 1},
};

static bool is_named(const char *name, const char *pattern)
{
    const size_t n = strlen(pattern) - 1;

    return pattern[n] == '*' ? strncmp(name, pattern, n) == 0 : strcmp(name, pattern) == 0;
}

/* Of the most that was done in one form under each name: the least counts. */
static void print_goals(const struct sums *s, struct pl_buf *out)
{
    for (size_t g = 0; g < sizeof goals / sizeof *goals; g++) {
        long long least = -1, sum = 0, failures = 0;
        char goal[32], text[400] = "not run";

        for (size_t i = 0; i < s->result_count; i++) {
            const char *name = text_of(s->results[i], "name");
            long long most = 0;
            bool first = true;

            if (strcmp(text_of(s->results[i], "area"), goals[g].area) != 0 ||
                !is_named(name, goals[g].name))
                continue;
            failures += count_of(s->results[i], "failures");
            for (size_t k = 0; k < s->result_count; k++) {
                const long long count = count_of(s->results[k], "count");

                if (strcmp(text_of(s->results[k], "area"), goals[g].area) != 0 ||
                    strcmp(text_of(s->results[k], "name"), name) != 0)
                    continue;
                first = first && k >= i;
                most = count > most ? count : most;
            }
            if (!first) /* in another form: it has been counted */
                continue;
            least = least < 0 || most < least ? most : least;
            sum += most;
        }
        snprintf(goal, sizeof goal, goals[g].each > 1 ? "%lld" : "some; none wrong", goals[g].each);
        if (least >= 0)
            snprintf(text, sizeof text, "%lld%s%.0lld; wrong: %lld", least,
                     least < sum ? " at least, in all " : "", least < sum ? sum : 0, failures);
        row(out, goals[g].figure, goal, least >= goals[g].each && failures == 0, "%s", text);
    }
}

static void print_results(const struct sums *s, struct pl_buf *out)
{
    (void)pl_buf_puts(out, "\n## Other harnesses\n\n");
    if (s->result_count == 0) {
        (void)pl_buf_puts(out, "Not run: there is no results.jsonl (PLAIT_CHAOS_RESULTS).\n");
        return;
    }
    (void)pl_buf_puts(out, "| area | test | form | seed | cases | wrong | more "
                           "|\n|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < s->result_count; i++) {
        static const char *const known[] = {"area", "name", "form", "seed", "count", "failures"};
        json_t *root = s->results[i], *value;
        const char *key;

        (void)pl_buf_printf(out, "| %s | %s | %s | %lld | %lld | %lld |", text_of(root, "area"),
                            text_of(root, "name"), text_of(root, "form"), count_of(root, "seed"),
                            count_of(root, "count"), count_of(root, "failures"));
        json_object_foreach(root, key, value)
        {
            char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
            bool more = text != NULL;

            for (size_t k = 0; k < sizeof known / sizeof *known; k++)
                more = more && strcmp(key, known[k]) != 0;
            if (more)
                (void)pl_buf_printf(out, " %s %s;", key, text);
            free(text);
        }
        (void)pl_buf_puts(out, " |\n");
    }
}

static int print_bugs(const char *path, struct pl_buf *out, struct pl_error *err)
{
    json_t *root = NULL, *at;
    size_t i;
    int rc = pl_json_load(path, BYTES_MAX, &root, err);

    if (rc < 0)
        return rc;
    (void)pl_buf_puts(out,
                      "\n## Faults that were found\n\n| what | found by | seed | held by | state "
                      "|\n|---|---|---|---|---|\n");
    json_array_foreach(root, i, at)(void)
        pl_buf_printf(out, "| %s | %s | %s | %s | %s |\n", text_of(at, "what"), text_of(at, "by"),
                      text_of(at, "seed"), text_of(at, "test"), text_of(at, "state"));
    json_decref(root);
    return PL_OK;
}

static void print_machine(const struct sums *s, struct pl_buf *out)
{
    char line[300], model[200] = "an unknown processor";
    const char *commits[64];
    size_t commit_count = 0;
    double seconds = 0.0;
    FILE *file = fopen("/proc/cpuinfo", "re");

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            snprintf(model, sizeof model, "%.150s", strchr(line, ':') + 2);
            model[strcspn(model, "\n")] = '\0';
            break;
        }
    if (file)
        fclose(file);
    for (size_t r = 0; r < s->count; r++) {
        const char *commit = text_of(s->reports[r], "commit");
        bool known = false;

        seconds += json_real_value(json_object_get(s->reports[r], "seconds"));
        for (size_t i = 0; i < commit_count; i++)
            known = known || strcmp(commits[i], commit) == 0;
        if (!known && commit_count < 64)
            commits[commit_count++] = commit;
    }
    (void)pl_buf_printf(out, "%zu runs, %.0f s in all, on %ld cores of %s, at commit", s->count,
                        seconds, sysconf(_SC_NPROCESSORS_ONLN), model);
    for (size_t i = 0; i < commit_count; i++)
        (void)pl_buf_printf(out, "%s %s", i ? "," : "", commits[i]);
    (void)pl_buf_puts(out, ".\n");
}

int pl_report_write(const char *dir, const char *bugs, const char *output, struct pl_error *err)
{
    struct sums *s = calloc(1, sizeof *s);
    struct pl_outfile file;
    struct pl_buf out;
    int rc = s ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for a report");

    pl_buf_init(&out, TEXT_MAX);
    if (rc == PL_OK) {
        snprintf(s->dir, sizeof s->dir, "%s", dir);
        rc = read_all(s, err);
        read_results(s);
    }
    if (rc == PL_OK) {
        (void)pl_buf_puts(&out, "# Reliability\n\nWritten by `plait-chaos report` from real runs; "
                                "how they are made: README.md. Not to be edited by hand.\n\n");
        print_machine(s, &out);
        (void)pl_buf_puts(&out, "\n| figure | goal | here | met |\n|---|---|---|---|\n");
        print_verdicts(s, &out);
        print_kills(s, &out);
        print_faults(s, &out);
        print_once(s, &out);
        print_goals(s, &out);
        print_mutants(s, &out);
        print_recovery(s, &out);
        print_runs(s, &out);
        print_points(s, &out);
        print_figures(s, &out);
        print_results(s, &out);
        rc = print_bugs(bugs, &out, err);
    }
    if (rc == PL_OK)
        rc = pl_outfile_open(output, &file, err);
    if (rc == PL_OK) {
        rc = pl_outfile_write(&file, out.data, out.len, err);
        if (rc == PL_OK)
            rc = pl_outfile_commit(&file, err);
        else
            pl_outfile_abort(&file);
    }
    for (size_t i = 0; s && i < s->count; i++)
        json_decref(s->reports[i]);
    for (size_t i = 0; s && i < s->figure_count; i++)
        json_decref(s->figures[i]);
    for (size_t i = 0; s && i < s->result_count; i++)
        json_decref(s->results[i]);
    free(s);
    pl_buf_release(&out);
    return rc;
}
