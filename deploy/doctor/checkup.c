#include "deploy/doctor/checkup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME_COLUMN = 22 };

static const char *const names[PL_CHECK_RESULTS] = {"ok", "warn", "fail", "unknown"};

/* What came over the network is for a terminal. */
static void make_safe(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void pl_checkup_add(struct pl_checkup *checkup, const char *name, enum pl_check_result verdict,
                    const char *todo, const char *fmt, ...)
{
    struct pl_check *c = &checkup->rows[checkup->count];
    va_list args;

    checkup->counts[verdict]++;
    if (checkup->count == PL_CHECKS_MAX)
        return;
    checkup->count++;
    c->verdict = verdict;
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->todo, sizeof c->todo, "%s", todo ? todo : "");
    va_start(args, fmt);
    vsnprintf(c->found, sizeof c->found, fmt, args);
    va_end(args);
    make_safe(c->name);
    make_safe(c->found);
    make_safe(c->todo);
}

int pl_checkup_print(const struct pl_checkup *checkup, const struct pl_style *style,
                     struct pl_buf *buf)
{
    const char *const colors[PL_CHECK_RESULTS] = {style->green, style->bold, style->red,
                                                  style->dim};
    int rc = PL_OK;

    for (size_t i = 0; rc == PL_OK && i < checkup->count; i++) {
        const struct pl_check *c = &checkup->rows[i];

        rc = pl_buf_printf(buf, "%s%-7s%s  %-*s  %s\n", colors[c->verdict], names[c->verdict],
                           style->reset, NAME_COLUMN, c->name, c->found);
        if (rc == PL_OK && c->todo[0])
            rc = pl_buf_printf(buf, "%*s%s\n", 9 + NAME_COLUMN + 2, "", c->todo);
    }
    if (rc == PL_OK)
        rc = pl_buf_printf(buf, "\n%zu ok, %zu to look at, %zu wrong, %zu not known\n",
                           checkup->counts[PL_CHECK_OK], checkup->counts[PL_CHECK_WARN],
                           checkup->counts[PL_CHECK_FAIL], checkup->counts[PL_CHECK_UNKNOWN]);
    return rc;
}

json_t *pl_checkup_json(const struct pl_checkup *checkup)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < checkup->count; i++) {
        const struct pl_check *c = &checkup->rows[i];
        json_t *row = json_pack("{s:s, s:s, s:s}", "name", c->name, "verdict", names[c->verdict],
                                "found", c->found);

        if (row && c->todo[0])
            json_object_set_new(row, "todo", json_string(c->todo));
        if (json_array_append_new(list, row) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
