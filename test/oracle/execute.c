/*
 * execute.c - run one program on whatever answers io_uring here
 *
 * A batch is filled, submitted and then left to settle: we wait until the CQEs
 * that the model promises have come, let the ring run what it has left, and
 * take out everything. Only then is memory looked at and printed. So no line
 * depends on how fast anything was.
 *
 * Entry:       execute_program()
 * Invariants:  X1 an SQE's memory is its own: nothing is shared between ops but
 *                 what the program shares on purpose (objects, fixed buffers)
 *              X2 CQEs of one chain are printed in the order they came, chains in the
 *                 order they were submitted; a link timeout's CQE stands by itself,
 *                 because its place next to its request's is not promised
 *              X3 a wait is bounded; what is missing is printed as missing
 */
#define _GNU_SOURCE
#include <linux/time_types.h>

#include "execute.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "ring.h"

#define SEEN_MAX      512
#define IMPATIENT_MS  20 /* after the first CQE that did not come */
#define FIXED_PATTERN 0x5a

struct seen {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
	uint64_t extra[2];
	int op; /* -1: not one of ours */
	bool printed;
};

/* Owner: execute_program(), for one program. */
struct run {
	const struct execution *execution;
	const struct program *program;
	struct world world;
	struct ring ring;
	struct seen seen[SEEN_MAX];
	int nseen;
	int printed_to; /* seen[] below this belong to earlier batches */
	int expected;
	bool impatient;
	int eventfd; /* -1: none */
};

const char *result_name(long result)
{
	static char text[4][32];
	static unsigned int turn;
	const char *name = result < 0 && result > -4096 ? strerrorname_np((int)-result) : NULL;

	turn = (turn + 1) % 4;
	if (name)
		return name;
	snprintf(text[turn], sizeof(text[turn]), "%ld", result);
	return text[turn];
}

static struct arena_side *side_of(const struct run *run, int index)
{
	return &run->execution->memory->sides[index];
}

static uint64_t resolve_name(struct arena_side *side, unsigned int name)
{
	static const char *const names[NAMES - 1] = {"user.one", "user.two", "no_prefix", "user.",
						     ""};

	if (name >= NAMES - 1)
		memset(side->name, 'x', 300);
	else
		strcpy(side->name, names[name]);
	return (uintptr_t)side->name;
}

/* What a reference stands for in this world. */
static uint64_t resolve(const struct run *run, int index, const struct ref *ref)
{
	const struct memory *memory = run->execution->memory;
	const struct op *op = &run->program->ops[index];
	struct arena_side *side = side_of(run, index);
	const int listener = ref->a == OBJ_LISTEN_UNIX;
	const clockid_t clock = op->sqe.timeout_flags & IORING_TIMEOUT_BOOTTIME   ? CLOCK_BOOTTIME
				: op->sqe.timeout_flags & IORING_TIMEOUT_REALTIME ? CLOCK_REALTIME
										  : CLOCK_MONOTONIC;
	struct timespec now;

	switch (ref->kind) {
	case REF_RAW:
		return ref->v;
	case REF_OBJ:
		return (uint64_t)run->world.fd[ref->a];
	case REF_BUF:
		return (uintptr_t)memory_data(memory, index) + ref->v;
	case REF_FIXED:
		return (uintptr_t)memory->fixed[ref->a] + ref->v;
	case REF_GUARD:
		return (uintptr_t)memory->guard;
	case REF_MAP:
		return (uintptr_t)memory->map + ref->v;
	case REF_IOV:
		return (uintptr_t)side->iov;
	case REF_TS:
		side->ts.tv_sec = op->ts_sec;
		side->ts.tv_nsec = op->ts_nsec;
		return (uintptr_t)&side->ts;
	case REF_TS_ABS:
		clock_gettime(clock, &now);
		now.tv_nsec += op->ts_nsec;
		side->ts.tv_sec = now.tv_sec + op->ts_sec + now.tv_nsec / 1000000000;
		side->ts.tv_nsec = now.tv_nsec % 1000000000;
		return (uintptr_t)&side->ts;
	case REF_HOW:
		side->how.flags = op->how_flags;
		side->how.mode = op->how_mode;
		side->how.resolve = op->how_resolve;
		return (uintptr_t)&side->how;
	case REF_MSG:
		side->msg.msg_iov = (void *)side->iov;
		side->msg.msg_iovlen = op->niov;
		return (uintptr_t)&side->msg;
	case REF_ADDR:
		side->addr = run->world.addr[listener];
		return (uintptr_t)&side->addr;
	case REF_ADDRLEN:
		return run->world.addrlen[listener];
	case REF_ADDR_OUT:
		return (uintptr_t)&side->addr;
	case REF_ADDRLEN_OUT:
		side->addrlen = sizeof(side->addr);
		return (uintptr_t)&side->addrlen;
	case REF_EVENT: {
		struct epoll_event event = {.events = op->epoll_events};

		memcpy(side->event, &event, sizeof(event));
		return (uintptr_t)side->event;
	}
	case REF_STATX:
		return (uintptr_t)&side->statx;
	case REF_NAME:
		return resolve_name(side, ref->a);
	case REF_WAITV:
		for (int i = 0; i < op->niov && i < OP_IOVECS; i++) {
			side->waitv[i].addr = (uintptr_t)side->iov[i].base;
			side->waitv[i].value = side->iov[i].len;
			side->waitv[i].flags = 2; /* FUTEX2_SIZE_U32 */
		}
		return (uintptr_t)side->waitv;
	case REF_USER_DATA:
		return op_user_data(index);
	default:
		abort();
	}
}

