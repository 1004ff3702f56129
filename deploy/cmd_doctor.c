#include "deploy/cmd_doctor.h"

#include "actor/invariance.h"
#include "common/app/machine.h"
#include "common/app/options.h"
#include "common/app/term.h"
#include "common/link/endpoint.h"
#include "common/math/gemm.h"
#include "common/math/kernels.h"
#include "deploy/doctor/check_host.h"
#include "deploy/doctor/check_redis.h"
#include "deploy/doctor_keys.h"
#include "deploy/run_arg.h"

#include <jansson.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BANDWIDTH_BYTES = 256 << 20, BANDWIDTH_ROUNDS = 5 };

struct conf {
    const char *run;
    struct pl_option_list assignments;
    bool json;
    int color;
};

static const struct pl_option options[] = {
    PL_ARG_OPTIONAL(struct conf, run, "RUN",
                    "folder of a run, or its configuration: check what it needs instead"),
    PL_ARG_LIST(struct conf, assignments, "NAME=VALUE", 0,
                "settings that go before the configuration's"),
    PL_OPTION_FLAG(struct conf, json, "json", 0, "print one JSON object, for scripts"),
    PL_OPTION_CHOICE(struct conf, color, "color", "auto", PL_COLOR_CHOICES,
                     "whether to colour the report"),
};

static const struct pl_command command = {
    .name = "plait doctor",
    .about =
        "Tells what this machine is, measures its matrix-multiply peak and its memory read "
        "bandwidth, and proves that the engine is row invariant on it: that the numbers of one "
        "sequence do not depend on what else is computed with it. Takes some seconds. With RUN it "
        "checks what that run needs: its Redis (version, functions, users, TLS, what is kept, "
        "memory), clocks, limits, disk and memory of this machine. Changes nothing.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "ok        nothing to do\n"
             "warn      it works; see what is to be done\n"
             "fail      the run will not go well\n"
             "unknown   it could not be looked at, and why\n\n"
             "Exit status: 0 all is well, 1 the engine is not row invariant here or a check\n"
             "could not be made; with RUN, one of them is `fail`; 2 RUN is none, or its settings\n"
             "are wrong.\n",
};

/* All that is found out, before any of it is printed. */
struct findings {
    struct pl_machine machine;
    const char *isa, *blas_core;
    int threads;
    double peak_flops, read_bytes_per_s;
    struct pl_invariance invariance;
};

static int find_out(struct findings *findings, struct pl_error *err)
{
    int rc = pl_machine_read("", &findings->machine, err);

    if (rc < 0)
        return rc;
    pl_machine_use_threads(0);
    findings->isa = pl_kernels()->name;
    findings->blas_core = pl_blas_core();
    findings->threads = omp_get_max_threads();
    findings->peak_flops = pl_blas_peak_gflops() * 1e9;
    rc = pl_machine_bandwidth(BANDWIDTH_BYTES, BANDWIDTH_ROUNDS, &findings->read_bytes_per_s, err);
    if (rc < 0)
        return rc;
    return pl_invariance_check(&findings->invariance, err);
}

static int print_json(const struct findings *findings)
{
    const struct pl_machine *machine = &findings->machine;
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:i, s:I, s:I, s:I, s:f, s:f, s:b, s:s}",
        "version", PL_VERSION, "cpu", machine->cpu, "cpu_features", machine->isa, "kernels",
        findings->isa, "blas_core", findings->blas_core, "cpus_online",
        (json_int_t)machine->cpus_online, "cpus_allowed", (json_int_t)machine->cpus_allowed,
        "cpus_limit", machine->cpus_limit, "threads", findings->threads, "memory_total_bytes",
        (json_int_t)machine->memory_total, "memory_usable_bytes",
        (json_int_t)pl_machine_memory_usable(machine), "memory_limit_bytes",
        (json_int_t)machine->memory_limit, "matmul_peak_gflops", findings->peak_flops * 1e-9,
        "read_bandwidth_gb_per_s", findings->read_bytes_per_s * 1e-9, "row_invariant",
        findings->invariance.equal, "row_invariance_checked", findings->invariance.checked);
    int rc = -1;

    if (root && !findings->invariance.equal)
        json_object_set_new(root, "row_variance", json_string(findings->invariance.difference));
    if (root)
        rc = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (rc < 0 || putchar('\n') == EOF || fflush(stdout) != 0)
        return PL_EIO;
    return PL_OK;
}

static void print_processors(const struct findings *findings)
{
    const struct pl_machine *machine = &findings->machine;

    printf("processor       %s\n", machine->cpu);
    printf("features        %s\n", machine->isa[0] ? machine->isa : "not known");
    printf("processors      %zu online, %zu allowed", machine->cpus_online, machine->cpus_allowed);
    if (machine->cpus_limit > 0)
        printf(", limited to %.3g by the control group", machine->cpus_limit);
    printf("; %d threads in use\n", findings->threads);
    if (findings->threads > (int)pl_machine_threads(machine))
        printf("                more threads than it may use: set OMP_NUM_THREADS=%zu, or leave "
               "it out\n",
               pl_machine_threads(machine));
}

static void print_memory(const struct pl_machine *machine)
{
    char total[PL_HUMAN_MAX], usable[PL_HUMAN_MAX], limit[PL_HUMAN_MAX];

    printf("memory          %s, %s usable now", pl_human_bytes(total, machine->memory_total),
           pl_human_bytes(usable, pl_machine_memory_usable(machine)));
    if (machine->memory_limit > 0)
        printf(", limited to %s by the control group",
               pl_human_bytes(limit, machine->memory_limit));
    printf("\n");
}

