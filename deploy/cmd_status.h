/*
 * `plait status RUN`: how a run stands, and who waits for whom.
 */
#ifndef PL_DEPLOY_CMD_STATUS_H
#define PL_DEPLOY_CMD_STATUS_H

int pl_cmd_status(int argc, char **argv);

#endif
