/*
 * aio_test.c - the device queue
 */
#include "device/aio.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/atomic.h"
#include "unit.h"

#define BLOCK  4096u
#define BLOCKS 64u
#define OPS    600

struct op {
	struct aio_op op;
	struct iovec iov;
	int done;
	long result;
	struct aio_queue *chain; /* done() adds `next` here */
	struct op *next;
};

static int file = -1;
static struct aio_queue queue;
static unsigned char *buffers; /* OPS blocks */
static struct op ops[OPS];

static void op_done(struct aio_op *aio_op, long result)
{
	struct op *op = container_of(aio_op, struct op, op);

	op->done++;
	op->result = result;
	if (op->next)
		aio_queue_add(op->chain, &op->next->op);
}

static unsigned char *buffer_of(const struct op *op)
{
	return buffers + (size_t)(op - ops) * BLOCK;
}

static void op_prepare_read(struct op *op, int fd, size_t size, u64 offset)
{
	*op = (struct op){.iov = {buffer_of(op), size}};
	aio_prep_rw(&op->op, fd, false, &op->iov, 1, offset, 0);
	op->op.done = op_done;
}

static void op_add_read(struct op *op, u64 offset)
{
	op_prepare_read(op, file, BLOCK, offset);
	aio_queue_add(&queue, &op->op);
}

static void reap_all(void)
{
	while (aio_in_flight(&queue) > 0)
		aio_queue_reap(&queue, UINT32_MAX);
}

static void assert_block_read(const struct op *op, u64 offset)
{
	assert_int_equal(op->done, 1);
	assert_int_equal(op->result, BLOCK);
	unit_assert_bytes(buffer_of(op), BLOCK, offset);
}

static void one_submission_reads_many_blocks(void **state)
{
	(void)state;
	for (u32 i = 0; i < 8; i++)
		op_add_read(&ops[i], i * BLOCK);
	assert_int_equal(queue.staged_count, 8);
	assert_int_equal(aio_queue_submit(&queue), 0);
	assert_int_equal(queue.staged_count, 0);
	assert_int_equal(aio_in_flight(&queue), 8);
	reap_all();
	for (u32 i = 0; i < 8; i++)
		assert_block_read(&ops[i], i * BLOCK);
}

static void the_completion_ring_is_read_without_a_system_call(void **state)
{
	(void)state;
	assert_non_null(queue.ring);
}

static void without_a_known_ring_the_system_call_gives_the_same(void **state)
{
	struct aio_ring *ring = queue.ring;

	(void)state;
	queue.ring = NULL;
	one_submission_reads_many_blocks(state);
	queue.ring = ring;
}

static void more_than_the_queues_depth_may_be_staged(void **state)
{
	(void)state;
	for (u32 i = 0; i < OPS; i++)
		op_add_read(&ops[i], i % BLOCKS * BLOCK);
	aio_queue_submit(&queue);
	assert_true(queue.staged_count > 0);
	reap_all();
	for (u32 i = 0; i < OPS; i++)
		assert_block_read(&ops[i], i % BLOCKS * BLOCK);
}

static void a_reap_is_bounded(void **state)
{
	(void)state;
	for (u32 i = 0; i < 8; i++)
		op_add_read(&ops[i], i * BLOCK);
	aio_queue_submit(&queue);
	while (aio_in_flight(&queue) > 0)
		assert_true(aio_queue_reap(&queue, 3) <= 3);
}

static void what_is_written_is_read_back(void **state)
{
	struct iovec two[2] = {{buffers, BLOCK}, {buffers + 2 * BLOCK, BLOCK}};
	int fd = unit_scratch_file(4 * BLOCK, O_RDWR | O_DIRECT);

	(void)state;
	memset(buffers, 'a', BLOCK);
	memset(buffers + 2 * BLOCK, 'b', BLOCK);
	aio_prep_rw(&ops[0].op, fd, true, two, 2, BLOCK, 0);
	aio_queue_add(&queue, &ops[0].op);
	aio_queue_submit(&queue);
	reap_all();
	assert_int_equal(ops[0].result, 2 * BLOCK);

	memset(buffers, 0, 3 * BLOCK);
	aio_prep_rw(&ops[0].op, fd, false, two, 2, BLOCK, 0);
	aio_queue_add(&queue, &ops[0].op);
	aio_queue_submit(&queue);
	reap_all();
	assert_int_equal(ops[0].result, 2 * BLOCK);
	for (u32 i = 0; i < BLOCK; i++) {
		assert_int_equal(buffers[i], 'a');
		assert_int_equal(buffers[2 * BLOCK + i], 'b');
	}
	close(fd);
}

