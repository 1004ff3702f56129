#include "deploy/doctor_keys.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/link/allow.h"
#include "common/link/key_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What is found out of a folder. */
struct look {
    const char *dir;
    pl_doctor_say *say;
    void *at;
    size_t wrong, secrets, publics, unlisted;
    struct pl_allow *allow; /* NULL: there is none, or it is broken */
};

__attribute__((format(printf, 3, 4))) static void tell(struct look *l, bool fine, const char *fmt,
                                                       ...)
{
    char line[700];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    l->wrong += !fine;
    l->say(l->at, fine, line);
}

/* NAME of NAME.ending; false: it ends otherwise. */
static bool take_name(const char *file, const char *ending, char name[PL_KEY_NAME_MAX])
{
    const size_t len = strlen(file), end = strlen(ending);

    if (len <= end || len - end >= PL_KEY_NAME_MAX || strcmp(file + len - end, ending) != 0)
        return false;
    memcpy(name, file, len - end);
    name[len - end] = '\0';
    return true;
}

static int read_one(struct look *l, const char *name, bool secret, struct pl_key_file *ret)
{
    char *path = pl_strf("%s/%s.%s", l->dir, name, secret ? "key" : "pub");
    struct pl_error err = {0};
    int rc = path ? pl_key_file_read(path, secret, ret, &err)
                  : pl_fail(&err, PL_ENOMEM, "no memory to look at keys");

    if (rc < 0 && rc != PL_ENOENT)
        tell(l, false, "%s", err.text);
    free(path);
    return rc;
}

static bool same_public(const struct pl_key_file *a, const struct pl_key_file *b)
{
    return memcmp(a->values[PL_KEY_CURVE_PUBLIC], b->values[PL_KEY_CURVE_PUBLIC], PL_KEY_BYTES) ==
               0 &&
           memcmp(a->values[PL_KEY_SIGN_PUBLIC], b->values[PL_KEY_SIGN_PUBLIC], PL_KEY_BYTES) == 0;
}

static void look_at_secret(struct look *l, const char *name)
{
    struct pl_key_file secret, own, public;

    l->secrets++;
    if (read_one(l, name, true, &secret) < 0)
        return;
    pl_key_file_public(&secret, &own);
    pl_key_file_wipe(&secret);
    if (read_one(l, name, false, &public) == PL_OK && !same_public(&own, &public))
        tell(l, false,
             "'%s/%s.key' and '%s/%s.pub' are not of one pair; copy the .pub again from where the "
             "key was made",
             l->dir, name, l->dir, name);
}

static void look_at_public(struct look *l, const char *name)
{
    const struct pl_allowed *line;
    struct pl_key_file public;

    l->publics++;
    if (read_one(l, name, false, &public) < 0 || !l->allow)
        return;
    line = pl_allow_find(l->allow, public.values[PL_KEY_CURVE_PUBLIC]);
    if (!line ||
        (line->signs && memcmp(line->sign, public.values[PL_KEY_SIGN_PUBLIC], PL_KEY_BYTES) != 0)) {
        l->unlisted++;
        tell(l, false, "'%s/allow' does not name the key of '%s.pub', which is not let in", l->dir,
             name);
    }
}

static void open_list(struct look *l)
{
    char *path = pl_strf("%s/allow", l->dir);
    struct pl_error err = {0};
    int rc = path ? pl_allow_open(path, &l->allow, &err)
                  : pl_fail(&err, PL_ENOMEM, "no memory to look at keys");

    if (rc == PL_ENOENT)
        tell(l, true, "there is no '%s', so nobody can be let in here: right for actors", path);
    else if (rc < 0)
        tell(l, false, "%s", err.text);
    free(path);
}

static void look_at_folder(struct look *l)
{
    struct stat st;

    if (stat(l->dir, &st) == 0 && (st.st_mode & 0022) && !(st.st_mode & S_ISVTX))
        tell(l, false, "others may put keys into '%s', whose mode is %04o; type chmod go-w '%s'",
             l->dir, (unsigned)(st.st_mode & 07777), l->dir);
}

size_t pl_doctor_keys(const char *dir, pl_doctor_say *say, void *at)
{
    struct look l = {.dir = dir, .say = say, .at = at};
    struct dirent **files = NULL;
    const int count = scandir(dir, &files, NULL, alphasort);
    char name[PL_KEY_NAME_MAX];

    if (count < 0) {
        tell(&l, false, "the folder of keys '%s' cannot be read: %s", dir, strerror(errno));
        return l.wrong;
    }
    look_at_folder(&l);
    open_list(&l);
    for (int i = 0; i < count; i++) {
        if (take_name(files[i]->d_name, ".key", name))
            look_at_secret(&l, name);
        else if (take_name(files[i]->d_name, ".pub", name))
            look_at_public(&l, name);
        free(files[i]);
    }
    free(files);
    if (l.secrets == 0 && l.allow)
        tell(&l, true, "'%s' has no secret key: enough for a rewarder that nobody asks for scores",
             dir);
    else if (l.secrets == 0)
        tell(&l, false, "'%s' has no secret key: a program needs NAME.key or ROLE.key", dir);
    if (l.wrong == 0)
        tell(&l, true, "%zu secret and %zu public keys, each as it should be%s", l.secrets,
             l.publics, l.allow ? ", and all of them in the list" : "");
    pl_allow_close(l.allow);
    return l.wrong;
}
