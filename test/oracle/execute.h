/*
 * execute.h - run programs and write down what came of them
 *
 * An outcome is text, one fact a line: `where: what`. What order does not promise
 * is sorted away here, so that two outcomes are equal if and only if no
 * correct program could tell them apart.
 *
 * Entry:       execute_program()
 * Not here:    probes of the calls' arguments (probe.c), comparing (compare.c)
 */
#ifndef ORACLE_EXECUTE_H
#define ORACLE_EXECUTE_H

#include <stdio.h>

#include "program.h"
#include "world.h"

struct execution {
	const struct memory *memory;
	const char *scratch[2];   /* in memory, on disk */
	unsigned int patience_ms; /* how long a missing CQE is waited for, once a program */
	FILE *out;
};

void execute_program(const struct execution *execution, const struct program *program);

/* probe.c */
void probes_run(const struct program *program, FILE *out);

/* probe_register.c: fills the argument of a newer registration; false: it is none of these */
bool newer_register_aim(const struct probe *probe, uint8_t *bytes, const uint8_t *memory, int ring);
/* What a call that succeeded wrote there. */
void newer_register_print(const struct probe *probe, const uint8_t *bytes, FILE *out);

/* "EINVAL" of -22; never NULL. */
const char *result_name(long result);

#endif
