/*
 * core_messages_test.c - messages between rings: MSG_RING, and the one that needs no ring
 */
#include "core_newer.h"

#include <pthread.h>

static struct io_uring ring, other;

static int setup(void **state)
{
	(void)state;
	core_ring(&ring, 8, 0);
	core_ring(&other, 8, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	core_works(&ring);
	core_works(&other);
	io_uring_queue_exit(&ring);
	io_uring_queue_exit(&other);
	return 0;
}

static struct io_uring_sqe *message(const struct io_uring *to, unsigned result, __u64 user_data)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, IORING_OP_MSG_RING, to->ring_fd,
					     (void *)IORING_MSG_DATA, result, 1);

	sqe->off = user_data;
	return sqe;
}

static void a_message_is_there_when_its_request_is_done(void **state)
{
	struct io_uring_cqe *cqe;

	(void)state;
	message(&other, 77, 0xabcdef);
	assert_int_equal(core_run(&ring, 1), 0);
	/* in memory, without a call */
	assert_int_equal(io_uring_cq_ready(&other), 1);
	assert_int_equal(io_uring_peek_cqe(&other, &cqe), 0);
	assert_int_equal(cqe->res, 77);
	assert_int_equal(cqe->flags, 0);
	assert_int_equal(cqe->user_data, 0xabcdef);
	io_uring_cqe_seen(&other, cqe);
}

static void a_message_may_bring_flags(void **state)
{
	struct io_uring_sqe *sqe = message(&other, (unsigned)-5, 2);
	struct io_uring_cqe *cqe;

	(void)state;
	sqe->rw_flags = NEWER_MSG_RING_FLAGS_PASS;
	sqe->file_index = 0x1230000;
	assert_int_equal(core_run(&ring, 1), 0);
	assert_int_equal(io_uring_wait_cqe(&other, &cqe), 0);
	assert_int_equal(cqe->res, -5);
	assert_int_equal(cqe->flags, 0x1230000);
	io_uring_cqe_seen(&other, cqe);
}

static void a_ring_may_send_to_itself(void **state)
{
	int seen = 0;

	(void)state;
	message(&ring, 5, 2);
	assert_int_equal(io_uring_submit_and_wait(&ring, 2), 1);
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_peek_cqe(&ring, &cqe), 0);
		assert_int_equal(cqe->res, cqe->user_data == 2 ? 5 : 0);
		seen |= 1 << cqe->user_data;
		io_uring_cqe_seen(&ring, cqe);
	}
	assert_int_equal(seen, 1 << 1 | 1 << 2);
}

static void messages_beyond_the_cq_are_kept(void **state)
{
	const int count = 40; /* the CQ has 16 entries */

	(void)state;
	for (int i = 0; i < count; i++) {
		message(&other, (unsigned)i, (__u64)i);
		assert_int_equal(core_run(&ring, 1), 0);
	}
	for (int i = 0; i < count; i++)
		assert_int_equal(core_result(&other, (__u64)i), i);
}

static void mistakes_are_told_apart(void **state)
{
	struct io_uring_sqe *sqe;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	newer_sqe(&ring, IORING_OP_MSG_RING, fds[0], NULL, 0, 1);
	assert_int_equal(core_run(&ring, 1), -EBADFD);
	newer_sqe(&ring, IORING_OP_MSG_RING, -1, NULL, 0, 1);
	assert_int_equal(core_run(&ring, 1), -EBADF);
	newer_sqe(&ring, IORING_OP_MSG_RING, other.ring_fd, (void *)7, 0, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL); /* no such command */
	message(&other, 0, 0)->file_index = 1;
	assert_int_equal(core_run(&ring, 1), -EINVAL); /* flags that are not passed */
	message(&other, 0, 0)->rw_flags = 1;
	assert_int_equal(core_run(&ring, 1), -EINVAL); /* CQE_SKIP is for descriptors */
	message(&other, 0, 0)->rw_flags = 1u << 7;
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	newer_set_addr3(message(&other, 0, 0), 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	sqe = newer_sqe(&ring, IORING_OP_MSG_RING, ring.ring_fd, (void *)IORING_MSG_SEND_FD, 0, 1);
	sqe->file_index = 1;
	assert_int_equal(core_run(&ring, 1), -EINVAL); /* a descriptor to oneself */
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(io_uring_cq_ready(&other), 0);
}

static void a_ring_that_is_not_enabled_takes_no_message(void **state)
{
	struct io_uring disabled;

	(void)state;
	core_ring(&disabled, 4, IORING_SETUP_R_DISABLED);
	message(&disabled, 1, 2);
	assert_int_equal(core_run(&ring, 1), -EBADFD);
	assert_int_equal(core_register(&disabled, IORING_REGISTER_ENABLE_RINGS, NULL, 0), 0);
	message(&disabled, 1, 2);
	assert_int_equal(core_run(&ring, 1), 0);
	assert_int_equal(core_result(&disabled, 2), 1);
	io_uring_queue_exit(&disabled);
}

/* Sends descriptor slot `from` of `ring` to slot `to` of `other`. */
static int send_file(unsigned from, unsigned to, unsigned flags, __u64 user_data)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, IORING_OP_MSG_RING, other.ring_fd,
					     (void *)IORING_MSG_SEND_FD, 0, 1);

	sqe->off = user_data;
	sqe->file_index = to;
	sqe->rw_flags = flags;
	newer_set_addr3(sqe, from);
	return core_run(&ring, 1);
}

