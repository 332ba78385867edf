/*
 * forbid.c - run a program where the kernel refuses io_uring
 *
 * usage: forbid [--errno NAME] [--] program [args]
 *
 * Installs a seccomp filter that answers io_uring_setup, io_uring_enter and
 * io_uring_register with an errno (EPERM as Docker does; ENOSYS is Podman's),
 * then executes the program. A test that passes in here was answered by
 * ringside and by nobody else.
 *
 * The filter says ERRNO and not KILL: a filter that ringside adds later, which
 * says TRAP, outranks it; that is the order of events in a container as well.
 *
 * Exit status: the program's; 125 if the filter could not be installed, 126
 * or 127 if the program could not be executed or found (as env(1) does).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	EXIT_NO_FILTER = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
	ERRNO_MAX = 4095,
};

#define NR_FIRST 425 /* io_uring_setup, enter, register: one numbering for all architectures */
#define NR_LAST  427
#define NR_X32   0x40000000U /* x86-64 programs may set this bit and name the same call */

_Static_assert(SYS_io_uring_setup == NR_FIRST, "the first call to refuse");
_Static_assert(SYS_io_uring_register == NR_LAST, "the last call to refuse");

static int filter_install(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~NR_X32),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, NR_FIRST, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, NR_LAST, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		return -errno;
	return 0;
}

/* An empty filter would make every check in the tests below it worthless, so look. */
static int filter_check(int error)
{
	for (long nr = NR_FIRST; nr <= NR_LAST; nr++) {
		if (syscall(nr, -1, 0, 0, 0, 0, 0) != -1 || errno != error)
			return -EINVAL;
	}
	return 0;
}

static int errno_by_name(const char *name)
{
	for (int error = 1; error <= ERRNO_MAX; error++) {
		const char *known = strerrorname_np(error);

		if (known && !strcmp(known, name))
			return error;
	}
	return -EINVAL;
}

static int usage(void)
{
	fprintf(stderr, "usage: forbid [--errno NAME] [--] program [args]\n");
	return EXIT_NO_FILTER;
}

int main(int argc, char **argv)
{
	int error = EPERM;
	int arg = 1;
	int ret;

	if (arg + 1 < argc && !strcmp(argv[arg], "--errno")) {
		error = errno_by_name(argv[arg + 1]);
		if (error < 0) {
			fprintf(stderr, "forbid: no errno is called '%s'\n", argv[arg + 1]);
			return EXIT_NO_FILTER;
		}
		arg += 2;
	}
	if (arg < argc && !strcmp(argv[arg], "--"))
		arg++;
	else if (arg < argc && argv[arg][0] == '-')
		return usage();
	if (arg >= argc)
		return usage();

	ret = filter_install(error);
	if (!ret)
		ret = filter_check(error);
	if (ret) {
		fprintf(stderr, "forbid: cannot refuse io_uring: %s\n", strerror(-ret));
		return EXIT_NO_FILTER;
	}

	execvp(argv[arg], argv + arg);
	ret = errno;
	fprintf(stderr, "forbid: %s: %s\n", argv[arg], strerror(ret));
	return ret == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
