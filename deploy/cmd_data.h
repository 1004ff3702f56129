/*
 * `plait data generate FAMILY` makes tasks, and worked answers for fine-tuning; `plait data import`
 * turns rows of published data sets into tasks.
 */
#ifndef PL_DEPLOY_CMD_DATA_H
#define PL_DEPLOY_CMD_DATA_H

int pl_cmd_data(int argc, char **argv);
int pl_cmd_data_generate(int argc, char **argv);
int pl_cmd_data_import(int argc, char **argv);

#endif