static void read_from_slot(unsigned slot, const char *expected)
{
	char buffer[16] = "";
	struct io_uring_sqe *sqe;

	sqe = newer_sqe(&other, IORING_OP_READ, (int)slot, buffer, sizeof(buffer), 9);
	sqe->flags = IOSQE_FIXED_FILE;
	assert_int_equal(core_run(&other, 9), (int)strlen(expected));
	assert_string_equal(buffer, expected);
}

static void a_descriptor_goes_from_table_to_table(void **state)
{
	int none[4] = {-1, -1, -1, -1}, fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(send_file(0, 1, 0, 2), -EBADF); /* nothing is registered here */
	assert_int_equal(io_uring_register_files(&ring, fds, 1), 0);
	assert_int_equal(send_file(0, 1, 0, 2), -ENXIO); /* nothing is registered there */
	assert_int_equal(io_uring_register_files(&other, none, 4), 0);
	assert_int_equal(send_file(3, 1, 0, 2), -EBADF);
	assert_int_equal(send_file(0, 9, 0, 2), -EINVAL);
	close(fds[0]); /* the slots keep the file */

	assert_int_equal(send_file(0, 2, 0, 2), 0);
	assert_int_equal(core_result(&other, 2), 0);
	assert_int_equal(write(fds[1], "slot", 4), 4);
	read_from_slot(1, "slot");

	assert_int_equal(send_file(0, IORING_FILE_INDEX_ALLOC, 0, 3), 2);
	assert_int_equal(core_result(&other, 3), 2);
	assert_int_equal(send_file(0, IORING_FILE_INDEX_ALLOC, 0, 4), 3);
	assert_int_equal(core_result(&other, 4), 3);
	/* silently */
	assert_int_equal(send_file(0, 1, IORING_MSG_RING_CQE_SKIP, 5), 0);
	newer_nothing_comes(&other);
	assert_int_equal(send_file(0, IORING_FILE_INDEX_ALLOC, 0, 6), -ENFILE);

	assert_int_equal(io_uring_unregister_files(&ring), 0);
	assert_int_equal(write(fds[1], "kept", 4), 4);
	read_from_slot(0, "kept");
	assert_int_equal(io_uring_unregister_files(&other), 0);
	close(fds[1]);
}

struct receiver {
	struct io_uring ring;
	unsigned flags;
	int result;
	int is_ready; /* (a) */
};

static void *receive_one(void *argument)
{
	struct receiver *self = argument;

	core_ring(&self->ring, 8, self->flags);
	__atomic_store_n(&self->is_ready, 1, __ATOMIC_RELEASE);
	self->result = core_result(&self->ring, 42);
	io_uring_queue_exit(&self->ring);
	return NULL;
}

