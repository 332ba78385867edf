/*
 * descriptor.c - the program's descriptors, as far as they are ours to care for
 *
 * A ring has names: descriptors (fd_slots[n].ring) and slots of a thread's
 * registered rings. When the last name goes, the ring ends; if threads are in calls on it, the last
 * of them ends it when it leaves.
 *
 * Closing a descriptor on which requests wait is a protocol of four steps, all before the
 * kernel closes it (descriptor_closing()):
 *   1. the held file moves to a private duplicate (file_detach()): whoever asks from now on gets
 *      the new number;
 *   2. each ring's polls on the old number are registered anew, under that ring's lock: a driver
 *      that read the old number has let go of its lock by then;
 *   3. the page-in waiter finishes the call it may be in;
 *   4. punted calls have a duplicate of their own from the start; those that are parked for the
 *      next one are closed once the kernel has closed the number (file_closed()).
 *
 * A signal handler may close, copy or poll descriptors while its own thread is inside a ring.
 * That ring's lock is taken then, and nothing of it waits for the handler: its names are counted
 * at once, its end is left to the enter that was interrupted (descriptor_end_if_unnamed()), and a
 * poll on the old number stays as it is, since the duplicate keeps the file, and so the
 * registration, alive.
 *
 * A ring closed behind our back (liburing's own close() is inline assembly) is found by its
 * inode: at the next setup, by the reactor, or when its number comes back to us as another file's.
 *
 * Locks: ring locks, one at a time; see request/ring.h
 */
#include "syscall/descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "file/own.h"
#include "file/pagein.h"
#include "host/kernel.h"
#include "request/buffers.h"
#include "request/futex.h"
#include "request/hooks.h"
#include "request/poll.h"
#include "request/reactor.h"
#include "request/rings.h"
#include "request/wait.h"
#include "syscall/internal.h"

struct descriptor_hooks hooks;
void (*descriptor_thread_noted)(void);

/* (a) of the process that the rings belong to; 0 before the first ring */
static u32 process_id;
static struct lock init_lock;
/* (a) rings that ever handed out a poll_fd: none, and refreshing is one load */
static u32 polled_rings;

static __thread struct ring *registered[REGISTERED_RINGS]
	__attribute__((tls_model("initial-exec")));

struct ring *descriptor_ring(int fd)
{
	const struct fd_slot *slot = fd_slot(fd);

	return slot ? load_acquire(&slot->ring) : NULL; /* pairs with descriptor_name() */
}

bool descriptor_may_be_ring(int fd)
{
	return descriptor_ring(fd) != NULL;
}

bool descriptor_is_known(int fd)
{
	const struct fd_slot *slot = fd_slot(fd);

	return slot && (load_relaxed(&slot->ring) || load_relaxed(&slot->file) ||
			load_relaxed(&slot->kind) != FILE_UNKNOWN || load_relaxed(&slot->owned) ||
			load_relaxed(&slot->parked));
}

/* A vfork() child shares our memory but not our descriptors: what it closes is its own. */
static bool is_other_process(void)
{
	u32 owner = load_acquire(&process_id); /* pairs with descriptor_init() */

	return owner == 0 || (u32)host_call(SYS_getpid) != owner;
}

void descriptor_name(struct ring *ring, int fd)
{
	struct fd_slot *slot = fd_slot(fd);

	ring->names++;
	if (slot != NULL)
		store_release(&slot->ring, ring); /* pairs with descriptor_ring() */
}

void descriptor_unname(struct ring *ring, int fd)
{
	struct fd_slot *slot = fd_slot(fd);

	if (slot != NULL && load_relaxed(&slot->ring) == ring)
		store_relaxed(&slot->ring, NULL);
	if (ring->fd == fd)
		ring->fd = -1;
}

