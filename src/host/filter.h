/*
 * filter.h - the seccomp filter that turns inline-assembly io_uring calls into SIGSYS
 *
 * Traps the calls 425..427, and mmap() whose sixth argument is exactly the CQ
 * ring's offset, unless they come through the gate (gate.h). Everything else
 * is allowed, which leaves it to the other filters of the process.
 */
#ifndef RS_HOST_FILTER_H
#define RS_HOST_FILTER_H

#include <signal.h>

#include "base/types.h"

/*
 * SECCOMP_RET_DATA of our filter: siginfo's si_errno tells our traps from those of other filters.
 */
#define FILTER_TRAP_DATA 0x5253

/*
 * Installs the filter in all threads, once in a process and its children:
 * a filter inherited through exec is found by `trap_probe`, which makes a call
 * that the filter would trap and says whether it did. The gate and the SIGSYS
 * handler must be in place.
 *
 * Without CAP_SYS_ADMIN the kernel wants NO_NEW_PRIVS first, and it is set: from
 * then on set-user-ID programs that are executed run without their privileges.
 *
 * Returns 0, or -errno where seccomp is refused; nothing is installed then.
 */
int filter_install(bool (*trap_probe)(void));

bool filter_is_installed(void);

/* Whether filter_install() had to set NO_NEW_PRIVS. */
bool filter_has_set_no_new_privs(void);

/* Whether a SIGSYS is a trap of this filter (inherited or not). */
bool filter_is_trap(const siginfo_t *info);

#endif
