/*
 * keeper.c - the thread that loses files
 *
 * It waits for the kernel to ask for a lease (a signal that only this thread gets, read from
 * a signalfd), for files whose last descriptor was closed, and for opens of exclusive
 * files by others (inotify). It is a thread of its own because losing a file
 * waits: for fills under way, and for readers that are in the midst of a page. The
 * writer whose open asked for the lease waits meanwhile, and the kernel takes the lease after
 * /proc/sys/fs/lease-break-time whether we are ready or not.
 *
 * Should a signal be lost after all, the kernel is asked about each lease from time to time.
 *
 * Locks:       own_lock, not while it waits; no ring's
 * Not here:    what giving back is (own_take.c)
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>

#include "base/log.h"
#include "file/owned.h"
#include "host/fd.h"
#include "host/futex.h"
#include "host/kernel.h"
#include "host/sigaction.h"
#include "host/thread.h"
#include "observe/stats.h"

#define LOOK_NS (10 * NS_PER_SEC)

/* So long after an open was told of, the thread of ours that made it has counted it. */
#define JUDGE_NS NS_PER_SEC

/* The fallback of the kernel where a queued signal finds no memory is SIGIO. */
#define SIGNALS (SIGNAL_BIT(OWN_LEASE_SIGNAL) | SIGNAL_BIT(SIGIO))

static struct {
	u32 thread_id;                     /* (a) 0: not there yet; futex */
	int signal_fd, wake_fd, notify_fd; /* (c) once it runs */
} keeper = {.signal_fd = -1, .wake_fd = -1, .notify_fd = -1};

u32 keeper_thread_id(void)
{
	return load_relaxed(&keeper.thread_id);
}

void keeper_kick(void)
{
	u64 one = 1;

	host_call(SYS_write, keeper.wake_fd, &one, sizeof(one));
}

/* Exclusive files: who opens them */

