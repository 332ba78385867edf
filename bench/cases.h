/*
 * cases.h - what a benchmark case is, for both sides of the pipe
 *
 * cases.def is the one table of cases: `ringside bench` reads it for what to
 * compare, with which figure to reach, and the workload program reads it for
 * the function to run. A new case is one row there and one function in
 * workload.c.
 *
 * The workload is started as `workload CASE FILE` ("-" for no file) and obeys
 * lines on its standard input; each gets one line of answer:
 *
 *     (start)            ready | refused WHY | skip WHY | error WHY
 *     slice MS SEED      slice OPERATIONS NS CPU_NS | skip WHY | error WHY
 *     hold KIND COUNT    held BYTES | refused WHY | error WHY
 *     (end of input)     exits 0
 *
 * "refused" means that this side has no io_uring, "skip" that the case makes
 * no sense here, "error" that something answered wrongly.
 */
#ifndef BENCH_CASES_H
#define BENCH_CASES_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_DEPTH      32
#define BENCH_PAGE       4096
#define BENCH_ANSWER_MAX 512

enum bench_file {
	FILE_NONE,
	FILE_CACHED, /* read through the kernel's cache, resident before each slice */
	FILE_COLD,   /* read through the kernel's cache, dropped from it before each slice */
	FILE_DIRECT, /* opened with O_DIRECT */
};

enum bench_measure {
	MEASURE_TIME,  /* slices of time, compared with the kernel */
	MEASURE_HOLD,  /* memory of requests that wait; ringside alone */
	MEASURE_RIVAL, /* slices of time of something else than io_uring, for another case */
};

/* One figure of ringside's own statistics that belongs in a case's result. */
struct bench_stat {
	const char *path; /* in the statistics, as "pagein.threads"; NULL ends the list */
	const char *key;  /* in our JSON */
	long want;
};

struct workload; /* workload.c */

struct bench_case {
	const char *name;
	/* Does about `ops` operations (at least one) and returns how many; only in the workload. */
	uint64_t (*run)(struct workload *load, uint64_t ops);
	const char *what;
	enum bench_measure measure;
	double target; /* ratio to reach, or for MEASURE_HOLD bytes not to exceed */
	bool by_trap;  /* liburing linked into the program, so each enter traps */
	enum bench_file file;
	uint64_t span;           /* bytes of the file that are used, 0: all */
	const char *rival;       /* name of a MEASURE_RIVAL row, or NULL */
	const char *rival_label; /* JSON keys become <label>_ns, <label>_ratio, ... */
	double rival_target;
	struct bench_stat stats[3];
};

#endif
