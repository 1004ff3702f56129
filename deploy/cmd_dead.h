/* `plait dead`: groups that failed for good; see them, try them again, drop them. */
#ifndef PL_DEPLOY_CMD_DEAD_H
#define PL_DEPLOY_CMD_DEAD_H

int pl_cmd_dead(int argc, char **argv);

#endif
