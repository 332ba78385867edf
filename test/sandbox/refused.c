/*
 * refused.c - ask the kernel for a ring and say what it answers
 *
 * usage: refused [allow]
 *
 * Prints the errno name of a real io_uring_setup, or "allowed", and makes the
 * exit status 0 if the ring was refused. With "allow" it is the other way
 * round, to tell whether there is a kernel's io_uring here to compare with.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct io_uring_params params = {0};
	bool want_allowed = argc > 1 && !strcmp(argv[1], "allow");
	long fd = syscall(SYS_io_uring_setup, 1, &params);

	puts(fd < 0 ? strerrorname_np(errno) : "allowed");
	return (fd >= 0) == want_allowed ? 0 : 1;
}
