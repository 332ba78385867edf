/*
 * libc.c - libc's functions that end, copy, map, read or write a descriptor
 *
 * The kernel refers to files; we only have the program's numbers. So whatever
 * ends or copies a number passes here first, and a ring descriptor (a memfd, in
 * truth) is made to answer as the kernel's would. For every other descriptor a
 * function costs one or two loads and calls on.
 *
 * ringside's own descriptors do not exist for the program: close() and its
 * kind say EBADF, close_range() leaves them out. dup2() onto one says EBADF as
 * well, which is what it says of numbers beyond RLIMIT_NOFILE: a private
 * descriptor cannot move, since a thread of ours may be waiting in it, and the
 * numbers are high and were free, so a program that picks one by itself is rare.
 *
 * Entry:       the interposed functions; the call_*() half for syscall() (calls.c)
 * Invariants:  L1 descriptor.h hears of the end of a number before the kernel does
 *              L2 errno changes exactly as libc's function would change it
 * Locks:       none
 * Not here:    poll, select and epoll (poll.c), signals (signal_calls.c), exec (exec.c); libc's
 *              own inner calls (fclose() and popen() close by themselves, so fclose() is here)
 */

/* Else the headers rename pread() to pread64() and so on, and both are defined here. */
#undef _FILE_OFFSET_BITS

#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "entry/calls.h"
#include "entry/entry.h"
#include "entry/next.h"
#include "file/own.h"
#include "host/fd.h"
#include "host/gate.h"
#include "host/kernel.h"
#include "syscall/descriptor.h"

static long closing(int fd)
{
	if (call_is_hidden(fd))
		return -EBADF;
	if (call_is_known(fd) && !process_is_borrowed())
		descriptor_closing(fd);
	return 0;
}

long call_closing(int fd)
{
	own_close_begin(fd);
	return closing(fd);
}

void call_closed(int fd)
{
	own_close_end(fd);
	file_closed();
}

long call_close(int fd)
{
	long err = call_closing(fd);

	if (!err)
		err = host_call(SYS_close, fd);
	call_closed(fd);
	return err;
}

/* Without close_range() in the kernel: one by one, as far as numbers can go. */
static long close_each(unsigned first, unsigned last)
{
	struct rlimit limit = {.rlim_cur = FD_SLOTS};

	host_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	last = (unsigned)min_of((u64)last, (u64)limit.rlim_cur);
	for (unsigned fd = first; fd <= last; fd++)
		call_close((int)fd);
	return 0;
}

/* Closes [first, last] but for our own descriptors; the kernel sees the pieces between them. */
static long close_pieces(unsigned first, unsigned last, unsigned flags)
{
	long ret = 0;

	while (first <= last) {
		int hidden = first < FD_SLOTS ? fd_private_next((int)first) : -1;
		bool is_last = hidden < 0 || (unsigned)hidden > last;
		unsigned end = is_last ? last : (unsigned)hidden - 1;

		if (is_last || (unsigned)hidden > first)
			ret = host_call(SYS_close_range, first, end, flags);
		if (ret || is_last)
			return ret;
		/* The table is this thread's own from the first piece on. */
		flags &= ~CLOSE_RANGE_UNSHARE;
		first = (unsigned)hidden + 1;
	}
	return 0;
}

/* What getdents64() writes. */
struct folder_entry {
	u64 inode;
	s64 offset;
	u16 size;
	u8 type;
	char name[];
};

/* The number that a name in /proc/self/fd stands for; -1 for "." and "..". */
static int number_of(const char *name)
{
	int number = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		number = number * 10 + (*name - '0');
	return *name ? -1 : number;
}

/*
 * descriptor_closing() for what is open in [first, last]. Numbers go to a million, open files do
 * not.
 */
