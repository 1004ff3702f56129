/*
 * `plait redis init|acl|certs`: what a Redis needs before it serves runs: the functions, its users,
 * certificates for TLS.
 */
#ifndef PL_DEPLOY_CMD_REDIS_H
#define PL_DEPLOY_CMD_REDIS_H

int pl_cmd_redis(int argc, char **argv);

#endif
