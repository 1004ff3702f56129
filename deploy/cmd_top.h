/* `plait top`: a run on a full screen. */
#ifndef PL_DEPLOY_CMD_TOP_H
#define PL_DEPLOY_CMD_TOP_H

int pl_cmd_top(int argc, char **argv);

#endif
