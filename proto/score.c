#include "proto/score.h"

#include "proto/wire.h"

#include <stdlib.h>
#include <string.h>

/* ---- requests ---- */

static int check(const Plait__ScoreRequest *m, const struct pl_score_request_limits *limits,
                 struct pl_error *err)
{
    if (m->method > PL_METHOD_COT)
        return pl_fail(err, PL_EFORMAT, "method is %u; at most %d is allowed", m->method,
                       PL_METHOD_COT);
    if (m->task.len == 0 || memchr(m->task.data, 0, m->task.len))
        return pl_fail(err, PL_EFORMAT, "the task is missing or holds a NUL");
    if (m->n_responses == 0 || m->n_responses > limits->responses)
        return pl_fail(err, PL_EFORMAT, "%zu responses; 1 to %zu are allowed", m->n_responses,
                       limits->responses);
    for (size_t i = 0; i < m->n_responses; i++) {
        const Plait__Response *r = m->responses[i];

        if (r->text.len > 0 && r->n_ids > 0)
            return pl_fail(err, PL_EFORMAT, "response %zu has both text and ids", i);
        if (r->stopped && r->n_ids == 0)
            return pl_fail(err, PL_EFORMAT, "response %zu is stopped by an id and has none", i);
        if (r->text.len > limits->length || r->n_ids > limits->length)
            return pl_fail(err, PL_EFORMAT, "response %zu has %zu %s; at most %zu are allowed", i,
                           r->n_ids > 0 ? r->n_ids : r->text.len, r->n_ids > 0 ? "ids" : "bytes",
                           limits->length);
    }
    return PL_OK;
}

/* One block: the responses, their ids, then texts and the task. */
static int copy(const Plait__ScoreRequest *m, struct pl_score_request *request)
{
    size_t ids = 0, texts = m->task.len + 1;
    struct pl_response *responses;
    uint32_t *id;
    char *text;

    for (size_t i = 0; i < m->n_responses; i++) {
        ids += m->responses[i]->n_ids;
        texts += m->responses[i]->text.len;
    }
    responses = calloc(1, m->n_responses * sizeof *responses + ids * sizeof *id + texts);
    if (!responses)
        return PL_ENOMEM;
    id = (uint32_t *)(responses + m->n_responses);
    text = (char *)(id + ids);
    for (size_t i = 0; i < m->n_responses; i++) {
        const Plait__Response *r = m->responses[i];

        responses[i] = (struct pl_response){.ids = id, .count = r->n_ids, .stopped = r->stopped};
        if (r->n_ids > 0) {
            memcpy(id, r->ids, r->n_ids * sizeof *id);
            id += r->n_ids;
            continue;
        }
        responses[i] = (struct pl_response){.text = text, .len = r->text.len};
        if (r->text.len > 0)
            memcpy(text, r->text.data, r->text.len);
        text += r->text.len;
    }
    memcpy(text, m->task.data, m->task.len);
    *request = (struct pl_score_request){.id = m->id,
                                         .method = (enum pl_method)m->method,
                                         .task = text,
                                         .task_len = m->task.len,
                                         .responses = responses,
                                         .count = m->n_responses,
                                         .memory = responses};
    return PL_OK;
}

int pl_score_request_decode(const void *bytes, size_t len,
                            const struct pl_score_request_limits *limits,
                            struct pl_score_request *ret_request, struct pl_error *err)
{
    ProtobufCMessage *message;
    int rc;

