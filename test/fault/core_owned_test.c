/*
 * core_owned_test.c - whatever changes a file, the next read of a ring sees it
 *
 * On ringside the file is owned by rs_own(), and its pages are in our cache before each change; on
 * the kernel's io_uring, where there is no rs_own(), every expectation holds as well.
 */
#include "core.h"

#include <pthread.h>
#include <ringside.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#pragma weak rs_own
#pragma weak rs_disown

#define PAGE  4096u
#define PAGES 16u
#define SIZE  (PAGES * PAGE)

static struct io_uring ring;
static char path[256];
static unsigned char buffer[4 * SIZE] __attribute__((aligned(4096)));
static unsigned char source[SIZE] __attribute__((aligned(4096)));
static unsigned char expected[4 * SIZE];
static size_t expected_size;

static int make_file(void)
{
	const char *base = getenv("TMPDIR");
	int fd;

	snprintf(path, sizeof(path), "%s/ringside-owned-XXXXXX", base ? base : "/var/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t i = 0; i < SIZE; i++)
		expected[i] = (unsigned char)(i * 7 + (i >> 12));
	expected_size = SIZE;
	assert_int_equal(pwrite(fd, expected, SIZE, 0), SIZE);
	assert_int_equal(fsync(fd), 0);
	return fd;
}

static void own(int fd)
{
	if (rs_own)
		assert_int_equal(rs_own(fd, NULL), 0);
}

static int read_at(int fd, void *to, unsigned len, __u64 offset)
{
	CORE_PREP(&ring, 9, io_uring_prep_read, fd, to, len, offset);
	return core_run(&ring, 9);
}

/* The whole file, and what is behind it, is as expected: twice, so that the second read finds in
 * the cache what the first brought there. */
static void check(int fd)
{
	for (int i = 0; i < 2; i++) {
		memset(buffer, 0xee, sizeof(buffer));
		assert_int_equal(read_at(fd, buffer, sizeof(buffer), 0), expected_size);
		assert_memory_equal(buffer, expected, expected_size);
	}
}

/* `len` bytes at `offset` are to be `value`, as those of `source` are. */
static void expect(size_t offset, size_t len, int value)
{
	memset(source, value, sizeof(source));
	memset(expected + offset, value, len);
	if (offset + len > expected_size)
		expected_size = offset + len;
}

static void expect_size(size_t size)
{
	if (size < expected_size)
		memset(expected + size, 0, expected_size - size);
	else
		memset(expected + expected_size, 0, size - expected_size);
	expected_size = size;
}

static int setup(void **state)
{
	int *fd = malloc(sizeof(*fd));

	core_ring(&ring, 8, 0);
	*fd = make_file();
	own(*fd);
	check(*fd);
	*state = fd;
	return 0;
}

static int teardown(void **state)
{
	int *fd = *state;

	close(*fd);
	free(fd);
	unlink(path);
	io_uring_queue_exit(&ring);
	return 0;
}

static void a_write_of_the_ring_is_read_back(void **state)
{
	int fd = *(int *)*state;
	struct iovec vector[2] = {{source, 100}, {source, 5000}};

	expect(4000, 200, 1);
	CORE_PREP(&ring, 1, io_uring_prep_write, fd, source, 200, 4000);
	assert_int_equal(core_run(&ring, 1), 200);
	check(fd);
	expect(8000, 5100, 2);
	CORE_PREP(&ring, 2, io_uring_prep_writev, fd, vector, 2, 8000);
	assert_int_equal(core_run(&ring, 2), 5100);
	check(fd);
	expect(SIZE - 10, 6000, 3);
	CORE_PREP(&ring, 3, io_uring_prep_write, fd, source, 6000, SIZE - 10);
	assert_int_equal(core_run(&ring, 3), 6000);
	check(fd);
}

static void a_write_of_the_ring_at_the_position_is_read_back(void **state)
{
	int fd = *(int *)*state;

	assert_int_equal(lseek(fd, 5000, SEEK_SET), 5000);
	expect(5000, 3000, 4);
	CORE_PREP(&ring, 1, io_uring_prep_write, fd, source, 3000, (__u64)-1);
	assert_int_equal(core_run(&ring, 1), 3000);
	check(fd);
}

static void a_write_by_a_worker_is_read_back(void **state)
{
	int fd = *(int *)*state;

	expect(1, 9000, 5);
	CORE_PREP(&ring, 1, io_uring_prep_write, fd, source, 9000, 1)->flags |= IOSQE_ASYNC;
	assert_int_equal(core_run(&ring, 1), 9000);
	check(fd);
}

static void a_fixed_write_is_read_back(void **state)
{
	int fd = *(int *)*state;
	struct iovec vector = {source, sizeof(source)};

	expect(2 * PAGE, PAGE, 6);
	assert_int_equal(io_uring_register_buffers(&ring, &vector, 1), 0);
	assert_int_equal(io_uring_register_files(&ring, &fd, 1), 0);
	CORE_PREP(&ring, 1, io_uring_prep_write_fixed, 0, source, PAGE, 2 * PAGE, 0)->flags |=
		IOSQE_FIXED_FILE;
	assert_int_equal(core_run(&ring, 1), PAGE);
	check(fd);
}

static void a_direct_write_of_the_ring_is_read_back(void **state)
{
	int fd = *(int *)*state, direct = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);

	if (direct < 0)
		skip(); /* a file system without */
	expect(3 * PAGE, 2 * PAGE, 7);
	CORE_PREP(&ring, 1, io_uring_prep_write, direct, source, 2 * PAGE, 3 * PAGE);
	assert_int_equal(core_run(&ring, 1), 2 * PAGE);
	check(fd);
	expect(SIZE, PAGE, 8);
	CORE_PREP(&ring, 2, io_uring_prep_write, direct, source, PAGE, SIZE);
	assert_int_equal(core_run(&ring, 2), PAGE);
	check(fd);
	close(direct);
}

