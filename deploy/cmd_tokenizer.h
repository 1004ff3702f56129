/*
 * `plait tokenizer train|encode|decode|info`: learn a vocabulary from text, look at one, apply one.
 */
#ifndef PL_DEPLOY_CMD_TOKENIZER_H
#define PL_DEPLOY_CMD_TOKENIZER_H

int pl_cmd_tokenizer(int argc, char **argv);

int pl_cmd_tokenizer_train(int argc, char **argv);  /* cmd_tokenizer_train.c */
int pl_cmd_tokenizer_encode(int argc, char **argv); /* these in cmd_tokenizer_use.c */
int pl_cmd_tokenizer_decode(int argc, char **argv);
int pl_cmd_tokenizer_info(int argc, char **argv);

#endif
