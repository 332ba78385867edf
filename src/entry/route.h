/*
 * route.h - who answers one call: ringside, or the kernel's own io_uring
 *
 * Every way in (liburing.c, libc.c, trap.c) asks here and nowhere else, so that
 * a ring made by one way can be used by any other.
 *
 *	ROUTE_UNDECIDED --(preloaded or attached)--> ROUTE_USER | ROUTE_KERNEL | ROUTE_MIXED
 *
 * ROUTE_USER    every call is ringside's: engine=user, or engine=auto where the kernel refuses
 * ROUTE_KERNEL  every call is the kernel's: engine=auto where it is allowed, or nobody attached us
 * ROUTE_MIXED   new rings are ringside's, and what is not a ring of ours is the kernel's:
 *               rs_attach() in a process that may have made rings before. A registered ring
 *               index is taken for ours.
 *
 * Not here: the decision (init.c).
 */
#ifndef RS_ENTRY_ROUTE_H
#define RS_ENTRY_ROUTE_H

#include "base/atomic.h"
#include "base/types.h"
#include "syscall/descriptor.h"
#include "syscall/syscall.h"

enum route {
	ROUTE_UNDECIDED, /* as ROUTE_KERNEL, for a library that is linked and not attached */
	ROUTE_USER,
	ROUTE_KERNEL,
	ROUTE_MIXED,
};

extern enum route route_mode; /* (a) changed by route_set() only */

void route_set(enum route route);

/* Whether a new ring will be ringside's. */
static inline bool route_setup_is_user(void)
{
	enum route route = load_relaxed(&route_mode);

	return route == ROUTE_USER || route == ROUTE_MIXED;
}

/* Whether a call on fd (a registered ring's index if is_index) is ringside's. */
static inline bool route_is_user(u32 fd, bool is_index)
{
	enum route route = load_relaxed(&route_mode);

	if (likely(route == ROUTE_USER))
		return true;
	return route == ROUTE_MIXED && (is_index || descriptor_may_be_ring((int)fd));
}

/* The three calls, from the program: value or -errno. */
long route_setup(u32 entries, struct io_uring_params *params);
long route_enter(u32 fd, u32 to_submit, u32 min_complete, u32 flags, const void *arg,
		 size_t arg_size);
long route_register(u32 fd, u32 opcode, void *arg, u32 nr_args);

#endif
