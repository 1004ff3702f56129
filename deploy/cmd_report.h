/* `plait report`: a page of HTML for the folders of runs. Returns an exit status. */
#ifndef PL_DEPLOY_CMD_REPORT_H
#define PL_DEPLOY_CMD_REPORT_H

int pl_cmd_report(int argc, char **argv);

#endif
