/*
 * probe.c - calls whose arguments are the point
 *
 * io_uring_setup, io_uring_enter and io_uring_register with arguments drawn at
 * random, on rings of their own, so that what they change disturbs no program.
 *
 * Entry:       probes_run()
 * Invariants:  each line tells one call: what it returned, and what it wrote
 * Not here:    requests (execute.c)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/time_types.h>

#include "execute.h"
#include "ring.h"

static void probe_setup(const struct probe *probe, int number, FILE *out)
{
	struct io_uring_params p = {.flags = probe->flags, .cq_entries = probe->extra};
	long ret;

	/* What a kernel worker thread would idle for; short, for the ring lives shortly. */
	p.sq_thread_idle = 1;
	if (probe->variant == 1)
		p.resv[1] = 1;
	else if (probe->variant == 2)
		p.wq_fd = 990;
	else if (probe->variant == 3)
		p.sq_thread_cpu = 100000;
	ret = call_setup(probe->opcode, probe->variant == 4 ? (void *)16 : &p);
	fprintf(out, "probe %d setup(%u, %#x): ", number, probe->opcode, probe->flags);
	if (ret < 0) {
		fprintf(out, "%s\n", result_name(ret));
		return;
	}
	fprintf(out, "ok sq=%u cq=%u flags=%#x cloexec=%d\n", p.sq_entries, p.cq_entries, p.flags,
		fcntl((int)ret, F_GETFD) & FD_CLOEXEC);
	fprintf(out, "probe %d features: %#x\n", number, p.features);
	fprintf(out, "probe %d sq_off: %u %u %u %u %u %u %u\n", number, p.sq_off.head,
		p.sq_off.tail, p.sq_off.ring_mask, p.sq_off.ring_entries, p.sq_off.flags,
		p.sq_off.dropped, p.sq_off.array);
	fprintf(out, "probe %d cq_off: %u %u %u %u %u %u %u\n", number, p.cq_off.head,
		p.cq_off.tail, p.cq_off.ring_mask, p.cq_off.ring_entries, p.cq_off.overflow,
		p.cq_off.cqes, p.cq_off.flags);
	close((int)ret);
}

/* Owner: one register probe. Big enough for any argument it takes. */
union register_arg {
	int fds[64];
	struct iovec iovs[8];
	struct io_uring_files_update files_update;
	struct io_uring_rsrc_register rsrc;
	struct io_uring_rsrc_update2 update2;
	struct io_uring_probe probe;
	struct io_uring_sync_cancel_reg cancel;
	uint32_t workers[2];
	uint8_t bytes[4096];
};

static void aim_files(const struct probe *probe, union register_arg *arg, int fd, int *fds)
{
	switch (probe->opcode) {
	case IORING_REGISTER_FILES:
		for (int i = 0; i < 64; i++)
			arg->fds[i] = probe->variant == 1 && i == 1 ? 990 : i % 3 ? fd : -1;
		break;
	case IORING_REGISTER_FILES_UPDATE:
		fds[0] = probe->variant == 1 ? 990 : fd;
		fds[1] = probe->variant == 2 ? IORING_REGISTER_FILES_SKIP : -1;
		arg->files_update.offset = probe->flags;
		arg->files_update.resv = probe->variant == 3;
		arg->files_update.fds = (uintptr_t)fds;
		break;
	default: /* IORING_REGISTER_FILES2 */
		fds[0] = fd;
		fds[1] = probe->variant == 1 ? 990 : -1;
		arg->rsrc.nr = probe->flags;
		arg->rsrc.flags = probe->variant == 2   ? IORING_RSRC_REGISTER_SPARSE
				  : probe->variant == 3 ? 2
							: 0;
		arg->rsrc.data =
			arg->rsrc.flags == IORING_RSRC_REGISTER_SPARSE ? 0 : (uintptr_t)fds;
		if (arg->rsrc.nr > 2 && arg->rsrc.data)
			arg->rsrc.nr = 2;
		break;
	}
}

static void aim_buffers(const struct probe *probe, union register_arg *arg, uint8_t *memory,
			struct iovec *iov)
{
	iov->iov_base = probe->variant == 1 ? NULL : probe->variant == 2 ? (void *)16 : memory;
	iov->iov_len = probe->variant == 3 ? 0 : probe->variant == 4 ? (2UL << 30) : 4096;
	switch (probe->opcode) {
	case IORING_REGISTER_BUFFERS:
		for (int i = 0; i < 8; i++)
			arg->iovs[i] = *iov;
		break;
	case IORING_REGISTER_BUFFERS2:
		arg->rsrc.nr = probe->flags & 3;
		arg->rsrc.flags = probe->variant == 5 ? IORING_RSRC_REGISTER_SPARSE : 0;
		arg->rsrc.resv2 = probe->variant == 6;
		arg->rsrc.data = arg->rsrc.flags ? 0 : (uintptr_t)iov;
		if (arg->rsrc.nr > 1 && arg->rsrc.data)
			arg->rsrc.nr = 1;
		break;
	default: /* IORING_REGISTER_BUFFERS_UPDATE */
		arg->update2.offset = probe->flags;
		arg->update2.resv = probe->variant == 5;
		arg->update2.nr = probe->variant == 6 ? 0 : 1;
		arg->update2.data = (uintptr_t)iov;
		break;
	}
}

