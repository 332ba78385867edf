/*
 * compare.h - two outcomes of one program, and what explains their differences
 *
 * Entry:       known_read(), outcome_compare()
 * Not here:    how outcomes are made (execute.c) and collected (collect.c)
 */
#ifndef ORACLE_COMPARE_H
#define ORACLE_COMPARE_H

#include <stdbool.h>
#include <stdio.h>

#define KNOWN_MAX 64

/* Owner: main(), from start to end. */
struct known {
	struct known_entry {
		char *kernel;
		char *ringside;
		char *reason;
	} * entries;
	int count;
	int met[KNOWN_MAX]; /* differences that each entry explained, while is_counting */
	bool is_counting;
};

struct comparison {
	int differences; /* lines that differ and nothing explains */
	int explained;
	int rank;            /* of the signature: the more, the more it says */
	char signature[256]; /* of the first most telling one: the same for the same kind */
};

/* 0, or -errno after a message that names the line. */
int known_read(struct known *known, const char *path);

/* Compare; with `out`, print what differs, side by side. */
struct comparison outcome_compare(const char *kernel, const char *ringside, struct known *known,
				  FILE *out);

#endif