/* A second name of an SQE (RENAMEAT) lives in the data buffer; the first in the side. */
static uint64_t resolve_path(const struct run *run, int index, unsigned int path, bool second)
{
	static const char *const names[] = {"f0", "f1",  "f2",   "f3",   "f4",       "f5",      "a",
					    "b",  "sub", "full", "link", "f0/below", "no/such", ""};
	char *text = second ? (char *)memory_data(run->execution->memory, index)
			    : side_of(run, index)->path;

	if (path == PATH_LONG) {
		memset(text, 'x', 300);
		text[300] = 0;
	} else {
		strcpy(text, names[path]);
	}
	return (uintptr_t)text;
}

static void fill_iov(const struct run *run, int index)
{
	const struct op *op = &run->program->ops[index];
	struct arena_side *side = side_of(run, index);

	for (int i = 0; i < op->niov && i < OP_IOVECS; i++) {
		side->iov[i].base = (void *)(uintptr_t)resolve(run, index, &op->iov[i].base);
		side->iov[i].len = op->iov[i].len;
	}
}

static void fill_data(const struct run *run, int index)
{
	const struct op *op = &run->program->ops[index];
	uint8_t *data = memory_data(run->execution->memory, index);

	if (op->capture == CAPTURE_DATA || op->capture == CAPTURE_MSG)
		memset(data, 0xee, ARENA_DATA);
	for (size_t i = 0; op->fills && i < ARENA_DATA; i++)
		data[i] = (uint8_t)(i * 13 + (size_t)index * 31 + run->program->seed);
	if (op->value)
		memcpy(data, &op->value, sizeof(op->value));
}

static void fill_sqe(struct run *run, int index)
{
	const struct op *op = &run->program->ops[index];
	struct io_uring_sqe *sqe = ring_next_sqe(&run->ring);
	struct arena_side *side = side_of(run, index);

	memset(side, 0, sizeof(*side));
	fill_data(run, index);
	fill_iov(run, index);
	*sqe = op->sqe;
	sqe->user_data = op_user_data(index);
	sqe->fd = (int32_t)resolve(run, index, &op->fd);
	sqe->addr = op->addr.kind == REF_PATH ? resolve_path(run, index, op->addr.a, false)
					      : resolve(run, index, &op->addr);
	sqe->off = op->off.kind == REF_PATH ? resolve_path(run, index, op->off.a, true)
					    : resolve(run, index, &op->off);
	if (op->third.kind == REF_PATH)
		sqe->addr3 = resolve_path(run, index, op->third.a, false);
	if (op->second_fd.kind != REF_RAW)
		sqe->splice_fd_in = (int32_t)resolve(run, index, &op->second_fd);
}

