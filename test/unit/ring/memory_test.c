/*
 * memory_test.c - the layout of the shared memory is the kernel's, and cannot be taken away
 */
#include "ring/memory.h"

#include <errno.h>
#include <sys/stat.h>

#include "unit_ring.h"

struct shape {
	u32 entries, cq_entries, flags;
};

static const struct shape shapes[] = {
	{1, 0, 0},
	{3, 0, 0},
	{8, 0, 0},
	{128, 0, 0},
	{4096, 0, 0},
	{8, 64, IORING_SETUP_CQSIZE},
	{16, 0, IORING_SETUP_SQE128},
	{16, 0, IORING_SETUP_CQE32},
	{64, 0, IORING_SETUP_SQE128 | IORING_SETUP_CQE32},
	{16, 0, IORING_SETUP_NO_SQARRAY},
	{16, 128, IORING_SETUP_NO_SQARRAY | IORING_SETUP_CQE32 | IORING_SETUP_CQSIZE},
};

static void the_offsets_are_those_that_the_kernel_reports(void **state)
{
	(void)state;
	if (!unit_kernel_has_uring()) {
		print_message("skip: the kernel's io_uring is refused here\n");
		skip();
	}
	for (u32 i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct io_uring_params kernel = {.flags = shapes[i].flags,
						 .cq_entries = shapes[i].cq_entries};
		struct io_uring_params ours = kernel;
		long fd = unit_kernel_setup(shapes[i].entries, &kernel);
		struct unit_ring ring = {.params = ours};

		assert_true(fd >= 0);
		close((int)fd);
		unit_ring_open_params(&ring, shapes[i].entries);
		assert_int_equal(ring.params.sq_entries, kernel.sq_entries);
		assert_int_equal(ring.params.cq_entries, kernel.cq_entries);
		assert_memory_equal(&ring.params.sq_off, &kernel.sq_off, sizeof(kernel.sq_off));
		assert_memory_equal(&ring.params.cq_off, &kernel.cq_off, sizeof(kernel.cq_off));
		/* No feature is claimed that this kernel does not have. */
		assert_int_equal(ring.params.features & ~kernel.features, 0);
		unit_ring_close(&ring);
	}
}

static void the_header_says_what_the_parameters_say(void **state)
{
	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct unit_ring ring = {
			.params = {.flags = shapes[i].flags, .cq_entries = shapes[i].cq_entries}};

		unit_ring_open_params(&ring, shapes[i].entries);
		assert_int_equal(ring.header->sq_ring_entries, ring.params.sq_entries);
		assert_int_equal(ring.header->sq_ring_mask, ring.params.sq_entries - 1);
		assert_int_equal(ring.header->cq_ring_entries, ring.params.cq_entries);
		assert_int_equal(ring.header->cq_ring_mask, ring.params.cq_entries - 1);
		unit_ring_close(&ring);
	}
}

static void both_offsets_map_the_same_queues(void **state)
{
	struct unit_ring ring;
	struct ring_header *again;

	(void)state;
	unit_ring_open(&ring, 8, 0);
	again = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
	assert_true((void *)again != MAP_FAILED);
	again->sq_tail = 5;
	assert_int_equal(ring.header->sq_tail, 5);
	munmap(again, 4096);
	ring.header->sq_tail = 0;
	unit_ring_close(&ring);
}

static void the_program_cannot_shrink_the_memory_under_us(void **state)
{
	struct unit_ring ring;
	struct stat status;

	(void)state;
	unit_ring_open(&ring, 8, 0);
	assert_int_equal(fstat(ring.fd, &status), 0);
	assert_int_equal(ftruncate(ring.fd, 0), -1);
	assert_int_equal(errno, EPERM);
	/* Behind the SQEs there is room for rings of provided buffers. */
	assert_true(status.st_size >= (off_t)(IORING_OFF_SQES + ring.sqes_size));
	unit_ring_close(&ring);
}

static void the_descriptor_is_closed_on_exec(void **state)
{
	struct unit_ring ring;

	(void)state;
	unit_ring_open(&ring, 8, 0);
	assert_int_equal(fcntl(ring.fd, F_GETFD), FD_CLOEXEC);
	unit_ring_close(&ring);
}

static void a_ring_lies_in_memory_that_the_program_brings(void **state)
{
	size_t size = 64 << 10;
	char *queues = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *sqes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct io_uring_params params = {
		.flags = IORING_SETUP_NO_MMAP,
		.sq_off.user_addr = (u64)sqes,
		.cq_off.user_addr = (u64)queues,
	};
	struct ring_header *header = (void *)queues;
	long fd = syscall_setup(4, &params);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(header->sq_ring_entries, 4);
	((struct io_uring_sqe *)(void *)sqes)->user_data = 42;
	store_release(&header->sq_tail, 1);
	assert_int_equal(syscall_enter((u32)fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
	assert_int_equal(header->cq_tail, 1);
	assert_int_equal(((struct io_uring_cqe *)(void *)(queues + params.cq_off.cqes))->user_data,
			 42);
	unit_close((int)fd);
	assert_int_equal(header->cq_tail, 1); /* it is still the program's, and still mapped */
	munmap(queues, size);
	munmap(sqes, size);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_offsets_are_those_that_the_kernel_reports),
	cmocka_unit_test(the_header_says_what_the_parameters_say),
	cmocka_unit_test(both_offsets_map_the_same_queues),
	cmocka_unit_test(the_program_cannot_shrink_the_memory_under_us),
	cmocka_unit_test(the_descriptor_is_closed_on_exec),
	cmocka_unit_test(a_ring_lies_in_memory_that_the_program_brings),
};

unit_main(tests)
