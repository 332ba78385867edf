/*
 * side.h - one running workload program: native, or under ringside
 */
#ifndef BENCH_SIDE_H
#define BENCH_SIDE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/cases.h"

enum side_state {
	SIDE_RUNS,
	SIDE_REFUSED, /* no io_uring for this side */
	SIDE_SKIPPED, /* the case makes no sense here */
	SIDE_FAILED,  /* a wrong answer, a crash, no answer in time */
};

struct side_config {
	const char *program; /* path of the workload */
	const char *library; /* path of libringside.so, or NULL: native */
	const char *case_name;
	const char *file;  /* "-" for none */
	const char *stats; /* where ringside is to write its statistics, or NULL */
	uint64_t cache;    /* bytes of ringside's page cache, 0: off */
};

/* Owned by the case that is measured, from side_start() to side_stop(). */
struct side {
	pid_t pid; /* 0: not running */
	int to;    /* our end of its standard input */
	int from;
	enum side_state state;
	char why[BENCH_ANSWER_MAX]; /* unless it runs */
};

struct sample {
	double ns;     /* per operation */
	double cpu_ns; /* processor time of all its threads, per operation */
};

/* Set by a signal: every wait for a side ends, and the side is SIDE_FAILED. */
extern volatile bool side_interrupted;

/*
 * Each returns the side's state after it. A side that does not run any more
 * still wants its side_stop(), which ends the process and collects it.
 */
enum side_state side_start(struct side *side, const struct side_config *config);
enum side_state side_slice(struct side *side, unsigned int ms, uint64_t seed, unsigned int threads,
			   struct sample *sample);
enum side_state side_hold(struct side *side, const char *kind, unsigned long count,
			  uint64_t *bytes);
/* After it read the file: SIDE_FAILED unless ringside owns it, for then the cache had no part in
 * what was measured. */
enum side_state side_owns_file(struct side *side);
enum side_state side_stop(struct side *side);

#endif