static void take_all(struct run *run)
{
	struct io_uring_cqe cqe;
	struct seen *seen;
	uint64_t extra[2];

	while (run->nseen < SEEN_MAX && ring_take_cqe(&run->ring, &cqe, extra)) {
		seen = &run->seen[run->nseen++];
		memset(seen, 0, sizeof(*seen));
		seen->user_data = cqe.user_data;
		seen->res = cqe.res;
		seen->flags = cqe.flags;
		memcpy(seen->extra, extra, sizeof(extra));
		seen->op = op_of_user_data(cqe.user_data);
		if (seen->op >= run->program->nops)
			seen->op = -1;
	}
}

static void settle(struct run *run, int batch)
{
	FILE *out = run->execution->out;
	unsigned int patience = run->impatient ? IMPATIENT_MS : run->execution->patience_ms;
	int missing, ret = 0;

	take_all(run);
	while ((missing = run->expected - run->nseen) > 0) {
		const uint32_t room = run->ring.params.cq_entries;

		ret = ring_wait(&run->ring, 0, (uint32_t)missing < room ? (uint32_t)missing : room,
				patience);
		take_all(run);
		if (ret < 0 && ret != -EINTR)
			break;
	}
	/* What is left to run without our waiting for it: arm, retry, flush. */
	for (int i = 0; i < 2; i++) {
		call_enter(run->ring.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
		take_all(run);
	}
	missing = run->expected - run->nseen;
	if (missing > 0) {
		fprintf(out, "batch %d wait: %d CQEs missing (%s)\n", batch, missing,
			result_name(ret));
		run->impatient = true;
		run->expected = run->nseen;
	}
	if (ret < 0 && ret != -ETIME && ret != -EINTR)
		fprintf(out, "batch %d wait: %s\n", batch, result_name(ret));
}

static void sq_poll_consumed(struct run *run)
{
	const struct timespec pause = {.tv_nsec = 50000};

	for (int i = 0; i < 20000 && ring_sq_pending(&run->ring); i++)
		nanosleep(&pause, NULL);
}

static void submit(struct run *run, int batch, int due)
{
	FILE *out = run->execution->out;
	const bool sqpoll = run->ring.params.flags & IORING_SETUP_SQPOLL;
	const uint32_t room = run->ring.params.cq_entries;
	uint32_t wait = (uint32_t)due < room ? (uint32_t)due : room;
	uint32_t pending = ring_sq_pending(&run->ring);
	long ret;

	ring_publish(&run->ring);
	fprintf(out, "batch %d enter:", batch);
	if (sqpoll) {
		ret = call_enter(run->ring.fd, pending, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
		fprintf(out, " %s\n", result_name(ret));
		sq_poll_consumed(run);
		return;
	}
	for (int i = 0; i < PROGRAM_OPS && (pending = ring_sq_pending(&run->ring)) > 0; i++) {
		ret = run->program->batches[batch].wait_in_submit && wait
			      ? ring_wait(&run->ring, pending, wait, run->execution->patience_ms)
			      : call_enter(run->ring.fd, pending, 0, 0, NULL, 0);
		fprintf(out, " %s", result_name(ret));
		if (ret < 0 && ret != -EINTR)
			break;
		/* With what is in the CQ now, waiting again would wait for too many. */
		wait = 0;
	}
	fputc('\n', out);
	if (run->program->batches[batch].inline_only &&
	    !run->program->batches[batch].wait_in_submit)
		fprintf(out, "batch %d overflow: %u\n", batch,
			!!(ring_sq_flags(&run->ring) & IORING_SQ_CQ_OVERFLOW));
}

static void print_statx(const struct run *run, int index, FILE *out)
{
	const struct statx *st = &side_of(run, index)->statx;

	fprintf(out, " mask=%x mode=%o nlink=%u", st->stx_mask & 0x7ff, st->stx_mode,
		st->stx_nlink);
	if ((st->stx_mode & S_IFMT) == S_IFREG)
		fprintf(out, " size=%llu", (unsigned long long)st->stx_size);
}

static void print_capture(const struct run *run, int index, FILE *out)
{
	const struct memory *memory = run->execution->memory;
	const struct op *op = &run->program->ops[index];
	const struct arena_side *side = side_of(run, index);

	switch (op->capture) {
	case CAPTURE_DATA:
		fprintf(out, " data=%016llx",
			(unsigned long long)hash_bytes(memory_data(memory, index), ARENA_DATA));
		break;
	case CAPTURE_FIXED:
		fprintf(out, " data=%016llx",
			(unsigned long long)hash_bytes(memory->fixed[op->addr.a],
						       FIXED_BUFFER_SIZE));
		break;
	case CAPTURE_STATX:
		print_statx(run, index, out);
		break;
	case CAPTURE_ADDR:
		fprintf(out, " family=%u addrlen=%u", side->addr.ss_family, side->addrlen);
		break;
	case CAPTURE_MSG:
		fprintf(out, " data=%016llx namelen=%u controllen=%zu msg_flags=%#x",
			(unsigned long long)hash_bytes(memory_data(memory, index), ARENA_DATA),
			side->msg.msg_namelen, side->msg.msg_controllen,
			(unsigned int)side->msg.msg_flags);
		break;
	default:
		break;
	}
}

/* A new descriptor's number is nobody's promise; what it is, is. */
static void print_descriptor(int fd, FILE *out)
{
	int flags = fcntl(fd, F_GETFL);

	fprintf(out, " res=fd");
	if (flags < 0)
		fprintf(out, " not-open");
	else
		fprintf(out, " open_flags=%#x cloexec=%d", (unsigned int)flags,
			fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/*
 * A drained request begins after all before it have completed, and all after it
 * begin when it has. Requests that failed on their way in are no part of that.
 */
static void print_drain(const struct run *run, const struct seen *drained, FILE *out)
{
	for (const struct seen *other = run->seen; other < run->seen + run->nseen; other++) {
		if (other->op < 0 || other->op == drained->op || other->res < 0)
			continue;
		if ((other->op < drained->op) != (other < drained))
			fprintf(out, " OUT-OF-ORDER(#%d)", other->op);
	}
}

static void print_seen(struct run *run, int batch, struct seen *seen)
{
	FILE *out = run->execution->out;
	const struct op *op = seen->op < 0 ? NULL : &run->program->ops[seen->op];

	seen->printed = true;
	if (op && op->sqe.opcode == IORING_OP_CLOSE && op->fd.kind == REF_OBJ && !seen->res &&
	    !op->sqe.file_index)
		run->world.fd[op->fd.a] = run->world.fd[OBJ_CLOSED];
	if (!op) {
		fprintf(out, "batch %d stranger: user_data=%#llx res=%s flags=%#x\n", batch,
			(unsigned long long)seen->user_data, result_name(seen->res), seen->flags);
		return;
	}
	fprintf(out, "batch %d chain %u #%d %s:", batch, op->chain, seen->op,
		opcode_name(op->sqe.opcode));
	if (op->result_is_fd && seen->res >= 0)
		print_descriptor(seen->res, out);
	else
		fprintf(out, " res=%s", result_name(seen->res));
	fprintf(out, " flags=%#x", seen->flags);
	if (seen->extra[0] || seen->extra[1])
		fprintf(out, " extra=%#llx,%#llx", (unsigned long long)seen->extra[0],
			(unsigned long long)seen->extra[1]);
	print_capture(run, seen->op, out);
	if (op->sqe.flags & IOSQE_IO_DRAIN && seen->res >= 0)
		print_drain(run, seen, out);
	fputc('\n', out);
}

static void print_batch(struct run *run, int batch)
{
	struct seen *first = run->seen + run->printed_to, *end = run->seen + run->nseen;
	int op, chain;

	for (op = 0; op < run->program->nops; op++) {
		chain = run->program->ops[op].chain;
		if (op && run->program->ops[op - 1].chain == chain)
			continue;
		for (struct seen *seen = first; seen < end; seen++)
			if (seen->op >= 0 && run->program->ops[seen->op].chain == chain &&
			    run->program->ops[seen->op].sqe.opcode != IORING_OP_LINK_TIMEOUT)
				print_seen(run, batch, seen);
		for (struct seen *seen = first; seen < end; seen++)
			if (seen->op >= 0 && run->program->ops[seen->op].chain == chain &&
			    !seen->printed)
				print_seen(run, batch, seen);
	}
	for (struct seen *seen = first; seen < end; seen++)
		if (!seen->printed)
			print_seen(run, batch, seen);
	run->printed_to = run->nseen;
}

static int object_or_sparse(const struct run *run, unsigned int object)
{
	return object >= OBJ_COUNT ? -1 : run->world.fd[object];
}

static void act(struct run *run, int batch)
{
	const struct action *action = &run->program->batches[batch].before;
	const struct memory *memory = run->execution->memory;
	FILE *out = run->execution->out;
	static const uint8_t zeros[4096] = {1};
	long ret;

	if (action->kind == ACTION_WRITE) {
		ret = write(run->world.fd[action->a], zeros, action->v);
		fprintf(out, "batch %d host write: %s\n", batch,
			result_name(ret < 0 ? -errno : ret));
	} else if (action->kind == ACTION_FILES_UPDATE) {
		int fd = object_or_sparse(run, action->b);
		struct io_uring_files_update update = {
			.offset = action->a,
			.fds = (uintptr_t)&fd,
		};

		ret = call_register(run->ring.fd, IORING_REGISTER_FILES_UPDATE, &update, 1);
		fprintf(out, "batch %d files update: %s\n", batch, result_name(ret));
	} else if (action->kind == ACTION_BUFFERS_UPDATE) {
		struct iovec iov = {NULL, 0};
		struct io_uring_rsrc_update2 update = {
			.offset = action->a,
			.data = (uintptr_t)&iov,
			.nr = 1,
		};

		if (action->b < PROGRAM_BUFFERS) {
			iov.iov_base = memory->fixed[action->b];
			iov.iov_len = FIXED_BUFFER_SIZE;
		}
		ret = call_register(run->ring.fd, IORING_REGISTER_BUFFERS_UPDATE, &update,
				    sizeof(update));
		fprintf(out, "batch %d buffers update: %s\n", batch, result_name(ret));
	}
}

static void register_tables(struct run *run)
{
	const struct memory *memory = run->execution->memory;
	FILE *out = run->execution->out;
	struct iovec iovs[PROGRAM_BUFFERS] = {{NULL, 0}};
	int fds[PROGRAM_SLOTS];

	/* Also where none are registered: an SQE may name their memory. */
	for (int i = 0; i < PROGRAM_BUFFERS; i++)
		memset(memory->fixed[i], FIXED_PATTERN + i, FIXED_BUFFER_SIZE);
	if (run->program->files) {
		for (int i = 0; i < PROGRAM_SLOTS; i++)
			fds[i] = object_or_sparse(run, run->program->slots[i]);
		fprintf(out, "register files: %s\n",
			result_name(call_register(run->ring.fd, IORING_REGISTER_FILES, fds,
						  PROGRAM_SLOTS)));
	}
	if (!run->program->buffers)
		return;
	for (int i = 0; i < PROGRAM_BUFFERS; i++) {
		const unsigned int slot = run->program->buffer_slots[i];

		if (slot >= PROGRAM_BUFFERS)
			continue;
		iovs[i].iov_base = memory->fixed[slot];
		iovs[i].iov_len = FIXED_BUFFER_SIZE;
	}
	fprintf(out, "register buffers: %s\n",
		result_name(call_register(run->ring.fd, IORING_REGISTER_BUFFERS, iovs,
					  PROGRAM_BUFFERS)));
}

static void register_eventfd(struct run *run)
{
	long ret;

	run->eventfd = -1;
	if (!run->program->eventfd)
		return;
	run->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = call_register(run->ring.fd, IORING_REGISTER_EVENTFD, &run->eventfd, 1);
	fprintf(run->execution->out, "register eventfd: %s\n", result_name(ret));
}

static int setup(struct run *run)
{
	const struct program *program = run->program;
	struct io_uring_params params = {
		.flags = program->setup_flags,
		.cq_entries = program->cq_entries,
		.sq_thread_idle = 5,
	};
	FILE *out = run->execution->out;
	int ret = ring_open(&run->ring, program->entries, &params, program->map_cq_apart);

	if (ret) {
		fprintf(out, "setup: %s\n", result_name(ret));
		return ret;
	}
	fprintf(out, "setup: sq=%u cq=%u flags=%#x\n", run->ring.params.sq_entries,
		run->ring.params.cq_entries, run->ring.params.flags);
	run->world.fd[OBJ_RING] = run->ring.fd;
	register_tables(run);
	register_eventfd(run);
	if (program->enable_later) {
		ret = (int)call_enter(run->ring.fd, 0, 0, 0, NULL, 0);
		fprintf(out, "enter while disabled: %s\n", result_name(ret));
		ret = (int)call_register(run->ring.fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
		fprintf(out, "enable: %s\n", result_name(ret));
	}
	return 0;
}

/* What a poller of the ring sees. */
static void print_poll(struct run *run, int batch)
{
	struct pollfd poller = {.fd = run->ring.fd, .events = POLLIN | POLLOUT};

	/* Task work that has nothing to post makes a deferring ring readable for a while. */
	if (!(run->ring.params.flags & IORING_SETUP_DEFER_TASKRUN) ||
	    run->program->batches[batch].leave) {
		poll(&poller, 1, 0);
		fprintf(run->execution->out, "batch %d poll of the ring: %#x\n", batch,
			(unsigned int)poller.revents);
	}
}

/* The signal may come after the CQE it tells of, so it is looked for once, at the end. */
static void print_eventfd(struct run *run)
{
	struct pollfd poller = {.fd = run->eventfd, .events = POLLIN};

	if (run->eventfd < 0)
		return;
	poll(&poller, 1, run->nseen ? 500 : 0);
	fprintf(run->execution->out, "eventfd: %s\n",
		poller.revents & POLLIN ? "signalled" : "quiet");
}

static void run_batch(struct run *run, int batch)
{
	int due = 0;

	/* What has been said must outlive a crash. */
	fflush(run->execution->out);
	act(run, batch);
	for (int i = 0; i < run->program->nops; i++) {
		due += run->program->ops[i].due[batch];
		if (run->program->ops[i].batch == batch)
			fill_sqe(run, i);
	}
	run->expected += due;
	submit(run, batch, due);
	if (!run->program->batches[batch].leave) {
		settle(run, batch);
		print_batch(run, batch);
	}
	print_poll(run, batch);
}

/* Descriptors that OPENAT and ACCEPT gave us. */
static void close_pipe(const struct run *run, const struct seen *seen)
{
	const struct op *op = &run->program->ops[seen->op];
	int fds[2];

	if (!op->makes_pipe || op->sqe.file_index || seen->res)
		return;
	memcpy(fds, memory_data(run->execution->memory, seen->op), sizeof(fds));
	close(fds[0]);
	close(fds[1]);
}

static void close_results(struct run *run)
{
	for (int i = 0; i < run->nseen; i++)
		if (run->seen[i].op >= 0 && run->program->ops[run->seen[i].op].result_is_fd &&
		    run->seen[i].res >= 0)
			close(run->seen[i].res);
	for (int i = 0; i < run->nseen; i++)
		if (run->seen[i].op >= 0)
			close_pipe(run, &run->seen[i]);
}

void execute_program(const struct execution *execution, const struct program *program)
{
	static struct run run;
	FILE *out = execution->out;
	int ret;

	memset(&run, 0, sizeof(run));
	run.execution = execution;
	run.program = program;
	probes_run(program, out);
	fflush(out);
	ret = world_open(&run.world, program, execution->scratch[program->on_disk]);
	if (ret) {
		fprintf(out, "world: %s\n", result_name(ret));
		world_close(&run.world);
		return;
	}
	if (!setup(&run)) {
		for (int batch = 0; batch < program->nbatches; batch++)
			run_batch(&run, batch);
		fprintf(out, "ring at the end: sq=%u cq=%u dropped=%u overflow=%u\n",
			ring_sq_pending(&run.ring), ring_cq_ready(&run.ring),
			ring_sq_dropped(&run.ring), ring_cq_overflow(&run.ring));
		print_eventfd(&run);
		world_print_streams(&run.world, out);
		ring_close(&run.ring);
		if (run.eventfd >= 0)
			close(run.eventfd);
		close_results(&run);
	}
	world_print_files(&run.world, out);
	world_close(&run.world);
}