static int print_report(const struct findings *findings, enum pl_color color)
{
    const struct pl_style style = pl_term_style(1, color);

    printf("%splait %s%s\n", style.bold, PL_VERSION, style.reset);
    print_processors(findings);
    print_memory(&findings->machine);
    printf("kernels         %s\n", findings->isa);
    printf("OpenBLAS core   %s\n", findings->blas_core);
    printf("matmul peak     %.1f GFLOP/s (sgemm 2048 x 2048 x 2048)\n",
           findings->peak_flops * 1e-9);
    printf("read bandwidth  %.1f GB/s\n", findings->read_bytes_per_s * 1e-9);
    if (findings->invariance.equal)
        printf("row invariant   %syes%s: %s\n", style.green, style.reset,
               findings->invariance.checked);
    else
        printf("row invariant   %sno%s: %s\n", style.red, style.reset,
               findings->invariance.difference);
    return fflush(stdout) == 0 ? PL_OK : PL_EIO;
}

/* ---- with RUN ---- */

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int print_checkup(const struct conf *conf, const struct pl_run_conf *run,
                         const struct pl_checkup *checkup, struct pl_error *err)
{
    const struct pl_style style = pl_term_style(STDOUT_FILENO, (enum pl_color)conf->color);
    struct pl_buf text;
    json_t *list;
    int rc;

    if (conf->json) {
        list = pl_checkup_json(checkup);
        return pl_run_arg_print(list ? json_pack("{s:s, s:s, s:o, s:b}", "version", PL_VERSION,
                                                 "run", run->name, "checks", list, "well",
                                                 (int)(checkup->counts[PL_CHECK_FAIL] == 0))
                                     : NULL,
                                err);
    }
    pl_buf_init(&text, 1 << 18);
    rc = pl_checkup_print(checkup, &style, &text);
    if (rc < 0)
        pl_fail(err, rc, "no memory to print the checks");
    else if (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0)
        rc = pl_fail_errno(err, "write the report");
    pl_buf_release(&text);
    return rc;
}

static void say_key(void *at, bool fine, const char *sentence)
{
    pl_checkup_add(at, "keys", fine ? PL_CHECK_OK : PL_CHECK_FAIL, NULL, "%s", sentence);
}

/* Whether the learner would start without keys. */
static void check_open_binds(struct pl_checkup *checkup, const struct pl_run_conf *run)
{
    struct pl_error err = {0};

    if (run->insecure)
        pl_checkup_add(checkup, "keys", PL_CHECK_WARN,
                       "make keys (plait keygen), and name their folder by link.keys",
                       "none, and link.insecure lets everybody on the network in");
    else if ((run->announce[0] &&
              pl_endpoint_check("link.announce", run->announce, false, false, &err) < 0) ||
             (run->serve[0] && pl_endpoint_check("link.serve", run->serve, false, false, &err) < 0))
        pl_checkup_add(checkup, "keys", PL_CHECK_FAIL, NULL, "%s", err.text);
    else
        pl_checkup_add(checkup, "keys", PL_CHECK_OK, NULL,
                       "none: weights are served on this machine alone");
}

static void check_keys(struct pl_checkup *checkup, const struct pl_run_conf *run)
{
    if (run->keys[0])
        (void)pl_doctor_keys(run->keys, say_key, checkup);
    else
        check_open_binds(checkup, run);
}

/* *ret_well: none of the checks failed. */
static int check_run(const struct conf *conf, bool *ret_well, struct pl_error *err)
{
    struct pl_checkup *checkup = calloc(1, sizeof *checkup);
    struct pl_run_conf run;
    uint64_t redis_bytes = 0;
    int rc;

    if (!checkup)
        return pl_fail(err, PL_ENOMEM, "no memory for the checks");
    rc = is_folder(conf->run) ? pl_run_arg_load(conf->run, &conf->assignments, &run, err)
                              : pl_run_conf_load(conf->run, conf->assignments.items,
                                                 conf->assignments.count, &run, err);
    if (rc == PL_OK) {
        pl_check_host(checkup, &run, &redis_bytes);
        check_keys(checkup, &run);
        pl_check_redis(checkup, &run, redis_bytes);
        rc = print_checkup(conf, &run, checkup, err);
        *ret_well = checkup->counts[PL_CHECK_FAIL] == 0;
        pl_run_conf_release(&run);
    }
    free(checkup);
    return rc;
}

static int doctor_run(const struct conf *conf)
{
    struct pl_error err = {0};
    bool well = false;

    if (check_run(conf, &well, &err) < 0)
        return pl_command_refused(&command, &err);
    return well ? PL_STATUS_OK : PL_STATUS_FAILED;
}

int pl_cmd_doctor(int argc, char **argv)
{
    struct conf conf;
    struct findings findings = {0};
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    if (conf.run && conf.run[0]) {
        status = doctor_run(&conf);
        pl_options_release(&command, &conf);
        return status;
    }
    rc = find_out(&findings, &err);
    if (rc == PL_OK) {
        rc = conf.json ? print_json(&findings) : print_report(&findings, (enum pl_color)conf.color);
        if (rc < 0)
            pl_fail_errno(&err, "write the report");
    }
    pl_options_release(&command, &conf);
    if (rc < 0)
        return pl_command_failed(&command, &err);
    return findings.invariance.equal ? PL_STATUS_OK : PL_STATUS_FAILED;
}