static void a_message_wakes_a_thread_that_waits(void **state)
{
	static const unsigned flags[] = {
		0,
		IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct receiver receiver = {.flags = flags[i]};
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, receive_one, &receiver), 0);
		while (!__atomic_load_n(&receiver.is_ready, __ATOMIC_ACQUIRE))
			usleep(100);
		usleep(1000 * (i % 2)); /* with the receiver asleep, and on its way */
		message(&receiver.ring, 10 + i, 42);
		assert_int_equal(core_run(&ring, 1), 0);
		pthread_join(thread, NULL);
		assert_int_equal(receiver.result, 10 + i);
	}
}

static void a_deferred_ring_shows_a_message_when_it_is_entered(void **state)
{
	const unsigned flags =
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
	struct io_uring deferred;

	(void)state;
	core_ring(&deferred, 4, flags);
	message(&deferred, 3, 2);
	assert_int_equal(core_run(&ring, 1), 0);
	assert_int_equal(io_uring_cq_ready(&deferred), 0);
	assert_true(*deferred.sq.kflags & IORING_SQ_TASKRUN);
	assert_int_equal(core_enter(&deferred, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0), 0);
	assert_int_equal(io_uring_cq_ready(&deferred), 1);
	assert_false(*deferred.sq.kflags & IORING_SQ_TASKRUN);
	assert_int_equal(core_result(&deferred, 2), 3);
	io_uring_queue_exit(&deferred);
}

static void a_message_signals_an_eventfd(void **state)
{
	int fd = (int)syscall(SYS_eventfd2, 0, 0);
	uint64_t counter = 0;

	(void)state;
	assert_int_equal(io_uring_register_eventfd(&other, fd), 0);
	message(&other, 3, 2);
	assert_int_equal(core_run(&ring, 1), 0);
	assert_int_equal(read(fd, &counter, sizeof(counter)), sizeof(counter));
	assert_int_equal(counter, 1);
	assert_int_equal(core_result(&other, 2), 3);
	assert_int_equal(io_uring_unregister_eventfd(&other), 0);
	close(fd);
}

/* IORING_REGISTER_SEND_MSG_RING */
static long send_without_ring(const struct io_uring_sqe *sqe, unsigned count)
{
	return core_call(SYS_io_uring_register, -1, NEWER_REGISTER_SEND_MSG_RING, (long)sqe, count,
			 0, 0);
}

static void a_message_needs_no_ring_of_its_own(void **state)
{
	struct io_uring_sqe sqe;

	(void)state;
	newer_require(&ring, NEWER_OP_EPOLL_WAIT); /* newer than what is tested */
	memset(&sqe, 0, sizeof(sqe));
	sqe.opcode = IORING_OP_MSG_RING;
	sqe.fd = other.ring_fd;
	sqe.len = 8;
	sqe.off = 6;
	assert_int_equal(send_without_ring(&sqe, 1), 0);
	assert_int_equal(core_result(&other, 6), 8);

	assert_int_equal(send_without_ring(NULL, 1), -EINVAL);
	assert_int_equal(send_without_ring(&sqe, 2), -EINVAL);
	assert_int_equal(send_without_ring(BAD_POINTER, 1), -EFAULT);
	sqe.flags = IOSQE_ASYNC;
	assert_int_equal(send_without_ring(&sqe, 1), -EINVAL);
	sqe.flags = 0;
	sqe.opcode = IORING_OP_NOP;
	assert_int_equal(send_without_ring(&sqe, 1), -EINVAL);
	sqe.opcode = IORING_OP_MSG_RING;
	sqe.addr = IORING_MSG_SEND_FD;
	assert_int_equal(send_without_ring(&sqe, 1), -EINVAL);
	sqe.addr = IORING_MSG_DATA;
	sqe.fd = -1;
	assert_int_equal(send_without_ring(&sqe, 1), -EBADF);
	sqe.fd = 0;
	assert_int_equal(send_without_ring(&sqe, 1), -EBADFD);
}

#define EXCHANGES 2000

struct player {
	struct io_uring ring;
	const struct player *partner;
	bool begins;
	int errors;
};

static void play_ball(struct player *self, int number)
{
	struct io_uring_sqe *sqe = core_sqe(&self->ring, 1);

	sqe->opcode = IORING_OP_MSG_RING;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->fd = self->partner->ring.ring_fd;
	sqe->off = 2;
	sqe->len = (unsigned)number;
	self->errors += io_uring_submit(&self->ring) != 1;
}

