/*
 * entry_exec_test.c - programs that a covered program executes are covered, or it is said why not
 *
 * usage: entry_exec_test STATIC [child MODE]
 *
 * STATIC is a statically linked program that makes a ring by assembly. With
 * "child" the program is its own executed child: it makes a ring and says by
 * its exit status what it found.
 */
#include <spawn.h>
#include <sys/prctl.h>

#include "entry.h"

#define COVERED 60 /* + what "child" adds */

static const char *self, *static_program;

static int filters_installed(void)
{
	char line[128];
	FILE *status = fopen("/proc/self/status", "r");
	int filters = -1;

	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "Seccomp_filters: %d", &filters);
	if (status)
		fclose(status);
	return filters;
}

/* The executed child. */
static int child_main(const char *mode)
{
	sigset_t set;

	if (!strcmp(mode, "filters"))
		return filters_installed();
	if (!strcmp(mode, "ignored"))
		return signal(SIGSYS, SIG_DFL) == SIG_IGN && asm_ring_works() ? COVERED : 1;
	if (!strcmp(mode, "unblocked")) {
		sigprocmask(SIG_BLOCK, NULL, &set);
		return !sigismember(&set, SIGSEGV) && !sigismember(&set, SIGUSR2) &&
				       asm_ring_works()
			       ? COVERED
			       : 1;
	}
	if (!strcmp(mode, "blocked")) {
		sigprocmask(SIG_BLOCK, NULL, &set);
		return sigismember(&set, SIGSYS) && sigismember(&set, SIGUSR2) && asm_ring_works()
			       ? COVERED
			       : 1;
	}
	if (!strcmp(mode, "kept"))
		return getenv("KEPT") && !getenv("LOST") && asm_ring_works() ? COVERED : 1;
	if (!strcmp(mode, "preload")) {
		const char *preload = getenv("LD_PRELOAD");

		return preload && strstr(preload, "libc.so.6") && asm_ring_works() ? COVERED : 1;
	}
	return asm_ring_works() ? COVERED : 1;
}

static int wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

#define ARGV(mode)                                                                                 \
	((char *[]){(char *)(uintptr_t)self, (char *)(uintptr_t)static_program, "child", mode,     \
		    NULL})

/* Environments; a sanitizer's options (filled in by main()) are none of the matter. */
static char *clean[] = {"KEPT=1", NULL, NULL, NULL};
static char *with_preload[] = {"LD_PRELOAD=libc.so.6", NULL, NULL, NULL};

/* Forks, and runs `exec_call` in the child. */
#define IN_CHILD(exec_call)                                                                        \
	({                                                                                         \
		pid_t child_ = fork();                                                             \
		if (child_ == 0) {                                                                 \
			signals_default();                                                         \
			exec_call;                                                                 \
			_exit(99);                                                                 \
		}                                                                                  \
		wait_for(child_);                                                                  \
	})

static void an_executed_program_is_covered(void **state)
{
	(void)state;
	assert_int_equal(IN_CHILD(execv(self, ARGV("ring"))), COVERED);
	assert_int_equal(IN_CHILD(execl(self, self, static_program, "child", "ring", NULL)),
			 COVERED);
	assert_int_equal(IN_CHILD(execlp(self, self, static_program, "child", "ring", NULL)),
			 COVERED);
	assert_int_equal(IN_CHILD(execvp(self, ARGV("ring"))), COVERED);
	assert_int_equal(IN_CHILD(syscall(SYS_execve, self, ARGV("ring"), environ)), COVERED);
}

static void a_cleaned_environment_gets_only_our_variables(void **state)
{
	int fd = open(self, O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(IN_CHILD(execve(self, ARGV("kept"), clean)), COVERED);
	assert_int_equal(IN_CHILD(execvpe(self, ARGV("kept"), clean)), COVERED);
	assert_int_equal(IN_CHILD(execle(self, self, static_program, "child", "kept", NULL, clean)),
			 COVERED);
	assert_int_equal(IN_CHILD(fexecve(fd, ARGV("kept"), clean)), COVERED);
	assert_int_equal(IN_CHILD(execveat(fd, "", ARGV("kept"), clean, AT_EMPTY_PATH)), COVERED);
	assert_int_equal(IN_CHILD(syscall(SYS_execve, self, ARGV("kept"), clean)), COVERED);
	assert_int_equal(IN_CHILD(
				 syscall(SYS_execveat, fd, "", ARGV("kept"), clean, AT_EMPTY_PATH)),
			 COVERED);
	assert_int_equal(IN_CHILD((clearenv(), setenv("KEPT", "1", 1), execv(self, ARGV("kept")))),
			 COVERED);
	close(fd);
}

static void a_program_of_vfork_is_covered(void **state)
{
	pid_t child = vfork();

	(void)state;
	if (child == 0) {
		execve(self, ARGV("kept"), clean);
		_exit(99);
	}
	assert_int_equal(wait_for(child), COVERED);
	assert_true(asm_ring_works());
}

/* As language runtimes do it: everything is blocked around vfork(), and set right in the child. */
static void a_program_of_vfork_gets_the_mask_that_the_child_set(void **state)
{
	sigset_t all, before, now;
	pid_t child;

	(void)state;
	sigfillset(&all);
	assert_int_equal(sigprocmask(SIG_BLOCK, &all, &before), 0);
	child = vfork();
	if (child == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		sigprocmask(SIG_SETMASK, NULL, &now);
		if (sigismember(&now, SIGSEGV) || sigismember(&now, SIGUSR1))
			_exit(98);
		execve(self, ARGV("unblocked"), environ);
		_exit(99);
	}
	assert_int_equal(wait_for(child), COVERED);
	child = vfork();
	if (child == 0) {
		execve(self, ARGV("blocked"), environ);
		_exit(99);
	}
	assert_int_equal(wait_for(child), COVERED);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, &now), 0);
	assert_int_equal(sigismember(&now, SIGSEGV), 1);
	assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &now), 0);
	assert_int_equal(sigismember(&now, SIGSEGV), 0);
	assert_true(asm_ring_works());
}

