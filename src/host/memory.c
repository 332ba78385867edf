/*
 * memory.c - how much memory there is
 */
#include "host/memory.h"

#include <fcntl.h>
#include <sys/sysinfo.h>

#include "host/kernel.h"

/* "max", or a number; 0: no limit is known. */
static u64 group_limit(void)
{
	long fd = host_call(SYS_openat, AT_FDCWD, "/sys/fs/cgroup/memory.max", O_RDONLY | O_CLOEXEC,
			    0);
	char text[32];
	u64 limit = 0;
	long len;

	if (fd < 0)
		return 0;
	len = host_call(SYS_read, fd, text, sizeof(text));
	host_call(SYS_close, fd);
	for (long i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++)
		limit = limit * 10 + (u64)(text[i] - '0');
	return limit;
}

u64 memory_bytes(void)
{
	u64 limit = group_limit(), bytes = UINT64_MAX;
	struct sysinfo info;

	if (sysinfo(&info) == 0)
		bytes = (u64)info.totalram * info.mem_unit;
	return limit ? min_of(bytes, limit) : bytes;
}
