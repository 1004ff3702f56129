#include "deploy/cmd_redis.h"

#include "common/app/options.h"
#include "common/app/run_conf.h"
#include "common/link/library.h"
#include "common/link/redis.h"
#include "deploy/redis/certs.h"
#include "deploy/redis/roles.h"
#include "deploy/run_arg.h"
#include "deploy/subcommand.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATIENCE_MS = 3000, ANSWER_MS = 10000, CA_DAYS = 3650 };

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

/* ---- init ---- */

struct init_conf {
    const char *config;
    struct pl_option_list assignments;
    bool json;
};

static const struct pl_option init_options[] = {
    PL_ARG(struct init_conf, config, "CONFIG", "YAML file of the run"),
    PL_ARG_LIST(struct init_conf, assignments, "NAME=VALUE", 0,
                "settings that go before the file's"),
    PL_OPTION_FLAG(struct init_conf, json, "json", 0, "print one JSON object, for scripts"),
};
static const struct pl_command init_command = {
    .name = "plait redis init",
    .about = "Loads plait's functions into the Redis of a configuration, as a user that may: "
             "redis.user=admin, or {role}, which stands for admin here. Once, and after plait was "
             "updated; users of less rights cannot. Repeating it is harmless.",
    .options = init_options,
    .count = COUNT(init_options),
};

struct init {
    struct pl_redis *redis;
    bool loaded;
};

static int ensure(void *at, struct pl_error *err)
{
    struct init *init = at;
    int rc = pl_library_check_redis(init->redis, err);

    return rc < 0 ? rc : pl_library_ensure(init->redis, &init->loaded, err);
}

static int load_functions(const struct init_conf *c, const struct pl_run_conf *run,
                          struct pl_error *err)
{
    char *url = pl_run_conf_redis(run), hash[PL_LIBRARY_HASH];
    struct init init = {0};
    const struct pl_redis_opts opts = {.url = url ? url : "",
                                       .access = run->access,
                                       .role = "admin",
                                       .client = "plait-init",
                                       .patience_ms = PATIENCE_MS,
                                       .answer_ms = ANSWER_MS,
                                       .mend = ensure,
                                       .mend_at = &init};
    struct pl_redis_args args;
    int rc = url ? pl_redis_create(&opts, &init.redis, err)
                 : pl_fail(err, PL_ENOMEM, "no memory to reach Redis");

    if (rc == PL_OK)
        rc = pl_library_hash(hash, err);
    pl_redis_begin(&args, "PING");
    if (rc == PL_OK)
        rc = pl_redis_call(init.redis, &args, NULL, err);
    if (rc == PL_OK && c->json)
        rc = pl_run_arg_print(json_pack("{s:s, s:s, s:b}", "redis", pl_redis_shown(init.redis),
                                        "functions", hash, "loaded", (int)init.loaded),
                              err);
    else if (rc == PL_OK)
        printf("%s: functions %.12s %s\n", pl_redis_shown(init.redis), hash,
               init.loaded ? "are loaded" : "were there already");
    pl_redis_destroy(init.redis);
    free(url);
    return rc;
}

static int run_init(int argc, char **argv)
{
    struct init_conf conf = {0};
    struct pl_run_conf run;
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&init_command, argc, argv, &conf, &status))
        return status;
    rc = pl_run_conf_load(conf.config, conf.assignments.items, conf.assignments.count, &run, &err);
    if (rc < 0) {
        status = pl_command_refused(&init_command, &err);
    } else {
        rc = load_functions(&conf, &run, &err);
        pl_run_conf_release(&run);
        status = pl_command_ended(&init_command, rc, &err);
    }
    pl_options_release(&init_command, &conf);
    return status;
}

/* ---- acl ---- */

struct acl_conf {
    const char *dir, *run;
    struct pl_option_list renew;
};

static const struct pl_option acl_options[] = {
    PL_ARG(struct acl_conf, dir, "DIR", "folder of users.acl and the passwords"),
    PL_OPTION_STRING(struct acl_conf, run, "run", "NAME", "",
                     "the one run that the users may touch; empty: all runs of that Redis"),
    PL_OPTION_LIST(struct acl_conf, renew, "renew", "USER", NULL,
                   "make a new password for this user; the old one counts until the next time; "
                   "may be repeated"),
};
static const struct pl_command acl_command = {
    .name = "plait redis acl",
    .about = "Writes the users of a Redis that serves runs: users.acl, for its setting aclfile, "
             "and a random password for each user in USER.password, readable by you alone. "
             "Passwords that are there stay.",
    .options = acl_options,
    .count = COUNT(acl_options),
    .after = "learner, actor, rewarder, relay   what each program does, and nothing else\n"
             "viewer                            reads: plait status, top, trace, dead ls\n"
             "admin                             everything: plait redis init, dead retry\n"
             "\n"
             "redis-cli ACL LOAD makes a running Redis read users.acl again.\n",
};

