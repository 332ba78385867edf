/*
 * core_buffers_test.c - provided buffers: registration, selection, bad arguments
 */
#include "core.h"

#define GROUP     7
#define ENTRIES   8
#define SIZE      64
#define FLAG_MMAP 1
#define FLAG_INC  2

/* What the installed liburing may not know yet. */
#define REGISTER_STATUS   26
#define CQE_BUF_MORE      16
#define OP_READ_MULTISHOT 49
#define OFFSET_PBUF       0x80000000ull

struct buf_status {
	uint32_t group, head, resv[8];
};

struct group {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	char memory[ENTRIES][SIZE];
	int in, out;
};

static int register_ring(struct io_uring *ring, void *addr, unsigned entries, int group, int flags)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uintptr_t)addr,
		.ring_entries = entries,
		.bgid = (uint16_t)group,
		.pad = (uint16_t)flags,
	};

	return (int)core_register(ring, IORING_REGISTER_PBUF_RING, &reg, 1);
}

/* A kernel without the least rest of a buffer refuses it, and counts an empty read as the end of
 * its buffer. */
static int register_with_least_rest(struct io_uring *ring, void *addr, int flags, uint32_t rest)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uintptr_t)addr,
		.ring_entries = ENTRIES,
		.bgid = GROUP,
		.pad = (uint16_t)flags,
	};

	memcpy((char *)&reg + 16, &rest, sizeof(rest));
	return (int)core_register(ring, IORING_REGISTER_PBUF_RING, &reg, 1);
}

static int unregister_ring(struct io_uring *ring, int group)
{
	struct io_uring_buf_reg reg = {.bgid = (uint16_t)group};

	return (int)core_register(ring, IORING_UNREGISTER_PBUF_RING, &reg, 1);
}

static int head_of(struct io_uring *ring, int group)
{
	struct buf_status status = {.group = (uint32_t)group};
	int err = (int)core_register(ring, REGISTER_STATUS, &status, 1);

	return err ? err : (int)status.head;
}

