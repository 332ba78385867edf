/*
 * sim_test.c - the simulated device does what a test tells it
 */
#include "device/sim.h"

#include <errno.h>
#include <poll.h>

#include "unit.h"

#define BLOCK 4096u
#define FILE_ (SIM_FD + 3)
#define SIZE  (64 * BLOCK)
#define READS 32

struct read {
	struct device_read read;
	struct iovec iov;
	int done;
	long result;
	u32 rank;          /* how many completed before */
	struct read *next; /* added when it completes */
};

static struct sim sim;
static unsigned char buffers[READS][BLOCK] __attribute__((aligned(4096)));
static struct read reads[READS];
static u32 completed;

static void read_done(struct device_read *device_read, long result)
{
	struct read *read = container_of(device_read, struct read, read);

	read->done++;
	read->result = result;
	read->rank = completed++;
	if (read->next)
		device_add(&sim.device, &read->next->read);
}

static void prepare(u32 i, u64 offset, u64 size)
{
	struct read *read = &reads[i];

	*read = (struct read){.iov = {buffers[i], size}};
	read->read = (struct device_read){.fd = FILE_,
					  .iov = &read->iov,
					  .iov_count = 1,
					  .offset = offset,
					  .done = read_done};
}

static void add(u32 i, u64 offset)
{
	prepare(i, offset, BLOCK);
	device_add(&sim.device, &reads[i].read);
}

static void submit(void)
{
	assert_int_equal(device_submit(&sim.device), 0);
}

static u32 reap(void)
{
	return device_reap(&sim.device, UINT32_MAX);
}

static void run_until_idle(void)
{
	while (sim_advance(&sim))
		reap();
	assert_int_equal(device_pending(&sim.device), 0);
}

static bool has_spoiled(u32 i, u64 from)
{
	for (u64 at = from; at < BLOCK; at++)
		if (buffers[i][at] != SIM_SPOIL)
			return false;
	return true;
}

static void start(const struct sim_options *options)
{
	completed = 0;
	assert_int_equal(sim_init(&sim, options), 0);
	sim_file(&sim, FILE_, SIZE, 2 * SIZE);
}

static int setup(void **state)
{
	(void)state;
	start(&(struct sim_options){.seed = 1, .latency_min = 10, .latency_max = 1000});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sim_destroy(&sim);
	return 0;
}

static void a_read_completes_when_its_time_has_come_and_brings_the_files_words(void **state)
{
	(void)state;
	add(0, 5 * BLOCK);
	assert_false(sim_advance(&sim)); /* only staged */
	submit();
	assert_int_equal(reap(), 0);
	assert_true(has_spoiled(0, 0));
	assert_true(sim_advance(&sim));
	assert_in_range(sim.now_ns, 10, 1000);
	assert_int_equal(reap(), 1);
	assert_int_equal(reads[0].result, BLOCK);
	assert_true(sim_bytes_are(buffers[0], BLOCK, FILE_, 5 * BLOCK, 0));
	assert_false(sim_bytes_are(buffers[0], BLOCK, FILE_, 5 * BLOCK, 1));
	assert_false(sim_bytes_are(buffers[0], BLOCK, FILE_, 4 * BLOCK, 0));
	assert_true(sim_bytes_are(buffers[0] + 13, 99, FILE_, 5 * BLOCK + 13, 0));
}

static void order_of_seed(u64 seed, u32 *ranks)
{
	sim_destroy(&sim);
	start(&(struct sim_options){.seed = seed, .latency_min = 1, .latency_max = 1000000});
	for (u32 i = 0; i < READS; i++)
		add(i, i * BLOCK);
	submit();
	run_until_idle();
	for (u32 i = 0; i < READS; i++) {
		assert_int_equal(reads[i].done, 1);
		ranks[i] = reads[i].rank;
	}
}

static void the_order_of_completions_is_the_seeds(void **state)
{
	u32 first[READS], again[READS], other[READS];

	(void)state;
	order_of_seed(7, first);
	order_of_seed(7, again);
	order_of_seed(8, other);
	assert_memory_equal(first, again, sizeof(first));
	assert_memory_not_equal(first, other, sizeof(first));
}

