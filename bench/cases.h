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
 *     slice MS SEED N    slice OPERATIONS NS CPU_NS | skip WHY | error WHY
 *                        (by N threads at a time, 1 or, for MEASURE_SCALE, 2)
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
#define BENCH_SECTOR     512
#define BENCH_THREADS    2
#define BENCH_ANSWER_MAX 512

enum bench_file {
	FILE_NONE,
	FILE_CACHED, /* buffered; in the page cache before each slice */
	FILE_COLD,   /* buffered; dropped from the page cache before each slice */
	FILE_DIRECT, /* opened with O_DIRECT */
	FILE_MEMORY, /* copied into huge pages of the program before the first slice */
};

enum bench_measure {
	MEASURE_TIME,  /* slices of time, compared with the kernel */
	MEASURE_SCALE, /* slices of time by one thread and by two; each side against itself */
	MEASURE_HOLD,  /* memory of requests that wait; ringside alone */
	MEASURE_CACHE, /* memory of ringside's page cache beside the pages; ringside alone */
	MEASURE_RIVAL, /* slices of time of something else than io_uring, for another case */
};

/* One figure of ringside's own statistics that belongs in a case's result. */
struct bench_stat {
	const char *path; /* in the statistics, as "pagein.threads"; NULL ends the list */
	const char *key;  /* in our JSON */
	long want;
	bool is_minimum; /* as much as wanted, or more; else exactly */
};

struct workload; /* workload.c */

struct bench_case {
	const char *name;
	/* Does about `ops` operations (at least one) and returns how many; only in the workload. */
	uint64_t (*run)(struct workload *load, uint64_t ops);
	const char *what;
	enum bench_measure measure;
	/* Ratio to reach; not to exceed: bytes (MEASURE_HOLD), a share in % (MEASURE_CACHE). */
	double target;
	bool by_trap; /* liburing linked into the program, so each enter traps */
	enum bench_file file;
	uint64_t span;           /* bytes of the file that are used, 0: all */
	uint64_t cache;          /* bytes of ringside's page cache, 0: off */
	unsigned int block;      /* bytes of a read, a power of two; 0: BENCH_PAGE */
	unsigned int depth;      /* reads at a time, 0: BENCH_DEPTH */
	unsigned int pending;    /* requests that wait all the time */
	bool sequential;         /* one block after the other, or else at random */
	const char *rival;       /* name of a MEASURE_RIVAL row, or NULL */
	const char *rival_label; /* JSON keys become <label>_ns, <label>_ratio, ... */
	double rival_target;
	struct bench_stat stats[3];
};

#endif
