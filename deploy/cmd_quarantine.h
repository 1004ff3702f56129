/* `plait quarantine`: actors whose work is not taken any more; see them, let them out. */
#ifndef PL_DEPLOY_CMD_QUARANTINE_H
#define PL_DEPLOY_CMD_QUARANTINE_H

int pl_cmd_quarantine(int argc, char **argv);

#endif
