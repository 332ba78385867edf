/*
 * log.c - one line, one write
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/raw.h"

bool log_is_verbose;

static void log_write(const char *prefix, const char *format, va_list args)
{
	char line[LOG_LINE];
	int len = snprintf(line, sizeof(line), "ringside: %s", prefix);
	int more = vsnprintf(line + len, sizeof(line) - (size_t)len - 1, format, args);

	if (more < 0)
		return;
	len = min_of(len + more, LOG_LINE - 2);
	line[len++] = '\n';
	/* By raw system call: write() is interposed. */
	raw_syscall3(SYS_write, STDERR_FILENO, (long)line, len);
}

void log_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write("warning: ", format, args);
	va_end(args);
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write("", format, args);
	va_end(args);
}
