#include "proto/event.h"

#include "common/base/check.h"
#include "common/base/err.h"

#include <event.pb-c.h>

static int append(const Plait__Board__Event *message, struct pl_buf *out)
{
    const size_t len = plait__board__event__get_packed_size(message);
    const int rc = pl_buf_reserve(out, len);

    if (rc < 0)
        return rc;
    (void)plait__board__event__pack(message, (uint8_t *)out->data + out->len);
    out->len += len;
    out->data[out->len] = '\0';
    return PL_OK;
}

int pl_event_encode(const struct pl_event *event, struct pl_buf *out)
{
    Plait__Board__Event message = PLAIT__BOARD__EVENT__INIT;
    Plait__Board__SessionLog log = PLAIT__BOARD__SESSION_LOG__INIT;
    Plait__Board__Summary summary = PLAIT__BOARD__SUMMARY__INIT;
    Plait__Board__Value values[PL_EVENT_SCALARS_MAX], *list[PL_EVENT_SCALARS_MAX];

    PL_ASSERT(event->count <= PL_EVENT_SCALARS_MAX);
    message.wall_time = event->wall_time_s;
    message.step = event->step;
    switch (event->kind) {
    case PL_EVENT_VERSION:
        message.what_case = PLAIT__BOARD__EVENT__WHAT_FILE_VERSION;
        message.file_version = (char *)"brain.Event:2";
        break;
    case PL_EVENT_START:
        log.status = 1;
        message.what_case = PLAIT__BOARD__EVENT__WHAT_SESSION_LOG;
        message.session_log = &log;
        break;
    case PL_EVENT_SCALARS:
        for (size_t i = 0; i < event->count; i++) {
            plait__board__value__init(&values[i]);
            values[i].tag = (char *)event->scalars[i].tag;
            values[i].simple_value = event->scalars[i].value;
            list[i] = &values[i];
        }
        summary.n_value = event->count;
        summary.value = list;
        message.what_case = PLAIT__BOARD__EVENT__WHAT_SUMMARY;
        message.summary = &summary;
        break;
    }
    return append(&message, out);
}
