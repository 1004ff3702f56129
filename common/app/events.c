#include "common/app/events.h"

#include "common/base/buf.h"
#include "common/base/crc.h"
#include "common/base/file.h"
#include "proto/event.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TAG_MAX = 192, RECORD_MAX = 1 << 20, HEAD = 12, FOOT = 4 };

struct pl_events {
    char *path;
    int fd;
    uint64_t step;
    bool full;
    struct pl_event_scalar scalars[PL_EVENT_SCALARS_MAX];
    char tags[PL_EVENT_SCALARS_MAX][TAG_MAX];
    size_t count;
    struct pl_buf record;
};

static void put_number(char *at, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (char)(number >> 8 * i);
}

static uint32_t masked_crc(const char *bytes, size_t len)
{
    const uint32_t crc = pl_crc32c(bytes, len);

    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static int write_event(struct pl_events *e, struct pl_event *event, struct pl_error *err)
{
    static const char room[HEAD] = {0};
    struct timespec now;
    size_t len;
    ssize_t n;
    int rc;

    clock_gettime(CLOCK_REALTIME, &now);
    event->wall_time_s = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    pl_buf_clear(&e->record);
    rc = pl_buf_append(&e->record, room, HEAD);
    if (rc == PL_OK)
        rc = pl_event_encode(event, &e->record);
    len = e->record.len - HEAD;
    if (rc == PL_OK)
        rc = pl_buf_append(&e->record, room, FOOT);
    if (rc < 0)
        return pl_fail(err, rc, "'%s': an event does not fit into memory", e->path);
    put_number(e->record.data, len, 8);
    put_number(e->record.data + 8, masked_crc(e->record.data, 8), 4);
    put_number(e->record.data + HEAD + len, masked_crc(e->record.data + HEAD, len), 4);
    do {
        n = write(e->fd, e->record.data, e->record.len);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return pl_fail_errno(err, "write '%s'", e->path);
    if ((size_t)n != e->record.len)
        return pl_fail(err, PL_EIO,
                       "write '%s': only %zd of %zu bytes were taken; is the disk full?", e->path,
                       n, e->record.len);
    return PL_OK;
}

/* Micro-seconds too: a run may be started twice within a second. */
static char *path_in(const char *dir)
{
    struct timespec now;
    char host[64];

    if (gethostname(host, sizeof host) < 0)
        snprintf(host, sizeof host, "localhost");
    host[sizeof host - 1] = '\0';
    clock_gettime(CLOCK_REALTIME, &now);
    return pl_strf("%s/events.out.tfevents.%010lld.%06ld.%s.%d", dir, (long long)now.tv_sec,
                   now.tv_nsec / 1000, host, (int)getpid());
}

int pl_events_create(const char *dir, uint64_t step, struct pl_events **ret_events,
                     struct pl_error *err)
{
    struct pl_events *e = calloc(1, sizeof *e);
    int rc;

    if (!e)
        return pl_fail(err, PL_ENOMEM, "'%s': no memory to write events", dir);
    pl_buf_init(&e->record, RECORD_MAX);
    e->fd = -1;
    e->path = path_in(dir);
    if (!e->path) {
        rc = pl_fail(err, PL_ENOMEM, "'%s': no memory to write events", dir);
        goto fail;
    }
    e->fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (e->fd < 0) {
        rc = pl_fail_errno(err, "open '%s' for writing", e->path);
        goto fail;
    }
    rc = write_event(e, &(struct pl_event){.kind = PL_EVENT_VERSION}, err);
    if (rc == PL_OK)
        rc = write_event(e, &(struct pl_event){.kind = PL_EVENT_START, .step = (int64_t)step}, err);
    if (rc < 0)
        goto fail;
    *ret_events = e;
    return PL_OK;
fail:
    pl_events_close(e);
    return rc;
}

void pl_events_close(struct pl_events *events)
{
    if (!events)
        return;
    if (events->fd >= 0)
        close(events->fd);
    pl_buf_release(&events->record);
    free(events->path);
    free(events);
}

void pl_events_begin(struct pl_events *events, uint64_t step)
{
    events->step = step;
    events->count = 0;
    events->full = false;
}

void pl_events_real(struct pl_events *events, const char *tag, double value)
{
    if (!isfinite(value))
        return;
    if (events->count == PL_EVENT_SCALARS_MAX || strlen(tag) >= TAG_MAX) {
        events->full = true;
        return;
    }
    strcpy(events->tags[events->count], tag);
    events->scalars[events->count] =
        (struct pl_event_scalar){events->tags[events->count], (float)value};
    events->count++;
}

int pl_events_end(struct pl_events *events, struct pl_error *err)
{
    if (events->full)
        return pl_fail(err, PL_EFULL, "'%s': more than %d scalars of a step, or a name over %d",
                       events->path, PL_EVENT_SCALARS_MAX, TAG_MAX);
    return write_event(events,
                       &(struct pl_event){.kind = PL_EVENT_SCALARS,
                                          .step = (int64_t)events->step,
                                          .scalars = events->scalars,
                                          .count = events->count},
                       err);
}
