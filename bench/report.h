/*
 * report.h - results for people (a table) and for programs (JSON)
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/measure.h"

/* How it was measured, for the JSON. */
struct report_setting {
	bool quick;
	bool null; /* the kernel against itself */
	unsigned int rounds;
	unsigned int slice_ms;
	const char *folder; /* where the file of the I/O cases was */
};

void report_header(const struct report_setting *setting);
void report_case(const struct result *result);

/* Allocated text, checked to be valid JSON; NULL without memory. */
char *report_json(const struct report_setting *setting, const struct result *results,
		  unsigned int count);

#endif