static void other_operations_of_the_ring_are_seen(void **state)
{
	int fd = *(int *)*state;

	CORE_PREP(&ring, 1, io_uring_prep_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  PAGE, 2 * PAGE);
	if (core_run(&ring, 1) == 0)
		expect(PAGE, 2 * PAGE, 0);
	check(fd);
	CORE_PREP(&ring, 2, io_uring_prep_fallocate, fd, 0, 0, 2 * SIZE);
	assert_int_equal(core_run(&ring, 2), 0);
	expect_size(2 * SIZE);
	check(fd);
}

static void writes_of_libc_are_read_back(void **state)
{
	int fd = *(int *)*state;
	struct iovec vector[2] = {{source, 10}, {source, 4090}};

	expect(100, 50, 10);
	assert_int_equal(pwrite(fd, source, 50, 100), 50);
	check(fd);
	assert_int_equal(lseek(fd, 7 * PAGE - 5, SEEK_SET), 7 * PAGE - 5);
	expect(7 * PAGE - 5, 10, 11);
	assert_int_equal(write(fd, source, 10), 10);
	check(fd);
	expect(7 * PAGE + 5, 4100, 12);
	assert_int_equal(writev(fd, vector, 2), 4100);
	check(fd);
	expect(20, 4100, 13);
	assert_int_equal(pwritev(fd, vector, 2, 20), 4100);
	check(fd);
	expect(5000, 4100, 14);
	assert_int_equal(pwritev2(fd, vector, 2, 5000, 0), 4100);
	check(fd);
	expect(SIZE, 4100, 15);
	assert_int_equal(pwritev2(fd, vector, 2, 3, RWF_APPEND), 4100);
	check(fd);
	expect(9 * PAGE, 100, 16);
	assert_int_equal(syscall(SYS_pwrite64, fd, source, 100, 9 * PAGE), 100);
	check(fd);
}

