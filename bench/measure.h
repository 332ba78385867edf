/*
 * measure.h - one case, measured
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/cases.h"

#define ROUNDS_MIN 3
#define ROUNDS_MAX 1000

/* The kinds of waiting request whose memory is told apart, and their number. */
#define HOLD_KINDS 3
extern const char *const hold_kinds[HOLD_KINDS];

/* How to measure; the same for all cases but for the end. */
struct plan {
	const char *program;         /* workload that calls liburing.so */
	const char *program_by_trap; /* with liburing inside */
	const char *library;         /* libringside.so; NULL compares the kernel with itself */
	const char *file;            /* "-" if no case needs one */
	const char *stats;           /* a path that the sides may write to */
	unsigned int rounds;
	unsigned int slice_ms;
	int64_t case_end_ms; /* no further round after it, once ROUNDS_MIN are done */
};

/* Of the figures of all rounds: the median, and the first and third quartile. */
struct spread {
	double median, low, high;
};

struct timing {
	bool has; /* false where that side cannot run */
	struct spread ns;
	struct spread cpu_ns;
	struct spread ratio; /* of this side's time to ringside's, round by round */
};

/* One side by one thread and by two, both in time per operation of all threads together. */
struct scaling {
	bool has;
	struct spread one, two;
	struct spread
		ratio; /* one / two, round by round: 2 where the second thread costs nothing */
};

enum result_state {
	RESULT_MEASURED,
	RESULT_SKIPPED,
	RESULT_FAILED,
};

struct result {
	const struct bench_case *row;
	enum result_state state;
	char why[BENCH_ANSWER_MAX + 64]; /* unless measured */
	char refusal[BENCH_ANSWER_MAX];  /* of the kernel's io_uring, or empty */
	unsigned int rounds;
	struct timing kernel, ringside, rival;
	struct scaling kernel_scale, ringside_scale, rival_scale; /* MEASURE_SCALE */
	bool has_stat[3];
	double stat[3];
	double bytes; /* MEASURE_HOLD: the largest of the kinds; MEASURE_CACHE: all but pages */
	double share; /* MEASURE_CACHE: of them in the pages, % */
	double kind_bytes[HOLD_KINDS];
};

extern const struct bench_case bench_cases[];
extern const unsigned int bench_case_count;

int64_t clock_ms(void);

void measure_case(const struct bench_case *row, const struct plan *plan, struct result *result);

#endif
