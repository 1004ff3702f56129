#include "deploy/redis/roles.h"

#include "common/base/file.h"
#include "common/base/secret.h"
#include "deploy/redis/private_file.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PASSWORD_BYTES = 32, ACL_MAX = 1 << 16 };

/* Commands that may be used on keys, which are named without the prefix of the run; each begins
 * with R, W or RW: what may be done to them. */
struct rule {
    const char *commands, *keys;
};

/* A queue as the one who takes work from it and gives it back uses it. */
#define QUEUE                                                                                      \
    "+xreadgroup +xautoclaim +xclaim +xpending +xrange +xack +xdel +xadd +xlen +xgroup|create"

static const struct rule learner_rules[] = {
    {"+hget +hmget +hgetall +hexists +hkeys +hvals +hlen +hset +hsetnx +hdel +hincrby +sadd "
     "+sismember +smembers +srem +exists +del +pexpire +pttl +xinfo +xread +xrevrange "
     "+xgroup|delconsumer " QUEUE,
     "RW:*"},
    {"+get +set", "RW:learner"},
};

/* It writes prompts' groups, but neither reads what others rolled nor writes what is quarantined,
 * nor says that a group is dropped: one that it buries is parked. dead and parked are in it for
 * that, and because it meets entries that are nobody's and groups that others ended with; ledger
 * because it counts a group that came to nothing. */
static const struct rule actor_rules[] = {
    {QUEUE, "RW:prompts"},
    {"+xadd", "W:rollouts W:dead W:events"},
    {"+hget +hset", "RW:groups:*"},
    {"+hget +hmget +hset +hdel", "RW:begun:*"},
    {"+hset", "W:parked"},
    {"+hset", "W:scored:*"},
    {"+hget +hexists", "R:quarantine"},
    {"+hmget", "R:run"},
    {"+get", "R:learner"},
    {"+hincrby", "RW:ledger"},
    {"+hset +hdel +pexpire", "W:worker:*"},
};

static const struct rule rewarder_rules[] = {
    {QUEUE, "RW:rollouts"},
    {"+xadd", "W:dead W:events"},
    {"+xadd +xdel", "W:ready"},
    {"+hget +hset +hdel", "RW:groups:*"},
    {"+hset", "W:dropped:*"},
    {"+hget +hmget +hset +hdel", "RW:begun:*"},
    {"+hset", "W:parked"},
    {"+hget +hmget +hset +hdel", "RW:scored:*"},
    {"+hmget +hset +hdel +hincrby", "RW:batch:*"},
    {"+hincrby +hdel", "RW:ledger RW:strikes"},
    {"+hsetnx", "W:quarantine"},
    {"+hmget", "R:run"},
    {"+get", "R:learner"},
    {"+hset +hdel +pexpire", "W:worker:*"},
};

static const struct rule relay_rules[] = {
    {"+hget +hmget +hgetall", "R:run R:policy"},
    {"+hset +hdel +pexpire", "W:worker:*"},
};

static const struct rule viewer_rules[] = {
    {"+hget +hmget +hgetall +hexists +hkeys +hvals +hlen +hstrlen +hscan +smembers +sismember "
     "+scard +sscan +xrange +xrevrange +xlen +xread +xpending +xinfo +type +ttl +pttl +exists "
     "+memory|usage",
     "R:*"},
    {"+get", "R:learner"},
};

#define RULES(list) list, sizeof(list) / sizeof *(list)

static const struct {
    const char *name;
    const char *common;
    const struct rule *rules;
    size_t count;
} roles[PL_REDIS_ROLES] = {
    [PL_REDIS_LEARNER] = {"learner", "+fcall +fcall_ro +scan +info +client|list",
                          RULES(learner_rules)},
    [PL_REDIS_ACTOR] = {"actor", "+fcall", RULES(actor_rules)},
    [PL_REDIS_REWARDER] = {"rewarder", "+fcall", RULES(rewarder_rules)},
    [PL_REDIS_RELAY] = {"relay", "+fcall", RULES(relay_rules)},
    [PL_REDIS_VIEWER] = {"viewer",
                         "+fcall_ro +scan +dbsize +info +command +command|docs +client|list "
                         "+client|getname",
                         RULES(viewer_rules)},
    [PL_REDIS_ADMIN] = {"admin", NULL, NULL, 0},
};

const char *pl_redis_role_name(enum pl_redis_role role)
{
    return roles[role].name;
}

enum pl_redis_role pl_redis_role_of(const char *name)
{
    enum pl_redis_role role = PL_REDIS_LEARNER;

    while (role < PL_REDIS_ROLES && strcmp(roles[role].name, name) != 0)
        role++;
    return role;
}

/* ---- the ACL file ---- */

/* " %R~plait:{RUN}:KEY" for each of the keys. */
static int print_keys(const char *keys, const char *run, struct pl_buf *buf)
{
    int rc = PL_OK;

    while (rc == PL_OK && *keys) {
        const size_t len = strcspn(keys, " "), rights = strcspn(keys, ":");

        rc = pl_buf_printf(buf, " %%%.*s~plait:{%s}:%.*s", (int)rights, keys, run[0] ? run : "*",
                           (int)(len - rights - 1), keys + rights + 1);
        keys += len + (keys[len] == ' ');
    }
    return rc;
}

/* Each rule is a selector of its own: its commands count on its keys alone. */
static int print_rules(enum pl_redis_role role, const char *run, struct pl_buf *buf)
{
    int rc = pl_buf_printf(buf,
                           " resetchannels -@all +ping +select +time +client|setname +client|id "
                           "+acl|whoami %s ~plait:{%s}:",
                           roles[role].common, run[0] ? run : "*");

    for (size_t i = 0; rc == PL_OK && i < roles[role].count; i++) {
        rc = pl_buf_printf(buf, " (-@all %s", roles[role].rules[i].commands);
        if (rc == PL_OK)
            rc = print_keys(roles[role].rules[i].keys, run, buf);
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, ")");
    }
    return rc;
}

