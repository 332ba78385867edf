/*
 * echo.c - an echo server by io_uring and by epoll, and a pipe
 *
 * The server is the workload's thread. Who sends is a process of its own, forked at the first
 * call: it keeps one message in flight on each connection, and sends the next when the echo has
 * come. So between two calls it waits for us. Server and sender have a processor each.
 *
 * Entry:     functions of the table in cases.def
 * Not here:  the protocol with `ringside bench` (workload.c)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/workload.h"

#define MESSAGE         64 /* bytes */
#define BUFFER          1024
#define CONNECTIONS_MAX 1000
#define GROUP           0
#define EVENTS          256
#define PIPE_BATCH      16
#define PIPE_BLOCK      512

/* What a CQE is of: in user_data, with the connection and the buffer. */
enum { DONE_RECEIVE, DONE_SEND };

static struct {
	int connections[CONNECTIONS_MAX];
	unsigned int count;
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	unsigned int buffer_count; /* a power of two, more than there are messages */
	char (*memory)[BUFFER];
	int epoll_fd;
} server;

static void run_on(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	/* Where there is only one, or it is not ours to choose, both share. */
	sched_setaffinity(0, sizeof(set), &set);
}

static void no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void send_and_receive(const int *fds, unsigned int count)
{
	char message[MESSAGE];
	int epoll_fd = epoll_create1(0);

	memset(message, 'e', sizeof(message));
	for (unsigned int i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};

		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event) ||
		    send(fds[i], message, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
			_exit(1);
	}
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (recv(fd, message, MESSAGE, MSG_WAITALL) != MESSAGE ||
			    send(fd, message, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
				_exit(0);
		}
	}
}

/* The sending process: never returns. */
static void become_sender(const struct sockaddr_in *address, unsigned int count)
{
	static int fds[CONNECTIONS_MAX];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Whoever started us waits for the end of these. */
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	run_on(1);
	for (unsigned int i = 0; i < count; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fds[i] < 0 || connect(fds[i], (const void *)address, sizeof(*address)))
			_exit(1);
		no_delay(fds[i]);
	}
	send_and_receive(fds, count);
}

static void connections_open(unsigned int count)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);
	struct rlimit limit;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (listener < 0 || bind(listener, (void *)&address, sizeof(address)) ||
	    getsockname(listener, (void *)&address, &len) || listen(listener, CONNECTIONS_MAX))
		fail("cannot listen: %s", strerror(errno));
	switch (fork()) {
	case -1:
		fail("fork: %s", strerror(errno));
	case 0:
		become_sender(&address, count);
	}
	run_on(0);
	for (unsigned int i = 0; i < count; i++) {
		server.connections[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (server.connections[i] < 0)
			fail("accept: %s", strerror(errno));
		no_delay(server.connections[i]);
	}
	server.count = count;
	close(listener);
}

static struct io_uring_sqe *next_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&server.ring);

	if (!sqe) {
		io_uring_submit(&server.ring);
		sqe = io_uring_get_sqe(&server.ring);
	}
	if (!sqe)
		fail("the submission queue is full");
	return sqe;
}

static void set_data(struct io_uring_sqe *sqe, unsigned int what, unsigned int connection,
		     unsigned int buffer)
{
	io_uring_sqe_set_data64(sqe, (uint64_t)what << 56 | (uint64_t)connection << 32 | buffer);
}

static void receive(unsigned int connection)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_recv_multishot(sqe, server.connections[connection], NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	set_data(sqe, DONE_RECEIVE, connection, 0);
}

static void buffer_give(unsigned int id, int offset)
{
	io_uring_buf_ring_add(server.buffers, server.memory[id], BUFFER, (unsigned short)id,
			      (int)server.buffer_count - 1, offset);
}