static void a_write_by_another_descriptor_is_read_back(void **state)
{
	int fd = *(int *)*state, other = open(path, O_WRONLY | O_CLOEXEC);
	int append = open(path, O_WRONLY | O_APPEND | O_CLOEXEC), copy = dup(fd);

	expect(10, 20, 17);
	assert_int_equal(pwrite(other, source, 20, 10), 20);
	check(fd);
	expect(SIZE, 3000, 18);
	assert_int_equal(write(append, source, 3000), 3000);
	check(fd);
	/* Wherever it is to go, it is appended. */
	expect(SIZE + 3000, 3000, 19);
	assert_int_equal(pwrite(append, source, 3000, 0), 3000);
	check(fd);
	expect(SIZE + 6000, 3000, 20);
	CORE_PREP(&ring, 1, io_uring_prep_write, append, source, 3000, 0);
	assert_int_equal(core_run(&ring, 1), 3000);
	check(fd);
	expect(50, 20, 21);
	assert_int_equal(pwrite(copy, source, 20, 50), 20);
	check(fd);
	close(copy);
	close(append);
	close(other);
}

static void a_write_far_behind_the_end_leaves_zeros(void **state)
{
	int fd = *(int *)*state;

	assert_int_equal(ftruncate(fd, 5000), 0);
	expect_size(5000);
	check(fd);
	expect_size(3 * SIZE);
	expect(3 * SIZE, 10, 22);
	assert_int_equal(pwrite(fd, source, 10, 3 * SIZE), 10);
	check(fd);
}

static void a_new_size_is_seen(void **state)
{
	int fd = *(int *)*state, trunc;

	assert_int_equal(ftruncate(fd, 3 * PAGE + 100), 0);
	expect_size(3 * PAGE + 100);
	check(fd);
	assert_int_equal(ftruncate(fd, 5 * PAGE), 0);
	expect_size(5 * PAGE);
	check(fd);
	assert_int_equal(truncate(path, 50), 0);
	expect_size(50);
	check(fd);
	assert_int_equal(posix_fallocate(fd, 0, 2 * PAGE), 0);
	expect_size(2 * PAGE);
	check(fd);
	trunc = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(trunc >= 0);
	expect_size(0);
	check(fd);
	close(trunc);
}

static void what_the_kernel_moves_is_read_back(void **state)
{
	int fd = *(int *)*state, from, pipes[2];
	off_t to = PAGE + 10;

	expect(PAGE + 10, 1000, 23);
	from = memfd_create("source", MFD_CLOEXEC);
	assert_int_equal(write(from, source, sizeof(source)), sizeof(source));
	assert_int_equal(lseek(from, 0, SEEK_SET), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(pipes[1], source, 1000), 1000);
	assert_int_equal(splice(pipes[0], NULL, fd, &to, 1000, 0), 1000);
	check(fd);
	expect(6 * PAGE, 2000, 24);
	assert_int_equal(pwrite(from, source, 2000, 0), 2000);
	assert_int_equal(lseek(fd, 6 * PAGE, SEEK_SET), 6 * PAGE);
	assert_int_equal(sendfile(fd, from, NULL, 2000), 2000);
	check(fd);
	close(from);
	close(pipes[0]);
	close(pipes[1]);
}

static void a_copied_range_is_read_back(void **state)
{
	int fd = *(int *)*state;
	off_t in = 0, out = 10 * PAGE;

	if (copy_file_range(fd, &in, fd, &out, PAGE, 0) != (ssize_t)PAGE)
		skip();
	memcpy(expected + 10 * PAGE, expected, PAGE);
	check(fd);
}

/* In no header of the kernel's for programs. */
struct space_resv {
	int16_t type, whence;
	int64_t start, len;
	int32_t sysid, pid, padding[4];
};
#define FS_IOC_UNRESVSP _IOW('X', 41, struct space_resv)