static void closing_range(unsigned first, unsigned last)
{
	const struct folder_entry *entry;
	char buffer[2048] __attribute__((aligned(8)));
	long folder = host_call(SYS_openat, AT_FDCWD, "/proc/self/fd",
				O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long len;

	/* Without /proc, the numbers that may be open one by one. */
	for (unsigned fd = first; folder < 0 && fd <= min_of(last, FD_SLOTS - 1u); fd++)
		closing((int)fd);
	while (folder >= 0 &&
	       (len = host_call(SYS_getdents64, folder, buffer, sizeof(buffer))) > 0) {
		for (char *at = buffer; at < buffer + len; at += entry->size) {
			int fd;

			entry = (void *)at;
			fd = number_of(entry->name);
			if (fd >= 0 && (unsigned)fd >= first && (unsigned)fd <= last &&
			    fd != folder)
				closing(fd);
		}
	}
	if (folder >= 0)
		host_call(SYS_close, folder);
}

long call_close_range(unsigned first, unsigned last, unsigned flags)
{
	long err;

	if (first > last || flags & ~CLOSE_RANGE_UNSHARE || !entry_is_active)
		return host_call(SYS_close_range, first, last, flags);
	own_close_all_begin();
	if (!process_is_borrowed())
		closing_range(first, last);
	err = close_pieces(first, last, flags);
	own_close_all_end();
	file_closed();
	return err;
}

static long duplicated(int from, long to)
{
	if (to >= 0 && call_is_known(from) && !process_is_borrowed())
		descriptor_duplicated(from, (int)to);
	return to;
}

long call_dup(int fd)
{
	if (call_is_hidden(fd))
		return -EBADF;
	return duplicated(fd, host_call(SYS_dup, fd));
}

/* `to` is about to be replaced by `from`: only if the kernel will really do it. */
static long replacing(int from, int to)
{
	if (call_is_hidden(from) || call_is_hidden(to))
		return -EBADF;
	if (!call_is_known(to) || process_is_borrowed())
		return 0;
	if (host_call(SYS_fcntl, from, F_GETFD) < 0)
		return -EBADF;
	descriptor_closing(to);
	return 0;
}

long call_dup3(int from, int to, int flags)
{
	long err = 0;

	if (from == to || flags & ~O_CLOEXEC)
		return host_call(SYS_dup3, from, to, flags);
	own_close_begin(to);
	err = replacing(from, to);
	if (!err)
		err = duplicated(from, host_call(SYS_dup3, from, to, flags));
	own_close_end(to);
	file_closed();
	return err;
}

long call_dup2(int from, int to)
{
	/* To itself: nothing happens if it is open. */
	if (from == to)
		return call_fcntl(from, F_GETFD, 0) < 0 ? -EBADF : to;
	return call_dup3(from, to, 0);
}

void call_fcntl_done(int fd, int command, long result)
{
	if (result < 0 || !call_is_known(fd) || process_is_borrowed())
		return;
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		descriptor_duplicated(fd, (int)result);
	else if (command == F_SETFL)
		descriptor_changed(fd);
}

/* A record lock of the program's: ours is not to be in its way. */
static void call_fcntl_begin(int fd, int command)
{
	switch (command) {
	case F_GETLK:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		own_lock_begin(fd, false);
		break;
	case F_SETLK:
	case F_SETLKW:
		own_lock_begin(fd, true);
		break;
	default:
		break;
	}
}

long call_fcntl(int fd, int command, long argument)
{
	long ret;

	if (call_is_hidden(fd))
		return -EBADF;
	call_fcntl_begin(fd, command);
	ret = host_call(SYS_fcntl, fd, command, argument);
	call_fcntl_done(fd, command, ret);
	return ret;
}

long call_mmap(void *addr, size_t len, int prot, int flags, int fd, s64 offset)
{
	if (likely(offset < IORING_OFF_CQ_RING))
		return host_call(SYS_mmap, addr, len, prot, flags, fd, offset);
	/* What a ring shows at some offsets is elsewhere in its file. */
	if (!(flags & MAP_ANONYMOUS) && call_is_ring(fd)) {
		offset = descriptor_map_offset(fd, (u64)offset, len);
		if (offset < 0)
			return offset;
	}
	return gate_call(SYS_mmap, (long)addr, (long)len, prot, flags, fd, offset);
}

/* libc's functions of the same names */

RS_EXPORT int close(int fd)
{
	long err = call_closing(fd);
	int ret;

	if (err || unlikely(!next.close))
		ret = (int)libc_result(err ? err : host_call(SYS_close, fd));
	else
		ret = next.close(fd);
	call_closed(fd);
	return ret;
}

RS_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	return (int)libc_result(call_close_range(first, last, (unsigned)flags));
}