static void *page(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

/* Gives `count` buffers, with ids from `id` on. */
static void give(struct group *group, int id, int count)
{
	for (int i = 0; i < count; i++)
		io_uring_buf_ring_add(group->buffers, group->memory[(id + i) % ENTRIES], SIZE,
				      (unsigned short)(id + i), ENTRIES - 1, i);
	io_uring_buf_ring_advance(group->buffers, count);
}

static void start(struct group *group, int flags)
{
	int pair[2];

	memset(group, 0, sizeof(*group));
	core_ring(&group->ring, 16, 0);
	group->buffers = page();
	assert_int_equal(register_ring(&group->ring, group->buffers, ENTRIES, GROUP, flags), 0);
	assert_int_equal(pipe(pair), 0);
	group->in = pair[0];
	group->out = pair[1];
}

static void stop(struct group *group)
{
	close(group->in);
	close(group->out);
	io_uring_queue_exit(&group->ring);
	munmap(group->buffers, 4096);
}

static void prep_read(struct group *group, unsigned len)
{
	struct io_uring_sqe *sqe = core_sqe(&group->ring, 1);

	io_uring_prep_read(sqe, group->in, NULL, len, 0);
	sqe->user_data = 1;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
}

/* The next CQE: its result and flags. */
static int next(struct io_uring *ring, unsigned *flags)
{
	struct io_uring_cqe cqe = core_cqe(ring);

	*flags = cqe.flags;
	return cqe.res;
}

static int read_once(struct group *group, unsigned len, unsigned *flags)
{
	prep_read(group, len);
	assert_int_equal(io_uring_submit(&group->ring), 1);
	return next(&group->ring, flags);
}

static unsigned named(int id)
{
	return IORING_CQE_F_BUFFER | (unsigned)id << IORING_CQE_BUFFER_SHIFT;
}

static void registration_refuses_what_makes_no_ring(void **state)
{
	struct io_uring_buf_reg reg = {.ring_entries = 8, .resv = {1}};
	struct buf_status status = {.group = GROUP, .resv = {1}};
	struct io_uring ring;
	void *memory = page();

	core_ring(&ring, 4, 0);
	assert_int_equal(core_register(&ring, IORING_REGISTER_PBUF_RING, NULL, 1), -EINVAL);
	assert_int_equal(core_register(&ring, IORING_REGISTER_PBUF_RING, &reg, 2), -EINVAL);
	assert_int_equal(core_register(&ring, IORING_REGISTER_PBUF_RING, BAD_POINTER, 1), -EFAULT);
	assert_int_equal(core_register(&ring, IORING_REGISTER_PBUF_RING, &reg, 1), -EINVAL);
	assert_int_equal(register_ring(&ring, memory, 8, GROUP, 4), -EINVAL);
	assert_int_equal(register_ring(&ring, memory, 0, GROUP, 0), -EINVAL);
	assert_int_equal(register_ring(&ring, memory, 3, GROUP, 0), -EINVAL);
	assert_int_equal(register_ring(&ring, memory, 65536, GROUP, 0), -EINVAL);
	assert_int_equal(register_ring(&ring, NULL, 8, GROUP, 0), -EFAULT);
	assert_int_equal(register_ring(&ring, (char *)memory + 16, 8, GROUP, 0), -EINVAL);
	assert_int_equal(register_ring(&ring, (void *)4096, 8, GROUP, 0), -EFAULT);
	assert_int_equal(unregister_ring(&ring, GROUP), -ENOENT);
	assert_int_equal(head_of(&ring, GROUP), -ENOENT);
	assert_int_equal(core_register(&ring, REGISTER_STATUS, &status, 1), -EINVAL);
	assert_int_equal(core_register(&ring, REGISTER_STATUS, NULL, 1), -EINVAL);
	assert_int_equal(core_register(&ring, REGISTER_STATUS, BAD_POINTER, 1), -EFAULT);
	assert_int_equal(register_ring(&ring, memory, 8, GROUP, 0), 0);
	assert_int_equal(register_ring(&ring, memory, 8, GROUP, 0), -EEXIST);
	assert_int_equal(head_of(&ring, GROUP), 0);
	assert_int_equal(unregister_ring(&ring, GROUP), 0);
	assert_int_equal(unregister_ring(&ring, GROUP), -ENOENT);
	io_uring_queue_exit(&ring);
	munmap(memory, 4096);
	(void)state;
}

static void lists_and_rings_do_not_mix_in_one_group(void **state)
{
	static char memory[4][SIZE];
	struct io_uring ring;
	void *entries = page();

	core_ring(&ring, 4, 0);
	CORE_PREP(&ring, 1, io_uring_prep_provide_buffers, memory, SIZE, 4, GROUP, 0);
	assert_int_equal(core_run(&ring, 1), 0);
	assert_int_equal(register_ring(&ring, entries, 8, GROUP, 0), -EEXIST);
	assert_int_equal(unregister_ring(&ring, GROUP), -EINVAL);
	assert_int_equal(head_of(&ring, GROUP), -EINVAL);
	CORE_PREP(&ring, 2, io_uring_prep_remove_buffers, 4, GROUP);
	assert_int_equal(core_run(&ring, 2), 4);
	assert_int_equal(register_ring(&ring, entries, 8, GROUP, 0), 0);
	CORE_PREP(&ring, 3, io_uring_prep_provide_buffers, memory, SIZE, 4, GROUP, 0);
	assert_int_equal(core_run(&ring, 3), -EINVAL);
	CORE_PREP(&ring, 4, io_uring_prep_remove_buffers, 4, GROUP);
	assert_int_equal(core_run(&ring, 4), -EINVAL);
	assert_int_equal(unregister_ring(&ring, GROUP), 0);
	io_uring_queue_exit(&ring);
	munmap(entries, 4096);
	(void)state;
}

static void reads_take_the_buffers_of_a_ring_in_order(void **state)
{
	struct group group;
	unsigned flags;

	start(&group, 0);
	assert_int_equal(read_once(&group, SIZE, &flags), -ENOBUFS);
	assert_int_equal(flags, 0);
	give(&group, 0, 3);
	assert_int_equal(write(group.out, "abcdef", 6), 6);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(read_once(&group, 2, &flags), 2);
		assert_int_equal(flags, named(i));
		assert_memory_equal(group.memory[i], &"abcdef"[2 * i], 2);
		assert_int_equal(head_of(&group.ring, GROUP), i + 1);
	}
	assert_int_equal(write(group.out, "abc", 3), 3);
	assert_int_equal(read_once(&group, 0, &flags), -ENOBUFS);
	stop(&group);
	(void)state;
}

