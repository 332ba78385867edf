/*
 * liburing_calls.c - calls liburing's functions and prints what they return
 *
 * Run as it is and under ringside, the output must be the same: it is what
 * io_uring promises, so it has no addresses, times or descriptor numbers in it.
 *
 * usage: liburing_calls <FILE, a file of a page or more
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PAGE 4096

static struct io_uring ring;

static void say(const char *what, long result)
{
	printf("%s %ld\n", what, result);
}

static struct io_uring_sqe *next(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (sqe == NULL) {
		puts("no SQE");
		exit(1);
	}
	return sqe;
}

static void queue_nop(unsigned long data)
{
	struct io_uring_sqe *sqe = next();

	io_uring_prep_nop(sqe);
	sqe->user_data = data;
}

/* Prints and consumes all CQEs that are there. */
static void reap(const char *what)
{
	struct io_uring_cqe *cqes[64];
	unsigned count = io_uring_peek_batch_cqe(&ring, cqes, 64);

	printf("%s: %u", what, count);
	for (unsigned i = 0; i < count; i++)
		printf(" %llu=%d", (unsigned long long)cqes[i]->user_data, cqes[i]->res);
	putchar('\n');
	io_uring_cq_advance(&ring, count);
}

static void submitting(void)
{
	say("submit nothing", io_uring_submit(&ring));
	queue_nop(1);
	say("submit", io_uring_submit(&ring));
	reap("one");
	for (int i = 0; i < 5; i++)
		queue_nop(10 + (unsigned long)i);
	say("submit_and_wait", io_uring_submit_and_wait(&ring, 5));
	reap("five");
	queue_nop(2);
	say("submit_and_get_events", io_uring_submit_and_get_events(&ring));
	say("get_events", io_uring_get_events(&ring));
	reap("one again");
	for (int i = 0; i < 8; i++)
		queue_nop(20 + (unsigned long)i);
	say("queue is full", io_uring_get_sqe(&ring) == NULL);
	say("sq_ready", io_uring_sq_ready(&ring));
	say("submit eight", io_uring_submit(&ring));
	reap("eight");
}

static void waiting(void)
{
	struct __kernel_timespec soon = {.tv_nsec = 2000000}, later = {.tv_sec = 20};
	struct io_uring_cqe *cqe = NULL;
	sigset_t none;

	sigemptyset(&none);
	say("peek empty", io_uring_peek_cqe(&ring, &cqe));
	say("wait_cqe_timeout", io_uring_wait_cqe_timeout(&ring, &cqe, &soon));
	say("wait_cqes 2", io_uring_wait_cqes(&ring, &cqe, 2, &soon, &none));
	queue_nop(3);
	say("submit_and_wait_timeout 2 of 1",
	    io_uring_submit_and_wait_timeout(&ring, &cqe, 2, &soon, NULL));
	reap("what came");
	queue_nop(4);
	queue_nop(5);
	say("submit_and_wait_timeout 2 of 2",
	    io_uring_submit_and_wait_timeout(&ring, &cqe, 2, &later, &none));
	say("first of them", (long)cqe->user_data);
	say("wait_cqe_nr", io_uring_wait_cqe_nr(&ring, &cqe, 2));
	reap("both");
	queue_nop(6);
	say("submit_and_wait_timeout forever",
	    io_uring_submit_and_wait_timeout(&ring, &cqe, 1, NULL, NULL));
	say("wait_cqe", io_uring_wait_cqe(&ring, &cqe));
	reap("last");
	/* EAGAIN, or what was submitted: nothing to wait for. */
	say("get_cqe", __io_uring_get_cqe(&ring, &cqe, 0, 0, NULL));
}

static void interrupted(int sig)
{
	(void)sig;
}

static void signals(void)
{
	struct sigaction action = {.sa_handler = interrupted};
	struct io_uring_cqe *cqe;
	sigset_t block, old;

	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &old);
	raise(SIGUSR1);
	/* Pending, and let in by the mask of the wait alone. */
	say("wait_cqes interrupted", io_uring_wait_cqes(&ring, &cqe, 1, NULL, &old));
	say("mask is restored",
	    !sigprocmask(SIG_SETMASK, &old, &block) && sigismember(&block, SIGUSR1));
}