RS_EXPORT void closefrom(int lowest)
{
	unsigned first = lowest < 0 ? 0 : (unsigned)lowest;

	if (call_close_range(first, ~0u, 0))
		close_each(first, ~0u);
}

RS_EXPORT int fclose(FILE *file)
{
	int fd = file ? fileno_unlocked(file) : -1, ret;

	call_closing(fd);
	ret = next_get(fclose)(file);
	call_closed(fd);
	return ret;
}

RS_EXPORT int dup(int fd)
{
	return (int)libc_result(call_dup(fd));
}

RS_EXPORT int dup2(int from, int to)
{
	return (int)libc_result(call_dup2(from, to));
}

RS_EXPORT int dup3(int from, int to, int flags)
{
	return (int)libc_result(call_dup3(from, to, flags));
}

/* Every command's argument, if it has one, is an int or a pointer: a long holds either. */
static int fcntl_any(int fd, int command, long argument)
{
	int ret;

	if (call_is_hidden(fd) || unlikely(!next.fcntl64))
		return (int)libc_result(call_fcntl(fd, command, argument));
	call_fcntl_begin(fd, command);
	ret = next.fcntl64(fd, command, argument);
	call_fcntl_done(fd, command, ret);
	return ret;
}

RS_EXPORT int fcntl(int fd, int command, ...)
{
	va_list list;
	long argument;

	va_start(list, command);
	argument = va_arg(list, long);
	va_end(list);
	return fcntl_any(fd, command, argument);
}

RS_EXPORT int fcntl64(int fd, int command, ...)
{
	va_list list;
	long argument;

	va_start(list, command);
	argument = va_arg(list, long);
	va_end(list);
	return fcntl_any(fd, command, argument);
}

long call_mapped(long addr, int flags, int fd)
{
	if (flags & MAP_ANONYMOUS || (flags & MAP_TYPE) == MAP_PRIVATE ||
	    (addr < 0 && addr > -4096))
		return addr;
	if (load_relaxed(&own_is_on) && !process_is_borrowed())
		own_unwatched(fd);
	return addr;
}

RS_EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return (void *)libc_result(
		call_mapped(call_mmap(addr, len, prot, flags, fd, offset), flags, fd));
}

RS_EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t offset)
{
	return (void *)libc_result(
		call_mapped(call_mmap(addr, len, prot, flags, fd, offset), flags, fd));
}

/*
 * Reading and writing a ring descriptor fails as the kernel's rings do, which
 * have no such operations and no position; the memfd behind ours would oblige.
 */
#define RING_REFUSES(fd, error)                                                                    \
	do {                                                                                       \
		if (call_is_ring(fd)) {                                                            \
			errno = (error);                                                           \
			return -1;                                                                 \
		}                                                                                  \
	} while (0)

#define CALL_NEXT(name, raw, ...)                                                                  \
	(likely(next.name) ? next.name(__VA_ARGS__) : libc_result(host_call(raw, __VA_ARGS__)))

