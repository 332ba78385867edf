/*
 * entry_signals_test.c - SIGSYS, SIGSEGV and SIGBUS do to the program what they did before
 * ringside
 *
 * Each case is a child process: its exit status, or the signal it died of, is
 * what the kernel alone would have made of it. Run without ringside, all cases but
 * those that make a ring pass as well.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <sys/prctl.h>
#include <time.h>

#include "entry.h"

static volatile int handled;
static siginfo_t seen;
static sigjmp_buf jump;

/* An address that faults, out of the compiler's sight. */
static volatile char *volatile nowhere = (char *)16;

static void fault(void)
{
	*nowhere = 1;
}

static void note(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	handled++;
	seen = *info;
}

static void leave(int sig, siginfo_t *info, void *context)
{
	note(sig, info, context);
	siglongjmp(jump, 1);
}

static void die_with_status(int sig)
{
	_exit(100 + sig);
}

static int handler_set(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	return sigaction(sig, &action, NULL);
}

static int a_fault_kills_by_default(void)
{
	fault();
	return 0;
}

static int a_fault_kills_although_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	fault();
	return 0;
}

static int a_fault_kills_although_blocked(void)
{
	sigset_t set;

	signal(SIGSEGV, die_with_status);
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fault();
	return 0;
}

static int a_fault_in_the_handler_kills(void)
{
	struct sigaction action = {.sa_handler = (void (*)(int))(void *)fault};

	sigaction(SIGSEGV, &action, NULL);
	fault();
	return 0;
}

static void fault_once(int sig)
{
	if (handled++ == 0)
		fault();
	_exit(100 + sig);
}

static int a_fault_in_a_handler_with_nodefer_calls_it_again(void)
{
	struct sigaction action = {.sa_handler = fault_once, .sa_flags = SA_NODEFER};

	sigaction(SIGSEGV, &action, NULL);
	fault();
	return 0;
}

static int a_one_shot_handler_runs_once(void)
{
	struct sigaction old;

	CHECK(!handler_set(SIGSEGV, leave, (int)SA_RESETHAND | SA_NODEFER));
	if (!sigsetjmp(jump, 1))
		fault();
	CHECK(handled == 1);
	CHECK(!sigaction(SIGSEGV, NULL, &old) && old.sa_handler == SIG_DFL);
	fault();
	return 0;
}

static int a_handler_learns_where_the_fault_was(void)
{
	CHECK(!handler_set(SIGSEGV, leave, 0));
	if (!sigsetjmp(jump, 1))
		fault();
	CHECK(handled == 1);
	CHECK(seen.si_signo == SIGSEGV && seen.si_code == SEGV_MAPERR);
	CHECK(seen.si_addr == nowhere);
	return 0;
}

static int a_jump_out_of_a_handler_restores_the_mask(void)
{
	sigset_t set;

	CHECK(!handler_set(SIGSEGV, leave, 0));
	for (int i = 0; i < 3; i++)
		if (!sigsetjmp(jump, 1))
			fault();
	CHECK(handled == 3);
	CHECK(!sigprocmask(SIG_BLOCK, NULL, &set) && !sigismember(&set, SIGSEGV));
	return 0;
}

static int a_jump_without_the_mask_leaves_it_blocked(void)
{
	sigset_t set;

	CHECK(!handler_set(SIGSEGV, leave, 0));
	if (!sigsetjmp(jump, 0))
		fault();
	CHECK(handled == 1);
	CHECK(!sigprocmask(SIG_BLOCK, NULL, &set) && sigismember(&set, SIGSEGV));
	if (!sigsetjmp(jump, 0))
		fault();
	return 0;
}

static sigset_t mask_in_handler;

static void look_at_mask(int sig, siginfo_t *info, void *context)
{
	sigprocmask(SIG_BLOCK, NULL, &mask_in_handler);
	leave(sig, info, context);
}

static int a_handler_runs_with_the_mask_it_asked_for(void)
{
	struct sigaction action = {.sa_sigaction = look_at_mask, .sa_flags = SA_SIGINFO}, old;

	sigaddset(&action.sa_mask, SIGUSR1);
	sigaddset(&action.sa_mask, SIGSYS);
	CHECK(!sigaction(SIGSEGV, &action, NULL));
	if (!sigsetjmp(jump, 1))
		fault();
	CHECK(handled == 1);
	CHECK(sigismember(&mask_in_handler, SIGUSR1) && sigismember(&mask_in_handler, SIGSYS));
	CHECK(sigismember(&mask_in_handler, SIGSEGV) && !sigismember(&mask_in_handler, SIGUSR2));
	CHECK(!sigaction(SIGSEGV, NULL, &old));
	CHECK(sigismember(&old.sa_mask, SIGSYS) && !sigismember(&old.sa_mask, SIGBUS));
	return 0;
}

static char stack_for_signals[65536];

static void is_on_other_stack(int sig)
{
	char here;

	(void)sig;
	_exit(&here >= stack_for_signals && &here < stack_for_signals + sizeof(stack_for_signals)
		      ? 42
		      : 43);
}

