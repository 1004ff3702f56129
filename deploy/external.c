#include "deploy/external.h"

#include "common/base/buf.h"
#include "common/base/file.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 4096 };

static const char prefix[] = "plait-";

/* From where plait lies: installed, and in a build folder. */
static const char *const beside[] = {"../libexec/plait", "../actor", "../learner", "../rewarder",
                                     "relay"};

/* Calls see() with each folder in order until it returns true. */
static bool each_folder(bool (*see)(void *at, const char *folder), void *at)
{
    char *own = pl_program_folder(), *copy, *rest, *folder;
    char libexec[PATH_BYTES_MAX + 24];
    const char *path = getenv("PATH");
    bool stop = false;

    stop = own && see(at, own);
    for (size_t i = 0; own && !stop && i < sizeof beside / sizeof *beside; i++) {
        snprintf(libexec, sizeof libexec, "%s/%s", own, beside[i]);
        stop = see(at, libexec);
    }
    free(own);
    if (stop)
        return true;
    copy = path ? strdup(path) : NULL;
    rest = copy;
    while (!stop && (folder = strsep(&rest, ":")) != NULL)
        stop = folder[0] == '/' && see(at, folder); /* never from the working directory */
    free(copy);
    return stop;
}

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

struct search {
    const char *name;
    char *path;
    int rc;
};

static bool look_in(void *at, const char *folder)
{
    struct search *search = at;
    char *path = pl_strf("%s/%s%s", folder, prefix, search->name);

    if (!path) {
        search->rc = PL_ENOMEM;
        return true;
    }
    if (is_program(path)) {
        search->path = path;
        search->rc = PL_OK;
        return true;
    }
    free(path);
    return false;
}

int pl_external_find(const char *name, char **ret_path)
{
    struct search search = {.name = name, .rc = PL_ENOENT};

    if (!name[0] || strchr(name, '/'))
        return PL_ENOENT;
    each_folder(look_in, &search);
    if (search.rc == PL_OK)
        *ret_path = search.path;
    return search.rc;
}

int pl_external_run(const char *path, char **argv, struct pl_error *err)
{
    execv(path, argv);
    return pl_fail_errno(err, "run '%s'", path);
}

struct listing {
    void (*visit)(void *at, const char *name);
    void *at;
};

static bool list_folder(void *at, const char *folder)
{
    const struct listing *listing = at;
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        char path[PATH_BYTES_MAX + 300];

        if (strncmp(entry->d_name, prefix, sizeof prefix - 1) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (is_program(path))
            listing->visit(listing->at, entry->d_name + sizeof prefix - 1);
    }
    if (dir)
        closedir(dir);
    return false;
}

void pl_external_each(void (*visit)(void *at, const char *name), void *at)
{
    struct listing listing = {visit, at};

    each_folder(list_folder, &listing);
}