static void a_read_that_waits_leaves_its_buffer_to_others(void **state)
{
	struct group group;
	int other[2];
	unsigned flags;

	start(&group, 0);
	assert_int_equal(pipe(other), 0);
	give(&group, 3, 1);
	prep_read(&group, 0);
	assert_int_equal(io_uring_submit(&group.ring), 1);
	assert_int_equal(head_of(&group.ring, GROUP), 0);
	/* Another read takes it. */
	assert_int_equal(write(other[1], "xy", 2), 2);
	prep_read(&group, 0);
	group.ring.sq.sqes[(group.ring.sq.sqe_tail - 1) & *group.ring.sq.kring_mask].fd = other[0];
	assert_int_equal(io_uring_submit(&group.ring), 1);
	assert_int_equal(next(&group.ring, &flags), 2);
	assert_int_equal(flags, named(3));
	assert_int_equal(write(group.out, "abc", 3), 3);
	assert_int_equal(next(&group.ring, &flags), -ENOBUFS);
	assert_int_equal(flags, 0);
	close(other[0]);
	close(other[1]);
	stop(&group);
	(void)state;
}

static int remove_all(struct io_uring *ring, int group)
{
	CORE_PREP(ring, 2, io_uring_prep_remove_buffers, 65536, group);
	return core_run(ring, 2);
}

static void a_read_that_waits_keeps_the_buffer_of_a_list(void **state)
{
	char memory[2][SIZE];
	struct group group;
	unsigned flags;

	start(&group, 0);
	assert_int_equal(unregister_ring(&group.ring, GROUP), 0);
	CORE_PREP(&group.ring, 2, io_uring_prep_provide_buffers, memory, SIZE, 2, GROUP, 5);
	assert_int_equal(core_run(&group.ring, 2), 0);
	prep_read(&group, 0);
	assert_int_equal(io_uring_submit(&group.ring), 1);
	assert_int_equal(remove_all(&group.ring, GROUP), 1);
	assert_int_equal(write(group.out, "abc", 3), 3);
	assert_int_equal(next(&group.ring, &flags), 3);
	assert_int_equal(flags, named(5));
	assert_memory_equal(memory[0], "abc", 3);
	/* Cancelled, it names it too: it is the program's again. */
	CORE_PREP(&group.ring, 2, io_uring_prep_provide_buffers, memory, SIZE, 1, GROUP, 6);
	assert_int_equal(core_run(&group.ring, 2), 0);
	prep_read(&group, 0);
	CORE_PREP(&group.ring, 2, io_uring_prep_cancel, (void *)1, 0)->flags =
		IOSQE_CQE_SKIP_SUCCESS;
	assert_int_equal(io_uring_submit(&group.ring), 2);
	assert_int_equal(next(&group.ring, &flags), -ECANCELED);
	assert_int_equal(flags, named(6));
	assert_int_equal(remove_all(&group.ring, GROUP), 0);
	stop(&group);
	(void)state;
}

static void a_list_holds_no_more_buffers_than_it_can_count(void **state)
{
	static char memory[65536];
	struct io_uring ring;

	core_ring(&ring, 4, 0);
	CORE_PREP(&ring, 1, io_uring_prep_provide_buffers, memory, 1, 65536, GROUP, 0);
	assert_int_equal(core_run(&ring, 1), 0);
	CORE_PREP(&ring, 1, io_uring_prep_provide_buffers, memory, 1, 1, GROUP, 0);
	assert_int_equal(core_run(&ring, 1), -EOVERFLOW);
	CORE_PREP(&ring, 1, io_uring_prep_remove_buffers, 3, GROUP);
	assert_int_equal(core_run(&ring, 1), 3);
	CORE_PREP(&ring, 1, io_uring_prep_provide_buffers, memory, 1, 5, GROUP, 0);
	assert_int_equal(core_run(&ring, 1), 0);
	assert_int_equal(remove_all(&ring, GROUP), 65535);
	CORE_PREP(&ring, 1, io_uring_prep_provide_buffers, memory, 1, 1, GROUP, 0);
	assert_int_equal(core_run(&ring, 1), 0);
	io_uring_queue_exit(&ring);
	(void)state;
}

