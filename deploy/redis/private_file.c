#include "deploy/redis/private_file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int pl_private_open(const char *path, struct pl_outfile *ret_out, struct pl_error *err)
{
    const mode_t mask = umask(0077);
    const int rc = pl_outfile_open(path, ret_out, err);
    struct stat st;
    int fd;

    umask(mask);
    if (rc < 0)
        return rc;
    fd = fileno(ret_out->stream);
    if (fchmod(fd, 0600) < 0) { /* what an attempt before this one left may have another */
        pl_outfile_abort(ret_out);
        return pl_fail_errno(err, "chmod '%s'", path);
    }
    /* Where it may not be given to them it stays ours alone. */
    if (stat(path, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) == 0 && (st.st_mode & S_IRGRP))
        (void)fchmod(fd, 0640);
    return PL_OK;
}
