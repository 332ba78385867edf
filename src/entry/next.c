/*
 * next.c - looks up the functions behind ours
 */
#include "entry/next.h"

#include <dlfcn.h>

struct next next;

/* Where each name's pointer goes. A name that this libc does not have stays NULL. */
static const struct {
	const char *name;
	void *slot;
} names[] = {
	{"close", &next.close},
	{"read", &next.read},
	{"write", &next.write},
	{"readv", &next.readv},
	{"writev", &next.writev},
	{"pread64", &next.pread64},
	{"pwrite64", &next.pwrite64},
	{"preadv64", &next.preadv64},
	{"pwritev64", &next.pwritev64},
	{"preadv64v2", &next.preadv64v2},
	{"pwritev64v2", &next.pwritev64v2},
	{"fcntl64", &next.fcntl64},
	{"fclose", &next.fclose},
	{"fopen64", &next.fopen64},
	{"fdopen", &next.fdopen},
	{"freopen64", &next.freopen64},
	{"closedir", &next.closedir},
	{"login_tty", &next.login_tty},
	{"lockf64", &next.lockf64},
	{"open64", &next.open64},
	{"openat64", &next.openat64},
	{"__open64_2", &next.open64_2},
	{"__openat64_2", &next.openat64_2},
	{"fallocate64", &next.fallocate64},
	{"posix_fallocate64", &next.posix_fallocate64},
	{"copy_file_range", &next.copy_file_range},
	{"splice", &next.splice},
	{"vdprintf", &next.vdprintf},
	{"__vdprintf_chk", &next.vdprintf_chk},
	{"poll", &next.poll},
	{"ppoll", &next.ppoll},
	{"select", &next.select},
	{"pselect", &next.pselect},
	{"epoll_wait", &next.epoll_wait},
	{"epoll_pwait", &next.epoll_pwait},
	{"epoll_pwait2", &next.epoll_pwait2},
	{"sigsuspend", &next.sigsuspend},
	{"sigaction", &next.sigaction},
	{"signal", &next.signal},
	{"__sysv_signal", &next.sysv_signal},
	{"sigprocmask", &next.sigprocmask},
	{"pthread_sigmask", &next.pthread_sigmask},
	{"pthread_attr_setsigmask_np", &next.pthread_attr_setsigmask_np},
	{"pthread_create", &next.pthread_create},
	{"siglongjmp", &next.siglongjmp},
	{"__longjmp_chk", &next.longjmp_chk},
	{"execvpe", &next.execvpe},
	{"posix_spawn", &next.posix_spawn},
	{"posix_spawnp", &next.posix_spawnp},
};

void next_init(void)
{
	int saved = errno;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		*(void **)names[i].slot = dlsym(RTLD_NEXT, names[i].name);
	errno = saved;
}
