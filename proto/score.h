/*
 * Scoring on request: a task and responses to it, and what each is worth.
 */
#ifndef PL_PROTO_SCORE_H
#define PL_PROTO_SCORE_H

#include "proto/rollout.h"

struct pl_response {
    const char *text; /* (len); NULL: ids are given */
    size_t len;
    const uint32_t *ids; /* (count) */
    size_t count;
    bool stopped; /* the last id ended the response and is no text of it */
};

struct pl_score_request {
    uint64_t id; /* handed back */
    enum pl_method method;
    const char *task; /* JSON, NUL terminated */
    size_t task_len;
    const struct pl_response *responses; /* (count) */
    size_t count;
    void *memory; /* what a decoded request points into */
};

struct pl_score_request_limits {
    size_t bytes;     /* of a message */
    size_t responses; /* of a request */
    size_t length;    /* of a response: bytes of text, or ids */
};

/*
 * *ret_request is the caller's, ended with pl_score_request_release(). PL_EFORMAT: it does not
 * decode, is over a limit, or says two things at once; `id` is set where it was read. PL_ENOMEM.
 */
int pl_score_request_decode(const void *bytes, size_t len,
                            const struct pl_score_request_limits *limits,
                            struct pl_score_request *ret_request, struct pl_error *err);
void pl_score_request_release(struct pl_score_request *request); /* zeroed is fine */

/* Append the request's message. PL_EFULL, PL_ENOMEM. */
int pl_score_request_encode(const struct pl_score_request *request, struct pl_buf *out);

/* Append an answer: scores, or an error (bytes that are no plain ASCII are sent as '?') where
 * `error` is not empty. PL_EFULL, PL_ENOMEM. */
int pl_score_reply_encode(uint64_t id, const char *error, const struct pl_score *scores,
                          size_t count, struct pl_buf *out);

#endif
