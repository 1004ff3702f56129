#include "proto/weights.h"

#include <plait.pb-c.h>
#include <stdlib.h>
#include <string.h>

static int pack(const ProtobufCMessage *message, struct pl_buf *out)
{
    const size_t bytes = protobuf_c_message_get_packed_size(message);
    const int rc = pl_buf_reserve(out, bytes);

    if (rc < 0)
        return rc;
    protobuf_c_message_pack(message, (uint8_t *)out->data + out->len);
    out->len += bytes;
    out->data[out->len] = '\0';
    return PL_OK;
}

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes,
                                size_t len, struct pl_error *err)
{
    ProtobufCMessage *message = NULL;

    if (len <= PL_WEIGHTS_MESSAGE_MAX)
        message = protobuf_c_message_unpack(descriptor, NULL, len, bytes);
    if (!message)
        pl_fail(err, PL_EFORMAT, "%zu bytes that are no message %s", len, descriptor->short_name);
    return message;
}

static int copy_name(char to[PL_WEIGHTS_NAME_MAX], const char *from, struct pl_error *err)
{
    if (strlen(from) >= PL_WEIGHTS_NAME_MAX)
        return pl_fail(err, PL_EFORMAT, "the name of a run has %zu bytes; at most %d are allowed",
                       strlen(from), PL_WEIGHTS_NAME_MAX - 1);
    strcpy(to, from);
    return PL_OK;
}

static int copy_hash(unsigned char to[PL_WEIGHTS_HASH], ProtobufCBinaryData from,
                     struct pl_error *err)
{
    if (from.len != PL_WEIGHTS_HASH)
        return pl_fail(err, PL_EFORMAT, "a hash has %zu bytes; %d are expected", from.len,
                       PL_WEIGHTS_HASH);
    memcpy(to, from.data, PL_WEIGHTS_HASH);
    return PL_OK;
}

/* ---- manifests ---- */

static int encode_all(const struct pl_manifest *m, Plait__Chunk *chunks, Plait__Chunk **list,
                      struct pl_buf *out)
{
    Plait__Transfer transfers[PL_TRANSFERS_MAX], *transfer_list[PL_TRANSFERS_MAX];
    Plait__Manifest message;
    size_t used = 0;

    plait__manifest__init(&message);
    message.run = (char *)m->run;
    message.run_id = (char *)m->life.run_id;
    message.life = m->life.number;
    message.version = m->version;
    message.step = m->step;
    message.sha256 = (ProtobufCBinaryData){PL_WEIGHTS_HASH, (uint8_t *)m->hash};
    message.values = m->values;
    message.n_transfers = m->transfer_count;
    message.transfers = transfer_list;
    for (size_t t = 0; t < m->transfer_count; t++) {
        const struct pl_transfer *from = &m->transfers[t];

        plait__transfer__init(&transfers[t]);
        transfers[t].snapshot = from->snapshot;
        transfers[t].against = from->against;
        transfers[t].n_chunks = from->chunk_count;
        transfers[t].chunks = list + used;
        transfer_list[t] = &transfers[t];
        for (size_t c = 0; c < from->chunk_count; c++, used++) {
            plait__chunk__init(&chunks[used]);
            chunks[used].bytes = from->chunks[c].bytes;
            chunks[used].sha256 = (ProtobufCBinaryData){PL_WEIGHTS_HASH, from->chunks[c].hash};
            chunks[used].xxh3 = from->chunks[c].check;
            list[used] = &chunks[used];
        }
    }
    return pack(&message.base, out);
}

int pl_manifest_encode(const struct pl_manifest *manifest, struct pl_buf *out)
{
    size_t count = 1;
    Plait__Chunk *chunks, **list;
    int rc = PL_ENOMEM;

    for (size_t t = 0; t < manifest->transfer_count; t++)
        count += manifest->transfers[t].chunk_count;
    chunks = calloc(count, sizeof *chunks);
    list = calloc(count, sizeof *list);
    if (chunks && list)
        rc = encode_all(manifest, chunks, list, out);
    free(chunks);
    free(list);
    return rc;
}

