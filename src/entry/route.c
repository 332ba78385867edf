/*
 * route.c - sends one call to ringside or to the kernel
 *
 * Entry:  route_setup(), route_enter(), route_register()
 */
#include "entry/route.h"

#include <sys/syscall.h>

#include "host/gate.h"

enum route route_mode;

void route_set(enum route route)
{
	store_release(&route_mode, route);
}

long route_setup(u32 entries, struct io_uring_params *params)
{
	if (route_setup_is_user())
		return syscall_setup(entries, params);
	return gate_call(SYS_io_uring_setup, entries, (long)params, 0, 0, 0, 0);
}

long route_enter(u32 fd, u32 to_submit, u32 min_complete, u32 flags, const void *arg,
		 size_t arg_size)
{
	if (route_is_user(fd, flags & IORING_ENTER_REGISTERED_RING))
		return syscall_enter(fd, to_submit, min_complete, flags, arg, arg_size);
	return gate_call(SYS_io_uring_enter, fd, to_submit, min_complete, flags, (long)arg,
			 (long)arg_size);
}

long route_register(u32 fd, u32 opcode, void *arg, u32 nr_args)
{
	bool is_index = opcode & IORING_REGISTER_USE_REGISTERED_RING;

	/* Some registrations belong to no ring: fd is -1. */
	if (fd == (u32)-1 ? route_setup_is_user() : route_is_user(fd, is_index))
		return syscall_register(fd, opcode, arg, nr_args);
	return gate_call(SYS_io_uring_register, fd, opcode, (long)arg, nr_args, 0, 0);
}
