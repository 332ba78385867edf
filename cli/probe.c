/*
 * probe.c - finds out by trying what ringside can use on this machine
 *
 * Each trial is made in a child process of its own, because a seccomp policy
 * may kill the caller of what it forbids, and because a filter, once
 * installed, stays. Reading configuration would tell less: what counts is what
 * this process may do here.
 *
 * Entry:     probe_kernel(), probe_parts()
 * Not here:  how it is shown (doctor.c)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/abi.h"
#include "cli/probe.h"
#include "host/filter.h"
#include "host/gate.h"

#define BLOCK 4096

/* A number in a file of /proc, or -1. */
static long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long number = -1;

	if (file) {
		if (fscanf(file, "%ld", &number) != 1)
			number = -1;
		fclose(file);
	}
	return number;
}

/* Whether a seccomp policy is on this process: 2 is a filter, 1 is the strict mode. */
static bool has_seccomp(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	int mode = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	if (file)
		fclose(file);
	return mode != 0;
}

static bool is_older_than_5_1(const char *release)
{
	int major = 0, minor = 0;

	return sscanf(release, "%d.%d", &major, &minor) == 2 &&
	       (major < 5 || (major == 5 && minor < 1));
}

static void explain_eperm(char *reason)
{
	long disabled = read_number("/proc/sys/kernel/io_uring_disabled");

	if (disabled == 2)
		snprintf(reason, PROBE_TEXT,
			 "it is switched off for everybody (sysctl kernel.io_uring_disabled = 2)");
	else if (has_seccomp())
		snprintf(reason, PROBE_TEXT,
			 "a seccomp policy on this process answers EPERM, as Docker's and "
			 "Kubernetes' default does");
	else if (disabled == 1)
		snprintf(reason, PROBE_TEXT,
			 "only group %ld and processes with CAP_SYS_ADMIN may use it (sysctl "
			 "kernel.io_uring_disabled = 1)",
			 read_number("/proc/sys/kernel/io_uring_group"));
	else
		snprintf(reason, PROBE_TEXT,
			 "EPERM, and neither a sysctl nor seccomp is why: a security module "
			 "(SELinux, AppArmor) may be");
}

static void explain(struct probe_kernel *kernel)
{
	char *reason = kernel->reason;

	switch (kernel->error) {
	case 0:
		break;
	case EPERM:
	case EACCES:
		explain_eperm(reason);
		break;
	case ENOSYS:
		if (is_older_than_5_1(kernel->release))
			snprintf(reason, PROBE_TEXT, "the kernel (%s) is older than io_uring (5.1)",
				 kernel->release);
		else if (has_seccomp())
			snprintf(reason, PROBE_TEXT,
				 "a seccomp policy on this process answers ENOSYS, as Podman's "
				 "default does");
		else
			snprintf(reason, PROBE_TEXT, "the kernel (%s) was built without it",
				 kernel->release);
		break;
	case ENOMEM:
		snprintf(reason, PROBE_TEXT,
			 "no memory for a ring: RLIMIT_MEMLOCK (ulimit -l) may be too low");
		break;
	default:
		snprintf(reason, PROBE_TEXT, "io_uring_setup() says: %s", strerror(kernel->error));
	}
}

void probe_kernel(struct probe_kernel *kernel)
{
	struct utsname name;

	memset(kernel, 0, sizeof(*kernel));
	if (!uname(&name))
		snprintf(kernel->release, sizeof(kernel->release), "%.79s", name.release);
	kernel->error = -gate_probe_uring();
	explain(kernel);
}

/* The folder of the scratch file; trials in children open their own file there. */
static const char *scratch_folder;

/* An open, unnamed file of one block; or -errno. */
static int scratch_open(int flags)
{
	char path[4096];
	char block[BLOCK] = {0};
	int fd, again;

	snprintf(path, sizeof(path), "%s/ringside-doctor.XXXXXX", scratch_folder);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block)) {
		close(fd);
		fd = -1;
	}
	again = fd < 0 ? -EIO : open(path, O_CLOEXEC | flags);
	if (again < 0 && fd >= 0)
		again = -errno;
	unlink(path);
	/* A lease is refused while anybody has the file open for writing. */
	if (fd >= 0)
		close(fd);
	return again;
}

static int try_memfd(void)
{
	return syscall(SYS_memfd_create, "ringside-doctor", 1u) < 0 ? -errno : 0;
}

