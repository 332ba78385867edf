/*
 * shrink.c - delta debugging of programs
 *
 * All programs that are one step smaller are run at once; the first that still
 * differs in the same way is taken, until none does. Big steps (a batch, a
 * chain, the probes) are tried before small ones (an op, a flag, a field).
 *
 * Entry:       program_shrink()
 * Invariants:  S1 each step removes something, and there is a deadline, so the search ends
 *              S2 a step that breaks the model (generate_wait.c) is not taken: the
 *                 result is as deterministic as the program it came from
 */
#include "shrink.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CANDIDATES     256
#define GROUP          16 /* run at once */
#define SHRINK_SECONDS 15

/* Owner: program_shrink(). */
struct candidates {
	const struct program *from;
	struct program *programs;
	int count;
};

static struct program *candidate_add(struct candidates *candidates)
{
	struct program *program;

	if (candidates->count == CANDIDATES)
		return NULL;
	program = &candidates->programs[candidates->count++];
	*program = *candidates->from;
	return program;
}

/* Keep the copy only if something in it changed. */
static void candidate_keep(struct candidates *candidates, const struct program *program)
{
	if (program && !memcmp(program, candidates->from, sizeof(*program)))
		candidates->count--;
}

static void drop_where(struct program *program, bool (*is_member)(const struct op *, int), int what)
{
	for (int i = program->nops - 1; i >= 0; i--)
		if (is_member(&program->ops[i], what))
			program_drop_op(program, i);
}

static bool is_in_batch(const struct op *op, int batch)
{
	return op->batch == batch;
}

static bool is_in_chain(const struct op *op, int chain)
{
	return op->chain == chain;
}

static void big_steps(struct candidates *candidates)
{
	const struct program *from = candidates->from;
	struct program *program;

	if (from->nprobes && (program = candidate_add(candidates)))
		program->nprobes = 0;
	if (from->nops && from->nprobes && (program = candidate_add(candidates))) {
		program->nops = 0;
		program->nbatches = 0;
	}
	for (int b = from->nbatches - 1; b >= 0; b--) {
		program = candidate_add(candidates);
		if (program) {
			drop_where(program, is_in_batch, b);
			if (b == from->nbatches - 1)
				program->nbatches--;
		}
		candidate_keep(candidates, program);
	}
	for (int i = 0; i < from->nops; i++) {
		if (i && from->ops[i].chain == from->ops[i - 1].chain)
			continue;
		program = candidate_add(candidates);
		if (program)
			drop_where(program, is_in_chain, from->ops[i].chain);
	}
}

static void ring_steps(struct candidates *candidates)
{
	const struct program *from = candidates->from;
	struct program *program;

	for (int bit = 0; bit < 32; bit++) {
		if (!(from->setup_flags & (1U << bit)))
			continue;
		program = candidate_add(candidates);
		if (!program)
			return;
		program->setup_flags &= ~(1U << bit);
		if (1U << bit == IORING_SETUP_SINGLE_ISSUER)
			program->setup_flags &= ~(uint32_t)IORING_SETUP_DEFER_TASKRUN;
		if (1U << bit == IORING_SETUP_COOP_TASKRUN)
			program->setup_flags &= ~(uint32_t)IORING_SETUP_TASKRUN_FLAG;
		if (1U << bit == IORING_SETUP_R_DISABLED)
			program->enable_later = false;
		if (1U << bit == IORING_SETUP_CQSIZE)
			program->cq_entries = 0;
	}
	for (int i = 0; i < from->nprobes; i++) {
		program = candidate_add(candidates);
		if (!program)
			return;
		memmove(&program->probes[i], &program->probes[i + 1],
			(size_t)(from->nprobes - i - 1) * sizeof(program->probes[0]));
		program->nprobes--;
	}
	program = candidate_add(candidates);
	if (program) {
		program->files = false;
		program->map_cq_apart = false;
		program->on_disk = false;
	}
	candidate_keep(candidates, program);
	program = candidate_add(candidates);
	if (program)
		program->buffers = false;
	candidate_keep(candidates, program);
}

