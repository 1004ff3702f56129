#include "common/base/secret.h"

#include "common/base/buf.h"
#include "common/base/file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

char *pl_secret_path(const char *name)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char *path;

    if (name[0] == '/' || !folder || !folder[0])
        return strdup(name);
    path = pl_strf("%s/%s", folder, name);
    if (path && pl_path_exists(path))
        return path;
    free(path);
    return path ? strdup(name) : NULL;
}

int pl_secret_check(const char *path, struct pl_error *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return pl_fail_errno(err, "look at '%s'", path);
    if (st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
        return pl_fail(err, PL_EINVAL,
                       "'%s' holds a secret, but its mode is %04o: let nobody else read it "
                       "(chmod 600, or 440 for a group of its own)",
                       path, (unsigned)st.st_mode & 07777);
    return PL_OK;
}

static int check_line(const char *path, char *text, size_t len, struct pl_error *err)
{
    if (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    if (len > 0 && text[len - 1] == '\r')
        text[--len] = '\0';
    if (len == 0)
        return pl_fail(err, PL_EFORMAT, "'%s' is empty; one line with a secret is expected", path);
    if (strlen(text) != len || strpbrk(text, "\r\n"))
        return pl_fail(err, PL_EFORMAT, "'%s' has more than one line, or a zero byte", path);
    return PL_OK;
}

int pl_secret_read(const char *name, char **ret_text, struct pl_error *err)
{
    char *path = pl_secret_path(name), *text = NULL;
    size_t len = 0;
    int rc = path ? pl_secret_check(path, err) : pl_fail(err, PL_ENOMEM, "no memory for a secret");

    if (rc == PL_OK)
        rc = pl_file_read(path, PL_SECRET_MAX, &text, &len, err);
    if (rc == PL_OK)
        rc = check_line(path, text, len, err);
    if (rc == PL_OK)
        *ret_text = text;
    else
        pl_secret_free(text);
    free(path);
    return rc;
}

void pl_secret_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

bool pl_secret_in_address(const char *text)
{
    static const char redis[] = "redis", tls[] = "rediss";
    const char *sign = strrchr(text, '@'); /* a password may hold any of "@/:" */

    for (const char *at = strstr(text, "://"); sign && at && at < sign;
         at = strstr(at + 3, "://")) {
        const size_t before = (size_t)(at - text);

        if (memchr(at + 3, ':', (size_t)(sign - at - 3)))
            return true;
        if ((before >= sizeof redis - 1 &&
             strncasecmp(at - (sizeof redis - 1), redis, sizeof redis - 1) == 0) ||
            (before >= sizeof tls - 1 &&
             strncasecmp(at - (sizeof tls - 1), tls, sizeof tls - 1) == 0))
            return true;
    }
    return false;
}
