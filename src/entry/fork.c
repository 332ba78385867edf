/*
 * fork.c - whose memory this is (after fork(), in a vfork() child, after a bare clone()), and
 * ends of threads
 *
 *	fork()           the handlers here run; the child starts with fresh threads and no rings
 *	vfork(), spawn   the child borrows the memory: nothing of ours changes until it execs or
 *	                 exits
 *	clone(), syscall(SYS_fork) ...
 *	                 no handler runs; a page that the kernel wipes in the child gives it away
 *
 * Entry:       fork_init() from init.c; process_is_borrowed() by everything that would change
 *              state
 * Invariants:  K1 process_id is the process whose state the memory holds
 * Locks:       descriptor_fork_prepare() takes them all, the other two let go
 * Not here:    what becomes of the rings (descriptor.h)
 */
#include <pthread.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/pages.h"
#include "entry/entry.h"
#include "host/kernel.h"
#include "syscall/descriptor.h"

#define MARK_SIZE 4096

static u32 process_id; /* (a) changed in a fresh child only */

/* 1, and 0 in a child that got a copy of our memory. NULL where the kernel cannot do that. */
static u32 *fork_mark;

static void fork_prepare(void)
{
	descriptor_fork_prepare();
}

static void fork_parent(void)
{
	descriptor_fork_parent();
}

static void fork_child(void)
{
	store_relaxed(&process_id, (u32)host_call(SYS_getpid));
	if (fork_mark)
		*fork_mark = 1;
	descriptor_fork_child();
}

void process_check_fork(void)
{
	if (fork_mark && unlikely(!load_relaxed(fork_mark)))
		fork_child();
}

bool process_is_borrowed(void)
{
	process_check_fork();
	return process_id && (u32)host_call(SYS_getpid) != load_relaxed(&process_id);
}

static pthread_key_t thread_key;

static void thread_ended(void *value)
{
	(void)value;
	descriptor_thread_exit();
}

/*
 * An early key has room in the thread itself: nothing is allocated, so this may come from a trap.
 */
static void thread_noted(void)
{
	pthread_setspecific(thread_key, &thread_key);
}

int fork_init(void)
{
	if (process_id)
		return 0;
	if (!pthread_key_create(&thread_key, thread_ended))
		descriptor_thread_noted = thread_noted;
	process_id = (u32)host_call(SYS_getpid);
	fork_mark = pages_alloc(MARK_SIZE);
	if (fork_mark && host_call(SYS_madvise, fork_mark, MARK_SIZE, MADV_WIPEONFORK)) {
		pages_free(fork_mark, MARK_SIZE);
		fork_mark = NULL;
	}
	if (fork_mark)
		*fork_mark = 1;
	return -pthread_atfork(fork_prepare, fork_parent, fork_child);
}