/* Sends, then waits for an answer; the other way round on the other side. */
static void *play(void *argument)
{
	struct player *self = argument;

	for (int i = 0; i < EXCHANGES; i++) {
		if (self->begins)
			play_ball(self, i);
		self->errors += core_result(&self->ring, 2) != i;
		if (!self->begins)
			play_ball(self, i);
	}
	return NULL;
}

static void two_threads_exchange_messages(void **state)
{
	struct player one = {.begins = true}, two = {.partner = &one};
	pthread_t thread;

	(void)state;
	one.partner = &two;
	core_ring(&one.ring, 4, 0);
	core_ring(&two.ring, 4, 0);
	assert_int_equal(pthread_create(&thread, NULL, play, &two), 0);
	play(&one);
	pthread_join(thread, NULL);
	assert_int_equal(one.errors + two.errors, 0);
	io_uring_queue_exit(&one.ring);
	io_uring_queue_exit(&two.ring);
}

#define WRITES 64

/* A ring that is nearly always in use: its thread writes all the time. */
struct writer {
	struct io_uring ring;
	pthread_t thread;
	bool is_done;
};

static void *write_all_the_time(void *argument)
{
	static char bytes[1 << 20];
	struct writer *writer = argument;
	FILE *file = tmpfile();

	while (!__atomic_load_n(&writer->is_done, __ATOMIC_ACQUIRE)) {
		for (int i = 0; i < WRITES; i++)
			CORE_PREP(&writer->ring, 1, io_uring_prep_write, fileno(file), bytes,
				  sizeof(bytes), 0);
		io_uring_submit_and_wait(&writer->ring, WRITES);
		io_uring_cq_advance(&writer->ring, io_uring_cq_ready(&writer->ring));
	}
	fclose(file);
	return NULL;
}

static void *close_ring(void *fd)
{
	return (void *)(long)close(*(int *)fd);
}

static void a_ring_whose_last_message_is_on_its_way_silently_is_closed(void **state)
{
	struct writer writer = {.is_done = false};
	struct io_uring sender;
	pthread_t closer;

	(void)state;
	core_ring(&writer.ring, WRITES, 0);
	assert_int_equal(pthread_create(&writer.thread, NULL, write_all_the_time, &writer), 0);
	for (int i = 0; i < 8; i++) {
		struct timespec limit, moment = {.tv_nsec = 2000000};
		struct io_uring_sqe *sqe;

		core_ring(&sender, 4, IORING_SETUP_SQPOLL);
		sqe = newer_sqe(&sender, IORING_OP_MSG_RING, writer.ring.ring_fd,
				(void *)IORING_MSG_DATA, 0, 1);
		sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
		assert_int_equal(io_uring_submit(&sender), 1);
		nanosleep(&moment, NULL); /* its thread now waits for the lock of the other ring */
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += 10;
		assert_int_equal(pthread_create(&closer, NULL, close_ring, &sender.ring_fd), 0);
		assert_int_equal(pthread_timedjoin_np(closer, NULL, &limit), 0);
		sender.ring_fd = -1;
		io_uring_queue_exit(&sender);
	}
	__atomic_store_n(&writer.is_done, true, __ATOMIC_RELEASE);
	pthread_join(writer.thread, NULL);
	io_uring_queue_exit(&writer.ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_there_when_its_request_is_done),
		cmocka_unit_test(a_message_may_bring_flags),
		cmocka_unit_test(a_ring_may_send_to_itself),
		cmocka_unit_test(messages_beyond_the_cq_are_kept),
		cmocka_unit_test(mistakes_are_told_apart),
		cmocka_unit_test(a_ring_that_is_not_enabled_takes_no_message),
		cmocka_unit_test(a_descriptor_goes_from_table_to_table),
		cmocka_unit_test(a_message_wakes_a_thread_that_waits),
		cmocka_unit_test(a_deferred_ring_shows_a_message_when_it_is_entered),
		cmocka_unit_test(a_message_signals_an_eventfd),
		cmocka_unit_test(a_message_needs_no_ring_of_its_own),
		cmocka_unit_test(two_threads_exchange_messages),
		cmocka_unit_test(a_ring_whose_last_message_is_on_its_way_silently_is_closed),
	};

	core_require_rings();
	alarm(100);
	return cmocka_run_group_tests(tests, setup, teardown);
}
