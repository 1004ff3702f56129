/*
 * `plait eval`: measures a model on task files, in this process.
 */
#ifndef PL_DEPLOY_CMD_EVAL_H
#define PL_DEPLOY_CMD_EVAL_H

int pl_cmd_eval(int argc, char **argv);

#endif
