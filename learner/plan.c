#include "learner/plan.h"

#include "common/app/machine.h"
#include "common/app/term.h"
#include "common/base/check.h"

#include <string.h>
#include <sys/mman.h>

enum { TOUCH = 4096, HUGE_BYTES = 2 << 20 };

void pl_plan_init(struct pl_plan *plan)
{
    memset(plan, 0, sizeof *plan);
}

void pl_plan_add(struct pl_plan *plan, const char *what, size_t bytes, void **at)
{
    PL_ASSERT(plan->count < PL_PLAN_ROWS);
    plan->rows[plan->count++] = (struct pl_plan_row){.what = what, .bytes = bytes, .at = at};
}

size_t pl_plan_total(const struct pl_plan *plan)
{
    size_t total = 0;

    for (size_t i = 0; i < plan->count; i++)
        total += plan->rows[i].bytes;
    return total;
}

static int add_line(struct pl_table *table, const char *what, size_t bytes)
{
    char human[PL_HUMAN_MAX], exact[32];

    snprintf(exact, sizeof exact, "%zu", bytes);
    return pl_table_add(table, (const char *const[]){what, pl_human_bytes(human, bytes), exact});
}

int pl_plan_print(const struct pl_plan *plan, FILE *out, struct pl_error *err)
{
    struct pl_table table;
    int rc;

    pl_table_init(&table, "lrr");
    rc = pl_table_add(&table, (const char *const[]){"memory", "size", "bytes"});
    for (size_t i = 0; rc == PL_OK && i < plan->count; i++)
        rc = add_line(&table, plan->rows[i].what, plan->rows[i].bytes);
    if (rc == PL_OK)
        rc = add_line(&table, "total", pl_plan_total(plan));
    if (rc == PL_OK)
        rc = pl_table_print(&table, out, PL_COLOR_AUTO);
    pl_table_release(&table);
    return rc == PL_OK ? PL_OK : pl_fail(err, rc, "the memory plan could not be printed");
}

int pl_plan_check(const struct pl_plan *plan, uint64_t bytes_max, struct pl_error *err)
{
    const struct pl_plan_row *most = &plan->rows[0];
    const uint64_t total = pl_plan_total(plan);
    char need[PL_HUMAN_MAX], have[PL_HUMAN_MAX], part[PL_HUMAN_MAX];
    struct pl_machine machine;

    PL_ASSERT(plan->held <= total);
    for (size_t i = 1; i < plan->count; i++)
        if (plan->rows[i].bytes > most->bytes)
            most = &plan->rows[i];
    if (bytes_max > 0 && total > bytes_max)
        return pl_fail(
            err, PL_ENOMEM,
            "the plan needs %s of memory, over the limit of %s; the largest part is %s: %s",
            pl_human_bytes(need, total), pl_human_bytes(have, bytes_max), most->what,
            pl_human_bytes(part, most->bytes));
    if (pl_machine_read("", &machine, NULL) == PL_OK &&
        total - plan->held > pl_machine_memory_usable(&machine))
        return pl_fail(
            err, PL_ENOMEM,
            "the plan needs %s of memory%s, but this machine has %s to give; the largest "
            "part is %s: %s",
            pl_human_bytes(need, total - plan->held),
            plan->held > 0 ? " beside what is loaded" : "",
            pl_human_bytes(have, pl_machine_memory_usable(&machine)), most->what,
            pl_human_bytes(part, most->bytes));
    return PL_OK;
}

/* Every page is written once, by all threads: zeros, which is what it holds anyway. */
static void touch(char *memory, size_t bytes)
{
#pragma omp parallel for schedule(static)
    for (size_t at = 0; at < bytes; at += TOUCH)
        *(volatile char *)(memory + at) = 0;
}

int pl_plan_allocate(struct pl_plan *plan, struct pl_error *err)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct pl_plan_row *row = &plan->rows[i];
        void *memory;

        if (!row->at || row->bytes == 0)
            continue;
        memory = mmap(NULL, row->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            pl_plan_release(plan);
            return pl_fail(err, PL_ENOMEM, "no memory for %s: %zu bytes", row->what, row->bytes);
        }
        if (row->bytes >= HUGE_BYTES)
            (void)madvise(memory, row->bytes, MADV_HUGEPAGE); /* a wish; without it only slower */
        touch(memory, row->bytes);
        row->memory = memory;
        *row->at = memory;
    }
    return PL_OK;
}

void pl_plan_release(struct pl_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct pl_plan_row *row = &plan->rows[i];

        if (!row->memory)
            continue;
        munmap(row->memory, row->bytes);
        row->memory = NULL;
        *row->at = NULL;
    }
}
