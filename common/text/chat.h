/*
 * How a conversation becomes the prompt of a model. Templates are data: a text file with
 *
 *   {{system}}     the instruction, where the template has a place for one
 *   {{user}}       what was asked; exactly once
 *   {{answer}}     where the answer stands; without it, behind the end of the text
 *
 * in this order. All other text is taken as it stands, line breaks too, and added tokens in it are
 * tokens; what is put in for {{system}} and {{user}} is untrusted text, whose special tokens are
 * spelled out. The ids are those that the whole text put together would have. ChatML is
 *
 *   <|im_start|>system
 *   {{system}}<|im_end|>
 *   <|im_start|>user
 *   {{user}}<|im_end|>
 *   <|im_start|>assistant
 *   {{answer}}<|im_end|>
 *
 * Of what stands behind {{answer}}, the line breaks at the end go in front of the next turn; the
 * rest ends the answer, and a model says it itself unless it was cut off.
 *
 * Which template a model has: a file named on the command line; else MODEL/prompt_template.txt;
 * else ChatML, when the tokenizer has <|im_start|> and <|im_end|>; else "{{user}}" alone.
 *
 * A template is read-only: threads share it, each with an encoder of its own.
 */
#ifndef PL_TEXT_CHAT_H
#define PL_TEXT_CHAT_H

#include "common/base/err.h"
#include "common/text/tokenizer.h"

#define PL_CHAT_FILE "prompt_template.txt" /* in a model folder */

struct pl_chat; /* a parsed template */

/*
 * `path` and `model_dir` may be NULL. PL_ENOENT: there is no such path. PL_EIO. PL_EFORMAT:
 * {{user}} is missing, something is there twice or out of order, a {{name}} is not known, or it is
 * no UTF-8. PL_ENOMEM. Ended with pl_chat_destroy().
 */
int pl_chat_load(const char *path, const char *model_dir, const struct pl_tokenizer *tokenizer,
                 struct pl_chat **ret_chat, struct pl_error *err);

/* From text; `what` names it in errors. */
int pl_chat_parse(const char *text, size_t len, const char *what, struct pl_chat **ret_chat,
                  struct pl_error *err);
void pl_chat_destroy(struct pl_chat *chat); /* NULL is fine */

bool pl_chat_has_system(const struct pl_chat *chat); /* whether there is a place for one */

/*
 * Append the ids of one turn, up to where the answer begins.
 *
 * `first`: the conversation begins here: pl_tokenizer_front() comes first, unless the template
 * itself begins with it, and {{system}} is put in. On later turns what stands before {{user}} is
 * put in without the line that holds {{system}} and those before it (if {{user}} is on that same
 * line: without {{system}} and what is between the two).
 *
 * system NULL: {{system}} gets its default, the empty text, or for built-in ChatML the one of
 * Qwen2.5. PL_EINVAL: a system text at the first turn, and no place for it. Errors of
 * pl_tokenizer_encode(). On failure out is as it was.
 */
int pl_chat_turn(const struct pl_chat *chat, struct pl_encoder *encoder, bool first,
                 const char *system, const char *user, size_t user_len, struct pl_ids *out,
                 struct pl_error *err);

/* Append what ends an answer that the model did not end itself; for ChatML <|im_end|>. May be
 * nothing. The same is what a model is trained to say behind an answer. */
int pl_chat_close(const struct pl_chat *chat, struct pl_encoder *encoder, struct pl_ids *out,
                  struct pl_error *err);

#endif
