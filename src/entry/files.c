/*
 * files.c - libc's functions that change a file's bytes, open files, or close descriptors inside
 *
 * For our page cache (file/own.h). It has to hear of every change that this process makes to
 * a file that it owns exclusively, after the kernel made it and before the program is told;
 * of numbers that libc closes by itself; of record locks, since our own must make way; and
 * of advice. Where nothing is owned a function costs a load more.
 *
 * A stdio stream that can write, and a shared mapping that can, change bytes at times that
 * nobody sees: their file is not owned exclusively.
 *
 * Entry:       the interposed functions; call_file() for syscall(); write_watch_begin() and
 *              write_watch_end() around the writes of libc.c
 * Invariants:  L2 of libc.c: errno changes exactly as libc's function would change it
 * Locks:       none
 * Not here:    close(), dup(), fcntl() and plain writes (libc.c). fcloseall() closes no
 *              descriptor, daemon() only in a fresh child, in which nothing is owned yet
 */

/* Else the headers rename open() to open64() and so on, and both are defined here. */
#undef _FILE_OFFSET_BITS
/* Else they make some of these inline, or have them called by other names. */
#undef _FORTIFY_SOURCE

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utmp.h>

#include "entry/calls.h"
#include "entry/next.h"
#include "file/own.h"
#include "host/kernel.h"
#include "host/usercopy.h"

/* Changes */

/* A vfork() child's descriptors are not those that our slots are about. */
static bool is_borrowed_fd(int fd, struct stat *status)
{
	return process_is_borrowed() && own_status(fd, status) == 0;
}

void write_watch_begin_slow(struct write_watch *watch, int fd, u64 offset, int rw_flags)
{
	if (!process_is_borrowed())
		own_write_begin(&watch->writer, fd, offset, rw_flags);
}

void write_watch_end_slow(const struct write_watch *watch, int fd, u64 offset, long written)
{
	struct stat status;

	if (is_borrowed_fd(fd, &status))
		own_changed_inode(&status);
	else
		own_wrote(&watch->writer, fd, offset, (u64)written);
}

/* What was behind `offset` is no longer what it was. */
static long changed_from(int fd, s64 offset, long ret)
{
	struct stat status;

	if (ret != 0 || likely(load_acquire(&own_exclusive_count) == 0))
		return ret;
	if (is_borrowed_fd(fd, &status))
		own_changed_inode(&status);
	else
		own_changed(fd, (u64)offset, UINT64_MAX);
	return ret;
}

static long path_changed(const char *path, long ret)
{
	struct stat status;

	if (ret == 0 && unlikely(load_acquire(&own_exclusive_count) > 0) &&
	    host_call(SYS_newfstatat, AT_FDCWD, path, &status, 0) == 0)
		own_changed_inode(&status);
	return ret;
}

/* The offset that a call is told by a pointer of the program's, which may be bad: then the call
 * changes nothing. */
static u64 offset_at(const void *user)
{
	u64 offset;

	return user == NULL || copy_from_user(&offset, user, sizeof(offset)) ? OWN_AT_POSITION
									     : offset;
}

/* A write to `out` that no plain write is: `call` makes it, and may move what `offset` was read
 * from. */
#define MOVED(out, offset, call)                                                                   \
	({                                                                                         \
		u64 offset_ = (offset);                                                            \
		struct write_watch watch_;                                                         \
		long ret_;                                                                         \
		write_watch_begin(&watch_, out, offset_, 0);                                       \
		ret_ = (call);                                                                     \
		write_watch_end(&watch_, out, offset_, ret_);                                      \
		ret_;                                                                              \
	})

static long opened(long fd, int flags)
{
	if (fd >= 0 && load_relaxed(&entry_is_active) && load_relaxed(&own_is_on) &&
	    !process_is_borrowed())
		own_opened((int)fd, flags);
	return fd;
}

static long opened_as(long fd, const struct open_how *how)
{
	u64 flags = 0;

	if (fd >= 0)
		copy_from_user(&flags, &how->flags, sizeof(flags));
	return opened(fd, (int)flags);
}

static long advised(int fd, s64 offset, s64 bytes, int advice)
{
	if (load_relaxed(&own_is_on) && offset >= 0 && bytes >= 0 && !process_is_borrowed() &&
	    own_advise(fd, (u64)offset, (u64)bytes, advice))
		return 0;
	return host_call(SYS_fadvise64, fd, offset, bytes, advice);
}

/* In no header of the kernel's for programs; every file system takes them. */
struct space_resv {
	short type, whence;
	s64 start, len;
	s32 sysid, pid, padding[4];
};
#define FS_IOC_UNRESVSP   _IOW('X', 41, struct space_resv)
#define FS_IOC_UNRESVSP64 _IOW('X', 43, struct space_resv)
#define FS_IOC_ZERO_RANGE _IOW('X', 57, struct space_resv)

/* Bytes that another file shares, or that are zeros from now on. What exchanges extents between
 * files (of XFS and ext4) is for tools that have the file for themselves. */
