/*
 * core_accept_test.c - many connections for one accept, on a socket that blocks
 *
 * The kernel tries such a socket without blocking. A system call cannot, so here
 * a worker fetches what is there, and others who accept may be faster than it.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "core.h"

enum { ACCEPTS = 5, ROUNDS = 300, SECONDS_ALLOWED = 20 };

static int listen_on_loopback(struct sockaddr_in *address)
{
	socklen_t size = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (void *)address, sizeof(*address)), 0);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(getsockname(fd, (void *)address, &size), 0);
	return fd;
}

static int connect_to(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (const void *)address, sizeof(*address)), 0);
	return fd;
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

static void as_many_are_told_as_the_cq_has_room_for_and_one_more(void **state)
{
	enum { MANY = 9 };
	struct sockaddr_in address;
	int listener = listen_on_loopback(&address), clients[MANY];
	time_t start = time(NULL);
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 2, 0);
	for (int i = 0; i < MANY; i++)
		clients[i] = connect_to(&address);
	start_accept(&ring, listener);
	while (!(*ring.sq.kflags & IORING_SQ_CQ_OVERFLOW))
		assert_in_time(start);
	for (unsigned i = 0; i <= *ring.cq.kring_entries; i++) {
		struct __kernel_timespec limit = {.tv_sec = 10};
		bool is_last = i == *ring.cq.kring_entries;
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe_timeout(&ring, &cqe, &limit), 0);
		assert_true(cqe->res >= 0);
		assert_int_equal(!(cqe->flags & IORING_CQE_F_MORE), is_last);
		close(cqe->res);
		io_uring_cqe_seen(&ring, cqe);
	}
	/* The others are whose they were. */
	for (unsigned i = *ring.cq.kring_entries + 1; i < MANY; i++)
		close(accept4(listener, NULL, NULL, 0));
	assert_int_equal(poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, 0), 0);
	core_works(&ring);
	io_uring_queue_exit(&ring);
	for (int i = 0; i < MANY; i++)
		close(clients[i]);
	close(listener);
}

/* In a link that fails, a refused accept ends without having begun. */
static void a_refused_accept_tells_of_nothing(void **state)
{
	enum { RENAMES = 8 };
	struct io_uring ring;

	(void)state;
	core_ring(&ring, 64, 0);
	/* What was these requests' two paths is an accept's data then. */
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
	struct sockaddr_in address;
	struct rival rival = {.listener = listen_on_loopback(&address)};
	time_t start = time(NULL);
	unsigned told = 0, made = 0;
	struct io_uring ring;
	pthread_t thread;

	(void)state;
	core_ring(&ring, 8, 0);
	assert_int_equal(pthread_create(&thread, NULL, rival_main, &rival), 0);
	start_accept(&ring, rival.listener);
	for (int round = 0; round < ROUNDS; round++) {
		int clients[3];

		for (int i = 0; i < 3; i++, made++)
			clients[i] = connect_to(&address);
		while (told + atomic_load(&rival.taken) < made) {
			struct io_uring_cqe *cqe;

			assert_in_time(start);
			if (io_uring_get_events(&ring) || io_uring_peek_cqe(&ring, &cqe))
				continue;
			assert_true(cqe->res >= 0);
			assert_true(cqe->flags & IORING_CQE_F_MORE);
			close(cqe->res);
			told++;
			io_uring_cqe_seen(&ring, cqe);
		}
		for (int i = 0; i < 3; i++)
			close(clients[i]);
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
		cmocka_unit_test(as_many_are_told_as_the_cq_has_room_for_and_one_more),
		cmocka_unit_test(a_refused_accept_tells_of_nothing),
		cmocka_unit_test(each_connection_is_told_of_at_once_though_others_accept_too),
	};

	core_require_rings();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
