/*
 * `plait doctor`: what this machine is, how fast it multiplies and reads, and the proof that the
 * engine is row invariant on it. Exit status 1 when it is not.
 */
#ifndef PL_DEPLOY_CMD_DOCTOR_H
#define PL_DEPLOY_CMD_DOCTOR_H

int pl_cmd_doctor(int argc, char **argv);

#endif