static void a_held_read_completes_when_it_is_released_and_before_all_others(void **state)
{
	(void)state;
	sim_rule_add(&sim, &(struct sim_rule){.fd = -1, .is_held = true});
	for (u32 i = 0; i < 4; i++)
		add(i, i * BLOCK);
	submit();
	assert_false(sim_advance(&sim));
	assert_int_equal(reap(), 0);
	assert_true(sim_is_in_flight(&sim, FILE_, 2 * BLOCK + 17));
	assert_true(sim_release(&sim, FILE_, 2 * BLOCK + 17));
	assert_int_equal(reap(), 1);
	assert_int_equal(reads[2].done, 1);
	assert_false(sim_is_in_flight(&sim, FILE_, 2 * BLOCK + 17));
	assert_false(sim_release(&sim, FILE_, 2 * BLOCK + 17));
	sim_release_all(&sim);
	assert_int_equal(reap(), 3);
	assert_true(reads[0].rank < reads[1].rank && reads[1].rank < reads[3].rank);
}

static void the_bytes_are_those_of_the_moment_at_which_the_read_was_sent(void **state)
{
	(void)state;
	sim_write(&sim, FILE_, 0, 1);
	add(0, 0);
	submit();
	sim_write(&sim, FILE_, 0, 2 * BLOCK);
	add(1, 0);
	submit();
	run_until_idle();
	assert_int_equal(sim_version(&sim, FILE_, 0), 2);
	assert_int_equal(sim_version(&sim, FILE_, BLOCK), 1);
	assert_true(sim_bytes_are(buffers[0], BLOCK, FILE_, 0, 1));
	assert_true(sim_bytes_are(buffers[1], BLOCK, FILE_, 0, 2));
}

static void the_end_of_the_file_makes_a_read_short_and_spoils_the_rest(void **state)
{
	(void)state;
	sim_file_resize(&sim, FILE_, SIZE + 100);
	add(0, SIZE);
	add(1, SIZE + BLOCK);
	submit();
	run_until_idle();
	assert_int_equal(reads[0].result, 100);
	assert_true(sim_bytes_are(buffers[0], 100, FILE_, SIZE, 0));
	assert_true(has_spoiled(0, 100));
	assert_int_equal(reads[1].result, 0);
}

static void rules_choose_reads_by_place_and_by_number(void **state)
{
	struct sim_rule *every_second, *there;

	(void)state;
	there = sim_rule_add(&sim, &(struct sim_rule){.fd = FILE_,
						      .offset = 2 * BLOCK,
						      .end = 3 * BLOCK,
						      .keep = 512});
	every_second = sim_rule_add(
		&sim,
		&(struct sim_rule){.fd = -1, .first = 2, .last = 6, .step = 2, .error = -EIO});
	for (u32 i = 0; i < 10; i++)
		add(i, i * BLOCK);
	submit();
	run_until_idle();
	for (u32 i = 0; i < 10; i++) {
		long expected = i == 1 || i == 3 || i == 5 ? -EIO : i == 2 ? 512 : (long)BLOCK;

		assert_int_equal(reads[i].result, expected);
	}
	assert_true(has_spoiled(1, 0));
	assert_true(has_spoiled(2, 512));
	assert_int_equal(every_second->seen, 10);
	assert_int_equal(every_second->fitted, 3);
	assert_int_equal(there->seen, 1);
	sim_rules_clear(&sim);
	add(0, 2 * BLOCK);
	submit();
	run_until_idle();
	assert_int_equal(reads[0].result, BLOCK);
}

