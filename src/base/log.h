/*
 * log.h - what ringside says to a person, when asked (RINGSIDE=verbose) or when it must
 *
 * The library lives in other people's processes: it prints nothing but
 * warnings of things that the user must know (log_warn) unless verbose is on.
 * Each line goes out in one write(2) to descriptor 2, begins with "ringside: ",
 * and is cut at LOG_LINE bytes. Safe in signal handlers, with any lock held.
 */
#ifndef RS_BASE_LOG_H
#define RS_BASE_LOG_H

#include "base/types.h"

#define LOG_LINE 512

extern bool log_is_verbose;

void log_warn(const char *format, ...) RS_PRINTF(1, 2);
void log_line(const char *format, ...) RS_PRINTF(1, 2);

#define log_verbose(...)                                                                           \
	do {                                                                                       \
		if (unlikely(log_is_verbose))                                                      \
			log_line(__VA_ARGS__);                                                     \
	} while (0)

#endif
