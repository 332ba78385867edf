/*
 * filter.c - builds and installs the seccomp filter
 *
 * Entry:       filter_install() from the constructor or rs_attach()
 * Invariants:  F1 at most one of our filters is in force, in this process and in what it executes
 *              F2 a call from the gate's page is never trapped
 * The kernel:  seccomp(2); TRAP outranks ERRNO, TRACE and ALLOW, and is outranked by the KILL
 *              actions
 * Not here:    what a trapped call does (entry/trap.c)
 */
#include "host/filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "base/abi.h"
#include "host/gate.h"
#include "host/kernel.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

/* Behind the offsets at which programs map rings of provided buffers. */
#define OFFSETS_END (IORING_OFF_PBUF_RING + ~IORING_OFF_MMAP_MASK + 1)

/* si_code SYS_SECCOMP, which the C library's headers do not name. */
#define SI_CODE_SECCOMP 1

/* Offset of the low half of a 64-bit field; both architectures are little endian. */
#define LOW(field)  offsetof(struct seccomp_data, field)
#define HIGH(field) (offsetof(struct seccomp_data, field) + 4)

#define LOAD(offset)                  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define JUMP_EQUAL(value, yes, no)    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))
#define JUMP_AT_LEAST(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (value), (yes), (no))
#define RETURN(action)                BPF_STMT(BPF_RET | BPF_K, (action))

static bool is_installed;
static bool has_set_no_new_privs;

bool filter_is_installed(void)
{
	return is_installed;
}

bool filter_has_set_no_new_privs(void)
{
	return has_set_no_new_privs;
}

bool filter_is_trap(const siginfo_t *info)
{
	return info->si_code == SI_CODE_SECCOMP && info->si_errno == FILTER_TRAP_DATA &&
	       info->si_arch == NATIVE_ARCH;
}

static long seccomp_set(const struct sock_fprog *program)
{
	long err =
		host_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, program);

	/*
	 * A thread with a filter of its own cannot be synchronised (its id is returned): cover
	 * this one.
	 */
	if (err > 0)
		err = host_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program);
	if (err == -ENOSYS || err == -EINVAL)
		err = host_call(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0);
	return err;
}

static long filter_load(void)
{
	u64 gate = gate_return_address();
	struct sock_filter code[] = {
		LOAD(offsetof(struct seccomp_data, arch)),
		JUMP_EQUAL(NATIVE_ARCH, 0, 14),
		LOAD(offsetof(struct seccomp_data, nr)),
		JUMP_EQUAL(SYS_mmap, 0, 6),
		LOAD(LOW(args[5])),
		JUMP_EQUAL(IORING_OFF_CQ_RING, 2, 0),
		JUMP_AT_LEAST(IORING_OFF_PBUF_RING, 0, 9),
		JUMP_AT_LEAST(OFFSETS_END, 8, 0),
		LOAD(HIGH(args[5])),
		JUMP_EQUAL(0, 2, 6),
		JUMP_AT_LEAST(SYS_io_uring_setup, 0, 5),
		JUMP_AT_LEAST(SYS_io_uring_register + 1, 4, 0),
		LOAD(LOW(instruction_pointer)),
		JUMP_EQUAL((u32)gate, 0, 3),
		LOAD(HIGH(instruction_pointer)),
		/* The last jump: to ALLOW, or into TRAP. */
		JUMP_EQUAL((u32)(gate >> 32), 0, 1),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_TRAP | FILTER_TRAP_DATA),
	};
	struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};
	long err;

	/*
	 * Privileged, the filter goes in without NO_NEW_PRIVS, and set-user-ID children stay what
	 * they are.
	 */
	err = seccomp_set(&program);
	if (err != -EACCES)
		return err;
	err = host_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (err)
		return err;
	has_set_no_new_privs = true;
	return seccomp_set(&program);
}

int filter_install(bool (*trap_probe)(void))
{
	long err;

	if (is_installed)
		return 0;
	if (!gate_return_address())
		return -ENOMEM;
	if (trap_probe()) {
		is_installed = true;
		return 0;
	}
	err = filter_load();
	if (err)
		return (int)err;
	is_installed = true;
	return 0;
}