static void an_incremental_buffer_is_used_piece_by_piece(void **state)
{
	struct group group;
	unsigned flags;

	start(&group, FLAG_INC);
	give(&group, 0, 2);
	assert_int_equal(write(group.out, "0123456789", 10), 10);
	assert_int_equal(read_once(&group, 4, &flags), 4);
	assert_int_equal(flags, named(0) | CQE_BUF_MORE);
	assert_int_equal(head_of(&group.ring, GROUP), 0);
	assert_int_equal(read_once(&group, 0, &flags), 6);
	assert_int_equal(flags, named(0) | CQE_BUF_MORE);
	assert_memory_equal(group.memory[0], "0123456789", 10);
	assert_int_equal(group.buffers->bufs[0].len, SIZE - 10);
	assert_int_equal(write(group.out, group.memory[1], SIZE), SIZE);
	assert_int_equal(read_once(&group, 0, &flags), SIZE - 10);
	assert_int_equal(flags, named(0));
	assert_int_equal(head_of(&group.ring, GROUP), 1);
	assert_int_equal(read_once(&group, 0, &flags), 10);
	assert_int_equal(flags, named(1) | CQE_BUF_MORE);
	stop(&group);
	(void)state;
}

/* The whole piece that was asked for is used, whatever of it the file fills. */
static void an_incremental_read_of_a_file_uses_what_it_asks_for(void **state)
{
	struct group group;
	unsigned flags;
	FILE *file = tmpfile();

	assert_non_null(file);
	start(&group, FLAG_INC);
	give(&group, 0, 1);
	assert_int_equal(pwrite(fileno(file), "abcdef", 6, 0), 6);
	close(group.in);
	group.in = dup(fileno(file));
	assert_int_equal(read_once(&group, 10, &flags), 6);
	assert_int_equal(flags, named(0) | CQE_BUF_MORE);
	assert_int_equal(group.buffers->bufs[0].len, SIZE - 10);
	assert_int_equal(read_once(&group, 0, &flags), 6);
	assert_int_equal(flags, named(0));
	assert_int_equal(head_of(&group.ring, GROUP), 1);
	fclose(file);
	stop(&group);
	(void)state;
}

static void a_rest_of_less_than_was_agreed_is_given_up(void **state)
{
	struct group group;
	unsigned flags;
	int err;

	start(&group, 0);
	assert_int_equal(unregister_ring(&group.ring, GROUP), 0);
	assert_int_equal(register_with_least_rest(&group.ring, group.buffers, 0, 1), -EINVAL);
	err = register_with_least_rest(&group.ring, group.buffers, FLAG_INC, 20);
	if (err == -EINVAL && !core_is_ringside()) {
		stop(&group);
		skip();
	}
	assert_int_equal(err, 0);
	give(&group, 0, 2);
	assert_int_equal(write(group.out, group.memory[1], SIZE), SIZE);
	assert_int_equal(read_once(&group, SIZE - 20, &flags), SIZE - 20);
	assert_int_equal(flags, named(0) | CQE_BUF_MORE);
	assert_int_equal(read_once(&group, 1, &flags), 1);
	assert_int_equal(flags, named(0));
	assert_int_equal(group.buffers->bufs[0].len, 0);
	assert_int_equal(head_of(&group.ring, GROUP), 1);
	assert_int_equal(read_once(&group, 10, &flags), 10);
	assert_int_equal(flags, named(1) | CQE_BUF_MORE);
	/* An end of file uses nothing, and an empty buffer stays. */
	assert_int_equal(read_once(&group, 0, &flags), 9);
	close(group.out);
	assert_int_equal(read_once(&group, 0, &flags), 0);
	assert_int_equal(flags, named(1) | CQE_BUF_MORE);
	assert_int_equal(group.buffers->bufs[1].len, SIZE - 19);
	group.buffers->bufs[1].len = 0;
	assert_int_equal(read_once(&group, 0, &flags), 0);
	assert_int_equal(flags, named(1) | CQE_BUF_MORE);
	group.out = dup(STDERR_FILENO);
	stop(&group);
	(void)state;
}

