/* `plait trace`: the story of one group. */
#ifndef PL_DEPLOY_CMD_TRACE_H
#define PL_DEPLOY_CMD_TRACE_H

int pl_cmd_trace(int argc, char **argv);

#endif
