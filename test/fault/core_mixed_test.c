/*
 * core_mixed_test.c - rings whose CQEs or SQEs are of two sizes, an SQ that begins anew, and which
 * modes of a setup go together
 *
 * liburing 2.3 knows nothing of these: the entries are counted by hand.
 */
#include "core_newer.h"

static bool ring_made(struct io_uring *ring, unsigned entries, unsigned cq_entries, unsigned flags)
{
	struct io_uring_params params = {.flags = flags | IORING_SETUP_CQSIZE,
					 .cq_entries = cq_entries};
	int err = io_uring_queue_init_params(entries, ring, &params);

	/* Only the kernel may not have them. */
	assert_true(err == 0 || (err == -EINVAL && !core_is_ringside()));
	return err == 0;
}

static struct io_uring_cqe *cqe_at(struct io_uring *ring, unsigned position)
{
	return &ring->cq.cqes[position & (*ring->cq.kring_entries - 1)];
}

static unsigned cq_tail(const struct io_uring *ring)
{
	return __atomic_load_n(ring->cq.ktail, __ATOMIC_ACQUIRE);
}

static struct io_uring_sqe *nop(struct io_uring *ring, bool is_wide, __u64 user_data)
{
	struct io_uring_sqe *sqe = newer_sqe(ring, IORING_OP_NOP, -1, (void *)0x22, 0, user_data);

	sqe->off = 0x11;
	sqe->rw_flags = (int)(is_wide ? NEWER_NOP_CQE32 : 0);
	return sqe;
}

static void submit_nop(struct io_uring *ring, bool is_wide, __u64 user_data)
{
	nop(ring, is_wide, user_data);
	assert_int_equal(io_uring_submit(ring), 1);
}

static void is_wide_at(struct io_uring *ring, unsigned position, __u64 user_data)
{
	struct io_uring_cqe *cqe = cqe_at(ring, position);

	assert_int_equal(cqe->user_data, user_data);
	assert_int_equal(cqe->flags, NEWER_CQE_F_32);
	assert_int_equal(cqe->big_cqe[0], 0x11);
	assert_int_equal(cqe->big_cqe[1], 0x22);
}

static void is_small_at(struct io_uring *ring, unsigned position, __u64 user_data)
{
	assert_int_equal(cqe_at(ring, position)->user_data, user_data);
	assert_int_equal(cqe_at(ring, position)->flags, 0);
}

static void cqes_of_both_sizes_follow_each_other(void **state)
{
	struct io_uring ring;

	(void)state;
	if (!ring_made(&ring, 4, 8, NEWER_SETUP_CQE_MIXED))
		skip();
	submit_nop(&ring, false, 1);
	submit_nop(&ring, true, 2);
	submit_nop(&ring, false, 3);
	assert_int_equal(cq_tail(&ring), 4);
	is_small_at(&ring, 0, 1);
	is_wide_at(&ring, 1, 2);
	is_small_at(&ring, 3, 3);
	io_uring_queue_exit(&ring);
}

static void a_wide_cqe_does_not_wrap(void **state)
{
	struct io_uring ring;

	(void)state;
	if (!ring_made(&ring, 4, 4, NEWER_SETUP_CQE_MIXED))
		skip();
	for (int i = 0; i < 3; i++)
		submit_nop(&ring, false, 1);
	io_uring_cq_advance(&ring, 3);
	submit_nop(&ring, true, 2);
	assert_int_equal(cq_tail(&ring), 6);
	assert_int_equal(cqe_at(&ring, 3)->flags, NEWER_CQE_F_SKIP);
	is_wide_at(&ring, 4, 2);
	io_uring_queue_exit(&ring);
}

/* The other CQEs are what the program has not taken yet. */
static void wide_cqes_that_find_no_room_are_kept(void **state)
{
	struct io_uring ring;

	(void)state;
	if (!ring_made(&ring, 4, 4, NEWER_SETUP_CQE_MIXED))
		skip();
	submit_nop(&ring, true, 1);
	submit_nop(&ring, false, 2);
	submit_nop(&ring, true, 3); /* one entry is free, and is filled */
	/* It would fit no more. (Linux 6.18 puts it where the filler is, and counts both.) */
	if (core_is_ringside())
		submit_nop(&ring, false, 4);
	assert_true(*ring.sq.kflags & IORING_SQ_CQ_OVERFLOW);
	assert_int_equal(cq_tail(&ring), 4);
	assert_int_equal(cqe_at(&ring, 3)->flags, NEWER_CQE_F_SKIP);
	io_uring_cq_advance(&ring, 4);
	assert_int_equal(core_enter(&ring, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0), 0);
	if (!core_is_ringside())
		submit_nop(&ring, false, 4);
	assert_int_equal(cq_tail(&ring), 7);
	is_wide_at(&ring, 4, 3);
	is_small_at(&ring, 6, 4);
	assert_false(*ring.sq.kflags & IORING_SQ_CQ_OVERFLOW);
	io_uring_queue_exit(&ring);
}