void descriptor_end_if_unnamed(struct ring *ring)
{
	/* Whoever is in a call goes on with it: in the kernel that call holds the file. */
	bool has_callers = ring->sleepers + ring->sq_waiters + load_relaxed(&ring->callers) > 0;

	if (ring->names == 0 && ring->life == RING_ALIVE && !has_callers)
		ring_end(ring);
}

s64 descriptor_map_offset(int fd, u64 offset, size_t size)
{
	struct ring *ring = descriptor_ring(fd);
	bool is_inside;
	size_t mapped;

	if (ring == NULL || !ring_memory_is_buffers(offset))
		return (s64)ring_memory_offset(offset);
	is_inside = ring_is_mine(ring); /* a signal handler may map as well */
	if (!is_inside)
		ring_lock(ring);
	mapped = buffers_ring_mapped(ring, ring_memory_group(offset));
	if (!is_inside)
		ring_unlock(ring);
	if (mapped == 0)
		return -ENOMEM; /* as the kernel, which then finds no place for it */
	if (size > ((mapped + 4095) & ~4095ull))
		return -EINVAL;
	return (s64)ring_memory_offset(offset);
}

/* Driver. One name less; the last one ends the ring. */
static void name_put(struct ring *ring)
{
	rs_assert(ring->names > 0);
	ring->names--;
	descriptor_end_if_unnamed(ring);
}

/* No lock held, but perhaps this ring's by the code that the calling signal handler interrupted. */
static void name_closed(struct ring *ring, int fd)
{
	bool is_inside = ring_is_mine(ring);

	if (!is_inside)
		ring_lock(ring);
	if (ring->fd == fd)
		ring->fd = -1;
	if (is_inside)
		ring->names--;
	else
		name_put(ring);
	if (!is_inside)
		ring_unlock(ring);
}

/* Whether number fd is still open, and still this ring. */
static bool is_still_ring(int fd, const struct ring *ring)
{
	struct stat status;

	return host_call(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH) == 0 &&
	       status.st_ino == ring->inode;
}

bool descriptor_is_ring(int fd)
{
	struct ring *ring = descriptor_ring(fd);

	if (likely(ring == NULL))
		return false;
	if (is_other_process() || is_still_ring(fd, ring))
		return true;
	if (ring_is_mine(ring))
		return false;
	ring_lock(ring);
	if (descriptor_ring(fd) == ring && ring->life == RING_ALIVE) {
		descriptor_unname(ring, fd);
		name_put(ring);
	}
	ring_unlock(ring);
	return false;
}

int descriptor_register_ring(struct ring *ring, u32 start, u32 end)
{
	for (u32 i = start; i < end; i++) {
		if (registered[i] != NULL)
			continue;
		registered[i] = ring;
		ring->names++;
		if (descriptor_thread_noted)
			descriptor_thread_noted();
		return (int)i;
	}
	return -EBUSY;
}

void descriptor_unregister_ring(u32 index)
{
	struct ring *ring = registered[index];

	if (ring == NULL)
		return;
	registered[index] = NULL;
	ring_lock(ring);
	if (ring->life != RING_FREE)
		name_put(ring);
	ring_unlock(ring);
}

void descriptor_forget_ring(const struct ring *ring)
{
	for (u32 i = 0; i < REGISTERED_RINGS; i++)
		if (registered[i] == ring)
			registered[i] = NULL;
}

static int lock_alive(struct ring *ring)
{
	if (unlikely(ring_is_mine(ring)))
		return -EBUSY;
	if (likely(biased_lock_is_biased_here(&ring->lock))) {
		ring_lock(ring);
	} else {
		add_full(&ring->callers, 1);
		ring_lock(ring);
		sub_full(&ring->callers, 1);
	}
	if (likely(ring->life == RING_ALIVE))
		return 0;
	ring_unlock(ring);
	if (ring->life != RING_INHERITED)
		return -EBADF;
	log_verbose("a ring made before fork() belongs to the parent: refused");
	return -EOWNERDEAD;
}

