/*
 * echo_server.c - a TCP echo server on io_uring, as such servers are written today
 *
 * usage: echo_server CONNECTIONS
 *
 * One multishot accept, one multishot recv a connection, buffers from one ring
 * that all share, and the bytes go back from the buffer that they came in. It
 * listens on a port of loopback that it prints, and ends when CONNECTIONS have
 * come and gone.
 *
 * Of a connection one send is in flight: the buffers behind it wait in order.
 * Where none are left a recv ends with ENOBUFS, and begins again once one is.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	ENTRIES = 512,
	CQ_ENTRIES = 8192, /* room for all that 1,000 connections have to tell: a full CQ would end
			    * the accept */
	BUFFERS = 1024,    /* a power of two */
	BUFFER_SIZE = 2048,
	FDS = 16384,
	GROUP = 0,
};

enum event {
	EVENT_ACCEPT,
	EVENT_RECV,
	EVENT_SEND,
};

struct connection {
	int first, last; /* buffers to send, linked by `next`; -1: none */
	bool is_sending;
	bool is_receiving;
	bool is_starved; /* its recv ended for want of a buffer */
	bool is_ended;   /* nothing more will come */
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static char buffers[BUFFERS][BUFFER_SIZE];
static int next[BUFFERS];
static unsigned size[BUFFERS], sent[BUFFERS];
static struct connection connections[FDS];
static unsigned starved, gone;

static struct io_uring_sqe *sqe_of(enum event event, int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (sqe == NULL) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	if (sqe == NULL)
		errx(1, "no SQE");
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = (unsigned long long)event << 32 | (unsigned)fd;
	return sqe;
}

/* The preparing functions of liburing clear user_data in some versions and in others not. */
#define PREPARE(event, fd, function, ...)                                                          \
	({                                                                                         \
		struct io_uring_sqe *sqe_ = sqe_of(event, fd);                                     \
		unsigned long long data_ = sqe_->user_data;                                        \
                                                                                                   \
		function(sqe_, fd, __VA_ARGS__);                                                   \
		sqe_->user_data = data_;                                                           \
		sqe_;                                                                              \
	})

static void buffer_give(int id)
{
	io_uring_buf_ring_add(buffer_ring, buffers[id], BUFFER_SIZE, (unsigned short)id,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(buffer_ring, 1);
}

static void buffers_start(void)
{
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = GROUP};
	int error;

	buffer_ring = mmap(NULL, BUFFERS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer_ring == MAP_FAILED)
		err(1, "mmap");
	reg.ring_addr = (unsigned long)buffer_ring;
	error = io_uring_register_buf_ring(&ring, &reg, 0);
	if (error)
		errx(1, "buffer ring: %s", strerror(-error));
	io_uring_buf_ring_init(buffer_ring);
	for (int id = 0; id < BUFFERS; id++)
		buffer_give(id);
}

static void receive(int fd)
{
	struct io_uring_sqe *sqe =
		PREPARE(EVENT_RECV, fd, io_uring_prep_recv_multishot, NULL, 0, 0);

	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	connections[fd].is_receiving = true;
}

static void send_first(int fd)
{
	int id = connections[fd].first;

	PREPARE(EVENT_SEND, fd, io_uring_prep_send, buffers[id] + sent[id], size[id] - sent[id],
		MSG_NOSIGNAL);
	connections[fd].is_sending = true;
}

static void end_if_done(int fd)
{
	struct connection *connection = &connections[fd];

	if (!connection->is_ended || connection->is_sending || connection->is_receiving)
		return;
	connection->is_ended = false;
	close(fd);
	gone++;
}

static void accepted(const struct io_uring_cqe *cqe, int listener)
{
	if (cqe->res < 0)
		errx(1, "accept: %s", strerror(-cqe->res));
	if (cqe->res >= FDS)
		errx(1, "descriptor %d is too much", cqe->res);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		PREPARE(EVENT_ACCEPT, listener, io_uring_prep_multishot_accept, NULL, NULL, 0);
	connections[cqe->res] = (struct connection){.first = -1, .last = -1};
	receive(cqe->res);
}

static void received(const struct io_uring_cqe *cqe, int fd)
{
	struct connection *connection = &connections[fd];
	int id;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		connection->is_receiving = false;
	if (cqe->res == -ENOBUFS) {
		connection->is_starved = true;
		starved++;
		return;
	}
	if (cqe->res < 0)
		errx(1, "recv: %s", strerror(-cqe->res));
	if (cqe->res == 0) {
		connection->is_ended = true;
		end_if_done(fd);
		return;
	}
	id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	next[id] = -1;
	size[id] = (unsigned)cqe->res;
	sent[id] = 0;
	if (connection->last >= 0)
		next[connection->last] = id;
	else
		connection->first = id;
	connection->last = id;
	if (!connection->is_sending)
		send_first(fd);
	if (!connection->is_receiving)
		receive(fd);
}

static void was_sent(const struct io_uring_cqe *cqe, int fd)
{
	struct connection *connection = &connections[fd];
	int id = connection->first;

	if (cqe->res <= 0)
		errx(1, "send: %s", strerror(-cqe->res));
	connection->is_sending = false;
	sent[id] += (unsigned)cqe->res;
	if (sent[id] == size[id]) {
		connection->first = next[id];
		if (connection->first < 0)
			connection->last = -1;
		buffer_give(id);
	}
	if (connection->first >= 0)
		send_first(fd);
	end_if_done(fd);
}

/* Buffers came back: who had none tries again. */
static void feed_the_starved(void)
{
	for (int fd = 0; starved > 0 && fd < FDS; fd++) {
		if (!connections[fd].is_starved)
			continue;
		connections[fd].is_starved = false;
		starved--;
		receive(fd);
	}
}

static int listen_on_loopback(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t address_size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (void *)&address, address_size) || listen(fd, 4096) ||
	    getsockname(fd, (void *)&address, &address_size))
		err(1, "listening on loopback");
	printf("port bound to %d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static void handle(const struct io_uring_cqe *cqe)
{
	int fd = (int)(unsigned)cqe->user_data;

	switch ((enum event)(cqe->user_data >> 32)) {
	case EVENT_ACCEPT:
		accepted(cqe, fd);
		break;
	case EVENT_RECV:
		received(cqe, fd);
		break;
	case EVENT_SEND:
		was_sent(cqe, fd);
		break;
	}
}

int main(int argc, char **argv)
{
	unsigned wanted = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
	struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE, .cq_entries = CQ_ENTRIES};
	struct rlimit limit = {FDS, FDS};
	struct io_uring_cqe *cqe;
	int error, listener;

	if (wanted == 0)
		errx(2, "usage: echo_server CONNECTIONS");
	setrlimit(RLIMIT_NOFILE, &limit);
	error = io_uring_queue_init_params(ENTRIES, &ring, &params);
	if (error)
		errx(1, "queue_init: %s", strerror(-error));
	buffers_start();
	listener = listen_on_loopback();
	PREPARE(EVENT_ACCEPT, listener, io_uring_prep_multishot_accept, NULL, NULL, 0);
	while (gone < wanted) {
		unsigned head, count = 0;

		error = io_uring_submit_and_wait(&ring, 1);
		if (error < 0 && error != -EINTR)
			errx(1, "enter: %s", strerror(-error));
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			handle(cqe);
			count++;
		}
		io_uring_cq_advance(&ring, count);
		if (starved > 0)
			feed_the_starved();
	}
	io_uring_queue_exit(&ring);
	printf("served %u\n", gone);
	return 0;
}