static int copy_transfer(struct pl_transfer *to, const Plait__Transfer *from, struct pl_error *err)
{
    int rc = PL_OK;

    if (from->n_chunks > PL_WEIGHTS_CHUNKS_MAX)
        return pl_fail(err, PL_EFORMAT, "a transfer of %zu chunks; at most %d are allowed",
                       from->n_chunks, PL_WEIGHTS_CHUNKS_MAX);
    to->snapshot = from->snapshot;
    to->against = from->against;
    to->chunks = calloc(from->n_chunks + 1, sizeof *to->chunks);
    if (!to->chunks)
        return pl_fail(err, PL_ENOMEM, "no memory for a manifest");
    to->chunk_count = from->n_chunks;
    for (size_t c = 0; rc == PL_OK && c < from->n_chunks; c++) {
        const Plait__Chunk *chunk = from->chunks[c];

        if (chunk->bytes == 0 || chunk->bytes > PL_WEIGHTS_CHUNK_MAX)
            return pl_fail(err, PL_EFORMAT, "a chunk of %llu bytes; 1 to %d are allowed",
                           (unsigned long long)chunk->bytes, PL_WEIGHTS_CHUNK_MAX);
        to->chunks[c].bytes = (uint32_t)chunk->bytes;
        to->chunks[c].check = chunk->xxh3;
        rc = copy_hash(to->chunks[c].hash, chunk->sha256, err);
    }
    return rc;
}

int pl_manifest_decode(const void *bytes, size_t len, struct pl_manifest *ret_manifest,
                       struct pl_error *err)
{
    Plait__Manifest *message =
        (Plait__Manifest *)unpack(&plait__manifest__descriptor, bytes, len, err);
    struct pl_manifest m = {0};
    int rc;

    if (!message)
        return PL_EFORMAT;
    rc = copy_name(m.run, message->run, err);
    if (rc == PL_OK)
        rc = pl_life_take(&m.life, message->run_id, message->life, err);
    if (rc == PL_OK)
        rc = copy_hash(m.hash, message->sha256, err);
    m.version = message->version;
    m.step = message->step;
    m.values = message->values;
    if (rc == PL_OK && message->n_transfers > PL_TRANSFERS_MAX)
        rc = pl_fail(err, PL_EFORMAT, "a manifest of %zu transfers; at most %d are allowed",
                     message->n_transfers, PL_TRANSFERS_MAX);
    for (size_t t = 0; rc == PL_OK && t < message->n_transfers; t++) {
        m.transfer_count = t + 1;
        rc = copy_transfer(&m.transfers[t], message->transfers[t], err);
    }
    protobuf_c_message_free_unpacked(&message->base, NULL);
    if (rc < 0) {
        pl_manifest_release(&m);
        return rc;
    }
    *ret_manifest = m;
    return PL_OK;
}

void pl_manifest_release(struct pl_manifest *manifest)
{
    for (size_t t = 0; t < manifest->transfer_count; t++)
        free(manifest->transfers[t].chunks);
    *manifest = (struct pl_manifest){0};
}

/* ---- announcements, questions, answers ---- */

int pl_announcement_encode(const struct pl_announcement *announcement, struct pl_buf *out)
{
    Plait__Announcement message;

    plait__announcement__init(&message);
    message.run = (char *)announcement->run;
    message.run_id = (char *)announcement->life.run_id;
    message.life = announcement->life.number;
    message.version = announcement->version;
    message.sha256 = (ProtobufCBinaryData){PL_WEIGHTS_HASH, (uint8_t *)announcement->hash};
    return pack(&message.base, out);
}

int pl_announcement_decode(const void *bytes, size_t len, struct pl_announcement *ret,
                           struct pl_error *err)
{
    Plait__Announcement *message =
        (Plait__Announcement *)unpack(&plait__announcement__descriptor, bytes, len, err);
    struct pl_announcement a = {0};
    int rc;

    if (!message)
        return PL_EFORMAT;
    a.version = message->version;
    rc = copy_name(a.run, message->run, err);
    if (rc == PL_OK)
        rc = pl_life_take(&a.life, message->run_id, message->life, err);
    if (rc == PL_OK)
        rc = copy_hash(a.hash, message->sha256, err);
    protobuf_c_message_free_unpacked(&message->base, NULL);
    if (rc == PL_OK)
        *ret = a;
    return rc;
}

