#include "tests/chaos/report.h"

#include <stdio.h>
#include <string.h>

const char *pl_report_commit(const char *build)
{
    static char commit[64];
    char command[500];
    FILE *pipe;

    snprintf(commit, sizeof commit, "unknown");
    snprintf(command, sizeof command, "git -C '%.400s' rev-parse --short=10 HEAD 2>/dev/null",
             build);
    pipe = popen(command, "re");
    if (pipe) {
        if (fgets(commit, sizeof commit, pipe))
            commit[strcspn(commit, "\n")] = '\0';
        pclose(pipe);
    }
    return commit;
}
