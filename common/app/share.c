#include "common/app/share.h"

#include "common/base/buf.h"
#include "common/base/file.h"

#include <stdlib.h>
#include <string.h>

char *pl_share_folder(const char *given, const char *name)
{
    static const char *const places[] = {"", "../share/plait/", "../../share/plait/",
                                         "../../deploy/", "../deploy/"};
    const char *set = getenv(given);
    char *own, *path = NULL;

    if (set && set[0])
        return strdup(set);
    own = pl_program_folder();
    for (size_t i = 0; own && i < sizeof places / sizeof places[0]; i++) {
        free(path);
        path = pl_strf("%s/%s%s", own, places[i], name);
        if (!path || pl_path_exists(path))
            break;
    }
    free(own);
    return path;
}
