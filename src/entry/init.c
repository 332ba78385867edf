/*
 * init.c - ringside starts, in a process that did not ask to be started in
 *
 *	preloaded   the constructor activates, as the options in the environment say
 *	linked      the constructor only looks functions up; rs_attach() activates
 *
 * Activation never makes a program fail: what is refused here (seccomp, a page,
 * a handler) is done without, and said with `verbose`.
 *
 * Entry:       entry_start(), entry_end() by the dynamic loader; entry_activate()
 * Invariants:  N1 route_mode is set last, when everything that a call needs is in place
 * Locks:       none; the constructor runs alone
 * Not here:    what the options mean (options.h), rs_attach() itself
 */
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "entry/calls.h"
#include "entry/entry.h"
#include "entry/next.h"
#include "entry/options.h"
#include "entry/route.h"
#include "entry/signals.h"
#include "file/own.h"
#include "host/fd.h"
#include "host/filter.h"
#include "host/gate.h"
#include "host/kernel.h"
#include "observe/stats.h"

/* A wrong option ends a preloaded program before it started: see options.h. */
#define EXIT_WRONG_OPTION 2

bool entry_is_active;

/* The trap, if it is wanted and to be had. */
static void trap_start(void)
{
	int err = gate_init();

	if (options.trap == TRAP_OFF)
		return;
	if (!err)
		err = filter_install(trap_probe);
	if (err && options.trap == TRAP_ON)
		log_warn("io_uring calls of inline assembly are not caught: seccomp says %d", -err);
	else if (err)
		log_verbose("no trap: seccomp says %d", -err);
	else if (filter_has_set_no_new_privs())
		log_verbose("trap installed, NO_NEW_PRIVS set: "
			    "set-user-ID programs get no privileges");
	else
		log_verbose("trap installed");
}

static int parts_start(bool with_trap)
{
	int err = fork_init();

	if (err)
		return err;
	err = stats_init(options.stats_fd, options.stats_fd >= 0 || options.stats_file[0]);
	if (err)
		log_verbose("statistics are private: region says %d", -err);
	else if (options.stats_fd >= 0)
		fd_keep_private(options.stats_fd); /* programs executed from here are to find it */
	err = signals_init(with_trap);
	if (err)
		return err;
	trap_start();
	if (options.cache_bytes && own_start(options.cache_bytes, options.own))
		log_warn("no page cache of %llu bytes is to be had",
			 (unsigned long long)options.cache_bytes);
	return 0;
}

int entry_activate(enum route route)
{
	int err;

	if (entry_is_active)
		return 0;
	err = parts_start(options.trap != TRAP_OFF);
	if (err)
		return err;
	store_release(&entry_is_active, true);
	calls_init();
	route_set(route);
	log_verbose("ringside answers io_uring in process %ld", host_call(SYS_getpid));
	return 0;
}

int entry_probe_kernel(void)
{
	gate_init();
	return gate_probe_uring();
}

/* engine=auto in a process whose kernel has io_uring. */
static bool kernel_will_do(void)
{
	return options.engine == ENGINE_AUTO && entry_probe_kernel() == 0;
}

/*
 * The kernel answers, and we stay out of the way. Only where a filter is in force it may be ours,
 * inherited from a program with another engine: its traps must then be answered, by the gate.
 */
static void kernel_answers(void)
{
	log_verbose("the kernel's io_uring answers");
	if (host_call(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER &&
	    !signals_init(true) && trap_probe())
		log_verbose("an inherited filter's traps go on to the kernel");
	route_set(ROUTE_KERNEL);
}

static __attribute__((constructor(101))) void entry_start(void)
{
	char error[OPTIONS_ERROR_SIZE];

	next_init();
	exec_init();
	if (!exec_is_preloaded())
		return;
	if (options_from_environment(error)) {
		log_line("%s: %s", OPTIONS_VARIABLE, error);
		host_call(SYS_exit_group, EXIT_WRONG_OPTION);
	}
	log_is_verbose = options.verbose;
	if (kernel_will_do()) {
		kernel_answers();
		return;
	}
	if (entry_activate(ROUTE_USER))
		log_warn("could not start; io_uring calls go to the kernel");
}

void entry_process_exit(void)
{
	char path[OPTIONS_PATH_MAX + 32];

	if (!entry_is_active || process_is_borrowed())
		return;
	stats_process_exit();
	if (options.stats_fd < 0 && options.stats_file[0] && stats_region_is_mine() &&
	    !options_stats_path(&options, path, sizeof(path)) && stats_write_json(path))
		log_warn("cannot write %s", path);
}

static __attribute__((destructor(101))) void entry_end(void)
{
	entry_process_exit();
}

RS_EXPORT _Noreturn void _exit(int status)
{
	entry_process_exit();
	host_call(SYS_exit_group, status);
	__builtin_unreachable();
}

RS_EXPORT _Noreturn void _Exit(int status)
{
	_exit(status);
}
