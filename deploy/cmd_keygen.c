#include "deploy/cmd_keygen.h"

#include "common/app/options.h"
#include "common/link/key_folder.h"

#include <stdio.h>
#include <string.h>

struct conf {
    const char *dir;
    struct pl_option_list names;
    bool add;
};

static const struct pl_option options[] = {
    PL_ARG(struct conf, dir, "DIR", "folder of the keys"),
    PL_ARG_LIST(struct conf, names, "NAME", 0,
                "whose keys to make; none: learner, rewarder, actor and relay"),
    PL_OPTION_FLAG(struct conf, add, "add", 0, "add keys to a folder that has some"),
};

static const struct pl_command command = {
    .name = "plait keygen",
    .about = "Makes the keys by which the programs of a run know each other over ZeroMQ: for each "
             "NAME the secret NAME.key (readable by its owner alone) and the public NAME.pub, and "
             "'allow', the list of who may connect. Nothing is overwritten. A program reads "
             "NAME.key of its own --name, else that of its role, so that all actors may have the "
             "keys 'actor' or each its own.",
    .options = options,
    .count = sizeof options / sizeof options[0],
    .after = "Examples:\n"
             "  plait keygen keys                     a folder for a run\n"
             "  plait keygen keys --add actor-7       keys of its own for one actor\n"
             "  plait-learner run.yaml link.keys=keys\n",
};

static void print_files(const char *dir, const struct pl_option_list *names, const char *ending,
                        const char *what)
{
    for (size_t i = 0; i < names->count; i++)
        printf("%s/%s.%s  %s\n", dir, names->items[i], ending, what);
}

static int print_next(const struct conf *c, const struct pl_option_list *names)
{
    print_files(c->dir, names, "key", "secret: mode 0600, for its own program alone");
    print_files(c->dir, names, "pub", "public");
    printf("%s/allow  who may connect%s\n", c->dir,
           c->add ? "; a program that runs reads it again by itself" : "");
    printf("\nNext: set link.keys to a folder that has, on the host of\n"
           "  the learner   learner.key, allow\n"
           "  an actor      NAME.key or actor.key, learner.pub (behind a relay relay.pub too)\n"
           "  a relay       NAME.key or relay.key, learner.pub, allow\n"
           "  a rewarder    allow (and NAME.key or rewarder.key where link.score is set)\n");
    return fflush(stdout) == 0 ? PL_STATUS_OK : PL_STATUS_FAILED;
}

int pl_cmd_keygen(int argc, char **argv)
{
    static char *roles[] = {"learner", "rewarder", "actor", "relay", NULL};
    const struct pl_option_list all = {roles, 4};
    struct pl_error err = {0};
    struct conf conf;
    int status, rc;

    if (!pl_options_read(&command, argc, argv, &conf, &status))
        return status;
    const struct pl_option_list *names = conf.names.count ? &conf.names : &all;

    if (conf.add && conf.names.count == 0)
        rc = pl_fail(&err, PL_EINVAL, "--add needs a NAME: plait keygen DIR --add actor-7");
    else if (conf.add)
        rc = pl_key_folder_add(conf.dir, names->items, names->count, &err);
    else
        rc = pl_key_folder_make(conf.dir, names->items, names->count, &err);
    if (rc == PL_ENOENT && conf.add)
        pl_fail(&err, rc,
                "'%s' has no list 'allow' to add to; without --add plait keygen makes one",
                conf.dir);
    status = rc < 0 ? pl_command_failed(&command, &err) : print_next(&conf, names);
    pl_options_release(&command, &conf);
    return status;
}
