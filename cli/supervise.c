/*
 * supervise.c - stays beside a program until it ends, and then ends as it did
 *
 * The program stays in this process's group, so the terminal's signals (^C, ^Z,
 * a new window size) reach it by themselves and must not be passed on. What a
 * process sends to us alone must. The two are told apart by si_code: the
 * kernel's own are the terminal's. From a process of our own group nothing is
 * passed on either: it signals the group, program included. (A group signalled
 * from outside it gets to the program twice; the kernel does not tell.)
 *
 * All signals are blocked here and fetched one by one, so there are no
 * handlers. The program starts with the mask and the actions of whoever
 * started us.
 *
 * If this process is killed, so is the program: it is what the caller knows
 * the program by.
 *
 * Entry:     supervise(), supervise_end_alike()
 * Not here:  what is done between the two (run.c)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/supervise.h"

/* What the program must find as it would without us. */
struct inherited {
	sigset_t mask;
	struct sigaction sigchld;
};

static void start(char **argv, const struct inherited *inherited, pid_t parent, int report)
{
	int error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	sigaction(SIGCHLD, &inherited->sigchld, NULL);
	sigprocmask(SIG_SETMASK, &inherited->mask, NULL);
	execvp(argv[0], argv);
	error = errno;
	while (write(report, &error, sizeof(error)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* The errno of a failed exec; 0 once the exec has closed the pipe. */
static int wait_for_exec(int report)
{
	int error = 0;
	ssize_t len;

	do
		len = read(report, &error, sizeof(error));
	while (len < 0 && errno == EINTR);
	close(report);
	return len == (ssize_t)sizeof(error) ? error : 0;
}

static void pass_on(pid_t program, const siginfo_t *info)
{
	if (info->si_code > 0 || (info->si_pid > 0 && getpgid(info->si_pid) == getpgrp()))
		return;
	if (info->si_code == SI_QUEUE)
		sigqueue(program, info->si_signo, info->si_value);
	else
		kill(program, info->si_signo);
}

/* The program has stopped: so do we, by the same signal, until somebody continues us. */
static void stop_alike(pid_t program, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	signal(sig, SIG_DFL);
	raise(sig);
	if (sig != SIGSTOP) {
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		sigprocmask(SIG_BLOCK, &set, NULL);
	}
	kill(program, SIGCONT);
}

/* Whether the program has ended; then *status says how. */
static bool reap(pid_t program, int *status)
{
	pid_t pid;

	do {
		pid = waitpid(program, status, WNOHANG | WUNTRACED);
		if (pid == program && WIFSTOPPED(*status))
			stop_alike(program, WSTOPSIG(*status));
		else if (pid == program)
			return true;
	} while (pid == program || (pid < 0 && errno == EINTR));
	return false;
}

static int watch(pid_t program, const sigset_t *signals)
{
	int status = 0;

	while (!reap(program, &status)) {
		siginfo_t info;
		int sig = sigwaitinfo(signals, &info);

		if (sig > 0 && sig != SIGCHLD)
			pass_on(program, &info);
	}
	return status;
}

int supervise(char **argv, struct supervised *end)
{
	static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
	struct sigaction fallback = {.sa_handler = SIG_DFL};
	struct inherited inherited;
	pid_t parent = getpid(), program;
	sigset_t signals;
	int report[2];

	sigfillset(&signals);
	for (size_t i = 0; i < sizeof(own_faults) / sizeof(own_faults[0]); i++)
		sigdelset(&signals, own_faults[i]);
	if (pipe2(report, O_CLOEXEC))
		return -errno;
	/* Ignored, it would be reaped by the kernel and its status lost. */
	sigaction(SIGCHLD, &fallback, &inherited.sigchld);
	sigprocmask(SIG_SETMASK, &signals, &inherited.mask);
	program = fork();
	if (program < 0)
		return -errno;
	if (program == 0)
		start(argv, &inherited, parent, report[1]);
	close(report[1]);
	end->exec_error = wait_for_exec(report[0]);
	end->status = watch(program, &signals);
	return end->exec_error ? -ECHILD : 0;
}

int supervise_end_alike(const struct supervised *end)
{
	struct rlimit none = {0, 0};
	sigset_t set;
	int sig;

	if (WIFEXITED(end->status))
		return WEXITSTATUS(end->status);
	sig = WTERMSIG(end->status);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	signal(sig, SIG_DFL);
	raise(sig);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return 128 + sig; /* a signal whose default does not end a process */
}
