/*
 * generate.c - rings, batches and chains of a random program
 *
 * Entry:       generate_program(); the drawing helpers of generate.h
 * Invariants:  see generate.h
 */
#include "generate.h"

#include <assert.h>
#include <string.h>

/* xoroshiro128+: small, and the same everywhere. */
uint64_t draw(struct generator *g)
{
	uint64_t a = g->random[0], b = g->random[1];
	const uint64_t result = a + b;

	b ^= a;
	g->random[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
	g->random[1] = (b << 37) | (b >> 27);
	return result;
}

static uint64_t spread(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint32_t draw_below(struct generator *g, uint32_t bound)
{
	return (uint32_t)((draw(g) >> 16) % bound);
}

bool draw_percent(struct generator *g, uint32_t percent)
{
	return draw_below(g, 100) < percent;
}

struct op *op_add(struct generator *g, uint8_t opcode)
{
	struct op *op = &g->program->ops[g->program->nops];

	assert(g->room > 0 && g->program->nops < PROGRAM_OPS);
	memset(op, 0, sizeof(*op));
	op->sqe.opcode = opcode;
	op->batch = (uint8_t)g->batch;
	op->chain = (uint8_t)g->chain;
	op->due[g->batch] = 1;
	g->program->nops++;
	g->room--;
	return op;
}

int op_index(const struct generator *g, const struct op *op)
{
	return (int)(op - g->program->ops);
}

void op_due(struct generator *g, int op)
{
	g->program->ops[op].due[g->batch]++;
}

void chain_link(struct generator *g, int first, uint8_t flag)
{
	for (int i = first; i < g->program->nops - 1; i++)
		g->program->ops[i].sqe.flags |= flag;
}

bool claim_try(struct generator *g, int index, bool exclusive)
{
	int *claim = &g->claims[index];

	if (*claim == g->chain + 1)
		return true;
	if (exclusive) {
		if (*claim)
			return false;
		*claim = g->chain + 1;
		return true;
	}
	if (*claim > 0)
		return false;
	*claim = -1;
	return true;
}

void op_set_fd(struct op *op, uint8_t object)
{
	op->fd.kind = REF_OBJ;
	op->fd.a = object;
}

void op_set_file(struct generator *g, struct op *op, uint8_t object)
{
	const uint32_t start = draw_below(g, PROGRAM_SLOTS);

	op_set_fd(op, object);
	if (!g->program->files || draw_percent(g, 50))
		return;
	for (uint32_t i = 0; i < PROGRAM_SLOTS; i++) {
		const uint32_t slot = (start + i) % PROGRAM_SLOTS;

		if (g->slots[slot] != object || !claim_try(g, CLAIM_SLOT + (int)slot, false))
			continue;
		op->fd.kind = REF_RAW;
		op->fd.v = slot;
		op->sqe.flags |= IOSQE_FIXED_FILE;
		return;
	}
}

/*
 * Requests that only complete: any result may come, and a chain of them may break
 * anywhere, but each posts its one CQE in this batch.
 */
static void plain_chain_draw(struct generator *g)
{
	const uint8_t flag = draw_percent(g, 25) ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK;
	const int first = g->program->nops;
	int len = draw_percent(g, 55) ? 1 : 2 + (int)draw_below(g, 4);
	struct op *op;

	len = len < g->room ? len : g->room;
	for (int i = 0; i < len && g->room > 0; i++) {
		file_op_draw(g);
		op = &g->program->ops[g->program->nops - 1];
		if (draw_percent(g, 12))
			op->sqe.flags |= IOSQE_ASYNC;
		if (len > 1 && i < len - 1 && g->room > 1 && draw_percent(g, 6)) {
			op = op_add(g, IORING_OP_LINK_TIMEOUT);
			op->addr.kind = REF_TS;
			op->sqe.len = 1;
			op->ts_sec = 100;
		}
	}
	chain_link(g, first, flag);
	/* All but the last skip: the last, or the first to fail, posts the one CQE. */
	if (len > 1 && flag == IOSQE_IO_LINK && draw_percent(g, 5)) {
		g->skip_used = true;
		for (int i = first; i < g->program->nops - 1; i++) {
			g->program->ops[i].sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
			g->program->ops[i].due[g->batch] = 0;
		}
	}
	if (!waiting_count(g) && !g->sqpoll && draw_percent(g, 8)) {
		g->program->ops[first].sqe.flags |= IOSQE_IO_DRAIN;
		g->drain_open = true;
		g->calm = true;
	}
}

/* A chain of NOPs that succeed, each skipping its CQE or not. */
static void skip_chain_draw(struct generator *g)
{
	const int first = g->program->nops;
	const int len = 1 + (int)draw_below(g, 4);

	for (int i = 0; i < len && g->room > 0; i++) {
		struct op *op = op_add(g, IORING_OP_NOP);

		if (draw_percent(g, 50)) {
			op->sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
			op->due[g->batch] = 0;
			g->skip_used = true;
		}
	}
	chain_link(g, first, draw_percent(g, 50) ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK);
}

/* The same, with one that fails: what comes after it is skipped or cancelled. */
static void skip_failure_draw(struct generator *g)
{
	const int first = g->program->nops;
	const int len = 2 + (int)draw_below(g, 3);

	if (g->room < len)
		return;
	for (int i = 0; i < len; i++) {
		struct op *op = op_add(g, IORING_OP_NOP);

		op->sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
		op->due[g->batch] = 0;
	}
	g->skip_used = true;
	{
		struct op *op = &g->program->ops[first + (int)draw_below(g, (uint32_t)len)];

		op->sqe.rw_flags = IORING_NOP_INJECT_RESULT;
		op->sqe.len = (uint32_t)-5;
		op->due[g->batch] = 1;
	}
	chain_link(g, first, draw_percent(g, 30) ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK);
}

/* Completions counted by a timeout: nothing else may post in this batch. */
static void count_batch_draw(struct generator *g)
{
	const uint32_t count = 1 + draw_below(g, 5);
	struct op *op = op_add(g, IORING_OP_TIMEOUT);

	op->addr.kind = REF_TS;
	op->ts_sec = 100;
	op->sqe.len = 1;
	op->off.v = count;
	for (uint32_t i = 0; i < count + draw_below(g, 2) && g->room > 0; i++) {
		g->chain++;
		op_add(g, IORING_OP_NOP);
	}
	g->chain++;
}

static void nop_batch_draw(struct generator *g)
{
	struct batch *batch = &g->program->batches[g->batch];

	batch->inline_only = true;
	batch->leave = g->batch + 1 < g->program->nbatches;
	while (g->room > 0) {
		op_add(g, IORING_OP_NOP);
		g->chain++;
	}
}

/* What a fixed file slot may hold: an O_PATH descriptor would fail the whole call. */
static uint8_t draw_slot_object(struct generator *g, uint32_t sparse_percent)
{
	const uint8_t object = (uint8_t)draw_below(g, OBJ_EPOLL);

	for (int i = 0; i < CHANNELS; i++) /* closed by then */
		if (g->channels[i].ended && g->channels[i].writer == object)
			return OBJ_COUNT;
	return draw_percent(g, sparse_percent) || object == OBJ_PATH ? OBJ_COUNT : object;
}

static void action_draw(struct generator *g, struct action *action)
{
	if (action->kind != ACTION_NONE)
		return;
	if (g->program->files && draw_percent(g, 15)) {
		action->kind = ACTION_FILES_UPDATE;
		action->a = (uint8_t)draw_below(g, PROGRAM_SLOTS);
		action->b = draw_slot_object(g, 30);
		g->slots[action->a] = action->b;
		g->was_in_slot[action->b] = true;
	} else if (g->program->buffers && draw_percent(g, 15)) {
		action->kind = ACTION_BUFFERS_UPDATE;
		action->a = (uint8_t)draw_below(g, PROGRAM_BUFFERS);
		action->b = draw_percent(g, 30) ? 255 : (uint8_t)draw_below(g, PROGRAM_BUFFERS);
		g->buffer_slots[action->a] = action->b;
	}
}

static void batch_draw(struct generator *g, int most)
{
	struct batch *batch = &g->program->batches[g->batch];
	const bool calm = g->calm;
	int chains = 1 + (int)draw_below(g, 5);

	g->room = most;
	if (PROGRAM_OPS - g->program->nops < g->room)
		g->room = PROGRAM_OPS - g->program->nops;
	memset(g->claims, 0, sizeof(g->claims));
	action_draw(g, &batch->before);
	batch->wait_in_submit = draw_percent(g, 40);
	if (g->room == 0)
		return;
	/*
	 * The kernel goes on to treat requests as drained until one that is not has passed
	 * with nothing in flight. What may wait must not meet that, so a NOP ends it.
	 */
	if (g->drain_open && batch->before.kind != ACTION_WRITE) {
		g->drain_open = false;
		op_add(g, IORING_OP_NOP);
		g->chain++;
		return;
	}
	if (!waiting_count(g) && !calm && g->room > 7 && !g->sqpoll &&
	    !(g->batch && batch[-1].leave) && draw_percent(g, 6)) {
		count_batch_draw(g);
		return;
	}
	if (!waiting_count(g) && !calm && draw_percent(g, 6)) {
		nop_batch_draw(g);
		return;
	}
	if (!waiting_count(g) && !calm && !g->skip_used && !g->sqpoll &&
	    g->batch + 1 < g->program->nbatches &&
	    g->program->batches[g->batch + 1].before.kind == ACTION_NONE && draw_percent(g, 5) &&
	    drain_scene_draw(g))
		return;
	for (; chains > 0 && g->room > 0; chains--, g->chain++) {
		const uint32_t pick = draw_below(g, 100);

		if (pick < 45 && !g->calm && wait_chain_draw(g))
			continue;
		if (pick >= 85 && pick < 88 && !g->calm && other_chain_draw(g))
			continue;
		if (pick >= 81 && pick < 85 && !g->calm && socket_chain_draw(g))
			continue;
		if (pick >= 92 && !g->calm)
			skip_chain_draw(g);
		else if (pick >= 88 && !g->calm)
			skip_failure_draw(g);
		else
			plain_chain_draw(g);
	}
	g->calm = false;
}

static void ring_draw(struct generator *g, struct program *p)
{
	static const uint32_t modes[] = {
		0,
		0,
		IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	};

	p->setup_flags = modes[draw_below(g, sizeof(modes) / sizeof(modes[0]))];
	g->sqpoll = draw_percent(g, 4);
	if (g->sqpoll)
		p->setup_flags = IORING_SETUP_SQPOLL;
	if (draw_percent(g, 40))
		p->setup_flags |= IORING_SETUP_SUBMIT_ALL;
	if (draw_percent(g, 10))
		p->setup_flags |= IORING_SETUP_SQE128;
	if (draw_percent(g, 10))
		p->setup_flags |= IORING_SETUP_CQE32;
	else if (draw_percent(g, 10))
		p->setup_flags |= ORACLE_SETUP_CQE_MIXED;
	if (draw_percent(g, 10))
		p->setup_flags |= IORING_SETUP_NO_SQARRAY;
	p->entries = 8 + draw_below(g, 9);
	if (p->setup_flags & ORACLE_SETUP_CQE_MIXED) {
		/* Linux 6.18 loses count where a large CQE finds only the last entry free. */
		p->setup_flags |= IORING_SETUP_CQSIZE;
		p->cq_entries = 256;
	} else if (draw_percent(g, 25)) {
		p->setup_flags |= IORING_SETUP_CQSIZE;
		/* At least 32: what a repeating poll posts as it is armed, and what a worker
		 * posts, come as fast as they can, and the poll ends if it is without room. */
		p->cq_entries = 17 + draw_below(g, 20);
	}
	if (draw_percent(g, 10)) {
		p->setup_flags |= IORING_SETUP_R_DISABLED;
		p->enable_later = true;
	}
	p->map_cq_apart = draw_percent(g, 25);
	p->on_disk = draw_percent(g, 15);
	p->eventfd = draw_percent(g, 15);
	p->files = draw_percent(g, 60);
	p->buffers = draw_percent(g, 40);
	for (int i = 0; i < PROGRAM_SLOTS; i++) {
		p->slots[i] = draw_slot_object(g, 25);
		g->slots[i] = p->slots[i];
		g->was_in_slot[p->slots[i]] = true;
	}
	for (int i = 0; i < PROGRAM_BUFFERS; i++) {
		p->buffer_slots[i] = draw_percent(g, 25) ? 255 : (uint8_t)i;
		g->buffer_slots[i] = p->buffer_slots[i];
	}
}

/*
 * What a NOP is given for the second half of its CQE stays in the kernel's request if that posts
 * none, and comes with the CQE of whoever gets the request's memory next.
 */
static void leave_nothing_behind(struct program *program)
{
	for (int i = 0; i < program->nops; i++) {
		struct io_uring_sqe *sqe = &program->ops[i].sqe;

		if (sqe->opcode == IORING_OP_NOP && sqe->flags & IOSQE_CQE_SKIP_SUCCESS)
			sqe->rw_flags &= ~(int)ORACLE_NOP_CQE32;
	}
}

void generate_program(struct program *program, uint64_t seed)
{
	static struct generator generator;
	struct generator *g = &generator;
	uint64_t state = seed;
	int most;

	memset(program, 0, sizeof(*program));
	memset(g, 0, sizeof(*g));
	g->random[0] = spread(&state);
	g->random[1] = spread(&state);
	g->program = program;
	program->seed = seed;
	ring_draw(g, program);
	model_init(g);
	g->cancels = draw_percent(g, 70);
	if (draw_percent(g, 25)) {
		program->nprobes = (uint8_t)(1 + draw_below(g, PROGRAM_PROBES));
		for (int i = 0; i < program->nprobes; i++)
			probe_draw(g, &program->probes[i]);
	}
	program->nbatches = (uint8_t)(1 + draw_below(g, PROGRAM_BATCHES));
	most = program->entries > 8 ? 16 : 8;
	for (g->batch = 0; g->batch < program->nbatches; g->batch++)
		batch_draw(g, most);
	leave_nothing_behind(program);
}