/* By ioctl(), and by number. */
static void what_an_ioctl_zeroes_or_shares_is_read_back(void **state)
{
	struct space_resv range = {.start = 2 * PAGE, .len = PAGE};
	int fd = *(int *)*state, err;

	check(fd);
	err = ioctl(fd, FS_IOC_UNRESVSP, &range);
	if (err != 0)
		skip(); /* not of this file system */
	memset(expected + 2 * PAGE, 0, PAGE);
	check(fd);
	range.start = 4 * PAGE;
	assert_int_equal(syscall(SYS_ioctl, fd, FS_IOC_UNRESVSP, &range), 0);
	memset(expected + 4 * PAGE, 0, PAGE);
	check(fd);
	assert_int_equal(ioctl(fd, FS_IOC_UNRESVSP, BAD_POINTER), -1);
	assert_int_equal(errno, EFAULT);
	check(fd);
}

static void a_number_that_was_closed_is_another_file(void **state)
{
	int fd = *(int *)*state, again, other;
	char name[] = "/var/tmp/ringside-other-XXXXXX";
	FILE *stream;

	other = mkstemp(name);
	assert_true(other >= 0);
	memset(source, 0x5a, PAGE);
	assert_int_equal(pwrite(other, source, PAGE, 0), PAGE);
	again = open(path, O_RDONLY | O_CLOEXEC);
	own(again);
	assert_int_equal(read_at(again, buffer, PAGE, 0), PAGE);
	assert_int_equal(dup2(other, again), again);
	assert_int_equal(read_at(again, buffer, PAGE, 0), PAGE);
	assert_memory_equal(buffer, source, PAGE);
	close(again);
	again = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read_at(again, buffer, PAGE, 0), PAGE);
	assert_memory_equal(buffer, expected, PAGE);
	stream = fdopen(again, "r");
	assert_non_null(freopen(name, "r", stream));
	assert_int_equal(read_at(fileno(stream), buffer, PAGE, 0), PAGE);
	assert_memory_equal(buffer, source, PAGE);
	fclose(stream);
	again = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read_at(again, buffer, PAGE, 0), PAGE);
	assert_int_equal(close_range((unsigned)again, (unsigned)again, 0), 0);
	assert_int_equal(open(name, O_RDONLY | O_CLOEXEC), again);
	assert_int_equal(read_at(again, buffer, PAGE, 0), PAGE);
	assert_memory_equal(buffer, source, PAGE);
	close(again);
	close(other);
	unlink(name);
	check(fd);
}

static void a_stream_or_a_mapping_that_writes_is_seen(void **state)
{
	int fd = *(int *)*state;
	unsigned char *mapping;
	FILE *stream;

	stream = fopen(path, "r+");
	assert_non_null(stream);
	expect(0, 100, 30);
	assert_int_equal(fwrite(source, 1, 100, stream), 100);
	assert_int_equal(fflush(stream), 0);
	check(fd);
	fclose(stream);
	mapping = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(mapping != MAP_FAILED);
	check(fd);
	expect(PAGE, 200, 31);
	memcpy(mapping + PAGE, source, 200);
	check(fd);
	munmap(mapping, SIZE);
}