static void a_cq_of_mixed_sizes_has_room_for_one(void **state)
{
	struct io_uring_params params = {
		.flags = NEWER_SETUP_CQE_MIXED | IORING_SETUP_CQSIZE,
		.cq_entries = 1,
	};
	struct io_uring ring;
	int err;

	(void)state;
	if (!ring_made(&ring, 4, 4, NEWER_SETUP_CQE_MIXED))
		skip();
	io_uring_queue_exit(&ring);
	err = io_uring_queue_init_params(1, &ring, &params);
	assert_int_equal(err, -EOVERFLOW);
	params.cq_entries = 4;
	params.flags |= IORING_SETUP_CQE32;
	assert_int_equal(io_uring_queue_init_params(1, &ring, &params), -EINVAL);
}

static void a_cqe_is_not_made_wide_in_a_ring_of_small_ones(void **state)
{
	struct io_uring ring;

	(void)state;
	if (!ring_made(&ring, 4, 4, NEWER_SETUP_CQE_MIXED))
		skip();
	io_uring_queue_exit(&ring);
	core_ring(&ring, 4, 0);
	nop(&ring, true, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	io_uring_queue_exit(&ring);
	core_ring(&ring, 4, IORING_SETUP_CQE32);
	submit_nop(&ring, true, 2);
	assert_int_equal(ring.cq.cqes[0].big_cqe[1], 0x22);
	assert_int_equal(ring.cq.cqes[0].flags, 0);
	io_uring_queue_exit(&ring);
}

/* An SQE of 128 bytes, in two entries. */
static void nop128(struct io_uring *ring, __u64 user_data)
{
	newer_sqe(ring, NEWER_OP_NOP128, -1, NULL, 0, user_data);
	core_sqe(ring, 0)->opcode = 0xff; /* the second half: nobody looks at it */
}

static void sqes_of_both_sizes_follow_each_other(void **state)
{
	struct io_uring ring;

	(void)state;
	if (!ring_made(&ring, 8, 16, NEWER_SETUP_SQE_MIXED))
		skip();
	nop(&ring, false, 1);
	nop128(&ring, 2);
	nop(&ring, false, 3);
	assert_int_equal(io_uring_submit(&ring), 4); /* entries */
	assert_int_equal(core_result(&ring, 1), 0);
	assert_int_equal(core_result(&ring, 2), 0);
	assert_int_equal(core_result(&ring, 3), 0);
	assert_int_equal(io_uring_cq_ready(&ring), 0);
	io_uring_queue_exit(&ring);
}

static void a_wide_sqe_does_not_wrap(void **state)
{
	struct io_uring ring;

	(void)state;
	if (!ring_made(&ring, 4, 16, NEWER_SETUP_SQE_MIXED))
		skip();
	for (int i = 0; i < 3; i++)
		submit_nop(&ring, false, 1);
	io_uring_cq_advance(&ring, 3);
	nop128(&ring, 2); /* in the last entry and the first */
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(core_result(&ring, 2), -EINVAL);
	io_uring_queue_exit(&ring);
}

static void half_a_wide_sqe_is_none(void **state)
{
	struct io_uring ring;

	(void)state;
	if (!ring_made(&ring, 4, 16, NEWER_SETUP_SQE_MIXED))
		skip();
	newer_sqe(&ring, NEWER_OP_NOP128, -1, NULL, 0, 2);
	assert_int_equal(core_run(&ring, 2), -EINVAL);
	io_uring_queue_exit(&ring);
	core_ring(&ring, 4, 0);
	nop128(&ring, 3);
	assert_int_equal(io_uring_submit(&ring), 1); /* a refused SQE ends the batch */
	assert_int_equal(core_result(&ring, 3), -EINVAL);
	io_uring_queue_exit(&ring);
}

static void an_sq_that_is_rewound_begins_at_its_first_entry(void **state)
{
	const unsigned flags = NEWER_SETUP_SQ_REWIND | NEWER_SETUP_NO_SQARRAY;
	struct io_uring_params params = {.flags = flags};
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	char *rings;
	int fd;

	(void)state;
	fd = (int)core_call(SYS_io_uring_setup, 4, (long)&params, 0, 0, 0, 0);
	if (fd == -EINVAL && !core_is_ringside())
		skip();
	assert_true(fd >= 0);
	rings = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)IORING_OFF_SQES);
	assert_true(rings != MAP_FAILED && sqes != MAP_FAILED);
	cqes = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
	for (int i = 0; i < 3; i++) {
		memset(sqes, 0, 4 * sizeof(*sqes));
		sqes[0].user_data = 10 + (unsigned)i;
		sqes[1].user_data = 20 + (unsigned)i;
		assert_int_equal(core_call(SYS_io_uring_enter, fd, 2, 0, 0, 0, 0), 2);
		assert_int_equal(cqes[2 * i].user_data, 10 + i);
		assert_int_equal(cqes[2 * i + 1].user_data, 20 + i);
	}
	assert_int_equal(*(unsigned *)(rings + params.sq_off.head), 0);
	/* as many as there are entries, however many are asked for */
	assert_int_equal(core_call(SYS_io_uring_enter, fd, 100, 0, 0, 0, 0), 4);
	munmap(rings, 4096);
	munmap(sqes, 4096);
	close(fd);
}

