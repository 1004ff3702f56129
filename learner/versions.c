#include "learner/versions.h"

#include "common/app/daemon.h"
#include "common/app/run_conf.h"
#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/link/endpoint.h"
#include "common/link/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pl_versions_keys(const struct pl_run_conf *conf, const char *name, struct pl_keys **ret_keys,
                     struct pl_error *err)
{
    char *pub = pl_run_conf_announce(conf), *serve = pl_run_conf_serve(conf);
    const bool keys = conf->keys[0];
    int rc = pub && serve ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for the learner");

    if (rc == PL_OK)
        rc = pl_endpoint_check("link.announce", pub, keys, conf->insecure, err);
    if (rc == PL_OK)
        rc = pl_endpoint_check("link.serve", serve, keys, conf->insecure, err);
    free(pub);
    free(serve);
    return rc == PL_OK
               ? pl_keys_load(
                     &(struct pl_keys_opts){.dir = conf->keys, .name = name, .role = "learner"},
                     ret_keys, err)
               : rc;
}

int pl_versions_init(struct pl_versions *versions, const struct pl_run_conf *conf,
                     const struct pl_life *life, const struct pl_keys *keys,
                     const struct pl_shape *shape, struct pl_queues *stream, struct pl_error *err)
{
    char *pub = pl_run_conf_announce(conf), *serve = pl_run_conf_serve(conf);
    int rc = PL_OK;

    *versions = (struct pl_versions){.shape = shape, .stream = stream};
    if (!pub || !serve || pl_policy_table(shape, &versions->tensors, &versions->table) < 0)
        rc = pl_fail(err, PL_ENOMEM, "no memory for the versions of the policy");
    if (rc == PL_OK)
        rc = pl_weights_source_create(
            &(struct pl_weights_source_opts){.run = conf->name,
                                             .life = *life,
                                             .pub_bind = pub,
                                             .serve_bind = serve,
                                             .table = versions->table,
                                             .keys = keys,
                                             .event = pl_daemon_event,
                                             .versions_max = PL_VERSIONS_MAX},
            &versions->source, err);
    free(pub);
    free(serve);
    return rc;
}

void pl_versions_release(struct pl_versions *versions)
{
    pl_weights_source_destroy(versions->source);
    free(versions->tensors);
    *versions = (struct pl_versions){0};
}

/* What redis-cli shows: HGETALL plait:{RUN}:policy. */
static int note(struct pl_versions *v, const struct pl_version *version, struct pl_error *err)
{
    char number[32], bytes[32], hash[2 * PL_HASH_BYTES + 1];
    const struct pl_field fields[] = {{"version", number}, {"bytes", bytes}, {"sha256", hash}};

    snprintf(number, sizeof number, "%llu", (unsigned long long)version->number);
    snprintf(bytes, sizeof bytes, "%zu", v->table.values * sizeof *version->values);
    for (size_t i = 0; i < PL_HASH_BYTES; i++)
        snprintf(hash + 2 * i, 3, "%02x", version->hash[i]);
    return pl_queues_note(v->stream, "policy", fields, 3, err);
}

/* `values`: the source's room, or others, which are copied. */
static int add(struct pl_versions *v, uint64_t number, const uint16_t *values, struct pl_error *err)
{
    struct pl_version *version = &v->list[v->count];
    int rc;

    PL_ASSERT(v->count < PL_VERSIONS_MAX);
    (void)PL_FAILPOINT("publish.before");
    rc = pl_weights_source_publish(v->source, number, number - 1, values, version->hash, err);
    if (rc < 0)
        return rc;
    version->number = number;
    version->values = pl_weights_source_values(v->source, number);
    v->count++;
    (void)PL_FAILPOINT("publish.after");
    return note(v, version, err);
}

int pl_versions_publish(struct pl_versions *versions, uint64_t number, const float *master,
                        struct pl_error *err)
{
    uint16_t *room = pl_weights_source_room(versions->source);

    if (!room)
        return pl_fail(err, PL_ENOMEM, "no memory for a version of the policy: %zu values",
                       versions->table.values);
    pl_policy_round(versions->shape, master, room);
    return add(versions, number, room, err);
}

int pl_versions_publish_values(struct pl_versions *versions, uint64_t number,
                               const uint16_t *values, struct pl_error *err)
{
    return add(versions, number, values, err);
}

void pl_versions_drop(struct pl_versions *versions, uint64_t number)
{
    pl_weights_source_drop(versions->source, number);
    while (versions->count > 0 && versions->list[0].number < number) {
        versions->count--;
        memmove(versions->list, versions->list + 1, versions->count * sizeof *versions->list);
    }
}

const struct pl_version *pl_versions_find(const struct pl_versions *versions, uint64_t number)
{
    for (size_t i = 0; i < versions->count; i++)
        if (versions->list[i].number == number)
            return &versions->list[i];
    return NULL;
}