static void a_refused_operation_fails_alone(void **state)
{
	(void)state;
	op_add_read(&ops[0], 0);
	op_prepare_read(&ops[1], -1, BLOCK, 0);
	aio_queue_add(&queue, &ops[1].op);
	op_prepare_read(&ops[2], file, BLOCK, 1); /* not aligned */
	aio_queue_add(&queue, &ops[2].op);
	op_prepare_read(&ops[3], file, BLOCK, 0);
	ops[3].op.iocb.aio_buf = 4096; /* nothing is mapped there */
	aio_queue_add(&queue, &ops[3].op);
	op_add_read(&ops[4], BLOCK);
	aio_queue_submit(&queue);
	reap_all();
	assert_block_read(&ops[0], 0);
	assert_int_equal(ops[1].result, -EBADF);
	assert_int_equal(ops[2].result, -EINVAL);
	assert_int_equal(ops[3].result, -EFAULT);
	assert_block_read(&ops[4], BLOCK);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ops[i].done, 1);
}

static void the_end_of_the_file_makes_a_read_short(void **state)
{
	(void)state;
	op_add_read(&ops[0], BLOCKS * BLOCK);
	aio_queue_submit(&queue);
	reap_all();
	assert_int_equal(ops[0].result, 0);
}

static void each_completion_is_an_edge_of_the_event_descriptor(void **state)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	(void)state;
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, queue.event_fd, &event), 0);
	epoll_wait(epoll, &event, 1, 0); /* the edges of earlier tests */
	for (int i = 0; i < 3; i++) {
		op_add_read(&ops[0], 0);
		aio_queue_submit(&queue);
		assert_int_equal(epoll_wait(epoll, &event, 1, -1), 1);
		assert_int_equal(aio_queue_reap(&queue, 8), 1);
		assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
	}
	close(epoll);
}

static void a_completion_may_add_the_next_operation(void **state)
{
	(void)state;
	for (u32 i = 0; i < 4; i++)
		op_prepare_read(&ops[i], i == 1 ? -1 : file, BLOCK, i * BLOCK);
	for (u32 i = 0; i < 3; i++) {
		ops[i].chain = &queue;
		ops[i].next = &ops[i + 1];
	}
	aio_queue_add(&queue, &ops[0].op);
	aio_queue_submit(&queue);
	reap_all();
	assert_int_equal(ops[1].result, -EBADF);
	assert_block_read(&ops[2], 2 * BLOCK);
	assert_block_read(&ops[3], 3 * BLOCK);
}

static void destroying_waits_for_the_device_and_cancels_what_is_staged(void **state)
{
	struct aio_queue other = {0};
	int completed = 0;

	(void)state;
	assert_int_equal(aio_queue_init(&other, 4), 0);
	for (u32 i = 0; i < OPS; i++) {
		op_prepare_read(&ops[i], file, BLOCK, i % BLOCKS * BLOCK);
		aio_queue_add(&other, &ops[i].op);
		if (i == OPS / 2)
			aio_queue_submit(&other);
	}
	aio_queue_destroy(&other);
	assert_false(aio_queue_is_ready(&other));
	for (u32 i = 0; i < OPS; i++) {
		assert_int_equal(ops[i].done, 1);
		if (ops[i].result == -ECANCELED)
			continue;
		assert_block_read(&ops[i], i % BLOCKS * BLOCK);
		completed++;
	}
	assert_true(completed > 0 && completed < OPS);
}

static void a_queue_never_used_is_destroyed_and_reaped_like_any_other(void **state)
{
	struct aio_queue unused = {0};

	(void)state;
	assert_false(aio_queue_is_ready(&unused));
	assert_int_equal(aio_in_flight(&unused), 0);
	assert_int_equal(aio_queue_reap(&unused, 1), 0);
	aio_queue_fork_child(&unused);
	aio_queue_destroy(&unused);
}

static int read_in_child(void)
{
	aio_fork_child();
	aio_queue_fork_child(&queue);
	if (aio_queue_is_ready(&queue) || aio_queue_init(&queue, 4))
		return 1;
	op_add_read(&ops[0], BLOCK);
	aio_queue_submit(&queue);
	reap_all();
	if (ops[0].result != BLOCK || buffer_of(&ops[0])[0] != UNIT_BYTE(BLOCK))
		return 2;
	aio_queue_destroy(&queue);
	return 0;
}

