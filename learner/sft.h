/*
 * The command `plait sft`: options, the memory plan, --dry-run, the summary.
 */
#ifndef PL_LEARNER_SFT_H
#define PL_LEARNER_SFT_H

int pl_cmd_sft(int argc, char **argv); /* returns an exit status */

#endif
