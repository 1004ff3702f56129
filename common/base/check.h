/*
 * PL_ASSERT is for our own mistakes: shapes, states, ranges. It stays in release builds. What comes
 * from a file, a peer or a model's text is checked and refused with an error instead.
 */
#ifndef PL_BASE_CHECK_H
#define PL_BASE_CHECK_H

#define PL_ASSERT(cond) ((cond) ? (void)0 : pl_assert_failed(#cond, __FILE__, __LINE__, __func__))

/* Prints what was expected and where, and aborts. */
_Noreturn void pl_assert_failed(const char *cond, const char *file, int line, const char *func);

#endif
