/*
 * entry.h - what the tests of the ways in share: calls by inline assembly, and a small ring
 *
 * These programs run with libringside.so preloaded where the kernel refuses
 * io_uring (meson.build), so whatever answers is ringside.
 */
#ifndef RS_TEST_FAULT_ENTRY_H
#define RS_TEST_FAULT_ENTRY_H

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/abi.h"
#include "base/atomic.h"
#include "base/raw.h"
#include "unit.h"

/* The ways in that a test can take by itself. */
enum way {
	WAY_ASM,
	WAY_SYSCALL,
};

#define ENTRIES  8
#define RING_MAX 4096

struct small_ring {
	enum way way;
	int fd;
	unsigned char *memory;
	struct io_uring_sqe *sqes;
	struct io_uring_params params;
};

static inline long way_call(enum way way, long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;

	if (way == WAY_ASM)
		return raw_syscall6(nr, a, b, c, d, e, f);
	ret = syscall(nr, a, b, c, d, e, f);
	return ret == -1 ? -errno : ret;
}

static inline int ring_setup(struct small_ring *ring, enum way way)
{
	size_t size;

	memset(ring, 0, sizeof(*ring));
	ring->way = way;
	ring->fd = (int)way_call(way, SYS_io_uring_setup, ENTRIES, (long)&ring->params, 0, 0, 0, 0);
	if (ring->fd < 0)
		return ring->fd;
	size = ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe);
	if (size < ring->params.sq_off.array + ENTRIES * sizeof(u32))
		size = ring->params.sq_off.array + ENTRIES * sizeof(u32);
	ring->memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, ENTRIES * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			  MAP_SHARED, ring->fd, IORING_OFF_SQES);
	return ring->memory == MAP_FAILED || (void *)ring->sqes == MAP_FAILED ? -ENOMEM : 0;
}

static inline u32 *ring_word(const struct small_ring *ring, u32 offset)
{
	return (u32 *)(ring->memory + offset);
}

/* Puts a NOP into the SQ and submits it: io_uring_enter()'s result. */
static inline long ring_submit_nop(struct small_ring *ring, u64 user_data)
{
	u32 *tail = ring_word(ring, ring->params.sq_off.tail);
	u32 index = *tail & (ring->params.sq_entries - 1);

	memset(&ring->sqes[index], 0, sizeof(ring->sqes[index]));
	ring->sqes[index].opcode = IORING_OP_NOP;
	ring->sqes[index].user_data = user_data;
	ring_word(ring, ring->params.sq_off.array)[index] = index;
	store_release(tail, *tail + 1);
	return way_call(ring->way, SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, 0,
			0);
}

static inline u32 ring_ready(const struct small_ring *ring)
{
	return load_acquire(ring_word(ring, ring->params.cq_off.tail)) -
	       *ring_word(ring, ring->params.cq_off.head);
}

/* Takes the oldest CQE: its user_data, or ~0 if there is none. */
static inline u64 ring_take(struct small_ring *ring)
{
	u32 *head = ring_word(ring, ring->params.cq_off.head);
	const struct io_uring_cqe *cqes = (void *)(ring->memory + ring->params.cq_off.cqes);
	u64 user_data;

	if (!ring_ready(ring))
		return ~0ull;
	user_data = cqes[*head & (ring->params.cq_entries - 1)].user_data;
	store_release(head, *head + 1);
	return user_data;
}

/* Whether a NOP makes its way through the ring and back. */
static inline bool ring_works(struct small_ring *ring)
{
	static u64 next = 1000;
	u64 user_data = add_relaxed(&next, 1);

	return ring_submit_nop(ring, user_data) == 1 && ring_take(ring) == user_data;
}

/* A ring made for the occasion, by inline assembly. */
static inline bool asm_ring_works(void)
{
	struct small_ring ring;
	bool works = !ring_setup(&ring, WAY_ASM) && ring_works(&ring);

	if (ring.fd >= 0)
		close(ring.fd);
	return works;
}

/* cmocka has handlers of its own for what these tests are about; a case begins without. */
static inline void signals_default(void)
{
	static const int signals[] = {SIGSYS, SIGSEGV, SIGBUS};
	sigset_t none;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* unit_in_child() for a body that may die by a signal: no core file, no handlers. */
static inline int in_bare_child(int (*body)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		signals_default();
		alarm(UNIT_SECONDS / 2); /* an alarm is not inherited */
		_exit(body());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

#define DIED_BY(sig) (256 + (sig))

/* In a child's body: the number of the line that did not hold is its exit status. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

#endif
