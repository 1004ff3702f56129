/*
 * A model that says what it was told, whatever came before: what tests of chatting talk to. Each
 * token has one successor, which its weights make all but certain.
 *
 *   "1=<think>~a~</think>"    said by who was asked something that ends in "1": three tokens, then
 *                             <|endoftext|>, which ends a response
 *   "2=a~b~*"                 the same with "2", and "*" begins again: it never ends
 *   "\x1b", "\none"           pieces that are one byte, and a row that is no token
 *   "!<tag>"                  a special token
 *   "<|end|>"                 a special token that does not end a response by itself
 *
 * A piece stands in one place only. Included after cmocka's headers; whatever fails here fails
 * the test.
 */
#ifndef PL_TESTS_PARROT_H
#define PL_TESTS_PARROT_H

#include "common/model/weights.h"
#include "common/text/tokenizer.h"

#include <stddef.h>
#include <stdint.h>

enum { PL_PARROT_STOP = 256, PL_PARROT_END = 257 }; /* ids of <|endoftext|> and <|end|> */

struct pl_parrot {
    struct pl_shape *shape;
    struct pl_weights *weights;
    struct pl_tokenizer *tokenizer;
    char *json; /* the tokenizer's */
};

void pl_parrot_create(struct pl_parrot *parrot, const char *const *scripts, size_t count,
                      size_t positions);
void pl_parrot_destroy(struct pl_parrot *parrot);

/* As a model folder, which must not be there yet. */
void pl_parrot_save(const struct pl_parrot *parrot, const char *dir);

#endif