static void probe_register(const struct probe *probe, int number, int ring, FILE *out)
{
	static union register_arg arg;
	static uint8_t memory[8192] __attribute__((aligned(4096)));
	struct iovec iov;
	int fds[2] = {-1, -1};
	int fd = eventfd(0, EFD_CLOEXEC);
	const void *where = &arg;
	uint32_t supported = 0;
	long ret;

	memset(&arg, 0, sizeof(arg));
	switch (probe->opcode) {
	case IORING_REGISTER_FILES:
	case IORING_REGISTER_FILES_UPDATE:
	case IORING_REGISTER_FILES2:
		aim_files(probe, &arg, fd, fds);
		break;
	case IORING_REGISTER_BUFFERS:
	case IORING_REGISTER_BUFFERS2:
	case IORING_REGISTER_BUFFERS_UPDATE:
		aim_buffers(probe, &arg, memory, &iov);
		break;
	case IORING_REGISTER_EVENTFD:
	case IORING_REGISTER_EVENTFD_ASYNC:
		arg.fds[0] = probe->variant == 1 ? 990 : probe->variant == 2 ? ring : fd;
		break;
	case IORING_REGISTER_PROBE:
		arg.probe.resv = probe->variant == 1;
		arg.probe.ops[1].resv = probe->variant == 2;
		break;
	case IORING_REGISTER_IOWQ_MAX_WORKERS:
		arg.workers[0] = probe->flags;
		break;
	default:
		newer_register_aim(probe, arg.bytes, memory, ring);
		break;
	}
	if (probe->variant == 7)
		where = NULL;
	else if (probe->variant == 8)
		where = (void *)16;
	ret = call_register(ring, probe->opcode, where, probe->extra);
	fprintf(out, "probe %d register(%u, variant %u, %u): %s", number, probe->opcode,
		probe->variant, probe->extra, result_name(ret));
	if (probe->opcode == IORING_REGISTER_PROBE && !ret) {
		for (uint32_t i = 0; i < arg.probe.ops_len && i < 256; i++)
			supported += arg.probe.ops[i].flags & IO_URING_OP_SUPPORTED;
		fprintf(out, " last_op=%u ops_len=%u supported=%u", arg.probe.last_op,
			arg.probe.ops_len, supported);
	}
	if (!ret && where == &arg)
		newer_register_print(probe, arg.bytes, out);
	fputc('\n', out);
	close(fd);
}

/* Owner: probe_enter(), across the life of the other thread. */
struct other_enter {
	int fd;
	uint32_t flags;
	long ret;
};

static void *other_thread(void *argument)
{
	struct other_enter *other = argument;

	other->ret = call_enter(other->fd, 0, 0, other->flags, NULL, 0);
	return NULL;
}

/* A ring of one issuer takes calls of no other thread. */
static long enter_elsewhere(int fd, uint32_t flags)
{
	struct other_enter other = {.fd = fd, .flags = flags & IORING_ENTER_GETEVENTS};
	pthread_t thread;

	if (pthread_create(&thread, NULL, other_thread, &other))
		return -EAGAIN;
	pthread_join(thread, NULL);
	return other.ret;
}

static void probe_enter(const struct probe *probe, int number, int ring, FILE *out)
{
	struct __kernel_timespec ts = {.tv_nsec = 1000};
	struct io_uring_getevents_arg arg = {.sigmask_sz = _NSIG / 8, .ts = (uintptr_t)&ts};
	const void *where = NULL;
	uint32_t flags = probe->flags;
	size_t size = 0;
	int fd = ring;
	long ret;

	if (flags & IORING_ENTER_EXT_ARG) {
		where = &arg;
		size = sizeof(arg);
	}
	switch (probe->variant) {
	case 1:
		fd = 990;
		break;
	case 2:
		fd = eventfd(0, EFD_CLOEXEC);
		break;
	case 3:
		size = 20;
		break;
	case 4:
		where = (void *)16;
		break;
	case 5:
		arg.pad = 1;
		break;
	case 6:
		arg.ts = 16;
		break;
	case 7:
		ts.tv_nsec = -1;
		break;
	case 8:
		arg.sigmask = 16;
		break;
	case 9:
		arg.sigmask = (uintptr_t)&ts;
		arg.sigmask_sz = 4;
		break;
	default:
		break;
	}
	ret = probe->variant == 10
		      ? enter_elsewhere(fd, flags)
		      : call_enter(fd, probe->opcode, probe->extra, flags, where, size);
	fprintf(out, "probe %d enter(variant %u, %u, %u, %#x): %s\n", number, probe->variant,
		probe->opcode, probe->extra, flags, result_name(ret));
	if (fd != ring && fd != 990)
		close(fd);
}

void probes_run(const struct program *program, FILE *out)
{
	struct io_uring_params params = {0};
	int ring = -1;

	for (int i = 0; i < program->nprobes; i++) {
		const struct probe *probe = &program->probes[i];

		if (probe->kind == ACTION_SETUP) {
			probe_setup(probe, i, out);
			continue;
		}
		if (probe->fresh && ring >= 0) {
			close(ring);
			ring = -1;
		}
		if (ring < 0) {
			memset(&params, 0, sizeof(params));
			params.flags = probe->ring_flags;
			ring = (int)call_setup(8, &params);
		}
		if (probe->kind == ACTION_REGISTER)
			probe_register(probe, i, ring, out);
		else
			probe_enter(probe, i, ring, out);
	}
	if (ring >= 0)
		close(ring);
}
