/* `plait up CONFIG [NAME=VALUE]...`: a whole run on this machine. */
#ifndef PL_DEPLOY_CMD_UP_H
#define PL_DEPLOY_CMD_UP_H

int pl_cmd_up(int argc, char **argv);

#endif