int pl_sealed_encode(const struct pl_sealed *sealed, struct pl_buf *out)
{
    Plait__Sealed message;

    plait__sealed__init(&message);
    message.body = (ProtobufCBinaryData){sealed->len, sealed->body};
    if (sealed->has_signature)
        message.signature = (ProtobufCBinaryData){PL_SIGNATURE_BYTES, (uint8_t *)sealed->signature};
    return pack(&message.base, out);
}

int pl_sealed_decode(const void *bytes, size_t len, struct pl_sealed *ret_sealed,
                     struct pl_error *err)
{
    Plait__Sealed *message = (Plait__Sealed *)unpack(&plait__sealed__descriptor, bytes, len, err);
    struct pl_sealed s = {0};
    int rc = PL_OK;

    if (!message)
        return PL_EFORMAT;
    s.len = message->body.len;
    s.has_signature = message->signature.len > 0;
    if (s.has_signature && message->signature.len != PL_SIGNATURE_BYTES)
        rc = pl_fail(err, PL_EFORMAT, "a signature has %zu bytes; %d are expected",
                     message->signature.len, PL_SIGNATURE_BYTES);
    if (rc == PL_OK && s.has_signature)
        memcpy(s.signature, message->signature.data, sizeof s.signature);
    if (rc == PL_OK && !(s.body = malloc(s.len + 1)))
        rc = pl_fail(err, PL_ENOMEM, "no memory for a manifest");
    if (rc == PL_OK && s.len > 0)
        memcpy(s.body, message->body.data, s.len);
    protobuf_c_message_free_unpacked(&message->base, NULL);
    if (rc == PL_OK)
        *ret_sealed = s;
    return rc;
}

void pl_sealed_release(struct pl_sealed *sealed)
{
    free(sealed->body);
    *sealed = (struct pl_sealed){0};
}

int pl_weights_request_encode(const struct pl_weights_request *request, bool answer,
                              struct pl_buf *out)
{
    Plait__WeightsRequest question;
    Plait__WeightsReply reply;

    if (answer) {
        plait__weights_reply__init(&reply);
        reply.version = request->version;
        reply.what = request->what;
        reply.transfer = request->transfer;
        reply.chunk = request->chunk;
        reply.error = request->error;
        return pack(&reply.base, out);
    }
    plait__weights_request__init(&question);
    question.run = (char *)request->run;
    question.version = request->version;
    question.what = request->what;
    question.transfer = request->transfer;
    question.chunk = request->chunk;
    return pack(&question.base, out);
}

static int check_request(const struct pl_weights_request *r, struct pl_error *err)
{
    if ((unsigned)r->what > PL_WEIGHTS_CHUNK || (unsigned)r->error > PL_WEIGHTS_BAD_REQUEST)
        return pl_fail(err, PL_EFORMAT, "a message about weights of kind %u, error %u",
                       (unsigned)r->what, (unsigned)r->error);
    return PL_OK;
}

int pl_weights_request_decode(const void *bytes, size_t len, bool answer,
                              struct pl_weights_request *ret_request, struct pl_error *err)
{
    struct pl_weights_request r = {0};
    ProtobufCMessage *message =
        unpack(answer ? &plait__weights_reply__descriptor : &plait__weights_request__descriptor,
               bytes, len, err);
    int rc = PL_OK;

    if (!message)
        return PL_EFORMAT;
    if (answer) {
        const Plait__WeightsReply *m = (const Plait__WeightsReply *)message;

        r.version = m->version;
        r.what = (enum pl_weights_what)m->what;
        r.transfer = m->transfer;
        r.chunk = m->chunk;
        r.error = (enum pl_weights_error)m->error;
    } else {
        const Plait__WeightsRequest *m = (const Plait__WeightsRequest *)message;

        r.version = m->version;
        r.what = (enum pl_weights_what)m->what;
        r.transfer = m->transfer;
        r.chunk = m->chunk;
        rc = copy_name(r.run, m->run, err);
    }
    protobuf_c_message_free_unpacked(message, NULL);
    if (rc == PL_OK)
        rc = check_request(&r, err);
    if (rc == PL_OK)
        *ret_request = r;
    return rc;
}
