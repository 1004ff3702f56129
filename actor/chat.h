/*
 * `plait chat`: a conversation with a model, in a terminal, from a pipe, or a single question.
 */
#ifndef PL_ACTOR_CHAT_H
#define PL_ACTOR_CHAT_H

int pl_cmd_chat(int argc, char **argv); /* returns the exit status */

#endif
