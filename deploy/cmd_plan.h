/* plait plan: what a run will take, before it is begun. */
#ifndef PL_DEPLOY_CMD_PLAN_H
#define PL_DEPLOY_CMD_PLAN_H

int pl_cmd_plan(int argc, char **argv); /* an exit status */

#endif
