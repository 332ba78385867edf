/*
 * interrupt.h - one thread of ours makes another's blocking system call return
 *
 * A signal ends a blocking call, if it comes during the call. If it comes a
 * moment earlier it is lost, and a moment later it hits the next call. Here
 * neither happens:
 *
 *  - not lost: interrupt_call() looks at is_requested and enters the kernel in
 *    a few instructions whose addresses the handler knows. A thread found
 *    between the look and the kernel is sent to the exit with -EINTR.
 *  - not late: after its work, when no request can be sent any more, the thread
 *    calls interrupt_settle(), which returns when the signal that was sent has
 *    been handled.
 *
 * The C library's own signals may nest with ours; see interrupt_signalled().
 *
 * The signal is directed at one thread, and is taken by our handler only if it
 * carries that thread's own struct interrupt.
 *
 * For interrupt_open() and interrupt_send() of one struct the same lock of the caller's is held (a
 * punt pool's, the futex waiters').
 */
#ifndef RS_HOST_INTERRUPT_H
#define RS_HOST_INTERRUPT_H

#include "base/types.h"

/* Owned by the thread that may be interrupted, from its start to its end. */
struct interrupt {
	u32 is_requested; /* (a) calls return -EINTR from now on */
	u32 is_taken;     /* (a) the signal that was sent has been handled */
	u32 is_closed;    /* (a) the handler blocked the signal in this thread, see interrupt.c */
	u32 thread;       /* (a) 0 until it has started */
	int signal;       /* (lock) the one that is not blocked in this thread; 0: none */
	bool was_sent;    /* (lock) */
};

/* The thread itself, before each work: no request is pending from here on. */
void interrupt_open(struct interrupt *self);

/* Another thread, while the work runs. False: no signal could be sent; a call that has begun is not
 * ended, later ones return -EINTR. */
bool interrupt_send(struct interrupt *target);

/* The thread itself, after each work, when no interrupt_send() can follow. */
void interrupt_settle(struct interrupt *self);

/* The thread itself, before it ends. */
void interrupt_close(struct interrupt *self);

/* The thread itself: one system call; -EINTR without entering the kernel after a request. */
long interrupt_call(const struct interrupt *self, long nr, const long args[6]);

#endif