static void server_start(unsigned int count)
{
	unsigned int flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	struct io_uring_buf_reg reg = {.ring_entries = 2, .bgid = GROUP};
	int err = io_uring_queue_init(2048, &server.ring, flags);

	if (err)
		fail("io_uring_queue_init: %s", strerror(-err));
	while (reg.ring_entries <= count)
		reg.ring_entries *= 2;
	server.buffer_count = reg.ring_entries;
	server.buffers = mmap(NULL, reg.ring_entries * sizeof(struct io_uring_buf),
			      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	server.memory = malloc((size_t)reg.ring_entries * BUFFER);
	if (server.buffers == MAP_FAILED || !server.memory)
		fail("no memory for buffers");
	reg.ring_addr = (uintptr_t)server.buffers;
	err = io_uring_register_buf_ring(&server.ring, &reg, 0);
	if (err)
		fail("io_uring_register_buf_ring: %s", strerror(-err));
	for (unsigned int i = 0; i < server.buffer_count; i++)
		buffer_give(i, (int)i);
	io_uring_buf_ring_advance(server.buffers, (int)server.buffer_count);
	connections_open(count);
	for (unsigned int i = 0; i < count; i++)
		receive(i);
}

/* True if it was a message, which is on its way back now. */
static bool server_complete(const struct io_uring_cqe *cqe, int *given)
{
	unsigned int connection = (unsigned int)(cqe->user_data >> 32) & 0xffffff;
	unsigned int id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	struct io_uring_sqe *sqe;

	if (cqe->res != MESSAGE)
		fail("a message of %d bytes", cqe->res);
	if (cqe->user_data >> 56 == DONE_SEND) {
		buffer_give((unsigned int)cqe->user_data & 0xffff, (*given)++);
		return false;
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		receive(connection);
	sqe = next_sqe();
	io_uring_prep_send(sqe, server.connections[connection], server.memory[id], MESSAGE, 0);
	set_data(sqe, DONE_SEND, connection, id);
	return true;
}

static uint64_t echo_by_ring(unsigned int count, uint64_t ops)
{
	uint64_t done = 0;

	if (!server.count)
		server_start(count);
	while (done < ops) {
		struct io_uring_cqe *cqe;
		unsigned int head, seen = 0;
		int given = 0, ret = io_uring_submit_and_wait(&server.ring, 1);

		if (ret < 0 && ret != -EINTR)
			fail("io_uring_enter: %s", strerror(-ret));
		io_uring_for_each_cqe(&server.ring, head, cqe)
		{
			seen++;
			done += server_complete(cqe, &given);
		}
		io_uring_cq_advance(&server.ring, seen);
		if (given)
			io_uring_buf_ring_advance(server.buffers, given);
	}
	return done;
}

static uint64_t echo_by_epoll(unsigned int count, uint64_t ops)
{
	uint64_t done = 0;

	if (!server.count) {
		connections_open(count);
		server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		for (unsigned int i = 0; i < count; i++) {
			struct epoll_event event = {.events = EPOLLIN,
						    .data.fd = server.connections[i]};

			if (epoll_ctl(server.epoll_fd, EPOLL_CTL_ADD, server.connections[i],
				      &event))
				fail("epoll_ctl: %s", strerror(errno));
		}
	}
	while (done < ops) {
		struct epoll_event events[EVENTS];
		char message[MESSAGE];
		int n = epoll_wait(server.epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < n; i++, done++) {
			int fd = events[i].data.fd;

			if (recv(fd, message, MESSAGE, 0) != MESSAGE ||
			    send(fd, message, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
				fail("a message is lost");
		}
	}
	return done;
}

uint64_t echo_1(struct workload *load, uint64_t ops)
{
	(void)load;
	return echo_by_ring(1, ops);
}

uint64_t echo_64(struct workload *load, uint64_t ops)
{
	(void)load;
	return echo_by_ring(64, ops);
}

uint64_t echo_1000(struct workload *load, uint64_t ops)
{
	(void)load;
	return echo_by_ring(1000, ops);
}

uint64_t epoll_1(struct workload *load, uint64_t ops)
{
	(void)load;
	return echo_by_epoll(1, ops);
}

uint64_t epoll_64(struct workload *load, uint64_t ops)
{
	(void)load;
	return echo_by_epoll(64, ops);
}

uint64_t epoll_1000(struct workload *load, uint64_t ops)
{
	(void)load;
	return echo_by_epoll(1000, ops);
}

/* Half of a batch writes, the other half reads it back. */
uint64_t pipe_there_and_back(struct workload *load, uint64_t ops)
{
	static char from[PIPE_BLOCK], to[PIPE_BATCH][PIPE_BLOCK];
	static int ends[2] = {-1, -1};
	uint64_t done = 0;

	if (ends[0] < 0 && pipe(ends))
		fail("pipe: %s", strerror(errno));
	do {
		struct io_uring_cqe *cqe;
		unsigned int head, seen = 0;

		for (unsigned int i = 0; i < PIPE_BATCH; i++)
			io_uring_prep_write(io_uring_get_sqe(&load->ring), ends[1], from,
					    PIPE_BLOCK, 0);
		for (unsigned int i = 0; i < PIPE_BATCH; i++)
			io_uring_prep_read(io_uring_get_sqe(&load->ring), ends[0], to[i],
					   PIPE_BLOCK, 0);
		if (io_uring_submit_and_wait(&load->ring, 2 * PIPE_BATCH) != 2 * PIPE_BATCH)
			fail("a batch was not taken whole");
		io_uring_for_each_cqe(&load->ring, head, cqe)
		{
			if (cqe->res != PIPE_BLOCK)
				fail("a block of %d bytes", cqe->res);
			seen++;
		}
		io_uring_cq_advance(&load->ring, seen);
		done += seen;
	} while (done < ops);
	return done;
}
