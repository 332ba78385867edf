/*
 * world.h - the objects a program acts on: files, pipes, sockets, memory
 *
 * Entry:       memory_open() once a process; world_open() .. world_close() per program
 * Invariants:  W1 descriptors of objects are high numbers, so that a number freed by
 *                 CLOSE is not given out again by OPENAT or ACCEPT in the same program
 *              W2 only objects that the program names are made
 *              W3 every byte starts as a function of the name and nothing else
 * Not here:    resolving references into SQEs (execute.c)
 */
#ifndef ORACLE_WORLD_H
#define ORACLE_WORLD_H

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "program.h"

/* The part of an op's memory that is not its data buffer. */
struct arena_side {
	char path[320];
	char name[320]; /* of an attribute */
	struct {
		uint64_t value, addr;
		uint32_t flags, reserved;
	} waitv[OP_IOVECS];
	struct __kernel_timespec ts;
	struct {
		uint64_t flags, mode, resolve;
	} how;
	struct {
		void *base;
		size_t len;
	} iov[OP_IOVECS];
	struct msghdr msg;
	struct sockaddr_storage addr;
	socklen_t addrlen;
	uint8_t event[16]; /* struct epoll_event, packed on x86-64 */
	struct statx statx;
};

/* Owner: the process, from memory_open() to its end; reused by each program. */
struct memory {
	uint8_t *arenas; /* PROGRAM_OPS times data, guard page */
	uint8_t *guard;
	uint8_t *map; /* for MADVISE */
	uint8_t *fixed[PROGRAM_BUFFERS];
	struct arena_side *sides;
};

/* Owner: the program under execution. */
struct world {
	const struct program *program;
	char dir[256];
	int dir_fd;
	int fd[OBJ_COUNT];
	struct sockaddr_storage addr[2]; /* of the TCP and the Unix listener */
	socklen_t addrlen[2];
};

int memory_open(struct memory *memory);
uint8_t *memory_data(const struct memory *memory, int op);

int world_open(struct world *world, const struct program *program, const char *scratch);
/* What is left: bytes nobody read, while the ring is still there (what it holds open the kernel
 * closes some time after it); then files with their contents. */
void world_print_streams(struct world *world, FILE *out);
void world_print_files(struct world *world, FILE *out);
void world_close(struct world *world);

uint64_t hash_bytes(const void *data, size_t size);

#endif
