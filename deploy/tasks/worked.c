#include "deploy/tasks/worked.h"

#include "common/base/check.h"
#include "common/base/err.h"

/* What is written, by which parts. */
struct job {
    struct pl_worked out;
    const struct pl_worked_parts *parts;
    const void *of;
};

bool pl_worked_plain(const struct pl_worked *worked)
{
    return worked->opts->wording == PL_WORDING_PLAIN;
}

void pl_worked_put(struct pl_worked *worked, const char *text)
{
    if (worked->rc == PL_OK)
        worked->rc = pl_buf_puts(worked->buf, text);
}

void pl_worked_begin(struct pl_worked *worked)
{
    if (pl_worked_plain(worked) || worked->buf->len > worked->block)
        pl_worked_put(worked, " ");
}

void pl_worked_end(struct pl_worked *worked)
{
    pl_worked_put(worked, pl_worked_plain(worked) ? " ." : ".");
}

static void open_tag(struct job *job, const char *tag)
{
    pl_worked_put(&job->out, tag);
    job->out.block = job->out.buf->len;
}

static void put_thought(struct job *job, size_t n)
{
    if (job->out.rc == PL_OK)
        job->parts->thought(&job->out, job->of, n);
}

static void put_all_thoughts(struct job *job)
{
    const size_t thoughts = job->parts->answers + job->parts->last_tells;

    for (size_t n = 0; n < thoughts; n++)
        put_thought(job, n);
}

static void put_answer(struct job *job, size_t n)
{
    open_tag(job, "<answer>");
    pl_worked_begin(&job->out);
    if (job->out.rc == PL_OK)
        job->parts->answer(&job->out, job->of, n);
    pl_worked_put(&job->out, "</answer>");
}

static void put_solution(struct job *job)
{
    pl_worked_begin(&job->out);
    if (job->out.rc == PL_OK)
        job->parts->final(&job->out, job->of);
}

static void put_final(struct job *job)
{
    open_tag(job, "<answer>");
    put_solution(job);
    pl_worked_put(&job->out, "</answer>");
}

/* Templates. */

static void interleave(struct job *job)
{
    for (size_t n = 0; n <= job->parts->answers; n++) {
        open_tag(job, "<think>");
        put_thought(job, n);
        pl_worked_put(&job->out, "</think>");
        if (n < job->parts->answers)
            put_answer(job, n);
    }
    put_final(job);
}

static void think_first(struct job *job, bool answers)
{
    open_tag(job, "<think>");
    put_all_thoughts(job);
    pl_worked_put(&job->out, "</think>");
    for (size_t n = 0; answers && n < job->parts->answers; n++)
        put_answer(job, n);
    put_final(job);
}

static void chain_of_thought(struct job *job)
{
    const bool plain = pl_worked_plain(&job->out);

    put_all_thoughts(job);
    pl_worked_begin(&job->out);
    pl_worked_put(&job->out, plain ? "answer:" : "Answer:");
    put_solution(job);
    if (!plain)
        pl_worked_put(&job->out, ".");
}

static void put_template(struct job *job)
{
    switch (job->out.opts->template) {
    case PL_METHOD_INTERLEAVE:
        interleave(job);
        return;
    case PL_METHOD_THINK_ANSWER:
        think_first(job, false);
        return;
    case PL_METHOD_DELAYED:
        think_first(job, true);
        return;
    case PL_METHOD_DIRECT:
        put_solution(job);
        return;
    case PL_METHOD_COT:
        chain_of_thought(job);
        return;
    }
    PL_ASSERT(!"a known template");
}

int pl_worked_print(const struct pl_worked_opts *opts, const struct pl_worked_parts *parts,
                    const void *of, struct pl_buf *buf)
{
    struct job job = {
        .out = {.opts = opts, .buf = buf, .block = buf->len}, .parts = parts, .of = of};

    put_template(&job);
    return job.out.rc;
}

/* Bytes of the tag at text, "<think>" or "<|interleave|>", or 0. */
static size_t tag_len(const char *text, size_t len)
{
    size_t i = 1;

    while (i < len && ((text[i] >= 'a' && text[i] <= 'z') || text[i] == '/' || text[i] == '|' ||
                       text[i] == '-'))
        i++;
    return text[0] == '<' && i < len && text[i] == '>' ? i + 1 : 0;
}

size_t pl_worked_words(const char *text, size_t len)
{
    size_t words = 0;
    bool in_word = false;

    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];
        const bool letter =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
        const size_t tag = c == '<' ? tag_len(text + i, len - i) : 0;

        if (c != ' ' && c != '\n' && c != '\t' && !(letter && in_word))
            words++;
        in_word = letter;
        if (tag > 0)
            i += tag - 1;
    }
    return words;
}
