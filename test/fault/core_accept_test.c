/*
 * core_accept_test.c - many connections for one accept, on a socket that blocks
 *
 * The kernel tries such a socket without blocking. A system call cannot, so here
 * a worker fetches what is there, and others who accept may be faster than it.
 */
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "core.h"

/* FETCHED: what a worker fetches here while the driver looks at nothing. */
enum { ACCEPTS = 5, CANCEL = 6, MANY = 20, FETCHED = 17, ROUNDS = 300, SECONDS_ALLOWED = 20 };

static void connect_all(int *fds, int count, const struct sockaddr_in *address)
{
	for (int i = 0; i < count; i++)
		fds[i] = core_connect(address);
}

static void close_all(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

static void start_accept(struct io_uring *ring, int listener)
{
	CORE_PREP(ring, ACCEPTS, io_uring_prep_multishot_accept, listener, NULL, NULL, 0);
	assert_int_equal(io_uring_submit(ring), 1);
}

/* Bounds what the test waits for in a loop. */
static void assert_in_time(time_t start)
{
	assert_true(time(NULL) - start < SECONDS_ALLOWED);
	sched_yield();
}

/* Connections that nobody has accepted yet. */
static unsigned left_at(int listener)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	assert_int_equal(getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	return info.tcpi_unacked;
}

/*
 * MANY connections come, an accept begins, and the program does not enter: the kernel has fetched
 * all by then, and here one worker as many as it may put down, and one.
 */
static void accept_without_a_look(struct io_uring *ring, int listener,
				  const struct sockaddr_in *address, int clients[MANY])
{
	time_t start = time(NULL);

	connect_all(clients, MANY, address);
	start_accept(ring, listener);
	while (left_at(listener) > MANY - FETCHED)
		assert_in_time(start);
}

/* Takes a CQE, of a connection, and closes that. Returns its flags. */
static unsigned take_connection(struct io_uring *ring, bool goes_on)
{
	struct io_uring_cqe cqe = core_cqe(ring);

	assert_int_equal(cqe.user_data, ACCEPTS);
	assert_true(cqe.res >= 0);
	assert_int_equal(!!(cqe.flags & IORING_CQE_F_MORE), goes_on);
	close(cqe.res);
	return cqe.flags;
}

/* Takes `count` CQEs of connections that went on, each with the next behind it. */
static void take_connections(struct io_uring *ring, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		bool is_nonempty = take_connection(ring, true) & IORING_CQE_F_SOCK_NONEMPTY;

		assert_int_equal(is_nonempty, i < count - 1);
	}
}

static void a_worker_fetches_many_at_once(void **state)
{
	struct sockaddr_in address;
	int listener = core_listen(&address, 128), clients[MANY];
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 64, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	accept_without_a_look(&ring, listener, &address, clients);
	take_connections(&ring, MANY);
	close_all(clients, MANY);
	/* Again, with the same request. */
	connect_all(clients, MANY, &address);
	for (unsigned told = 0; told < MANY; told++)
		take_connection(&ring, true);
	close_all(clients, MANY);
	io_uring_queue_exit(&ring);
	close(listener);
}

/* What a worker has put down is told of, and then that the request was cancelled. */
static void a_cancelled_accept_ends_behind_what_was_fetched(void **state)
{
	struct sockaddr_in address;
	int listener = core_listen(&address, 128), clients[MANY];
	unsigned told = 0, ended = 0;
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 64, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	accept_without_a_look(&ring, listener, &address, clients);
	CORE_PREP(&ring, CANCEL, io_uring_prep_cancel64, ACCEPTS, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	for (unsigned answers = 0; !ended || !answers;) {
		struct io_uring_cqe cqe = core_cqe(&ring);

		if (cqe.user_data == CANCEL) {
			assert_int_equal(cqe.res, 0);
			answers++;
		} else if (cqe.flags & IORING_CQE_F_MORE) {
			assert_int_equal(ended, 0);
			close(cqe.res);
			told++;
		} else {
			assert_int_equal(cqe.res, -ECANCELED);
			ended++;
		}
	}
	assert_int_equal(told + left_at(listener), MANY);
	io_uring_queue_exit(&ring);
	close_all(clients, MANY);
	close(listener);
}

static void a_ring_ends_with_connections_that_were_fetched(void **state)
{
	struct sockaddr_in address;
	int listener = core_listen(&address, 128), clients[MANY];
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 64, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	accept_without_a_look(&ring, listener, &address, clients);
	io_uring_queue_exit(&ring);
	close_all(clients, MANY);
	close(listener);
}

static void as_many_are_told_as_the_cq_has_room_for_and_one_more(void **state)
{
	enum { SOME = 9 };
	struct sockaddr_in address;
	int listener = core_listen(&address, 128), clients[SOME];
	time_t start = time(NULL);
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 2, 0);
	connect_all(clients, SOME, &address);
	start_accept(&ring, listener);
	while (!(*ring.sq.kflags & IORING_SQ_CQ_OVERFLOW))
		assert_in_time(start);
	for (unsigned i = 0; i <= *ring.cq.kring_entries; i++)
		take_connection(&ring, i < *ring.cq.kring_entries);
	/* The others are whose they were. */
	assert_int_equal(left_at(listener), SOME - *ring.cq.kring_entries - 1);
	core_works(&ring);
	io_uring_queue_exit(&ring);
	close_all(clients, SOME);
	close(listener);
}

