/*
 * static_ring.c - a statically linked program that calls io_uring: nobody can cover it
 */
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL) < 0 ? 1 : 0;
}