static void a_child_reads_and_writes_on_its_own(void **state)
{
	int fd = *(int *)*state, status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		memset(source, 40, PAGE);
		_exit(pread(fd, buffer, PAGE, 0) == PAGE && !memcmp(buffer, expected, PAGE) ? 0
											    : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	check(fd);
}

static void ownership_can_be_ended_and_begun_again(void **state)
{
	int fd = *(int *)*state;
	struct rs_own_options lease = {sizeof(lease), RS_OWN_LEASE};
	struct rs_own_options bad = {sizeof(bad), 7};
	int only_read, in_memory;

	if (!rs_own || !rs_disown) {
		skip(); /* the kernel's io_uring */
		return;
	}
	assert_int_equal(rs_disown(fd), 0);
	check(fd);
	assert_int_equal(rs_own(fd, NULL), 0);
	check(fd);
	assert_int_equal(rs_own(fd, NULL), 0);
	assert_int_equal(rs_own(fd, &bad), -EINVAL);
	assert_int_equal(rs_own(fd, &lease), -EINVAL); /* it can be written */
	assert_int_equal(rs_own(-1, NULL), -EBADF);
	assert_int_equal(rs_own(ring.ring_fd, NULL), -EINVAL);
	assert_int_equal(rs_disown(-1), -EBADF);
	only_read = open("/proc/self/maps", O_RDONLY);
	assert_true(rs_own(only_read, NULL) < 0);
	close(only_read);
	in_memory = memfd_create("in memory", MFD_CLOEXEC);
	assert_int_equal(rs_own(in_memory, NULL), -EOPNOTSUPP);
	close(in_memory);
}

static void a_record_lock_of_the_program_is_not_hindered(void **state)
{
	int fd = *(int *)*state, other;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	other = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(other, F_OFD_SETLK, &lock), 0);
	check(fd);
	lock.l_type = F_UNLCK;
	assert_int_equal(fcntl(other, F_OFD_SETLK, &lock), 0);
	lock.l_type = F_WRLCK;
	assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
	check(fd);
	close(other);
}

static void what_libc_prints_is_read_back(void **state)
{
	int fd = *(int *)*state;

	assert_int_equal(lseek(fd, 4090, SEEK_SET), 4090);
	expect(4090, 10, 'p');
	assert_int_equal(dprintf(fd, "%.10s", source), 10);
	check(fd);
}

static void advice_about_a_negative_length_is_refused(void **state)
{
	struct io_uring_sqe *sqe = core_sqe(&ring, 9);

	sqe->opcode = IORING_OP_FADVISE;
	sqe->fd = *(int *)*state;
	sqe->fadvise_advice = POSIX_FADV_WILLNEED;
	sqe->addr = 1ull << 63;
	assert_int_equal(core_run(&ring, 9), -EINVAL);
}

static void a_file_cut_by_openat2_is_empty(void **state)
{
	struct open_how how = {.flags = O_RDWR | O_TRUNC | O_CLOEXEC};
	int fd = *(int *)*state;
	long other = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	assert_true(other >= 0);
	expect_size(0);
	check(fd);
	close((int)other);
}

static void a_read_over_the_queue_itself_harms_nobody_else(void **state)
{
	unsigned entries = ring.sq.ring_entries, *array = ring.sq.array;
	int fd = *(int *)*state;

	if (array == NULL)
		skip();
	expect(0, entries * sizeof(*array), 0xff);
	assert_int_equal(pwrite(fd, expected, SIZE, 0), SIZE);
	check(fd);
	/* Each entry of the queue names an SQE that is not there when the first is done. */
	CORE_PREP(&ring, 1, io_uring_prep_read, fd, array, entries * sizeof(*array), 0);
	CORE_PREP(&ring, 2, io_uring_prep_read, fd, buffer, 1, 0);
	assert_in_range(io_uring_submit(&ring), 1, 2);
	assert_int_equal(core_result(&ring, 1), entries * sizeof(*array));
	io_uring_cq_advance(&ring, io_uring_cq_ready(&ring));
	for (unsigned i = 0; i < entries; i++)
		array[i] = i;
	core_works(&ring);
	check(fd);
}

static bool is_over; /* (a) */

static void *own_again_and_again(void *fd)
{
	while (rs_own && !__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
		rs_disown(*(int *)fd);
		rs_own(*(int *)fd, NULL);
	}
	return NULL;
}

