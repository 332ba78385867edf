/*
 * assert.c - what happens when an assertion fails
 *
 * Not here: logging (log.c); this must work when nothing else does.
 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/raw.h"

void assert_failed(const char *condition, const char *file, int line)
{
	char text[256];
	int len = snprintf(text, sizeof(text), "ringside: %s:%d: assertion failed: %s\n", file,
			   line, condition);

	if (len > 0)
		raw_syscall3(SYS_write, STDERR_FILENO, (long)text,
			     (long)min_of((size_t)len, sizeof(text) - 1));
	abort();
}
