/*
 * ringside.h - the public interface of libringside
 *
 * A program that is started by `ringside run`, or with libringside.so in
 * LD_PRELOAD, needs none of this: every io_uring_setup(), io_uring_enter() and
 * io_uring_register() of its process is answered by ringside. A program that
 * links the library decides by itself, with rs_attach().
 *
 * What ringside answers is io_uring(7): liburing and raw ring code are used as
 * they are. Link -lringside before -luring, so that liburing's functions are
 * answered without a system call; calls that come otherwise are caught too.
 *
 * All functions may be called in any thread, but not in a signal handler.
 * Results are 0 or a positive number, or -errno; errno itself is not touched.
 */
#ifndef RINGSIDE_H
#define RINGSIDE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* rs_attach(): ringside answers, whether the kernel has io_uring or not. */
#define RS_ATTACH_ALWAYS 1u

/*
 * rs_attach(): ringside answers only if the kernel refuses io_uring to this process (EPERM,
 * ENOSYS).
 */
#define RS_ATTACH_IF_REFUSED 2u

/*
 * Puts ringside behind the rings that this process makes from now on.
 *
 * flags: RS_ATTACH_ALWAYS or RS_ATTACH_IF_REFUSED. The options in the
 * environment variable RINGSIDE are read as well (ringside-run(1)), and what
 * the operator says there about the engine counts more than flags.
 *
 * Rings that the kernel made before stay the kernel's and go on working. Call
 * it before other threads are started: it installs handlers for SIGSEGV, SIGBUS
 * and SIGSYS (the program's own still work, through them) and, unless RINGSIDE
 * says trap=off, a seccomp filter in all threads, for which NO_NEW_PRIVS may
 * be set (prctl(2)). It cannot be undone. A further call changes nothing and
 * says again who answers.
 *
 * Returns
 *	0		ringside answers
 *	1		RS_ATTACH_IF_REFUSED, and the kernel's own io_uring answers
 *	-EINVAL		flags is neither of the two; or a wrong option in RINGSIDE, which one
 *			line on stderr names
 *	-ENOMEM		no memory; rings are the kernel's as before
 *
 * Where a part is refused (seccomp, memfd_create, Linux AIO) ringside attaches
 * and does without it; `ringside doctor` says what that means.
 *
 * In io_uring there is nothing that corresponds to it: it takes the place of a
 * kernel, or of a policy, that has io_uring.
 */
int rs_attach(unsigned flags);

/*
 * Gives this process a page cache of `bytes` bytes, all that it needs for its bookkeeping included.
 * Files that requests read then come from it, without a system call, if they may be owned: at
 * once those that are only opened for reading and on which the kernel grants a lease; and
 * those that rs_own() names. Call it after rs_attach() and before the first request.
 * RINGSIDE_CACHE=SIZE in the environment, or `ringside run --cache SIZE`, does the same.
 *
 * The cache is made at the first file. A forked child has none if its parent had made it.
 *
 * Returns
 *	0		there will be a cache
 *	-EINVAL		fewer than 4 MiB
 *	-ENOMEM		more than the machine, or this control group, has memory
 *	-EBUSY		there is a cache already, of another size
 *	-EOPNOTSUPP	ringside does not answer in this process (rs_attach())
 *
 * In the kernel: the page cache, which every process shares and nobody has to ask for.
 */
int rs_cache(unsigned long long bytes);

/*
 * How a file is owned, that is, held by the cache.
 *
 * RS_OWN_EXCLUSIVE: by your word that no other process changes it while it is owned. The
 * descriptor may be open for reading, or for reading and writing. An OFD lock of the whole
 * file is taken (shared if the descriptor is read-only), which makes way for record locks
 * of the program's own. Writes of this process, by rings and by libc's functions, go to
 * the kernel and drop the pages that they touch. Writes that nobody can see do not: those through a
 * shared mapping or a stdio stream made before this call (later ones end the
 * ownership), by POSIX AIO, and by inline assembly. If another process opens the file, that is
 * reported on stderr, once.
 *
 * RS_OWN_LEASE: by a read lease (fcntl(2), F_SETLEASE). That takes a read-only descriptor, a file
 * that nobody has open for writing, and the file's owner or CAP_LEASE. Whoever opens it for
 * writing later waits for a moment, and the ownership ends; it is tried again when requests come.
 */
#define RS_OWN_EXCLUSIVE 1u
#define RS_OWN_LEASE     2u

struct rs_own_options {
	size_t size;    /* sizeof(struct rs_own_options) */
	unsigned flags; /* RS_OWN_EXCLUSIVE or RS_OWN_LEASE */
};

/*
 * The file of descriptor fd is owned from now on: reads of it by rings come from the cache.
 * It is the file that is owned, through whatever descriptors of this process it is read, until
 * rs_disown(), until the last descriptor that rings used is closed, or until it is lost: then
 * reads go through the kernel's cache, and see the same bytes.
 *
 * options: NULL means RS_OWN_EXCLUSIVE. It is not kept.
 *
 * May block for a moment, for instance while the file is being given up. Takes two or three
 * descriptors, with high numbers.
 *
 * Returns
 *	0		the file is owned, perhaps was before
 *	-EBADF		fd is not open, or not for reading
 *	-EINVAL		options; no regular file; opened O_DIRECT; RS_OWN_LEASE and open for writing
 *	-EAGAIN		RS_OWN_EXCLUSIVE: another process has a lock on it; RS_OWN_LEASE: somebody
 *			has it open for writing
 *	-EACCES, -EPERM	it may not be opened again as fd is, or be leased, by this user
 *	-EOPNOTSUPP	there is no cache (rs_cache()), or no O_DIRECT in this file system (tmpfs)
 *	-EBUSY		the program holds record locks on it, or it was mapped for writing
 *	-EMFILE, -ENFILE, -ENOMEM
 */
int rs_own(int fd, const struct rs_own_options *options);

/*
 * The file of fd is no longer owned, and not by itself again as long as descriptors of it are
 * open. Its pages are gone, its lease or lock is given back when this returns. Waits for
 * reads of the device that are under way. 0, -EBADF, or -ENOENT if fd's file is not owned
 * and nothing tried to.
 */
int rs_disown(int fd);

/* The library's version, "major.minor.patch"; a constant string. */
const char *rs_version(void);

/*
 * Writes what ringside counted in this process so far to the file `path`, as
 * one JSON object with the keys of `ringside run --stats` (ringside-run(1)). A
 * regular file is replaced at once, so that a reader never sees half of it;
 * a pipe or a device is written to. Started by `ringside run --stats`, the
 * figures are those of the whole run, children included.
 *
 * Latencies are null unless they are measured (`ringside run --stats`, or
 * RINGSIDE=stats=FILE). Rings may be busy meanwhile: the figures are then of no
 * one moment.
 *
 * Returns 0, -EINVAL if path is NULL, -ENOMEM, or what open(2), write(2) or
 * rename(2) failed with.
 */
int rs_stats_write(const char *path);

#ifdef __cplusplus
}
#endif

#endif