static void a_spawned_program_is_covered(void **state)
{
	pid_t child;

	(void)state;
	assert_int_equal(posix_spawn(&child, self, NULL, NULL, ARGV("kept"), clean), 0);
	assert_int_equal(wait_for(child), COVERED);
	assert_int_equal(posix_spawnp(&child, self, NULL, NULL, ARGV("kept"), clean), 0);
	assert_int_equal(wait_for(child), COVERED);
	assert_int_equal(posix_spawn(&child, "/nonexistent", NULL, NULL, ARGV("kept"), clean),
			 ENOENT);
}

static void another_preload_list_is_kept(void **state)
{
	(void)state;
	assert_int_equal(IN_CHILD(execve(self, ARGV("preload"), with_preload)), COVERED);
}

static void the_filter_is_inherited_and_not_added(void **state)
{
	(void)state;
	assert_int_equal(IN_CHILD(execv(self, ARGV("filters"))), filters_installed());
}

static void an_ignored_signal_is_inherited(void **state)
{
	(void)state;
	assert_int_equal(IN_CHILD((signal(SIGSYS, SIG_IGN), execv(self, ARGV("ignored")))),
			 COVERED);
}

static void block_all(void)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static void the_mask_is_inherited(void **state)
{
	(void)state;
	assert_int_equal(IN_CHILD((block_all(), execv(self, ARGV("blocked")))), COVERED);
}

static int failed_exec_body(void)
{
	sigset_t set;

	CHECK(signal(SIGSYS, SIG_IGN) == SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK(execv("/nonexistent", ARGV("ring")) == -1 && errno == ENOENT);
	CHECK(execv("/dev/null", ARGV("ring")) == -1 && errno == EACCES);
	CHECK(syscall(SYS_execve, 16, NULL, NULL) == -1 && errno == EFAULT);
	CHECK(syscall(SYS_execve, self, NULL, 16) == -1 && errno == EFAULT);
	CHECK(asm_ring_works());
	CHECK(!sigprocmask(SIG_BLOCK, NULL, &set) && sigismember(&set, SIGSEGV));
	CHECK(signal(SIGSYS, SIG_DFL) == SIG_IGN);
	return 0;
}

static void after_a_failed_exec_all_is_as_before(void **state)
{
	(void)state;
	assert_int_equal(in_bare_child(failed_exec_body), 0);
}

/* What the child, and the warning of its parent, wrote to stderr. */
static char *stderr_of_static_child(int *status)
{
	static char text[4096];
	ssize_t len;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	*status = IN_CHILD((dup2(ends[1], 2), execl(static_program, static_program, NULL)));
	close(ends[1]);
	len = read(ends[0], text, sizeof(text) - 1);
	text[len < 0 ? 0 : len] = '\0';
	close(ends[0]);
	return text;
}

static void a_static_child_is_warned_of_and_killed(void **state)
{
	int status;
	char *text = stderr_of_static_child(&status);

	(void)state;
	assert_non_null(strstr(text, static_program));
	assert_non_null(strstr(text, "statically linked"));
	assert_non_null(strstr(text, "SIGSYS"));
	assert_int_equal(status, DIED_BY(SIGSYS));
}

static void keep_variable(const char *name, int at)
{
	const char *value = getenv(name);
	char *entry;

	if (value && asprintf(&entry, "%s=%s", name, value) > 0) {
		clean[at] = entry;
		with_preload[at] = entry;
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_executed_program_is_covered),
		cmocka_unit_test(a_cleaned_environment_gets_only_our_variables),
		cmocka_unit_test(a_program_of_vfork_is_covered),
		cmocka_unit_test(a_program_of_vfork_gets_the_mask_that_the_child_set),
		cmocka_unit_test(a_spawned_program_is_covered),
		cmocka_unit_test(another_preload_list_is_kept),
		cmocka_unit_test(the_filter_is_inherited_and_not_added),
		cmocka_unit_test(an_ignored_signal_is_inherited),
		cmocka_unit_test(the_mask_is_inherited),
		cmocka_unit_test(after_a_failed_exec_all_is_as_before),
		cmocka_unit_test(a_static_child_is_warned_of_and_killed),
	};

	self = argv[0];
	static_program = argv[1];
	if (argc == 4 && !strcmp(argv[2], "child"))
		return child_main(argv[3]);
	if (argc != 2)
		return 2;
	alarm(UNIT_SECONDS);
	setenv("LOST", "1", 1);
	keep_variable("ASAN_OPTIONS", 1);
	keep_variable("TSAN_OPTIONS", clean[1] ? 2 : 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
