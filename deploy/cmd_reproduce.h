/* `plait reproduce`: the paper's tables at a scale that a small machine can bear. */
#ifndef PL_DEPLOY_CMD_REPRODUCE_H
#define PL_DEPLOY_CMD_REPRODUCE_H

int pl_cmd_reproduce(int argc, char **argv); /* argv[0] is "reproduce"; returns an exit status */

#endif