static void files_and_buffers(int fd)
{
	static char buffer[PAGE] __attribute__((aligned(PAGE)));
	struct iovec iov = {buffer, sizeof(buffer)};
	int files[2] = {fd, -1};
	struct io_uring_sqe *sqe;

	say("unregister_files of none", io_uring_unregister_files(&ring));
	say("register_files", io_uring_register_files(&ring, files, 2));
	say("register_files again", io_uring_register_files(&ring, files, 2));
	say("register_files_update", io_uring_register_files_update(&ring, 1, &fd, 1));
	say("register_files_update beyond", io_uring_register_files_update(&ring, 2, &fd, 1));
	say("register_buffers", io_uring_register_buffers(&ring, &iov, 1));
	sqe = next();
	io_uring_prep_read_fixed(sqe, 1, buffer, 100, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = 30;
	say("submit", io_uring_submit_and_wait(&ring, 1));
	reap("read_fixed");
	sqe = next();
	io_uring_prep_read_fixed(sqe, 1, buffer + PAGE - 10, 100, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = 31;
	say("submit", io_uring_submit_and_wait(&ring, 1));
	reap("beyond the buffer");
	say("unregister_buffers", io_uring_unregister_buffers(&ring));
	say("unregister_buffers again", io_uring_unregister_buffers(&ring));
	say("unregister_files", io_uring_unregister_files(&ring));
	say("register_files_sparse", io_uring_register_files_sparse(&ring, 4));
	say("register_files_update_tag",
	    io_uring_register_files_update_tag(&ring, 3, &fd, NULL, 1));
	say("unregister_files", io_uring_unregister_files(&ring));
	say("register_buffers_sparse", io_uring_register_buffers_sparse(&ring, 4));
	say("register_buffers_update_tag",
	    io_uring_register_buffers_update_tag(&ring, 2, &iov, NULL, 1));
	say("unregister_buffers", io_uring_unregister_buffers(&ring));
}

static void notices(void)
{
	int event = eventfd(0, EFD_NONBLOCK);
	eventfd_t value = 0;
	struct pollfd poll_ring = {.fd = ring.ring_fd, .events = POLLIN};

	say("register_eventfd", io_uring_register_eventfd(&ring, event));
	say("register_eventfd again", io_uring_register_eventfd(&ring, event));
	say("ring is not readable", poll(&poll_ring, 1, 0));
	queue_nop(40);
	say("submit", io_uring_submit_and_wait(&ring, 1));
	say("event", eventfd_read(event, &value));
	say("ring is readable", poll(&poll_ring, 1, 1000));
	reap("one");
	say("ring is empty", poll(&poll_ring, 1, 0));
	say("unregister_eventfd", io_uring_unregister_eventfd(&ring));
	say("register_eventfd_async", io_uring_register_eventfd_async(&ring, event));
	queue_nop(41);
	say("submit", io_uring_submit_and_wait(&ring, 1));
	say("no event for what completed inline", eventfd_read(event, &value));
	reap("one");
	say("unregister_eventfd", io_uring_unregister_eventfd(&ring));
	close(event);
}

static void ring_descriptor(void)
{
	say("register_ring_fd", io_uring_register_ring_fd(&ring));
	queue_nop(50);
	say("submit by index", io_uring_submit_and_wait(&ring, 1));
	reap("one");
	say("register_files by index", io_uring_register_files_sparse(&ring, 1));
	say("unregister_files by index", io_uring_unregister_files(&ring));
	say("unregister_ring_fd", io_uring_unregister_ring_fd(&ring));
	queue_nop(51);
	say("submit by descriptor", io_uring_submit_and_wait(&ring, 1));
	reap("one");
}

static void probing(void)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(&ring);
	unsigned workers[2] = {0, 0};

	say("probe", probe != NULL);
	say("has READ", probe && io_uring_opcode_supported(probe, IORING_OP_READ));
	say("has SENDMSG", probe && io_uring_opcode_supported(probe, IORING_OP_SENDMSG));
	io_uring_free_probe(probe);
	probe = io_uring_get_probe();
	say("probe without a ring", probe != NULL);
	io_uring_free_probe(probe);
	say("iowq_max_workers", io_uring_register_iowq_max_workers(&ring, workers));
	say("mlock_size", io_uring_mlock_size(8, 0));
	say("mlock_size of too many", io_uring_mlock_size(1 << 20, 0));
}

static void raw_calls(void)
{
	struct io_uring_params p = {.flags = 1u << 31};

	say("setup of unknown flags", io_uring_setup(8, &p));
	memset(&p, 0, sizeof(p));
	say("setup of no entries", io_uring_setup(0, &p));
	queue_nop(60);
	/* Publishes the tail without entering, as a program that has its own io_uring_enter(). */
	__atomic_store_n(ring.sq.ktail, ring.sq.sqe_tail, __ATOMIC_RELEASE);
	ring.sq.sqe_head = ring.sq.sqe_tail;
	say("enter", io_uring_enter((unsigned)ring.ring_fd, 1, 1, IORING_ENTER_GETEVENTS, NULL));
	reap("one");
	say("enter of no ring", io_uring_enter(0xffff, 0, 0, 0, NULL));
	say("enter of unknown flags",
	    io_uring_enter2((unsigned)ring.ring_fd, 0, 0, 1u << 30, NULL, 8));
	say("register of no opcode", io_uring_register((unsigned)ring.ring_fd, 9999, NULL, 0));
}

static void other_rings(void)
{
	struct io_uring_params p = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 100};
	int fd;

	say("init of too many", io_uring_queue_init(1 << 20, &ring, 0));
	say("init of unknown flags", io_uring_queue_init(8, &ring, 1u << 31));
	say("init_params", io_uring_queue_init_params(5, &ring, &p));
	say("sq entries", p.sq_entries);
	say("cq entries", p.cq_entries);
	fd = ring.ring_fd;
	say("descriptor is close-on-exec", fcntl(fd, F_GETFD));
	io_uring_queue_exit(&ring);
	say("descriptor is closed", fcntl(fd, F_GETFD));
	say("init SQE128", io_uring_queue_init(4, &ring, IORING_SETUP_SQE128));
	for (int i = 0; i < 4; i++)
		queue_nop(70 + (unsigned long)i);
	say("submit", io_uring_submit_and_wait(&ring, 4));
	reap("four");
	io_uring_queue_exit(&ring);
	say("init CQE32", io_uring_queue_init(4, &ring, IORING_SETUP_CQE32));
	for (int i = 0; i < 4; i++)
		queue_nop(80 + (unsigned long)i);
	say("submit", io_uring_submit_and_wait(&ring, 4));
	for (int i = 0; i < 4; i++) {
		struct io_uring_cqe *cqe = NULL;

		say("wait_cqe", io_uring_wait_cqe(&ring, &cqe));
		say("data", (long)cqe->user_data);
		io_uring_cqe_seen(&ring, cqe);
	}
	io_uring_queue_exit(&ring);
}