static long controlled(int fd, unsigned long request, long argument)
{
	long ret = host_call(SYS_ioctl, fd, request, argument);

	switch (request) {
	case FICLONE:
	case FICLONERANGE:
	case FS_IOC_UNRESVSP:
	case FS_IOC_UNRESVSP64:
	case FS_IOC_ZERO_RANGE:
		return changed_from(fd, 0, ret);
	default:
		return ret;
	}
}

long call_file(long nr, long a, long b, long c, long d, long e, long f)
{
	switch (nr) {
#ifdef SYS_open
	case SYS_open:
		return opened(host_call(nr, a, b, c), (int)b);
	case SYS_creat:
		return opened(host_call(nr, a, b), O_WRONLY | O_CREAT | O_TRUNC);
#endif
	case SYS_openat:
		return opened(host_call(nr, a, b, c, d), (int)c);
	case SYS_openat2:
		return opened_as(host_call(nr, a, b, c, d), (const struct open_how *)c);
	case SYS_truncate:
		return path_changed((const char *)a, host_call(nr, a, b));
	case SYS_ftruncate:
		return changed_from((int)a, b, host_call(nr, a, b));
	case SYS_fallocate:
		return changed_from((int)a, c, host_call(nr, a, b, c, d));
	case SYS_ioctl:
		return controlled((int)a, (unsigned long)b, c);
	case SYS_copy_file_range:
		return MOVED((int)c, offset_at((void *)d), host_call(nr, a, b, c, d, e, f));
	case SYS_splice:
		return MOVED((int)c, offset_at((void *)d), host_call(nr, a, b, c, d, e, f));
	case SYS_sendfile:
		return MOVED((int)a, OWN_AT_POSITION, host_call(nr, a, b, c, d));
	case SYS_fadvise64:
		return advised((int)a, b, c, (int)d);
	default:
		return -ENOSYS;
	}
}

RS_EXPORT int ftruncate64(int fd, off64_t size)
{
	return (int)libc_result(changed_from(fd, size, host_call(SYS_ftruncate, fd, size)));
}

RS_EXPORT int truncate64(const char *path, off64_t size)
{
	return (int)libc_result(path_changed(path, host_call(SYS_truncate, path, size)));
}

RS_EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	int ret = next_get(fallocate64)(fd, mode, offset, len);

	changed_from(fd, offset, ret);
	return ret;
}

/* Returns an errno value. Where the file system cannot, libc writes a byte a block. */
RS_EXPORT int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
	int ret = next_get(posix_fallocate64)(fd, offset, len);

	changed_from(fd, offset, ret);
	return ret;
}

RS_EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	long argument;

	va_start(list, request);
	argument = va_arg(list, long);
	va_end(list);
	return (int)libc_result(controlled(fd, request, argument));
}

RS_EXPORT ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t len,
				  unsigned flags)
{
	return MOVED(out, offset_at(to), next_get(copy_file_range)(in, from, out, to, len, flags));
}

RS_EXPORT ssize_t splice(int in, off64_t *from, int out, off64_t *to, size_t len, unsigned flags)
{
	return MOVED(out, offset_at(to), next_get(splice)(in, from, out, to, len, flags));
}

RS_EXPORT ssize_t sendfile64(int out, int in, off64_t *from, size_t len)
{
	return MOVED(out, OWN_AT_POSITION,
		     libc_result(host_call(SYS_sendfile, out, in, from, len)));
}

/* Returns an errno value, and leaves errno. */
RS_EXPORT int posix_fadvise64(int fd, off64_t offset, off64_t len, int advice)
{
	return (int)-advised(fd, offset, len, advice);
}

/* libc's own streams write by a call that nobody stands in front of. */

RS_EXPORT int vdprintf(int fd, const char *format, va_list list)
{
	return (int)MOVED(fd, OWN_AT_POSITION, next_get(vdprintf)(fd, format, list));
}

RS_EXPORT int dprintf(int fd, const char *format, ...)
{
	va_list list;
	int ret;

	va_start(list, format);
	ret = vdprintf(fd, format, list);
	va_end(list);
	return ret;
}

/* What programs call that were compiled with _FORTIFY_SOURCE. */
int __vdprintf_chk(int fd, int level, const char *format, va_list list);
int __dprintf_chk(int fd, int level, const char *format, ...);

RS_EXPORT int __vdprintf_chk(int fd, int level, const char *format, va_list list)
{
	return (int)MOVED(fd, OWN_AT_POSITION, next_get(vdprintf_chk)(fd, level, format, list));
}

RS_EXPORT int __dprintf_chk(int fd, int level, const char *format, ...)
{
	va_list list;
	int ret;

	va_start(list, format);
	ret = __vdprintf_chk(fd, level, format, list);
	va_end(list);
	return ret;
}

/* Opening */

static bool has_mode(int flags)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
}