/* In a link that fails, a refused accept ends without having begun. */
static void a_refused_accept_tells_of_nothing(void **state)
{
	enum { RENAMES = 8 };
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 64, 0);
	/* The next requests' data is what is left of these, and has two pointers in its middle. */
	for (int i = 0; i < RENAMES; i++) {
		struct io_uring_sqe *sqe = CORE_PREP(&ring, 1, io_uring_prep_renameat, AT_FDCWD,
						     "/dev/null/a", AT_FDCWD, "b", 0);

		sqe->flags = i < RENAMES - 1 ? IOSQE_IO_LINK : 0;
	}
	assert_int_equal(io_uring_submit(&ring), RENAMES);
	for (int i = 0; i < RENAMES; i++)
		assert_int_equal(core_result(&ring, 1), -ENOTDIR);
	core_sqe(&ring, 2)->flags = IOSQE_IO_LINK;
	CORE_PREP(&ring, ACCEPTS, io_uring_prep_multishot_accept, 0, NULL, NULL, 0)->len = 1;
	assert_int_equal(io_uring_submit(&ring), 2);
	assert_int_equal(core_result(&ring, 2), -ECANCELED);
	assert_int_equal(core_result(&ring, ACCEPTS), -EINVAL);
	assert_int_equal(io_uring_cq_ready(&ring), 0);
	io_uring_queue_exit(&ring);
}

struct rival {
	int listener;
	atomic_uint taken;
};

static void *rival_main(void *argument)
{
	struct rival *rival = argument;
	int fd;

	while ((fd = accept(rival->listener, NULL, NULL)) >= 0) {
		close(fd);
		atomic_fetch_add(&rival->taken, 1);
	}
	return NULL;
}

/* Also of those behind which somebody else's was: none waits for the next one to come. */
static void each_connection_is_told_of_at_once_though_others_accept_too(void **state)
{
	static struct rival rival; /* its thread outlives a test that fails */
	struct sockaddr_in address;
	time_t start = time(NULL);
	unsigned told = 0, made = 0;
	struct io_uring ring;
	pthread_t thread;

	(void)state;
	rival.listener = core_listen(&address, 128);
	core_ring(&ring, 8, 0);
	assert_int_equal(pthread_create(&thread, NULL, rival_main, &rival), 0);
	start_accept(&ring, rival.listener);
	for (int round = 0; round < ROUNDS; round++) {
		int clients[3];

		connect_all(clients, 3, &address);
		made += 3;
		while (told + atomic_load(&rival.taken) < made) {
			struct io_uring_cqe *cqe;

			assert_in_time(start);
			/* By who enters, and by who only looks. */
			if (round % 2 && io_uring_get_events(&ring))
				continue;
			if (io_uring_peek_cqe(&ring, &cqe))
				continue;
			assert_true(cqe->res >= 0);
			assert_true(cqe->flags & IORING_CQE_F_MORE);
			close(cqe->res);
			told++;
			io_uring_cqe_seen(&ring, cqe);
		}
		close_all(clients, 3);
	}
	assert_int_equal(told + atomic_load(&rival.taken), made);
	shutdown(rival.listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	io_uring_queue_exit(&ring);
	close(rival.listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_fetches_many_at_once),
		cmocka_unit_test(a_cancelled_accept_ends_behind_what_was_fetched),
		cmocka_unit_test(a_ring_ends_with_connections_that_were_fetched),
		cmocka_unit_test(as_many_are_told_as_the_cq_has_room_for_and_one_more),
		cmocka_unit_test(a_refused_accept_tells_of_nothing),
		cmocka_unit_test(each_connection_is_told_of_at_once_though_others_accept_too),
	};

	core_require_rings();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