static void batch_steps(struct candidates *candidates)
{
	for (int b = 0; b < candidates->from->nbatches; b++) {
		struct program *program = candidate_add(candidates);

		if (program)
			memset(&program->batches[b].before, 0, sizeof(program->batches[b].before));
		candidate_keep(candidates, program);
		program = candidate_add(candidates);
		if (program)
			program->batches[b].wait_in_submit = false;
		candidate_keep(candidates, program);
	}
}

static void op_steps(struct candidates *candidates)
{
	const struct program *from = candidates->from;
	struct program *program;

	for (int i = from->nops - 1; i >= 0; i--) {
		program = candidate_add(candidates);
		if (program)
			program_drop_op(program, i);
		for (int bit = 0; bit < 8; bit++) {
			if (!(from->ops[i].sqe.flags & (1 << bit)))
				continue;
			program = candidate_add(candidates);
			if (program)
				program->ops[i].sqe.flags &= (uint8_t) ~(1 << bit);
		}
		program = candidate_add(candidates);
		if (program) {
			program->ops[i].sqe.personality = 0;
			program->ops[i].sqe.addr3 = 0;
			program->ops[i].sqe.__pad2[0] = 0;
		}
		candidate_keep(candidates, program);
		program = candidate_add(candidates);
		if (program)
			program->ops[i].sqe.ioprio = 0;
		candidate_keep(candidates, program);
		program = candidate_add(candidates);
		if (program)
			program->ops[i].sqe.rw_flags = 0;
		candidate_keep(candidates, program);
		program = candidate_add(candidates);
		if (program && program->ops[i].off.kind == REF_RAW)
			program->ops[i].off.v = 0;
		candidate_keep(candidates, program);
	}
}

/* Whether this run of candidates shows it, and the model still holds on the kernel. */
static int first_in(const struct program *programs, int count, const struct side sides[2],
		    const struct collect_options *options, struct known *known,
		    const char *signature)
{
	char *text[2][GROUP] = {{NULL}};
	char **outcomes[2] = {text[0], text[1]};
	int found = -1;

	if (!collect_outcomes(sides, programs, count, options, outcomes)) {
		for (int i = 0; i < count && found < 0; i++) {
			struct comparison comparison =
				outcome_compare(text[0][i], text[1][i], known, NULL);

			if (comparison.differences && !strcmp(comparison.signature, signature) &&
			    !strstr(text[0][i], "CQEs missing"))
				found = i;
		}
	}
	for (int i = 0; i < count; i++) {
		free(text[0][i]);
		free(text[1][i]);
	}
	return found;
}

/* Run candidates, a group at a time; the first that shows the difference, or -1. */
static int first_that_differs(const struct candidates *candidates, const struct side sides[2],
			      const struct collect_options *options, struct known *known,
			      const char *signature, time_t deadline)
{
	for (int from = 0; from < candidates->count && time(NULL) < deadline; from += GROUP) {
		const int left = candidates->count - from;
		const int found = first_in(candidates->programs + from, left < GROUP ? left : GROUP,
					   sides, options, known, signature);

		if (found >= 0)
			return from + found;
	}
	return -1;
}

bool program_shrink(struct program *program, const struct side sides[2],
		    const struct collect_options *options, struct known *known,
		    const char *signature)
{
	static void (*const steps[])(struct candidates *) = {big_steps, ring_steps, batch_steps,
							     op_steps};
	struct candidates candidates = {.from = program, .count = 1};
	const time_t deadline = time(NULL) + SHRINK_SECONDS;
	bool reproduced = false;
	size_t step = 0;
	int found;

	candidates.programs = calloc(CANDIDATES, sizeof(*candidates.programs));
	if (!candidates.programs)
		return false;
	for (int tries = 0; tries < 3 && !reproduced; tries++) {
		candidates.programs[0] = *program;
		reproduced = !first_that_differs(&candidates, sides, options, known, signature,
						 deadline);
	}
	while (reproduced && time(NULL) < deadline) {
		candidates.count = 0;
		steps[step](&candidates);
		found = first_that_differs(&candidates, sides, options, known, signature, deadline);
		if (found >= 0)
			*program = candidates.programs[found];
		else if (++step == sizeof(steps) / sizeof(steps[0]))
			break;
	}
	free(candidates.programs);
	return reproduced;
}