int descriptor_lock_ring(u32 fd, bool is_registered, struct ring **ring)
{
	if (is_registered) {
		if (fd >= REGISTERED_RINGS)
			return -EINVAL;
		*ring = registered[fd];
		return *ring ? lock_alive(*ring) : -EBADF;
	}
	*ring = descriptor_ring((int)fd);
	if (likely(*ring != NULL))
		return lock_alive(*ring);
	return host_call(SYS_fcntl, fd, F_GETFD) < 0 ? -EBADF : -EOPNOTSUPP;
}

/* Files that moved: polls follow in every ring, then nobody uses the old number. */
static void file_moved(int fd, struct file *file, const struct ring *locked)
{
	struct ring *ring;

	for (u32 i = 0; (ring = rings_get(i)) != NULL; i++) {
		if (ring == locked || load_relaxed(&ring->life) != RING_ALIVE || ring_is_mine(ring))
			continue;
		ring_lock(ring);
		if (ring->life == RING_ALIVE)
			poll_file_moved(ring, fd, file);
		if (ring->ready_head != NULL)
			wait_wake(ring); /* what could not move has failed */
		ring_unlock(ring);
	}
	pagein_quiesce();
}

void descriptor_closing(int fd)
{
	struct fd_slot *slot = fd_slot(fd);
	struct ring *ring;
	struct file *file;

	if (!descriptor_is_known(fd))
		return;
	if (load_acquire(&process_id) == 0) /* pairs with descriptor_init() */
		file_forget(fd);            /* there is no ring yet, but a file may be owned */
	if (is_other_process())
		return;
	ring = exchange_full(&slot->ring, NULL);
	if (ring != NULL)
		name_closed(ring, fd);
	file = file_detach(fd);
	if (file != NULL) {
		file_moved(fd, file, NULL);
		file_put(file);
	}
}

/* The same, from a CLOSE request: its own ring's lock is held, so it is let go while the others
 * are told. */
static void closing_in_driver(struct ring *ring, int fd)
{
	struct file *file = file_detach(fd);

	if (file == NULL)
		return;
	poll_file_moved(ring, fd, file);
	ring->releases++;
	ring_unlock(ring);
	file_moved(fd, file, ring);
	ring_lock(ring);
	file_put(file);
}

void descriptor_duplicated(int from, int to)
{
	struct ring *ring = descriptor_ring(from);

	file_forget(to);
	if (ring == NULL || is_other_process())
		return;
	if (ring_is_mine(ring)) {
		descriptor_name(ring, to);
		return;
	}
	ring_lock(ring);
	if (ring->life == RING_ALIVE)
		descriptor_name(ring, to);
	ring_unlock(ring);
}

void descriptor_changed(int fd)
{
	file_forget(fd);
}

int descriptor_poll_fd(int fd)
{
	struct ring *ring = descriptor_ring(fd);
	bool is_first;
	int poll_fd;

	if (ring == NULL)
		return -EBADF;
	is_first = load_relaxed(&ring->poll_fd) < 0;
	poll_fd = ring_poll_fd(ring);
	if (poll_fd >= 0 && is_first) {
		store_relaxed(&polled_rings, 1);
		if (!ring_is_mine(ring)) {
			/* From now on somebody asks: what is in flight is attended. */
			ring_lock(ring);
			ring->poll_fd_is_set = true;
			if (ring->life == RING_ALIVE)
				reactor_attend(ring);
			ring_unlock(ring);
		}
	}
	return poll_fd;
}

/* Two ring locks are never held together: the driver's own is let go while another ring is
 * looked at. */
static bool is_ring_in_driver(struct ring *ring, int fd)
{
	bool is_ring;

	if (likely(!descriptor_may_be_ring(fd)))
		return false;
	ring->releases++;
	ring_unlock(ring);
	is_ring = descriptor_is_ring(fd);
	ring_lock(ring);
	return is_ring;
}

