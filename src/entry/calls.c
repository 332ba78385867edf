/*
 * calls.c - syscall(): the numbers that we have something to say about
 *
 * Entry:       entry_call(), by a jump from syscall.S, for a number whose bit is set in
 *              entry_call_bits
 * Invariants:  C1 result and errno are those of libc's syscall()
 *              C2 a number that is in the table has its case below, or is plain reading or writing
 * Locks:       none
 * Not here:    what the calls do: libc.c, poll.c, signal_calls.c, exec.c, route.h
 */
#include "entry/calls.h"

#include <fcntl.h>

#include "entry/entry.h"
#include "entry/route.h"
#include "entry/signals.h"
#include "host/kernel.h"

#define CALL_BITS_END 512 /* syscall.S has it too */

long entry_call(long nr, long a, long b, long c, long d, long e, long f);

/* Filled by the constructor: until then every number goes straight to the kernel. */
u64 entry_call_bits[CALL_BITS_END / 64] __attribute__((visibility("hidden")));

static const short call_numbers[] = {
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_mmap,
	SYS_close,
#ifdef SYS_close_range
	SYS_close_range,
#endif
	SYS_dup,
#ifdef SYS_dup2
	SYS_dup2,
#endif
	SYS_dup3,
	SYS_fcntl,
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_preadv,
	SYS_pwritev,
	SYS_preadv2,
	SYS_pwritev2,
#ifdef SYS_poll
	SYS_poll,
	SYS_select,
	SYS_epoll_wait,
#endif
	SYS_ppoll,
	SYS_pselect6,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
#ifdef SYS_epoll_pwait2
	SYS_epoll_pwait2,
#endif
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigpending,
	SYS_rt_sigsuspend,
	SYS_execve,
	SYS_execveat,
	SYS_exit_group,
#ifdef SYS_open
	SYS_open,
	SYS_creat,
#endif
	SYS_openat,
	SYS_openat2,
	SYS_truncate,
	SYS_ftruncate,
	SYS_fallocate,
	SYS_ioctl,
	SYS_copy_file_range,
	SYS_splice,
	SYS_sendfile,
	SYS_fadvise64,
};

void calls_init(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(call_numbers); i++)
		entry_call_bits[call_numbers[i] / 64] |= 1ull << (call_numbers[i] % 64);
}

/* Where a write goes, as own_write_begin() wants it. */
static u64 write_offset(long nr, long offset)
{
	return nr == SYS_write || nr == SYS_writev ? OWN_AT_POSITION : (u64)offset;
}

static bool is_write(long nr)
{
	return nr == SYS_write || nr == SYS_writev || nr == SYS_pwrite64 || nr == SYS_pwritev ||
	       nr == SYS_pwritev2;
}

/* Reading and writing: a ring descriptor differs, and a write to a file that we own. */
static long call_transfer(long nr, long fd, long b, long c, long d, long e, long f)
{
	if (call_is_ring((int)fd)) {
		if (nr == SYS_preadv2 || nr == SYS_pwritev2)
			return d == -1 ? -EINVAL : -ESPIPE;
		if (nr == SYS_read || nr == SYS_write || nr == SYS_readv || nr == SYS_writev)
			return -EINVAL;
		return -ESPIPE;
	}
	if (is_write(nr) && unlikely(load_relaxed(&own_exclusive_count) > 0)) {
		u64 offset = write_offset(nr, d);
		struct write_watch watch;
		long written;

		write_watch_begin(&watch, (int)fd, offset, nr == SYS_pwritev2 ? (int)f : 0);
		written = host_call(nr, fd, b, c, d, e, f);
		write_watch_end(&watch, (int)fd, offset, written);
		return written;
	}
	return host_call(nr, fd, b, c, d, e, f);
}

static long call_descriptor(long nr, long a, long b, long c, long d, long e, long f)
{
	switch (nr) {
	case SYS_mmap:
		return call_mapped(call_mmap((void *)a, (size_t)b, (int)c, (int)d, (int)e, f),
				   (int)d, (int)e);
	case SYS_close:
		return call_close((int)a);
#ifdef SYS_close_range
	case SYS_close_range:
		return call_close_range((unsigned)a, (unsigned)b, (unsigned)c);
#endif
	case SYS_dup:
		return call_dup((int)a);
#ifdef SYS_dup2
	case SYS_dup2:
		return call_dup2((int)a, (int)b);
#endif
	case SYS_dup3:
		return call_dup3((int)a, (int)b, (int)c);
	case SYS_fcntl:
		return call_fcntl((int)a, (int)b, c);
	case SYS_epoll_ctl:
		return call_epoll_ctl((int)a, (int)b, (int)c, (void *)d);
	default:
		return call_transfer(nr, a, b, c, d, e, f);
	}
}

static long call_dispatch(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;

	switch (nr) {
	case SYS_io_uring_setup:
		process_check_fork();
		return route_setup((u32)a, (struct io_uring_params *)b);
	case SYS_io_uring_enter:
		process_check_fork();
		return route_enter((u32)a, (u32)b, (u32)c, (u32)d, (const void *)e, (size_t)f);
	case SYS_io_uring_register:
		return route_register((u32)a, (u32)b, (void *)c, (u32)d);
	case SYS_execve:
		return call_exec(AT_FDCWD, (const char *)a, (char **)b, (char **)c, -1);
	case SYS_execveat:
		return call_exec((int)a, (const char *)b, (char **)c, (char **)d, (int)e);
	case SYS_exit_group:
		entry_process_exit();
		return host_call(SYS_exit_group, a);
	default:
		break;
	}
	ret = call_wait(nr, a, b, c, d, e, f);
	if (ret == -ENOSYS)
		ret = call_signal(nr, a, b, c, d);
	if (ret == -ENOSYS)
		ret = call_file(nr, a, b, c, d, e, f);
	if (ret == -ENOSYS)
		ret = call_descriptor(nr, a, b, c, d, e, f);
	return ret;
}

long entry_call(long nr, long a, long b, long c, long d, long e, long f)
{
	return libc_result(call_dispatch(nr, a, b, c, d, e, f));
}
