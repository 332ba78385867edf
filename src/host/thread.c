/*
 * thread.c - ringside's own threads
 *
 * Made by pthread_create(), not by clone(): thread-local storage, the C
 * library's setuid() and the debugger then work in them as in any other.
 *
 * Not here: what the threads do, and when they end (file/pagein.c, request/punt.c).
 */
#include "host/thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "host/kernel.h"
#include "host/sigaction.h"

/* Enough for our deepest call with a signal frame of the widest vector registers. The program's
 * thread-local variables come out of the same mapping: where there are many, the larger. */
#define STACK_SMALL (128u << 10)
#define STACK_LARGE (1u << 20)

#define FIRST_LIBC_SIGNAL 32

static u64 blocked_in_our_threads(void)
{
	u64 open = SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGILL) |
		   SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGSYS);

	for (int signal = FIRST_LIBC_SIGNAL; signal < SIGRTMIN; signal++)
		open |= SIGNAL_BIT(signal);
	return ~open;
}

static int create_detached(size_t stack_size, void *(*body)(void *), void *argument)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err = pthread_attr_init(&attr);

	if (err)
		return err;
	err = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!err)
		err = pthread_attr_setstacksize(&attr, stack_size);
	if (!err)
		err = pthread_create(&thread, &attr, body, argument);
	pthread_attr_destroy(&attr);
	return err;
}

int thread_start(void *(*body)(void *), void *argument)
{
	u64 mask = blocked_in_our_threads(), old;
	int err;

	/* The mask is inherited: the new thread never runs with signals open. */
	sigmask_set(SIG_SETMASK, &mask, &old);
	err = create_detached(STACK_SMALL, body, argument);
	if (err == EINVAL)
		err = create_detached(STACK_LARGE, body, argument);
	sigmask_set(SIG_SETMASK, &old, NULL);
	if (err)
		return err == ENOMEM ? -ENOMEM : -EAGAIN;
	return 0;
}

void thread_set_name(const char *name)
{
	host_call(SYS_prctl, PR_SET_NAME, name);
}