static int run_acl(int argc, char **argv)
{
    struct acl_conf conf = {0};
    struct pl_error err = {0};
    bool renew[PL_REDIS_ROLES] = {false};
    int status, rc = PL_OK;

    if (!pl_options_read(&acl_command, argc, argv, &conf, &status))
        return status;
    for (size_t i = 0; rc == PL_OK && i < conf.renew.count; i++) {
        const enum pl_redis_role role = pl_redis_role_of(conf.renew.items[i]);

        if (role == PL_REDIS_ROLES)
            rc = pl_fail(&err, PL_EINVAL,
                         "--renew: '%.80s' is no user; learner, actor, rewarder, relay, viewer and "
                         "admin are",
                         conf.renew.items[i]);
        else
            renew[role] = true;
    }
    if (rc == PL_OK)
        rc = pl_redis_users_write(conf.dir, conf.run, renew, &err);
    if (rc == PL_OK)
        fprintf(stderr, "users and passwords are in '%s'\n", conf.dir);
    pl_options_release(&acl_command, &conf);
    return rc < 0 ? pl_command_failed(&acl_command, &err) : PL_STATUS_OK;
}

/* ---- certs ---- */

struct certs_conf {
    const char *dir;
    struct pl_option_list hosts;
    size_t days;
    bool renew;
};

static const struct pl_option certs_options[] = {
    PL_ARG(struct certs_conf, dir, "DIR", "folder of the certificates and their keys"),
    PL_ARG_LIST(struct certs_conf, hosts, "HOST", 1,
                "name or address that programs connect to Redis by"),
    PL_OPTION_SIZE(struct certs_conf, days, "days", "N", "825", 1, 36500,
                   "days that they count; the authority counts for ten years"),
    PL_OPTION_FLAG(struct certs_conf, renew, "renew", 0,
                   "make new ones though there are, of the same authority"),
};
static const struct pl_command certs_command = {
    .name = "plait redis certs",
    .about = "Makes certificates for TLS to Redis: an authority of your own, a certificate for "
             "the server, and one for its clients. Where you have an authority, use that.",
    .options = certs_options,
    .count = COUNT(certs_options),
    .after = "ca.crt                    redis.tls_ca, and Redis' tls-ca-cert-file\n"
             "redis.crt, redis.key      Redis' tls-cert-file, tls-key-file\n"
             "client.crt, client.key    redis.tls_cert, redis.tls_key\n"
             "ca.key                    signs new ones: keep it off the machines of the run\n",
};

static int run_certs(int argc, char **argv)
{
    struct certs_conf conf = {0};
    struct pl_error err = {0};
    int status, rc;

    if (!pl_options_read(&certs_command, argc, argv, &conf, &status))
        return status;
    rc = pl_redis_certs_make(&(struct pl_redis_certs){.dir = conf.dir,
                                                      .hosts = conf.hosts.items,
                                                      .host_count = conf.hosts.count,
                                                      .days = conf.days,
                                                      .ca_days = CA_DAYS,
                                                      .renew = conf.renew},
                             &err);
    if (rc == PL_OK)
        fprintf(stderr, "certificates are in '%s'\n", conf.dir);
    pl_options_release(&certs_command, &conf);
    return rc < 0 ? pl_command_failed(&certs_command, &err) : PL_STATUS_OK;
}

/* ---- the commands ---- */

static const struct pl_subcommand rows[] = {
    {"init", run_init, "load plait's functions into it"},
    {"acl", run_acl, "its users: who may do what"},
    {"certs", run_certs, "certificates for TLS"},
};

static const struct pl_subcommands subcommands = {
    .name = "plait redis",
    .about = "What a Redis needs before it serves runs.",
    .rows = rows,
    .count = COUNT(rows),
};

int pl_cmd_redis(int argc, char **argv)
{
    return pl_subcommands_run(&subcommands, argc, argv);
}