/* The kernel takes a position as two longs, of which 64-bit machines use the first. */
#define CALL_NEXT_AT(name, raw, fd, vector, count, at, ...)                                        \
	(likely(next.name) ? next.name(fd, vector, count, at, ##__VA_ARGS__)                       \
			   : libc_result(host_call(raw, fd, vector, count, at, 0, ##__VA_ARGS__)))

RS_EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	RING_REFUSES(fd, EINVAL);
	return CALL_NEXT(read, SYS_read, fd, buf, len);
}

/* The pages of an owned file that a write changed are dropped before the program hears of it. */
#define WATCHED(fd, at, flags, call)                                                               \
	({                                                                                         \
		struct write_watch watch_;                                                         \
		ssize_t written_;                                                                  \
		write_watch_begin(&watch_, fd, (u64)(at), flags);                                  \
		written_ = (call);                                                                 \
		write_watch_end(&watch_, fd, (u64)(at), written_);                                 \
		written_;                                                                          \
	})

RS_EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	RING_REFUSES(fd, EINVAL);
	return WATCHED(fd, OWN_AT_POSITION, 0, CALL_NEXT(write, SYS_write, fd, buf, len));
}

RS_EXPORT ssize_t readv(int fd, const struct iovec *vector, int count)
{
	RING_REFUSES(fd, EINVAL);
	return CALL_NEXT(readv, SYS_readv, fd, vector, count);
}

RS_EXPORT ssize_t writev(int fd, const struct iovec *vector, int count)
{
	RING_REFUSES(fd, EINVAL);
	return WATCHED(fd, OWN_AT_POSITION, 0, CALL_NEXT(writev, SYS_writev, fd, vector, count));
}

RS_EXPORT ssize_t pread64(int fd, void *buf, size_t len, off64_t at)
{
	RING_REFUSES(fd, ESPIPE);
	return CALL_NEXT(pread64, SYS_pread64, fd, buf, len, at);
}

RS_EXPORT ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t at)
{
	RING_REFUSES(fd, ESPIPE);
	return WATCHED(fd, at, 0, CALL_NEXT(pwrite64, SYS_pwrite64, fd, buf, len, at));
}

RS_EXPORT ssize_t preadv64(int fd, const struct iovec *vector, int count, off64_t at)
{
	RING_REFUSES(fd, ESPIPE);
	return CALL_NEXT_AT(preadv64, SYS_preadv, fd, vector, count, at);
}

RS_EXPORT ssize_t pwritev64(int fd, const struct iovec *vector, int count, off64_t at)
{
	RING_REFUSES(fd, ESPIPE);
	return WATCHED(fd, at, 0, CALL_NEXT_AT(pwritev64, SYS_pwritev, fd, vector, count, at));
}

RS_EXPORT ssize_t preadv64v2(int fd, const struct iovec *vector, int count, off64_t at, int flags)
{
	RING_REFUSES(fd, at == -1 ? EINVAL : ESPIPE);
	return CALL_NEXT_AT(preadv64v2, SYS_preadv2, fd, vector, count, at, flags);
}

RS_EXPORT ssize_t pwritev64v2(int fd, const struct iovec *vector, int count, off64_t at, int flags)
{
	RING_REFUSES(fd, at == -1 ? EINVAL : ESPIPE);
	return WATCHED(fd, at, flags,
		       CALL_NEXT_AT(pwritev64v2, SYS_pwritev2, fd, vector, count, at, flags));
}

/* On 64-bit machines the plain names and the 64 ones are one function. */
#define ALSO(name) __attribute__((alias(#name), visibility("default")))

RS_EXPORT extern __typeof__(pread64) pread ALSO(pread64);
RS_EXPORT extern __typeof__(pwrite64) pwrite ALSO(pwrite64);
RS_EXPORT extern __typeof__(preadv64) preadv ALSO(preadv64);
RS_EXPORT extern __typeof__(pwritev64) pwritev ALSO(pwritev64);
RS_EXPORT extern __typeof__(preadv64v2) preadv2 ALSO(preadv64v2);
RS_EXPORT extern __typeof__(pwritev64v2) pwritev2 ALSO(pwritev64v2);