static void the_ring_gives_memory_that_is_mapped_by_the_group(void **state)
{
	struct group group;
	size_t size = ENTRIES * sizeof(struct io_uring_buf);
	off_t offset = (off_t)(OFFSET_PBUF | 9ull << 16);
	int fd;
	unsigned flags;

	start(&group, 0);
	fd = group.ring.ring_fd;
	assert_ptr_equal(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset),
			 MAP_FAILED);
	assert_int_equal(errno, ENOMEM);
	/* One that the program brought cannot be mapped. */
	assert_ptr_equal(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			      (off_t)(OFFSET_PBUF | GROUP << 16)),
			 MAP_FAILED);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(unregister_ring(&group.ring, GROUP), 0);
	assert_int_equal(register_ring(&group.ring, NULL, ENTRIES, GROUP, FLAG_MMAP), 0);
	assert_int_equal(register_ring(&group.ring, NULL, 32768, 9, FLAG_MMAP), 0);
	assert_int_equal(register_ring(&group.ring, NULL, 32768, 10, FLAG_MMAP), 0);
	munmap(group.buffers, 4096);
	group.buffers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			     (off_t)(OFFSET_PBUF | GROUP << 16));
	assert_ptr_not_equal(group.buffers, MAP_FAILED);
	give(&group, 4, 1);
	assert_int_equal(write(group.out, "abc", 3), 3);
	assert_int_equal(read_once(&group, 0, &flags), 3);
	assert_int_equal(flags, named(4));
	/* Rings of 512 KiB whose offsets are 64 KiB apart share nothing. */
	for (int i = 9; i <= 10; i++) {
		struct io_uring_buf *all =
			mmap(NULL, 32768 * 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			     (off_t)(OFFSET_PBUF | (unsigned)i << 16));

		assert_ptr_not_equal(all, MAP_FAILED);
		assert_int_equal(all[4096 * (10 - i)].bid, 0);
		all[0].bid = all[4096].bid = (uint16_t)i;
		munmap(all, 32768 * 16);
	}
	assert_int_equal(unregister_ring(&group.ring, 9), 0);
	assert_ptr_equal(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, offset), MAP_FAILED);
	stop(&group);
	(void)state;
}

