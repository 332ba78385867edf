/*
 * collect.h - running many programs in children, and their outcomes back here
 *
 * A child executes programs one after the other and writes outcomes to a pipe. If it
 * dies or stops, the program it was at gets that as its outcome, and a new
 * child goes on with the next one.
 *
 * Entry:       collect_outcomes() for both sides at once; executor_main() in the child
 */
#ifndef ORACLE_COLLECT_H
#define ORACLE_COLLECT_H

#include "program.h"
#include "ring.h"

/* Who answers: the kernel (no library), or what is preloaded. Owner: main(). */
struct side {
	const char *name;
	const char *library;
	enum entry_way entry;
};

struct collect_options {
	const char *scratch[2]; /* in memory, on disk */
	unsigned int patience_ms;
	unsigned int hang_ms; /* no outcome for so long: the child hangs */
};

/*
 * outcomes[s][i] becomes the outcome of programs[i] on side s; the caller frees each.
 * 0 or -errno.
 */
int collect_outcomes(const struct side sides[2], const struct program *programs, int count,
		     const struct collect_options *options, char **outcomes[2]);

/* What the child runs: programs [from, count) of descriptor `fd`. */
int executor_main(int fd, int from, int count, const struct collect_options *options);

#endif