/* The other half of a ring's life: made by one call, mapped by another. */
static void mapped_by_hand(void)
{
	struct io_uring_params p = {0};
	int fd = io_uring_setup(8, &p);

	say("setup", fd >= 0);
	say("queue_mmap", io_uring_queue_mmap(fd, &p, &ring));
	queue_nop(90);
	say("submit", io_uring_submit_and_wait(&ring, 1));
	reap("one");
	say("ring_dontfork", io_uring_ring_dontfork(&ring));
	io_uring_queue_exit(&ring);
}

static void sqpoll(void)
{
	struct io_uring_params p = {.flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 10};
	struct io_uring_cqe *cqe;

	say("init SQPOLL", io_uring_queue_init_params(4, &ring, &p));
	for (int i = 0; i < 100; i++) {
		while (io_uring_sq_space_left(&ring) == 0)
			io_uring_sqring_wait(&ring);
		queue_nop(100 + (unsigned long)i);
		if (io_uring_submit(&ring) < 0)
			say("submit failed at", i);
		if (io_uring_wait_cqe(&ring, &cqe))
			say("wait failed at", i);
		else
			io_uring_cqe_seen(&ring, cqe);
		if (i % 25 == 0)
			usleep(20000); /* the thread goes to sleep, or not: both must work */
	}
	io_uring_queue_exit(&ring);
}

int main(void)
{
	int err;

	alarm(60);
	setvbuf(stdout, NULL, _IOLBF, 0);
	err = io_uring_queue_init(8, &ring, 0);
	say("queue_init", err);
	if (err)
		return 1;
	submitting();
	waiting();
	signals();
	files_and_buffers(STDIN_FILENO);
	notices();
	ring_descriptor();
	probing();
	raw_calls();
	io_uring_queue_exit(&ring);
	other_rings();
	mapped_by_hand();
	sqpoll();
	return 0;
}