/* A file without a name, shared memory all the same. */
static int open_unnamed(const char *folder)
{
	return open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static int try_memory(void)
{
	int fd = (int)syscall(SYS_memfd_create, "ringside-doctor", 1u);

	if (fd < 0)
		fd = open_unnamed("/dev/shm");
	if (fd < 0)
		fd = open_unnamed("/tmp");
	if (fd < 0 || ftruncate(fd, BLOCK))
		return -errno;
	if (mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

static int try_aio(void)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, 1, &context))
		return -errno;
	syscall(SYS_io_destroy, context);
	return 0;
}

static int try_direct(void)
{
	int fd = scratch_open(O_RDONLY | O_DIRECT);

	return fd < 0 ? fd : 0;
}

static int try_nowait(void)
{
	char block[BLOCK];
	struct iovec iov = {block, sizeof(block)};
	int fd = scratch_open(O_RDONLY);

	if (fd < 0)
		return fd;
	/* EAGAIN is as good an answer as the bytes: it did not wait. */
	return preadv2(fd, &iov, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN ? 0 : -errno;
}

static int try_lease(void)
{
	int fd = scratch_open(O_RDONLY);

	if (fd < 0)
		return fd;
	return fcntl(fd, F_SETLEASE, F_RDLCK) ? -errno : 0;
}

static volatile sig_atomic_t is_trapped;

static void count_trap(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	is_trapped = filter_is_trap(info);
}

static bool is_not_trapped_yet(void)
{
	return false;
}

/* An io_uring_setup() that no kernel accepts: all that can be seen of it is the trap. */
static int try_trap(void)
{
	struct sigaction action = {.sa_sigaction = count_trap, .sa_flags = SA_SIGINFO};
	int err;

	sigaction(SIGSYS, &action, NULL);
	err = gate_init();
	if (!err)
		err = filter_install(is_not_trapped_yet);
	if (err)
		return err;
	syscall(SYS_io_uring_setup, 0, NULL);
	return is_trapped ? 0 : -EOPNOTSUPP;
}

/* errno of a trial made in a child; a child that was killed was not allowed to do it. */
static int in_child(int (*trial)(void))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child < 0)
		return errno;
	if (child == 0)
		_exit(-trial());
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

static struct probe_part parts[] = {
	{"memory", "ring memory", "rings can be made", "no ring can be made", true, 0},
	{"memfd", "memfd", "a ring's memory has no name in any file system",
	 "a ring's memory is an unnamed file in /dev/shm or /tmp", false, 0},
	{"trap", "trap", "calls from inline assembly (static liburing) are caught",
	 "only calls by liburing.so and by libc's syscall() are caught", false, 0},
	{"aio", "Linux AIO", "O_DIRECT requests are queued at the device",
	 "O_DIRECT requests take a thread each", false, 0},
	{"direct", "O_DIRECT", "unbuffered files", "the file system refuses it to programs too",
	 false, 0},
	{"rwf_nowait", "RWF_NOWAIT",
	 "reads of cached data complete at once, one thread waits for the rest",
	 "buffered requests take a thread each", false, 0},
	{"lease", "leases", "with --cache, files that are only read are cached",
	 "with --cache, only files named by --own are cached", false, 0},
};

static int (*const trials[])(void) = {
	try_memory, try_memfd, try_trap, try_aio, try_direct, try_nowait, try_lease,
};

_Static_assert(sizeof(parts) / sizeof(parts[0]) == sizeof(trials) / sizeof(trials[0]),
	       "one trial a part");

/* Whether a file can be made in `folder`; it is the scratch folder then. */
static bool scratch_choose(const char *folder)
{
	int fd;

	if (folder == NULL || *folder == '\0')
		return false;
	scratch_folder = folder;
	fd = scratch_open(O_RDONLY);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

const struct probe_part *probe_parts(size_t *count, char *folder, size_t size)
{
	/* First of all where the program's files are likely to be. */
	if (!getcwd(folder, size) || !scratch_choose(folder)) {
		const char *temporary = getenv("TMPDIR");

		if (!scratch_choose(temporary))
			temporary = "/tmp";
		snprintf(folder, size, "%s", temporary);
	}
	scratch_folder = folder;
	*count = sizeof(parts) / sizeof(parts[0]);
	for (size_t i = 0; i < *count; i++)
		parts[i].error = in_child(trials[i]);
	return parts;
}