    *ret_request = (struct pl_score_request){0};
    if (len > limits->bytes)
        return pl_fail(err, PL_EFORMAT, "a request of %zu bytes; at most %zu are taken", len,
                       limits->bytes);
    message = pl_wire_unpack(&plait__score_request__descriptor, bytes, len, err);
    if (!message)
        return PL_EFORMAT;
    ret_request->id = ((const Plait__ScoreRequest *)message)->id;
    rc = check((const Plait__ScoreRequest *)message, limits, err);
    if (rc == PL_OK && copy((const Plait__ScoreRequest *)message, ret_request) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for a request of %zu bytes", len);
    protobuf_c_message_free_unpacked(message, NULL);
    return rc;
}

void pl_score_request_release(struct pl_score_request *request)
{
    free(request->memory);
    *request = (struct pl_score_request){0};
}

int pl_score_request_encode(const struct pl_score_request *request, struct pl_buf *out)
{
    Plait__ScoreRequest m = PLAIT__SCORE_REQUEST__INIT;
    Plait__Response *responses = calloc(request->count + 1, sizeof *responses);
    Plait__Response **list = calloc(request->count + 1, sizeof *list);
    int rc = PL_ENOMEM;

    m.id = request->id;
    m.method = request->method;
    m.task = (ProtobufCBinaryData){request->task_len, (uint8_t *)request->task};
    m.n_responses = request->count;
    m.responses = list;
    for (size_t i = 0; responses && list && i < request->count; i++) {
        const struct pl_response *r = &request->responses[i];

        plait__response__init(&responses[i]);
        responses[i].text = (ProtobufCBinaryData){r->text ? r->len : 0, (uint8_t *)r->text};
        responses[i].n_ids = r->text ? 0 : r->count;
        responses[i].ids = (uint32_t *)r->ids;
        responses[i].stopped = r->stopped;
        list[i] = &responses[i];
    }
    if (responses && list)
        rc = pl_wire_pack(&m.base, out);
    free(responses);
    free(list);
    return rc;
}

/* ---- answers ---- */

/* What packing borrows, in one block. */
struct room {
    Plait__Score *scores, **score_list;
    Plait__Segment *segments, **segment_list;
    float *rewards;
};

static void *room_create(struct room *room, size_t count, size_t segments)
{
    const size_t bytes = count * (sizeof *room->scores + sizeof *room->score_list) +
                         segments * (sizeof *room->segments + sizeof *room->segment_list) +
                         count * sizeof *room->rewards;
    char *memory = calloc(1, bytes + 1);

    if (!memory)
        return NULL;
    room->scores = (Plait__Score *)(void *)memory;
    room->segments = (Plait__Segment *)(room->scores + count);
    room->score_list = (Plait__Score **)(room->segments + segments);
    room->segment_list = (Plait__Segment **)(room->score_list + count);
    room->rewards = (float *)(room->segment_list + segments);
    return memory;
}

static int encode_scores(Plait__ScoreReply *m, const struct pl_score *scores, size_t count,
                         struct pl_buf *out)
{
    size_t segments = 0, used = 0;
    struct room room;
    void *memory;
    int rc;

    for (size_t i = 0; i < count; i++)
        segments += scores[i].segment_count;
    memory = room_create(&room, count, segments);
    if (!memory)
        return PL_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        pl_wire_score(&room.scores[i], room.segments + used, room.segment_list + used, &scores[i]);
        room.score_list[i] = &room.scores[i];
        room.rewards[i] = pl_score_reward(&scores[i], true);
        used += scores[i].segment_count;
    }
    m->n_scores = m->n_rewards = count;
    m->scores = room.score_list;
    m->rewards = room.rewards;
    rc = pl_wire_pack(&m->base, out);
    free(memory);
    return rc;
}

int pl_score_reply_encode(uint64_t id, const char *error, const struct pl_score *scores,
                          size_t count, struct pl_buf *out)
{
    Plait__ScoreReply m = PLAIT__SCORE_REPLY__INIT;
    char said[sizeof((struct pl_error *)0)->text];
    size_t n = 0;

    m.id = id;
    if (!error[0])
        return encode_scores(&m, scores, count, out);
    for (; error[n] && n + 1 < sizeof said; n++)
        said[n] = error[n];
    said[n] = '\0';
    for (char *at = said; *at; at++) /* a string of protobuf's is UTF-8 */
        if (*at < ' ' || *at > '~')
            *at = '?';
    m.error = said;
    return pl_wire_pack(&m.base, out);
}
