/*
 * Where in a text the mathematical answer is.
 *
 * In this order: the content of the last balanced \boxed{...} or \fbox{...} ("\boxed 5" is taken up
 * to the next $ or the line's end); what stands behind the last "####" on its line; what stands
 * behind the last "answer is" or "answer:"; the whole text. Blanks, "$", "$$", "\(", "\[", "**"
 * around it and a full stop, comma or semicolon behind it are taken off.
 *
 * Braces with a backslash before them ("\{") do not count. Takes time linear in the text.
 */
#ifndef PL_REWARDER_MATH_TEXT_H
#define PL_REWARDER_MATH_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* False: there is none: nothing is left, or a box is there but none is balanced (braces nested
 * deeper than some hundred count as not balanced). Borrowed from the text. */
bool pl_math_text_find(const char *text, size_t len, const char **ret_answer, size_t *ret_len);

#endif