int pl_redis_roles_print(const struct pl_redis_user users[PL_REDIS_ROLES], const char *run,
                         struct pl_buf *buf)
{
    int rc = pl_buf_puts(buf, "user default off resetpass resetkeys resetchannels -@all\n");

    for (enum pl_redis_role role = PL_REDIS_LEARNER; rc == PL_OK && role < PL_REDIS_ROLES; role++) {
        rc = pl_buf_printf(buf, "user %s on", roles[role].name);
        for (int i = 0; rc == PL_OK && i < PL_REDIS_HASHES_MAX; i++)
            if (users[role].hashes[i][0])
                rc = pl_buf_printf(buf, " #%s", users[role].hashes[i]);
        if (rc == PL_OK)
            rc = roles[role].rules ? print_rules(role, run, buf) : pl_buf_puts(buf, " ~* &* +@all");
        if (rc == PL_OK)
            rc = pl_buf_puts(buf, "\n");
    }
    return rc;
}

/* ---- the folder ---- */

static int hash(const char *password, char ret_hex[PL_REDIS_HASH], struct pl_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (EVP_Digest(password, strlen(password), digest, &n, EVP_sha256(), NULL) != 1)
        return pl_fail(err, PL_ENOMEM, "no memory for the hash of a password");
    for (unsigned i = 0; i < n && 2 * i + 2 < PL_REDIS_HASH; i++)
        snprintf(ret_hex + (size_t)2 * i, 3, "%02x", digest[i]);
    return PL_OK;
}

static int write_private(const char *path, const char *text, struct pl_error *err)
{
    struct pl_outfile out = {0};
    int rc = pl_private_open(path, &out, err);

    if (rc == PL_OK)
        rc = pl_outfile_write(&out, text, strlen(text), err);
    if (rc == PL_OK)
        rc = pl_outfile_commit(&out, err);
    else
        pl_outfile_abort(&out);
    return rc;
}

static int make_password(const char *path, char ret_line[2 * PASSWORD_BYTES + 2],
                         struct pl_error *err)
{
    unsigned char bytes[PASSWORD_BYTES];
    int rc;

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return pl_fail(err, PL_EIO, "no random numbers for a password");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(ret_line + 2 * i, 3, "%02x", bytes[i]);
    explicit_bzero(bytes, sizeof bytes);
    strcat(ret_line, "\n");
    rc = write_private(path, ret_line, err);
    ret_line[(size_t)2 * PASSWORD_BYTES] = '\0';
    return rc;
}

static int prepare_user(const char *dir, enum pl_redis_role role, bool renew,
                        struct pl_redis_user *user, struct pl_error *err)
{
    char *path = pl_strf("%s/%s.password", dir, roles[role].name), *old = NULL;
    char line[2 * PASSWORD_BYTES + 2] = "";
    int rc = path ? PL_OK : pl_fail(err, PL_ENOMEM, "no memory for a user");

    if (rc == PL_OK && pl_path_exists(path)) {
        rc = pl_secret_read(path, &old, err);
        if (rc == PL_OK)
            rc = hash(old, user->hashes[0], err);
    }
    if (rc == PL_OK && (!old || renew)) {
        rc = make_password(path, line, err);
        if (rc == PL_OK)
            rc = hash(line, user->hashes[old ? 1 : 0], err);
    }
    explicit_bzero(line, sizeof line);
    pl_secret_free(old);
    free(path);
    return rc;
}

static int check_run(const char *run, struct pl_error *err)
{
    size_t n = 0;

    while (isalnum((unsigned char)run[n]) || (run[n] && strchr("-_.", run[n])))
        n++;
    return !run[n] && n <= 64 ? PL_OK
                              : pl_fail(err, PL_EINVAL,
                                        "'%.80s' is no name of a run: letters, digits, '-', '_' "
                                        "and '.' are, 64 at most",
                                        run);
}

/* A relative folder is one of the place where one is, whatever credentials there are. */
static char *whole_path(const char *dir)
{
    char *real = realpath(dir, NULL);

    return real ? real : strdup(dir);
}

int pl_redis_users_write(const char *dir, const char *run, const bool renew[PL_REDIS_ROLES],
                         struct pl_error *err)
{
    struct pl_redis_user users[PL_REDIS_ROLES] = {0};
    char *whole = NULL, *path = NULL;
    struct pl_buf text;
    int rc = check_run(run, err);

    pl_buf_init(&text, ACL_MAX);
    if (rc == PL_OK)
        rc = pl_dir_make(dir, err);
    if (rc == PL_OK) {
        whole = whole_path(dir);
        path = whole ? pl_strf("%s/users.acl", whole) : NULL;
        if (!path)
            rc = pl_fail(err, PL_ENOMEM, "no memory for the users");
    }
    for (enum pl_redis_role role = PL_REDIS_LEARNER; rc == PL_OK && role < PL_REDIS_ROLES; role++)
        rc = prepare_user(whole, role, renew[role], &users[role], err);
    if (rc == PL_OK) {
        rc = pl_redis_roles_print(users, run, &text);
        if (rc < 0)
            pl_fail(err, rc, "no memory for the users");
    }
    if (rc == PL_OK)
        rc = write_private(path, text.data, err);
    pl_buf_release(&text);
    free(whole);
    free(path);
    return rc;
}