static void what_grew_while_the_file_was_taken_is_seen(void **state)
{
	int fd = *(int *)*state, others[200];
	time_t end = time(NULL) + 3;
	pthread_t thread;
	char byte = 'x';

	/* Many descriptors: it takes a while to tell them all that the file is not ours. */
	for (size_t i = 0; i < 200; i++) {
		others[i] = dup(fd);
		assert_int_equal(read_at(others[i], buffer, 1, 0), 1);
	}
	__atomic_store_n(&is_over, false, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&thread, NULL, own_again_and_again, &fd), 0);
	for (off_t size = SIZE; time(NULL) < end; size++) {
		assert_int_equal(pwrite(fd, &byte, 1, size), 1);
		assert_int_equal(read_at(fd, buffer, 2, (__u64)size), 1);
	}
	__atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < 200; i++)
		close(others[i]);
}

/* Pages of the file that the kernel's cache holds. */
static size_t resident_pages(int fd, size_t size)
{
	unsigned char *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	unsigned char *resident = calloc(size / PAGE, 1);
	size_t count = 0;

	if (map == MAP_FAILED || resident == NULL || mincore(map, size, resident))
		abort();
	for (size_t i = 0; i < size / PAGE; i++)
		count += resident[i] & 1;
	munmap(map, size);
	free(resident);
	return count;
}

/* Else every byte would be read twice, and held twice. */
static void a_readahead_that_the_kernel_began_is_not_followed(void **state)
{
	size_t size = 96u << 20, step = sizeof(buffer);
	int fd = *(int *)*state;

	if (!rs_own)
		skip();
	for (size_t at = 0; at < size; at += step)
		assert_int_equal(pwrite(fd, buffer, step, (off_t)at), step);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	for (size_t at = 0; at < 3 * step; at += step)
		assert_int_equal(pread(fd, buffer, step, (off_t)at), step);
	for (size_t at = 0; at < size; at += step)
		assert_int_equal(read_at(fd, buffer, step, at), step);
	assert_in_range(resident_pages(fd, size), 0, size / PAGE / 2);
}

static void a_read_whose_end_no_offset_can_name_is_refused(void **state)
{
	int fd = *(int *)*state;

	assert_int_equal(read_at(fd, buffer, 10, INT64_MAX - 10), 0);
	assert_int_equal(read_at(fd, buffer, 11, INT64_MAX - 10), -EINVAL);
	assert_int_equal(read_at(fd, buffer, 0, INT64_MAX), 0);
	assert_int_equal(read_at(fd, buffer, 1, INT64_MAX), -EINVAL);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_write_of_the_ring_is_read_back),
		CASE(a_write_of_the_ring_at_the_position_is_read_back),
		CASE(a_write_by_a_worker_is_read_back),
		CASE(a_fixed_write_is_read_back),
		CASE(a_direct_write_of_the_ring_is_read_back),
		CASE(other_operations_of_the_ring_are_seen),
		CASE(writes_of_libc_are_read_back),
		CASE(a_write_by_another_descriptor_is_read_back),
		CASE(a_write_far_behind_the_end_leaves_zeros),
		CASE(a_new_size_is_seen),
		CASE(what_the_kernel_moves_is_read_back),
		CASE(a_copied_range_is_read_back),
		CASE(what_an_ioctl_zeroes_or_shares_is_read_back),
		CASE(a_number_that_was_closed_is_another_file),
		CASE(a_stream_or_a_mapping_that_writes_is_seen),
		CASE(a_child_reads_and_writes_on_its_own),
		CASE(ownership_can_be_ended_and_begun_again),
		CASE(a_record_lock_of_the_program_is_not_hindered),
		CASE(a_read_whose_end_no_offset_can_name_is_refused),
		CASE(a_readahead_that_the_kernel_began_is_not_followed),
		CASE(what_grew_while_the_file_was_taken_is_seen),
		CASE(a_read_over_the_queue_itself_harms_nobody_else),
		CASE(what_libc_prints_is_read_back),
		CASE(a_file_cut_by_openat2_is_empty),
		CASE(advice_about_a_negative_length_is_refused),
	};

	core_require_rings();
	alarm(100);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
