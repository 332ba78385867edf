/*
 * aio_device_test.c - the AIO queue as a device for the page cache
 */
#include <errno.h>
#include <sys/epoll.h>

#include "device/device.h"
#include "unit.h"

#define BLOCK  4096u
#define BLOCKS 64u
#define READS  300

struct read {
	struct device_read read;
	struct iovec iov[2];
	int done;
	long result;
};

static int file = -1;
static struct aio_device aio;
static struct device *const device = &aio.device;
static unsigned char *buffers; /* READS blocks */
static struct read reads[READS];

static void read_done(struct device_read *device_read, long result)
{
	struct read *read = container_of(device_read, struct read, read);

	read->done++;
	read->result = result;
}

static unsigned char *buffer_of(u32 i)
{
	return buffers + (size_t)i * BLOCK;
}

static void add(u32 i, int fd, u64 offset)
{
	struct read *read = &reads[i];

	*read = (struct read){.iov = {{buffer_of(i), BLOCK}}};
	read->read = (struct device_read){
		.fd = fd, .iov = read->iov, .iov_count = 1, .offset = offset, .done = read_done};
	device_add(device, &read->read);
}

static void reap_all(void)
{
	while (device_pending(device) > 0)
		device_reap(device, UINT32_MAX);
}

static void many_reads_are_sent_together_and_complete_once_each(void **state)
{
	u32 reaped = 0;

	(void)state;
	for (u32 i = 0; i < READS; i++)
		add(i, file, i % BLOCKS * BLOCK);
	assert_int_equal(device_pending(device), READS);
	assert_int_equal(device_submit(device), 0);
	while (device_pending(device) > 0)
		reaped += device_reap(device, 7);
	assert_int_equal(reaped, READS);
	for (u32 i = 0; i < READS; i++) {
		assert_int_equal(reads[i].done, 1);
		assert_int_equal(reads[i].result, BLOCK);
		unit_assert_bytes(buffer_of(i), BLOCK, i % BLOCKS * BLOCK);
	}
}

static void one_read_fills_several_frames(void **state)
{
	(void)state;
	reads[0] = (struct read){.iov = {{buffer_of(5), BLOCK}, {buffer_of(2), BLOCK}}};
	reads[0].read = (struct device_read){.fd = file,
					     .iov = reads[0].iov,
					     .iov_count = 2,
					     .offset = BLOCK,
					     .done = read_done};
	device_add(device, &reads[0].read);
	device_submit(device);
	reap_all();
	assert_int_equal(reads[0].result, 2 * BLOCK);
	unit_assert_bytes(buffer_of(5), BLOCK, BLOCK);
	unit_assert_bytes(buffer_of(2), BLOCK, 2 * BLOCK);
}

static void a_refused_read_completes_as_it_is_sent(void **state)
{
	(void)state;
	add(0, -1, 0);
	add(1, file, 0);
	assert_int_equal(device_submit(device), 1);
	assert_int_equal(reads[0].done, 1);
	assert_int_equal(reads[0].result, -EBADF);
	reap_all();
	assert_int_equal(reads[1].result, BLOCK);
}

static void the_end_of_the_file_brings_nothing(void **state)
{
	(void)state;
	add(0, file, BLOCKS * BLOCK);
	device_submit(device);
	reap_all();
	assert_int_equal(reads[0].done, 1);
	assert_int_equal(reads[0].result, 0);
}

static void a_completion_signals_the_event_descriptor(void **state)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	(void)state;
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, device->event_fd, &event), 0);
	epoll_wait(epoll, &event, 1, 0); /* the edges of earlier tests */
	add(0, file, 0);
	device_submit(device);
	assert_int_equal(epoll_wait(epoll, &event, 1, -1), 1);
	assert_int_equal(device_reap(device, 1), 1);
	assert_int_equal(device_pending(device), 0);
	close(epoll);
}

static int child_without_a_device(void)
{
	aio_device_fork_child(&aio);
	if (device_pending(device) || device_reap(device, 1) || device_submit(device))
		return 1;
	return device->event_fd == -1 ? 0 : 2;
}

static void a_forked_child_has_nothing_under_way(void **state)
{
	(void)state;
	add(0, file, 0);
	device_submit(device);
	assert_int_equal(unit_in_child(child_without_a_device), 0);
	reap_all();
	assert_int_equal(reads[0].result, BLOCK);
}

static int setup(void **state)
{
	(void)state;
	file = unit_scratch_file(BLOCKS * BLOCK, O_RDONLY | O_DIRECT);
	if (file < 0 || posix_memalign((void **)&buffers, BLOCK, (size_t)READS * BLOCK))
		return -1;
	return aio_device_init(&aio, 16);
}

static int teardown(void **state)
{
	(void)state;
	aio_queue_destroy(&aio.queue);
	free(buffers);
	return close(file);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(many_reads_are_sent_together_and_complete_once_each),
	cmocka_unit_test(one_read_fills_several_frames),
	cmocka_unit_test(a_refused_read_completes_as_it_is_sent),
	cmocka_unit_test(the_end_of_the_file_brings_nothing),
	cmocka_unit_test(a_completion_signals_the_event_descriptor),
	cmocka_unit_test(a_forked_child_has_nothing_under_way),
};

int main(void)
{
	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, setup, teardown);
}