void keeper_watch(struct owned *owned)
{
	char path[32];
	long watch;

	if (keeper.notify_fd < 0 || owned->watch >= 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", owned->direct_fd);
	watch = host_call(SYS_inotify_add_watch, keeper.notify_fd, path, IN_OPEN);
	owned->watch = watch < 0 ? -1 : (s32)watch;
}

void keeper_unwatch(struct owned *owned)
{
	if (owned->watch >= 0)
		host_call(SYS_inotify_rm_watch, keeper.notify_fd, owned->watch);
	owned->watch = -1;
}

static void opened(int watch, u64 now)
{
	for (u32 i = 0; i < load_acquire(&own_files_end); i++) {
		struct owned *owned = &own_files[i];

		/* The taker's fields are read once it is HELD: own_set_state_locked(). */
		if (load_acquire(&owned->state) != OWN_HELD || owned->watch != watch)
			continue;
		owned->opens_seen++;
		if (owned->judge_at_ns == 0)
			store_relaxed(&owned->judge_at_ns, now + JUDGE_NS);
	}
}

static void take_notices(void)
{
	char buffer[4096] __attribute__((aligned(8)));
	const struct inotify_event *event;
	u64 now = clock_ns(CLOCK_MONOTONIC);
	long len;

	while (keeper.notify_fd >= 0 &&
	       (len = host_call(SYS_read, keeper.notify_fd, buffer, sizeof(buffer))) > 0) {
		for (const char *at = buffer; at < buffer + len;
		     at += sizeof(*event) + event->len) {
			event = (const void *)at;
			opened(event->wd, now);
		}
	}
}

static void report(struct owned *owned)
{
	char link[32], path[PATH_MAX];
	long len;

	owned->is_reported = true;
	stats_count_process(COUNTER_CACHE_FOREIGN_OPENS, 1);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", owned->direct_fd);
	len = host_call(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
	log_warn("%.*s is owned exclusively, and another process has opened it",
		 (int)max_of(len, 0L), path);
}

/* own_lock held, HELD. */
static void judge(struct owned *owned, u64 now)
{
	if (owned->judge_at_ns == 0 || now < owned->judge_at_ns)
		return;
	store_relaxed(&owned->judge_at_ns, 0);
	if (owned->opens_seen > load_relaxed(&owned->opens_own) && !owned->is_reported)
		report(owned);
	/* Opens of ours that inotify told of as one would hide others' for ever. */
	owned->opens_seen = 0;
	store_relaxed(&owned->opens_own, 0);
}

/* Losing */

/* own_lock held, as own_guard() left it; released meanwhile. */
static u64 lose_locked(struct owned *owned, u64 mask)
{
	own_unbind_locked(owned);
	own_set_state_locked(owned, OWN_LOSING);
	own_unguard(mask);
	cache_file_lose(owned->held);
	own_give_back(owned);
	mask = own_guard();
	owned->held = 0;
	own_back_off_locked(owned);
	return mask;
}

/* LOSING, own_lock held. Without descriptors nobody needs its files any more. */
static u64 end_locked(struct owned *owned, u64 mask)
{
	if (owned->descriptors == 0) {
		own_unguard(mask);
		own_close_files(owned);
		mask = own_guard();
	}
	own_set_state_locked(owned, OWN_IDLE);
	own_free_locked(owned);
	return mask;
}

static bool has_files(const struct owned *owned)
{
	return load_relaxed(&owned->direct_fd) >= 0;
}

static void visit(struct owned *owned, u64 now)
{
	u64 mask = own_guard();
	u32 needs = exchange_full(&owned->needs, 0);

	if (owned->state == OWN_HELD) {
		bool is_wanted = needs & OWN_NEEDS_LOOK && own_lease_is_wanted(owned);

		judge(owned, now);
		if (is_wanted)
			stats_count_process(COUNTER_CACHE_LEASE_BREAKS, 1);
		if (is_wanted || needs & OWN_NEEDS_LOSS || owned->descriptors == 0) {
			mask = lose_locked(owned, mask);
			mask = end_locked(owned, mask);
		}
	} else if (owned->state == OWN_IDLE && owned->descriptors == 0 && has_files(owned)) {
		own_set_state_locked(owned, OWN_LOSING);
		mask = end_locked(owned, mask);
	} else if (owned->state != OWN_FREE) {
		or_full(&owned->needs, needs); /* of a file that is being taken: for afterwards */
	}
	own_unguard(mask);
}

static bool is_concerned(const struct owned *owned, u64 now)
{
	u32 state = load_acquire(&owned->state);
	u64 judge_at_ns = load_relaxed(&owned->judge_at_ns);

	if (state != OWN_HELD && state != OWN_IDLE)
		return false;
	return load_relaxed(&owned->needs) ||
	       (load_relaxed(&owned->descriptors) == 0 && has_files(owned)) ||
	       (judge_at_ns && now >= judge_at_ns);
}

/* Waiting */

/* The lease of `fd`, or -1: of any file. */
static void look_at_leases(int fd)
{
	bool is_known = false;

	for (u32 i = 0; i < load_acquire(&own_files_end); i++) {
		struct owned *owned = &own_files[i];

		if (load_relaxed(&owned->state) == OWN_FREE ||
		    (fd >= 0 && load_relaxed(&owned->direct_fd) != fd))
			continue;
		or_full(&owned->needs, OWN_NEEDS_LOOK);
		is_known = true;
	}
	if (!is_known && fd >= 0)
		look_at_leases(-1);
}

static void take_signals(void)
{
	struct signalfd_siginfo info;

	while (host_call(SYS_read, keeper.signal_fd, &info, sizeof(info)) == sizeof(info))
		look_at_leases(info.ssi_signo == OWN_LEASE_SIGNAL ? info.ssi_fd : -1);
}

static u64 sleep_ns(u64 now)
{
	u64 until = FUTEX_FOREVER;

	for (u32 i = 0; i < load_acquire(&own_files_end); i++) {
		const struct owned *owned = &own_files[i];

		/* As in opened(). */
		if (load_acquire(&owned->state) != OWN_HELD)
			continue;
		if (owned->judge_at_ns)
			until = min_of(until, max_of(owned->judge_at_ns, now) - now);
		else if (owned->is_leased)
			until = min_of(until, (u64)LOOK_NS);
	}
	return until;
}

static void *keeper_body(void *unused)
{
	struct pollfd polls[] = {
		{.fd = keeper.signal_fd, .events = POLLIN},
		{.fd = keeper.wake_fd, .events = POLLIN},
		{.fd = keeper.notify_fd, .events = POLLIN},
	};
	u64 signals = SIGNALS, counter;

	thread_set_name("ringside/owner");
	sigmask_set(SIG_BLOCK, &signals, NULL);
	store_release(&keeper.thread_id,
		      (u32)host_call(SYS_gettid)); /* pairs with keeper_start() */
	futex_wake(&keeper.thread_id, FUTEX_ALL);
	for (;;) {
		u64 ns = sleep_ns(clock_ns(CLOCK_MONOTONIC)), now;
		struct timespec timeout = {
			.tv_sec = (time_t)(ns / NS_PER_SEC),
			.tv_nsec = (long)(ns % NS_PER_SEC),
		};
		long ready = host_call(SYS_ppoll, polls, ARRAY_SIZE(polls),
				       ns == FUTEX_FOREVER ? NULL : &timeout, NULL, sizeof(u64));

		host_call(SYS_read, keeper.wake_fd, &counter, sizeof(counter));
		take_signals();
		take_notices();
		if (ready == 0)
			look_at_leases(-1);
		now = clock_ns(CLOCK_MONOTONIC);
		for (u32 i = 0; i < load_acquire(&own_files_end); i++)
			if (is_concerned(&own_files[i], now))
				visit(&own_files[i], now);
	}
	return unused;
}

static void close_all(void)
{
	fd_close_private(keeper.signal_fd);
	fd_close_private(keeper.wake_fd);
	fd_close_private(keeper.notify_fd);
	keeper.signal_fd = keeper.wake_fd = keeper.notify_fd = -1;
}

int keeper_start(void)
{
	u64 signals = SIGNALS;
	int err;

	keeper.signal_fd =
		fd_make_private((int)host_call(SYS_signalfd4, -1, &signals, sizeof(signals),
					       SFD_CLOEXEC | SFD_NONBLOCK));
	keeper.wake_fd =
		fd_make_private((int)host_call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
	keeper.notify_fd =
		fd_make_private((int)host_call(SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK));
	/* Without inotify nothing is reported, and all else works. */
	err = min_of(keeper.signal_fd, keeper.wake_fd);
	if (err >= 0)
		err = thread_start(keeper_body, NULL);
	if (err < 0) {
		close_all();
		return err;
	}
	while (load_acquire(&keeper.thread_id) == 0) /* pairs with keeper_body() */
		futex_wait(&keeper.thread_id, 0, FUTEX_FOREVER);
	return 0;
}

void keeper_fork_child(void)
{
	if (keeper.thread_id == 0)
		return;
	close_all();
	keeper.thread_id = 0;
}
