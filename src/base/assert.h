/*
 * assert.h - assertions that stay in release builds
 *
 * rs_assert() is for what only a bug of ours can break, never for input: a
 * program's SQE, a descriptor or a failing disk must never reach one.
 */
#ifndef RS_BASE_ASSERT_H
#define RS_BASE_ASSERT_H

#include "base/types.h"

/* Prints the failed condition to stderr and aborts. Safe in a signal handler and with any lock
 * held. */
_Noreturn RS_COLD void assert_failed(const char *condition, const char *file, int line);

#define rs_assert(cond)                                                                            \
	do {                                                                                       \
		if (unlikely(!(cond)))                                                             \
			assert_failed(#cond, __FILE__, __LINE__);                                  \
	} while (0)

#endif