static int overflow(volatile char *above)
{
	volatile char frame[4096];

	frame[0] = above ? above[0] : 0;
	return nowhere ? overflow(frame) + frame[0] : 0;
}

static int a_stack_overflow_is_handled_on_the_other_stack(void)
{
	stack_t stack = {.ss_sp = stack_for_signals, .ss_size = sizeof(stack_for_signals)};
	struct sigaction action = {.sa_handler = is_on_other_stack, .sa_flags = SA_ONSTACK};

	CHECK(!sigaltstack(&stack, NULL));
	CHECK(!sigaction(SIGSEGV, &action, NULL));
	return overflow(NULL);
}

static int a_bus_error_is_handled(void)
{
	int fd = (int)syscall(SYS_memfd_create, "short", 0);
	char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	volatile char got = 0;

	CHECK(!handler_set(SIGBUS, leave, 0));
	if (!sigsetjmp(jump, 1))
		got = memory[0];
	CHECK(handled == 1 && got == 0);
	CHECK(seen.si_code == BUS_ADRERR && seen.si_addr == memory);
	return 0;
}

static int a_bus_error_kills_by_default(void)
{
	int fd = (int)syscall(SYS_memfd_create, "short", 0);
	volatile char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	return memory[0];
}

/* Signals that somebody sends */

static int a_sent_signal_kills_by_default(void)
{
	raise(SIGSYS);
	return 0;
}

static int a_sent_segv_kills_by_default(void)
{
	kill(getpid(), SIGSEGV);
	return 0;
}

static int a_sent_signal_is_ignored(void)
{
	static const int signals[] = {SIGSYS, SIGSEGV, SIGBUS};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		CHECK(signal(signals[i], SIG_IGN) == SIG_DFL);
		CHECK(!raise(signals[i]));
		CHECK(!kill(getpid(), signals[i]));
	}
	return 0;
}

static int a_sent_signal_is_handled_with_its_sender(void)
{
	union sigval value = {.sival_int = 77};

	CHECK(!handler_set(SIGSYS, note, 0));
	CHECK(!sigqueue(getpid(), SIGSYS, value));
	CHECK(handled == 1);
	CHECK(seen.si_code == SI_QUEUE && seen.si_pid == getpid() && seen.si_value.sival_int == 77);
	CHECK(asm_ring_works());
	CHECK(handled == 1);
	return 0;
}

static int a_sent_signal_waits_until_it_is_unblocked(void)
{
	union sigval value = {.sival_int = 78};
	sigset_t set, pending;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	CHECK(!handler_set(SIGSYS, note, 0));
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK(!sigqueue(getpid(), SIGSYS, value));
	CHECK(handled == 0);
	CHECK(!sigpending(&pending) && sigismember(&pending, SIGSYS));
	CHECK(asm_ring_works());
	CHECK(!sigprocmask(SIG_UNBLOCK, &set, NULL));
	CHECK(handled == 1 && seen.si_value.sival_int == 78 && seen.si_code == SI_QUEUE);
	CHECK(!sigpending(&pending) && !sigismember(&pending, SIGSYS));
	return 0;
}

static int a_signal_that_waits_interrupts_sigsuspend(void)
{
	sigset_t set, none;

	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	CHECK(!handler_set(SIGSEGV, note, 0));
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK(!raise(SIGSEGV));
	CHECK(handled == 0);
	CHECK(sigsuspend(&none) == -1 && errno == EINTR);
	CHECK(handled == 1);
	CHECK(!sigprocmask(SIG_BLOCK, NULL, &set) && sigismember(&set, SIGSEGV));
	return 0;
}

static int a_signal_that_waits_is_dropped_when_ignored(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK(!raise(SIGSYS));
	CHECK(signal(SIGSYS, SIG_IGN) == SIG_DFL);
	CHECK(signal(SIGSYS, SIG_DFL) == SIG_IGN);
	CHECK(!sigprocmask(SIG_UNBLOCK, &set, NULL));
	return 0;
}

/* SIGSYS of a filter of the program's own */

#define OTHER_DATA 77

static int filter_own(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uname, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP | OTHER_DATA),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int another_filters_signal_reaches_its_handler(void)
{
	CHECK(!handler_set(SIGSYS, note, 0));
	CHECK(!filter_own());
	raw_syscall6(SYS_uname, 0, 0, 0, 0, 0, 0);
	CHECK(handled == 1);
	CHECK(seen.si_errno == OTHER_DATA && seen.si_syscall == SYS_uname);
	CHECK(asm_ring_works());
	CHECK(handled == 1);
	return 0;
}

static int another_filters_signal_kills_by_default(void)
{
	CHECK(!filter_own());
	raw_syscall6(SYS_uname, 0, 0, 0, 0, 0, 0);
	return 0;
}

static int another_filters_signal_kills_although_ignored(void)
{
	CHECK(!filter_own());
	signal(SIGSYS, SIG_IGN);
	raw_syscall6(SYS_uname, 0, 0, 0, 0, 0, 0);
	return 0;
}