#if defined(__x86_64__)
/* As a program without the C library calls: only the trap can see it. */
static long map_by_instruction(size_t size, int fd, uint64_t offset)
{
	register long r10 __asm__("r10") = MAP_SHARED;
	register long r8 __asm__("r8") = fd;
	register uint64_t r9 __asm__("r9") = offset;
	long ret = SYS_mmap;

	__asm__ volatile("syscall"
			 : "+a"(ret)
			 : "D"(0), "S"(size), "d"(PROT_READ | PROT_WRITE), "r"(r10), "r"(r8),
			   "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static void the_ring_gives_memory_to_a_system_call_instruction(void **state)
{
	uint64_t offset = OFFSET_PBUF | 9u << 16;
	struct group group;
	unsigned flags;
	long memory;

	start(&group, 0);
	assert_int_equal(unregister_ring(&group.ring, GROUP), 0);
	assert_int_equal(map_by_instruction(4096, group.ring.ring_fd, offset), -ENOMEM);
	assert_int_equal(register_ring(&group.ring, NULL, ENTRIES, GROUP, FLAG_MMAP), 0);
	memory = map_by_instruction(4096, group.ring.ring_fd, OFFSET_PBUF | GROUP << 16);
	assert_true(memory > 0);
	munmap(group.buffers, 4096);
	group.buffers = (void *)memory;
	give(&group, 2, 1);
	assert_int_equal(write(group.out, "abc", 3), 3);
	assert_int_equal(read_once(&group, 0, &flags), 3);
	assert_int_equal(flags, named(2));
	stop(&group);
	(void)state;
}
#endif

static void memory_that_is_gone_gives_no_buffers(void **state)
{
	struct group group;
	unsigned flags;
	int result;

	start(&group, 0);
	give(&group, 0, 1);
	munmap(group.buffers, 4096);
	assert_int_equal(write(group.out, "abc", 3), 3);
	result = read_once(&group, 0, &flags);
	/* The kernel keeps the pages; here they are the program's alone. */
	assert_int_equal(result, core_is_ringside() ? -ENOBUFS : 3);
	group.buffers = page();
	stop(&group);
	(void)state;
}

static void prep_multishot(struct group *group, int fd)
{
	struct io_uring_sqe *sqe = core_sqe(&group->ring, 1);

	sqe->opcode = OP_READ_MULTISHOT;
	sqe->fd = fd;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
}

static void a_multishot_read_takes_all_that_comes(void **state)
{
	struct group group;
	unsigned flags;

	start(&group, 0);
	give(&group, 0, 3);
	prep_multishot(&group, group.in);
	assert_int_equal(io_uring_submit(&group.ring), 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(group.out, "abc", 3), 3);
		assert_int_equal(next(&group.ring, &flags), 3);
		assert_int_equal(flags, named(i) | IORING_CQE_F_MORE);
	}
	/* The last buffer is gone: it ends when there is more to read. */
	assert_int_equal(write(group.out, "abc", 3), 3);
	assert_int_equal(next(&group.ring, &flags), -ENOBUFS);
	assert_int_equal(flags, 0);
	give(&group, 3, 2);
	prep_multishot(&group, group.in);
	assert_int_equal(io_uring_submit(&group.ring), 1);
	assert_int_equal(next(&group.ring, &flags), 3);
	assert_int_equal(flags, named(3) | IORING_CQE_F_MORE);
	close(group.out);
	assert_int_equal(next(&group.ring, &flags), 0);
	assert_int_equal(flags, 0);
	assert_int_equal(head_of(&group.ring, GROUP), 4);
	group.out = dup(group.in);
	stop(&group);
	(void)state;
}

static void a_multishot_read_is_for_files_that_can_be_waited_for(void **state)
{
	struct group group;
	struct io_uring_sqe *sqe;
	FILE *file = tmpfile();

	assert_non_null(file);
	start(&group, 0);
	give(&group, 0, 1);
	prep_multishot(&group, fileno(file));
	assert_int_equal(core_run(&group.ring, 1), -EBADFD);
	prep_multishot(&group, 12345);
	assert_int_equal(core_run(&group.ring, 1), -EBADF);
	sqe = core_sqe(&group.ring, 2);
	sqe->opcode = OP_READ_MULTISHOT;
	sqe->fd = group.in;
	assert_int_equal(core_run(&group.ring, 2), -EINVAL);
	prep_multishot(&group, group.in);
	group.ring.sq.sqes[(group.ring.sq.sqe_tail - 1) & *group.ring.sq.kring_mask].len = 1;
	assert_int_equal(core_run(&group.ring, 1), -EINVAL);
	fclose(file);
	stop(&group);
	(void)state;
}

static struct io_uring_sqe *multishot_sqe(struct group *group, int fd)
{
	prep_multishot(group, fd);
	return &group->ring.sq.sqes[(group->ring.sq.sqe_tail - 1) & *group->ring.sq.kring_mask];
}

static void a_multishot_read_asks_for_nothing_impossible(void **state)
{
	const int hipri = 1;
	struct group group;
	unsigned flags;

	start(&group, 0);
	give(&group, 0, 1);
	assert_int_equal(write(group.out, "abc", 3), 3);
	multishot_sqe(&group, group.in)->off = (__u64)-5;
	assert_int_equal(core_run(&group.ring, 1), -EINVAL);
	multishot_sqe(&group, group.in)->rw_flags = hipri;
	assert_int_equal(core_run(&group.ring, 1), -EINVAL);
	multishot_sqe(&group, group.in)->rw_flags = 0x10000 | hipri;
	assert_int_equal(core_run(&group.ring, 1), -EOPNOTSUPP);
	multishot_sqe(&group, group.out)->rw_flags = hipri;
	assert_int_equal(core_run(&group.ring, 1), -EBADF);
	multishot_sqe(&group, group.in)->__pad2[0] = 1ull << 63; /* an attribute */
	assert_int_equal(core_run(&group.ring, 1), -EINVAL);
	multishot_sqe(&group, group.in)->off = 5;
	assert_int_equal(io_uring_submit(&group.ring), 1);
	assert_int_equal(next(&group.ring, &flags), 3);
	stop(&group);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registration_refuses_what_makes_no_ring),
		cmocka_unit_test(lists_and_rings_do_not_mix_in_one_group),
		cmocka_unit_test(reads_take_the_buffers_of_a_ring_in_order),
		cmocka_unit_test(a_read_that_waits_leaves_its_buffer_to_others),
		cmocka_unit_test(a_read_that_waits_keeps_the_buffer_of_a_list),
		cmocka_unit_test(a_list_holds_no_more_buffers_than_it_can_count),
		cmocka_unit_test(an_incremental_buffer_is_used_piece_by_piece),
		cmocka_unit_test(an_incremental_read_of_a_file_uses_what_it_asks_for),
		cmocka_unit_test(a_rest_of_less_than_was_agreed_is_given_up),
		cmocka_unit_test(the_ring_gives_memory_that_is_mapped_by_the_group),
#if defined(__x86_64__)
		cmocka_unit_test(the_ring_gives_memory_to_a_system_call_instruction),
#endif
		cmocka_unit_test(memory_that_is_gone_gives_no_buffers),
		cmocka_unit_test(a_multishot_read_takes_all_that_comes),
		cmocka_unit_test(a_multishot_read_is_for_files_that_can_be_waited_for),
		cmocka_unit_test(a_multishot_read_asks_for_nothing_impossible),
	};

	core_require_rings();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
