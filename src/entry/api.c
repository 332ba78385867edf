/*
 * api.c - the functions of include/ringside.h
 *
 * Entry:     the functions, from the program
 * Not here:  what attaching does (init.c), who answers then (route.h)
 */
#include "ringside.h"

#include <errno.h>

#include "base/lock.h"
#include "base/log.h"
#include "base/types.h"
#include "entry/entry.h"
#include "entry/options.h"
#include "entry/route.h"
#include "entry/version.h"
#include "file/own.h"
#include "host/fd.h"
#include "observe/stats.h"

static struct lock attach_lock = LOCK_INIT;

/*
 * Under attach_lock. Whether the route was decided before; if not, the options are read and stand.
 */
static int attach_decide(u32 flags)
{
	enum options_engine before = options.engine;
	char error[OPTIONS_ERROR_SIZE];
	int err;

	options.engine = flags == RS_ATTACH_ALWAYS ? ENGINE_USER : ENGINE_AUTO;
	err = options_from_environment(error);
	if (err) {
		options.engine = before;
		log_line("%s: %s", OPTIONS_VARIABLE, error);
		return err;
	}
	log_is_verbose = options.verbose;
	if (options.engine == ENGINE_AUTO && entry_probe_kernel() == 0) {
		log_verbose("the kernel's io_uring answers");
		route_set(ROUTE_KERNEL);
		return 0;
	}
	return entry_activate(ROUTE_MIXED);
}

RS_EXPORT int rs_attach(unsigned flags)
{
	int err = 0;

	if (flags != RS_ATTACH_ALWAYS && flags != RS_ATTACH_IF_REFUSED)
		return -EINVAL;
	lock_acquire(&attach_lock);
	if (load_relaxed(&route_mode) == ROUTE_UNDECIDED)
		err = attach_decide(flags);
	lock_release(&attach_lock);
	if (err)
		return err;
	return route_setup_is_user() ? 0 : 1;
}

RS_EXPORT int rs_cache(unsigned long long bytes)
{
	return load_relaxed(&entry_is_active) ? own_start(bytes, NULL) : -EOPNOTSUPP;
}

RS_EXPORT int rs_own(int fd, const struct rs_own_options *how)
{
	unsigned flags = how ? how->flags : RS_OWN_EXCLUSIVE;
	bool is_lease = flags == RS_OWN_LEASE;

	if ((how && how->size != sizeof(*how)) ||
	    (flags != RS_OWN_EXCLUSIVE && flags != RS_OWN_LEASE))
		return -EINVAL;
	if (!load_relaxed(&entry_is_active) || !load_relaxed(&own_is_on))
		return -EOPNOTSUPP;
	if (fd_is_private(fd))
		return -EBADF;
	return own_own(fd, is_lease ? OWN_LEASE : OWN_EXCLUSIVE);
}

RS_EXPORT int rs_disown(int fd)
{
	if (!load_relaxed(&entry_is_active) || !load_relaxed(&own_is_on))
		return -EOPNOTSUPP;
	return own_disown(fd);
}

RS_EXPORT const char *rs_version(void)
{
	return RINGSIDE_VERSION;
}

RS_EXPORT int rs_stats_write(const char *path)
{
	return path ? stats_write_json(path) : -EINVAL;
}
