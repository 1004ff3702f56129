/*
 * The keys of a folder, looked at: modes, whether a secret key and the public one beside it are a
 * pair, whether the list names every public key that is there.
 */
#ifndef PL_DEPLOY_DOCTOR_KEYS_H
#define PL_DEPLOY_DOCTOR_KEYS_H

#include <stdbool.h>
#include <stddef.h>

/* Hears a sentence about each thing that was looked at. */
typedef void pl_doctor_say(void *at, bool fine, const char *sentence);

/* How many things are not as they should be. */
size_t pl_doctor_keys(const char *dir, pl_doctor_say *say, void *at);

#endif