static mode_t mode_of(int flags, va_list list)
{
	return has_mode(flags) ? va_arg(list, mode_t) : 0;
}

#define OPENED(flags, fd) ((int)opened(fd, flags))

RS_EXPORT int open64(const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = mode_of(flags, list);
	va_end(list);
	if (unlikely(!next.open64))
		return (int)libc_result(host_call(SYS_openat, AT_FDCWD, path, flags, mode));
	return OPENED(flags, next.open64(path, flags, mode));
}

RS_EXPORT int openat64(int folder, const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = mode_of(flags, list);
	va_end(list);
	if (unlikely(!next.openat64))
		return (int)libc_result(host_call(SYS_openat, folder, path, flags, mode));
	return OPENED(flags, next.openat64(folder, path, flags, mode));
}

RS_EXPORT int creat64(const char *path, mode_t mode)
{
	return open64(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

/* What programs call that were compiled with _FORTIFY_SOURCE. */
int __open64_2(const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);

RS_EXPORT int __open64_2(const char *path, int flags)
{
	return OPENED(flags, next_get(open64_2)(path, flags));
}

RS_EXPORT int __openat64_2(int folder, const char *path, int flags)
{
	return OPENED(flags, next_get(openat64_2)(folder, path, flags));
}

/* Streams */

static FILE *stream_opened(FILE *file, const char *mode)
{
	int saved = errno, fd = file ? fileno_unlocked(file) : -1;
	bool can_write = mode[0] != 'r' || strchr(mode, '+');

	if (fd < 0 || !load_relaxed(&own_is_on) || process_is_borrowed())
		return file;
	if (can_write)
		own_unwatched(fd);
	opened(fd, mode[0] == 'w' ? O_TRUNC : 0);
	errno = saved;
	return file;
}

RS_EXPORT FILE *fopen64(const char *path, const char *mode)
{
	return stream_opened(next_get(fopen64)(path, mode), mode);
}

RS_EXPORT FILE *fdopen(int fd, const char *mode)
{
	FILE *file = next_get(fdopen)(fd, mode);

	if (file != NULL && load_relaxed(&own_is_on) && (mode[0] != 'r' || strchr(mode, '+')) &&
	    !process_is_borrowed())
		own_unwatched(fd);
	return file;
}

/* The stream's number is closed, and opened anew. */
RS_EXPORT FILE *freopen64(const char *path, const char *mode, FILE *file)
{
	int fd = file ? fileno_unlocked(file) : -1;
	FILE *again;

	call_closing(fd);
	again = next_get(freopen64)(path, mode, file);
	call_closed(fd);
	return stream_opened(again, mode);
}

/* What else closes */

RS_EXPORT int closedir(DIR *folder)
{
	int fd = dirfd(folder), ret;

	call_closing(fd);
	ret = next_get(closedir)(folder);
	call_closed(fd);
	return ret;
}

/* The three standard numbers become the terminal's. */
RS_EXPORT int login_tty(int fd)
{
	int ret;

	for (int standard = 0; standard <= 2; standard++)
		call_closing(standard);
	if (fd > 2)
		call_closing(fd);
	ret = next_get(login_tty)(fd);
	if (fd > 2)
		call_closed(fd);
	for (int standard = 0; standard <= 2; standard++)
		call_closed(standard);
	return ret;
}

/* Locks */

RS_EXPORT int lockf64(int fd, int command, off64_t len)
{
	if (command != F_ULOCK)
		own_lock_begin(fd, true);
	return next_get(lockf64)(fd, command, len);
}

/* On 64-bit machines the plain names and the 64 ones are one function. */
#define ALSO(name) __attribute__((alias(#name), visibility("default")))

RS_EXPORT extern __typeof__(ftruncate64) ftruncate ALSO(ftruncate64);
RS_EXPORT extern __typeof__(truncate64) truncate ALSO(truncate64);
RS_EXPORT extern __typeof__(fallocate64) fallocate ALSO(fallocate64);
RS_EXPORT extern __typeof__(posix_fallocate64) posix_fallocate ALSO(posix_fallocate64);
RS_EXPORT extern __typeof__(posix_fadvise64) posix_fadvise ALSO(posix_fadvise64);
RS_EXPORT extern __typeof__(sendfile64) sendfile ALSO(sendfile64);
RS_EXPORT extern __typeof__(open64) open ALSO(open64);
RS_EXPORT extern __typeof__(openat64) openat ALSO(openat64);
RS_EXPORT extern __typeof__(creat64) creat ALSO(creat64);
int __open_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
RS_EXPORT extern __typeof__(__open64_2) __open_2 ALSO(__open64_2);
RS_EXPORT extern __typeof__(__openat64_2) __openat_2 ALSO(__openat64_2);
RS_EXPORT extern __typeof__(fopen64) fopen ALSO(fopen64);
RS_EXPORT extern __typeof__(freopen64) freopen ALSO(freopen64);
RS_EXPORT extern __typeof__(lockf64) lockf ALSO(lockf64);