static void a_refused_read_completes_as_it_is_sent(void **state)
{
	(void)state;
	sim_rule_add(&sim,
		     &(struct sim_rule){.fd = -1, .end = 1, .error = -EAGAIN, .is_refused = true});
	add(0, 0);
	prepare(1, 100, BLOCK);
	device_add(&sim.device, &reads[1].read);
	prepare(2, BLOCK, 100);
	device_add(&sim.device, &reads[2].read);
	prepare(3, BLOCK, BLOCK);
	reads[3].read.fd = FILE_ + 1;
	device_add(&sim.device, &reads[3].read);
	add(4, BLOCK);
	assert_int_equal(device_submit(&sim.device), 4);
	assert_int_equal(reads[0].result, -EAGAIN);
	assert_int_equal(reads[1].result, -EINVAL);
	assert_int_equal(reads[2].result, -EINVAL);
	assert_int_equal(reads[3].result, -EBADF);
	run_until_idle();
	assert_int_equal(reads[4].result, BLOCK);
}

static void more_reads_than_its_depth_wait_for_room(void **state)
{
	(void)state;
	sim_destroy(&sim);
	start(&(struct sim_options){.seed = 1, .depth = 4});
	for (u32 i = 0; i < 10; i++)
		add(i, i * BLOCK);
	submit();
	assert_int_equal(sim.flight_count, 4);
	assert_int_equal(device_pending(&sim.device), 10);
	assert_true(sim_advance(&sim));
	assert_int_equal(device_reap(&sim.device, 1), 1);
	assert_int_equal(sim.flight_count, 4);
	run_until_idle();
	for (u32 i = 0; i < 10; i++)
		assert_int_equal(reads[i].done, 1);
}

static void a_completion_may_add_the_next_read(void **state)
{
	(void)state;
	for (u32 i = 0; i < 4; i++)
		prepare(i, i * BLOCK, BLOCK);
	for (u32 i = 0; i < 3; i++)
		reads[i].next = &reads[i + 1];
	device_add(&sim.device, &reads[0].read);
	submit();
	run_until_idle();
	assert_int_equal(reads[3].result, BLOCK);
	assert_int_equal(completed, 4);
}

static void an_automatic_device_completes_what_is_reaped(void **state)
{
	(void)state;
	sim_destroy(&sim);
	start(&(struct sim_options){
		.seed = 1, .latency_min = 1, .latency_max = 1 << 30, .is_automatic = true});
	for (u32 i = 0; i < 4; i++)
		add(i, i * BLOCK);
	submit();
	for (u32 left = 4; left > 0; left--) {
		u64 before = sim.now_ns;

		assert_int_equal(device_pending(&sim.device), left);
		assert_int_equal(device_reap(&sim.device, 1), 1);
		assert_true(sim.now_ns > before);
	}
	assert_int_equal(reap(), 0);
	for (u32 i = 0; i < 4; i++)
		add(i, i * BLOCK);
	submit();
	assert_int_equal(reap(), 4);
}

static bool is_signalled(void)
{
	struct pollfd pollfd = {.fd = sim.device.event_fd, .events = POLLIN};
	u64 count;

	if (poll(&pollfd, 1, 0) == 0)
		return false;
	assert_int_equal(read(sim.device.event_fd, &count, sizeof(count)), sizeof(count));
	return true;
}

static void the_event_descriptor_is_signalled_when_something_is_due(void **state)
{
	(void)state;
	add(0, 0);
	submit();
	assert_false(is_signalled());
	sim_advance_by(&sim, 1);
	assert_false(is_signalled());
	sim_advance(&sim);
	assert_true(is_signalled());
	assert_int_equal(reap(), 1);
	assert_false(is_signalled());
}

#define sim_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
	sim_test(a_read_completes_when_its_time_has_come_and_brings_the_files_words),
	sim_test(the_order_of_completions_is_the_seeds),
	sim_test(a_held_read_completes_when_it_is_released_and_before_all_others),
	sim_test(the_bytes_are_those_of_the_moment_at_which_the_read_was_sent),
	sim_test(the_end_of_the_file_makes_a_read_short_and_spoils_the_rest),
	sim_test(rules_choose_reads_by_place_and_by_number),
	sim_test(a_refused_read_completes_as_it_is_sent),
	sim_test(more_reads_than_its_depth_wait_for_room),
	sim_test(a_completion_may_add_the_next_read),
	sim_test(an_automatic_device_completes_what_is_reaped),
	sim_test(the_event_descriptor_is_signalled_when_something_is_due),
};

unit_main(tests)