static int pollable_in_driver(struct ring *ring, int fd)
{
	int poll_fd = fd;

	if (likely(!descriptor_may_be_ring(fd)))
		return fd;
	ring->releases++;
	ring_unlock(ring);
	if (descriptor_is_ring(fd))
		poll_fd = descriptor_poll_fd(fd);
	ring_lock(ring);
	return poll_fd;
}

static void poll_refresh(struct ring *ring)
{
	u64 counter;

	if (load_relaxed(&ring->poll_fd) < 0 || ring_is_mine(ring))
		return; /* the latter: a signal handler that polls, in the midst of an enter */
	ring_lock(ring);
	if (ring->life == RING_ALIVE && ring->poll_fd_is_set && !ring->deferred_is_ready &&
	    cq_ready(&ring->cq, &ring->memory) == 0) {
		host_call(SYS_read, ring->poll_fd, &counter, sizeof(counter));
		ring->poll_fd_is_set = false;
	}
	ring_unlock(ring);
}

void descriptor_poll_refresh(void)
{
	struct ring *ring;

	if (likely(!load_relaxed(&polled_rings)) || is_other_process())
		return;
	for (u32 i = 0; (ring = rings_get(i)) != NULL; i++)
		if (load_relaxed(&ring->life) == RING_ALIVE)
			poll_refresh(ring);
}

/* Whether the ring's number still is the ring. */
static bool is_still_open(const struct ring *ring)
{
	/* Without one it is named otherwise: by a duplicate, or registered. */
	return ring->fd < 0 || is_still_ring(ring->fd, ring);
}

/* True if the ring was closed behind our back, and is gone now. */
static bool sweep(struct ring *ring)
{
	bool is_gone = false;

	if (!ring_lock_try(ring))
		return false; /* in use, so it will be seen another time */
	if (ring->life == RING_ALIVE && !is_still_open(ring)) {
		int fd = ring->fd;

		descriptor_unname(ring, fd);
		name_put(ring);
		is_gone = ring->life != RING_ALIVE;
	}
	ring_unlock(ring);
	return is_gone;
}

void descriptor_sweep(void)
{
	struct ring *ring;

	for (u32 i = 0; (ring = rings_get(i)) != NULL; i++)
		if (load_relaxed(&ring->life) == RING_ALIVE && !ring_is_mine(ring))
			sweep(ring);
}

void descriptor_init(void)
{
	if (load_acquire(&process_id))
		return;
	lock_acquire(&init_lock); /* two threads may make the first ring */
	if (load_relaxed(&process_id) == 0) {
		hooks = (struct descriptor_hooks){
			.is_ring = is_ring_in_driver,
			.closing_in_driver = closing_in_driver,
			.files_update = register_files_by_request,
			.pollable = pollable_in_driver,
		};
		reactor_set_sweep(sweep);
		store_release(&process_id, (u32)host_call(SYS_getpid));
	}
	lock_release(&init_lock);
}

void descriptor_fork_prepare(void)
{
	rings_fork_prepare();
	file_fork_prepare();
}

void descriptor_fork_parent(void)
{
	file_fork_parent();
	rings_fork_parent();
}

void descriptor_fork_child(void)
{
	lock_thread_id = 0; /* the child's thread has a number of its own */
	rings_fork_child();
	file_fork_child();
	pagein_fork_child();
	punt_fork_child();
	futex_fork_child();
	reactor_fork_child();
	own_fork_child();
	fd_fork_child(); /* with the leased files among them: a lease ends when all have closed */
	stats_after_fork();
	init_lock = LOCK_INIT;
	/* Still 0 where the parent had no ring: descriptor_init() is then to run here. */
	if (load_relaxed(&process_id))
		store_relaxed(&process_id, (u32)host_call(SYS_getpid));
}

void descriptor_thread_exit(void)
{
	for (u32 i = 0; i < REGISTERED_RINGS; i++)
		if (registered[i] != NULL)
			descriptor_unregister_ring(i);
}
