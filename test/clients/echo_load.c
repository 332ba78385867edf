/*
 * echo_load.c - many connections to an echo server, with every byte checked
 *
 * usage: echo_load tcp|udp PORT CONNECTIONS BYTES
 *
 * Without io_uring, so that it can judge who has it. Each connection sends BYTES
 * of its own, of no regular pattern, in pieces of all sizes, and must get the
 * same back in the same order and nothing behind it. All connections are open
 * before the first byte is sent. A datagram is sent when the one before is back.
 *
 * Exit status: 0 every byte came back; 1 one did not, and it says which.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PIECE_MAX = 6000,
	DATAGRAM_MAX = 1200,
	AHEAD_MAX = 12000, /* bytes sent and not yet back */
	PATIENCE_MS = 30000,
};

struct connection {
	int fd;
	uint64_t sent, back;
	bool is_shut, is_done;
};

static struct connection *connections;
static uint64_t bytes;
static bool is_udp;
static int events_fd;

/* The byte at `offset` of a connection's stream. */
static unsigned char byte_of(unsigned id, uint64_t offset)
{
	uint64_t x = (offset + 1) * 0x9e3779b97f4a7c15ull ^ (id + 1) * 0xd1342543de82ef95ull;

	return (unsigned char)(x >> 57 ^ x >> 29);
}

static size_t piece_size(unsigned id, uint64_t offset)
{
	size_t size =
		1 + (byte_of(id, offset ^ 0x5555) * 37u) % (is_udp ? DATAGRAM_MAX : PIECE_MAX);

	return size < bytes - offset ? size : (size_t)(bytes - offset);
}

static void watch(unsigned id, uint32_t events, int how)
{
	struct epoll_event event = {.events = events, .data.u32 = id};

	if (epoll_ctl(events_fd, how, connections[id].fd, &event))
		err(1, "epoll_ctl");
}

static void send_some(unsigned id)
{
	struct connection *connection = &connections[id];
	uint64_t ahead = is_udp ? 1 : AHEAD_MAX;
	unsigned char piece[PIECE_MAX];

	while (connection->sent < bytes && connection->sent - connection->back < ahead) {
		size_t size = piece_size(id, connection->sent);
		ssize_t done;

		for (size_t i = 0; i < size; i++)
			piece[i] = byte_of(id, connection->sent + i);
		done = send(connection->fd, piece, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done < 0 && errno == EAGAIN)
			return;
		if (done < 0)
			err(1, "connection %u: send", id);
		connection->sent += (size_t)done;
	}
	if (connection->sent == bytes && !connection->is_shut && !is_udp) {
		shutdown(connection->fd, SHUT_WR);
		connection->is_shut = true;
	}
}

/* Whether the connection is over. */
static bool take_some(unsigned id)
{
	struct connection *connection = &connections[id];
	unsigned char piece[PIECE_MAX];

	for (;;) {
		ssize_t got = recv(connection->fd, piece, sizeof(piece), MSG_DONTWAIT);

		if (got < 0 && errno == EAGAIN)
			return false;
		if (got < 0)
			err(1, "connection %u: recv", id);
		if (got == 0 && connection->back != bytes)
			errx(1, "connection %u: ended after %llu bytes", id,
			     (unsigned long long)connection->back);
		for (ssize_t i = 0; i < got; i++, connection->back++)
			if (connection->back >= connection->sent ||
			    piece[i] != byte_of(id, connection->back))
				errx(1, "connection %u: byte %llu is wrong", id,
				     (unsigned long long)connection->back);
		if (is_udp ? connection->back == bytes : got == 0)
			return true;
	}
}

static void open_all(unsigned count, uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	for (unsigned id = 0; id < count; id++) {
		int fd = socket(AF_INET, is_udp ? SOCK_DGRAM : SOCK_STREAM, 0);

		if (fd < 0 || connect(fd, (void *)&address, sizeof(address)))
			err(1, "connection %u", id);
		connections[id] = (struct connection){.fd = fd};
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit = {16384, 16384};
	struct epoll_event event[64];
	unsigned count, left;

	if (argc != 5)
		errx(2, "usage: echo_load tcp|udp PORT CONNECTIONS BYTES");
	is_udp = strcmp(argv[1], "udp") == 0;
	count = left = (unsigned)atoi(argv[3]);
	bytes = (uint64_t)atoll(argv[4]);
	connections = calloc(count, sizeof(*connections));
	setrlimit(RLIMIT_NOFILE, &limit);
	events_fd = epoll_create1(0);
	open_all(count, (uint16_t)atoi(argv[2]));
	for (unsigned id = 0; id < count; id++)
		watch(id, EPOLLIN | EPOLLOUT | EPOLLET, EPOLL_CTL_ADD);
	while (left > 0) {
		int got = epoll_wait(events_fd, event, 64, PATIENCE_MS);

		if (got <= 0)
			errx(1, "nothing came for %d s, and %u connections wait",
			     PATIENCE_MS / 1000, left);
		for (int i = 0; i < got; i++) {
			unsigned id = event[i].data.u32;

			if (connections[id].is_done)
				continue;
			if (take_some(id)) {
				connections[id].is_done = true;
				close(connections[id].fd);
				left--;
			} else {
				send_some(id);
			}
		}
	}
	printf("%u connections, %llu bytes each\n", count, (unsigned long long)bytes);
	return 0;
}