static int setup_refused(unsigned flags)
{
	struct io_uring_params params = {.flags = flags};

	return (int)core_call(SYS_io_uring_setup, 4, (long)&params, 0, 0, 0, 0);
}

static void modes_that_exclude_each_other_are_refused(void **state)
{
	const unsigned hybrid = 1u << 17;

	(void)state;
	assert_int_equal(setup_refused(NEWER_SETUP_SQ_REWIND), -EINVAL);
	assert_int_equal(setup_refused(NEWER_SETUP_SQ_REWIND | NEWER_SETUP_NO_SQARRAY |
				       IORING_SETUP_SQPOLL),
			 -EINVAL);
	assert_int_equal(setup_refused(NEWER_SETUP_SQE_MIXED | IORING_SETUP_SQE128), -EINVAL);
	assert_int_equal(setup_refused(hybrid), -EINVAL);
}

/* 0 or -errno. */
static int attach(unsigned flags, int fd)
{
	const unsigned no_such_cpu = 1u << 20;
	struct io_uring_params params = {.flags = flags | IORING_SETUP_ATTACH_WQ,
					 .wq_fd = (unsigned)fd,
					 .sq_thread_cpu = no_such_cpu};
	int made = (int)core_call(SYS_io_uring_setup, 4, (long)&params, 0, 0, 0, 0);

	return made < 0 ? made : close(made);
}

static void only_a_ring_that_has_a_thread_can_share_it(void **state)
{
	struct io_uring plain, polled;

	(void)state;
	core_ring(&plain, 4, 0);
	core_ring(&polled, 4, IORING_SETUP_SQPOLL);
	assert_int_equal(attach(0, plain.ring_fd), 0);
	assert_int_equal(attach(0, polled.ring_fd), 0);
	assert_int_equal(attach(IORING_SETUP_SQPOLL, plain.ring_fd), -EINVAL);
	assert_int_equal(attach(IORING_SETUP_SQPOLL, polled.ring_fd), 0);
	assert_int_equal(attach(IORING_SETUP_SQPOLL, 12345), -ENXIO);
	/* The thread stays where it is; there must be one to be anywhere. */
	assert_int_equal(attach(IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, polled.ring_fd), 0);
	assert_int_equal(attach(IORING_SETUP_SQ_AFF, polled.ring_fd), -EINVAL);
	assert_int_equal(attach(IORING_SETUP_SQ_AFF, 12345), -ENXIO);
	io_uring_queue_exit(&plain);
	io_uring_queue_exit(&polled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cqes_of_both_sizes_follow_each_other),
		cmocka_unit_test(a_wide_cqe_does_not_wrap),
		cmocka_unit_test(wide_cqes_that_find_no_room_are_kept),
		cmocka_unit_test(a_cq_of_mixed_sizes_has_room_for_one),
		cmocka_unit_test(a_cqe_is_not_made_wide_in_a_ring_of_small_ones),
		cmocka_unit_test(sqes_of_both_sizes_follow_each_other),
		cmocka_unit_test(a_wide_sqe_does_not_wrap),
		cmocka_unit_test(half_a_wide_sqe_is_none),
		cmocka_unit_test(an_sq_that_is_rewound_begins_at_its_first_entry),
		cmocka_unit_test(modes_that_exclude_each_other_are_refused),
		cmocka_unit_test(only_a_ring_that_has_a_thread_can_share_it),
	};

	core_require_rings();
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
