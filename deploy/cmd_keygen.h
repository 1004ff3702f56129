/* `plait keygen`: the keys that programs of a run know each other by (common/link/keys.h). */
#ifndef PL_DEPLOY_CMD_KEYGEN_H
#define PL_DEPLOY_CMD_KEYGEN_H

int pl_cmd_keygen(int argc, char **argv);

#endif
