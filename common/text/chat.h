/*
 * How a conversation becomes the prompt of a model. Templates are data: a text file with
 *
 *   {{system}}     the instruction, where the template has a place for one
 *   {{user}}       what was asked; exactly once
 *
 * and what stands behind {{user}} ends with where the answer begins. All other text is taken as it
 * stands, added tokens in it are tokens; what is put in for {{system}} and {{user}} is untrusted
 * text, whose special tokens are spelled out.
 *
 * Which template a model has: a file named on the command line; else MODEL/prompt_template.txt;
 * else ChatML, when the tokenizer has <|im_start|> and <|im_end|>; else "{{user}}" alone.
 */
#ifndef PL_TEXT_CHAT_H
#define PL_TEXT_CHAT_H

#include "common/base/err.h"
#include "common/text/tokenizer.h"

#define PL_CHAT_FILE "prompt_template.txt" /* in a model folder */

struct pl_chat; /* a parsed template */

/* `path` may be NULL. PL_ENOENT, PL_EIO; PL_EFORMAT: {{user}} is missing or there twice, or a
 * {{name}} is not known. PL_ENOMEM. Ended with pl_chat_destroy(). */
int pl_chat_load(const char *path, const char *model_dir, const struct pl_tokenizer *tokenizer,
                 struct pl_chat **ret_chat, struct pl_error *err);
int pl_chat_parse(const char *text, size_t len, const char *what, struct pl_chat **ret_chat,
                  struct pl_error *err);
void pl_chat_destroy(struct pl_chat *chat); /* NULL is fine */

/*
 * Append the ids of one turn. `first`: the conversation begins here, and {{system}} is put in;
 * on later turns what stands before {{user}} is put in without the part that holds {{system}}
 * (everything up to the line after it). system NULL: a template with {{system}} gets its default,
 * the empty text, or for ChatML the one of Qwen2.5. Errors of pl_tokenizer_encode().
 */
int pl_chat_turn(const struct pl_chat *chat, struct pl_encoder *encoder, bool first,
                 const char *system, const char *user, size_t user_len, struct pl_ids *out,
                 struct pl_error *err);

/* What a later turn must have in front when the model's answer ended at its limit, without the
 * template's end of answer: for ChatML "<|im_end|>\n". Appended; may be nothing. */
int pl_chat_close(const struct pl_chat *chat, struct pl_encoder *encoder, struct pl_ids *out,
                  struct pl_error *err);

#endif
