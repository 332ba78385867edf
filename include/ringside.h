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
