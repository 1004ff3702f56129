/*
 * `plait model`: model folders, made, described and scored with.
 */
#ifndef PL_DEPLOY_CMD_MODEL_H
#define PL_DEPLOY_CMD_MODEL_H

int pl_cmd_model(int argc, char **argv);

int pl_cmd_model_init(int argc, char **argv);
int pl_cmd_model_info(int argc, char **argv);
int pl_cmd_model_score(int argc, char **argv);

#endif