/* What is set is what is read back */

static int actions_read_back(void)
{
	struct sigaction action = {.sa_handler = die_with_status}, old;

	sigaddset(&action.sa_mask, SIGSYS);
	sigaddset(&action.sa_mask, SIGHUP);
	for (int sig = 1; sig < 32; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP) {
			CHECK(sigaction(sig, &action, NULL) == -1 && errno == EINVAL);
			continue;
		}
		action.sa_flags = sig % 2 ? SA_RESTART : SA_NOCLDSTOP | SA_ONSTACK;
		CHECK(!sigaction(sig, &action, NULL));
		CHECK(!sigaction(sig, NULL, &old));
		CHECK(old.sa_handler == die_with_status);
		CHECK((old.sa_flags & ~0x04000000) == action.sa_flags);
		CHECK(sigismember(&old.sa_mask, SIGSYS) && sigismember(&old.sa_mask, SIGHUP));
		CHECK(!sigismember(&old.sa_mask, SIGSEGV));
	}
	CHECK(sigaction(0, NULL, &old) == -1 && errno == EINVAL);
	CHECK(sigaction(65, NULL, &old) == -1 && errno == EINVAL);
	CHECK(signal(SIGSYS, SIG_ERR) == SIG_ERR);
	CHECK(signal(SIGBUS, SIG_DFL) == die_with_status);
	return 0;
}

static int bad_pointers_in_rings_do_not_reach_the_handler(void)
{
	CHECK(!handler_set(SIGSEGV, note, 0));
	CHECK(!handler_set(SIGBUS, note, 0));
	CHECK(raw_syscall6(SYS_io_uring_setup, 4, 16, 0, 0, 0, 0) == -EFAULT);
	CHECK(raw_syscall6(SYS_io_uring_setup, 4, (long)0x8000000000000000ull, 0, 0, 0, 0) ==
	      -EFAULT);
	CHECK(syscall(SYS_io_uring_setup, 4, -8L) == -1 && errno == EFAULT);
	CHECK(handled == 0);
	return 0;
}

static const struct {
	const char *name;
	int (*body)(void);
	int expected;
} cases[] = {
#define CASE(name, expected)                                                                       \
	{                                                                                          \
#name, name, expected                                                              \
	}
	CASE(a_fault_kills_by_default, DIED_BY(SIGSEGV)),
	CASE(a_fault_kills_although_ignored, DIED_BY(SIGSEGV)),
	CASE(a_fault_kills_although_blocked, DIED_BY(SIGSEGV)),
	CASE(a_fault_in_the_handler_kills, DIED_BY(SIGSEGV)),
	CASE(a_fault_in_a_handler_with_nodefer_calls_it_again, 100 + SIGSEGV),
	CASE(a_one_shot_handler_runs_once, DIED_BY(SIGSEGV)),
	CASE(a_handler_learns_where_the_fault_was, 0),
	CASE(a_jump_out_of_a_handler_restores_the_mask, 0),
	CASE(a_jump_without_the_mask_leaves_it_blocked, DIED_BY(SIGSEGV)),
	CASE(a_handler_runs_with_the_mask_it_asked_for, 0),
	CASE(a_stack_overflow_is_handled_on_the_other_stack, 42),
	CASE(a_bus_error_is_handled, 0),
	CASE(a_bus_error_kills_by_default, DIED_BY(SIGBUS)),
	CASE(a_sent_signal_kills_by_default, DIED_BY(SIGSYS)),
	CASE(a_sent_segv_kills_by_default, DIED_BY(SIGSEGV)),
	CASE(a_sent_signal_is_ignored, 0),
	CASE(a_sent_signal_is_handled_with_its_sender, 0),
	CASE(a_sent_signal_waits_until_it_is_unblocked, 0),
	CASE(a_signal_that_waits_interrupts_sigsuspend, 0),
	CASE(a_signal_that_waits_is_dropped_when_ignored, 0),
	CASE(another_filters_signal_reaches_its_handler, 0),
	CASE(another_filters_signal_kills_by_default, DIED_BY(SIGSYS)),
	CASE(another_filters_signal_kills_although_ignored, DIED_BY(SIGSYS)),
	CASE(actions_read_back, 0),
	CASE(bad_pointers_in_rings_do_not_reach_the_handler, 0),
#undef CASE
};

int main(void)
{
	int failed = 0;

	alarm(UNIT_SECONDS);
	printf("1..%zu\n", ARRAY_SIZE(cases));
	fflush(stdout);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int got = in_bare_child(cases[i].body);
		bool ok = got == cases[i].expected;

		printf("%sok %zu - %s\n", ok ? "" : "not ", i + 1, cases[i].name);
		if (!ok)
			printf("# got %d, expected %d (256 + signal, or exit status)\n", got,
			       cases[i].expected);
		fflush(stdout);
		failed += !ok;
	}
	return failed ? 1 : 0;
}