static void a_forked_child_makes_a_queue_of_its_own(void **state)
{
	(void)state;
	op_add_read(&ops[1], 0);
	aio_queue_submit(&queue);
	assert_int_equal(unit_in_child(read_in_child), 0);
	reap_all();
	assert_block_read(&ops[1], 0);
}

static void a_context_left_behind_serves_the_next_queue(void **state)
{
	struct aio_queue first = {0}, second = {0};
	aio_context_t context;

	(void)state;
	assert_int_equal(aio_queue_init(&first, 8), 0);
	context = first.context;
	aio_queue_destroy(&first);
	assert_int_equal(aio_queue_init(&first, 8), 0);
	assert_true(first.context == context);
	/* Only one: this queue has another. */
	assert_int_equal(aio_queue_init(&second, 8), 0);
	assert_false(second.context == context);
	aio_queue_destroy(&second);
	aio_queue_destroy(&first);
	/* It is too small for this one. */
	assert_int_equal(aio_queue_init(&first, 1024), 0);
	assert_int_equal(first.depth, 1024);
	aio_queue_destroy(&first);
}

/* Their edge has come: nothing tells of what one reap leaves. */
static void without_a_known_ring_one_reap_gives_all_that_completed(void **state)
{
	const u32 count = 300;
	struct aio_queue large = {0};
	u64 completed = 0, more;

	(void)state;
	assert_int_equal(aio_queue_init(&large, count), 0);
	large.ring = NULL;
	for (u32 i = 0; i < count; i++) {
		op_prepare_read(&ops[i], file, BLOCK, i % BLOCKS * BLOCK);
		aio_queue_add(&large, &ops[i].op);
	}
	aio_queue_submit(&large);
	assert_int_equal(large.staged_count, 0);
	while (completed < count)
		if (read(large.event_fd, &more, sizeof(more)) == sizeof(more))
			completed += more;
	assert_int_equal(aio_queue_reap(&large, UINT32_MAX), count);
	aio_queue_destroy(&large);
}

static int init_where_it_is_refused(void)
{
	struct sock_filter refuse[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_SIZE(refuse), refuse};
	struct aio_queue refused = {0};

	aio_fork_child();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 1;
	if (aio_queue_init(&refused, 4) != -EPERM)
		return 2;
	return aio_queue_is_ready(&refused) ? 3 : 0;
}

static void a_refusal_by_policy_is_told(void **state)
{
	(void)state;
	assert_int_equal(unit_in_child(init_where_it_is_refused), 0);
}

static int setup(void **state)
{
	(void)state;
	file = unit_scratch_file(BLOCKS * BLOCK, O_RDONLY | O_DIRECT);
	if (file < 0 || posix_memalign((void **)&buffers, BLOCK, (size_t)OPS * BLOCK))
		return -1;
	return aio_queue_init(&queue, 4);
}

static int teardown(void **state)
{
	(void)state;
	aio_queue_destroy(&queue);
	free(buffers);
	return close(file);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(one_submission_reads_many_blocks),
	cmocka_unit_test(the_completion_ring_is_read_without_a_system_call),
	cmocka_unit_test(without_a_known_ring_the_system_call_gives_the_same),
	cmocka_unit_test(more_than_the_queues_depth_may_be_staged),
	cmocka_unit_test(a_reap_is_bounded),
	cmocka_unit_test(a_context_left_behind_serves_the_next_queue),
	cmocka_unit_test(what_is_written_is_read_back),
	cmocka_unit_test(a_refused_operation_fails_alone),
	cmocka_unit_test(the_end_of_the_file_makes_a_read_short),
	cmocka_unit_test(each_completion_is_an_edge_of_the_event_descriptor),
	cmocka_unit_test(a_completion_may_add_the_next_operation),
	cmocka_unit_test(destroying_waits_for_the_device_and_cancels_what_is_staged),
	cmocka_unit_test(a_queue_never_used_is_destroyed_and_reaped_like_any_other),
	cmocka_unit_test(a_forked_child_makes_a_queue_of_its_own),
	cmocka_unit_test(without_a_known_ring_one_reap_gives_all_that_completed),
	cmocka_unit_test(a_refusal_by_policy_is_told),
};

int main(void)
{
	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, setup, teardown);
}
