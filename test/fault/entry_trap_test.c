/*
 * entry_trap_test.c - io_uring called by inline assembly, whatever the program does to SIGSYS
 */
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <time.h>

#include "entry.h"

#define THREADS 4
#define ROUNDS  200

static sigset_t full(void)
{
	sigset_t set;

	sigfillset(&set);
	return set;
}

static bool set_has(const sigset_t *set, int sig)
{
	return sigismember(set, sig) == 1;
}

static void a_ring_made_by_assembly_works(void **state)
{
	(void)state;
	assert_true(asm_ring_works());
}

static void a_ring_made_by_syscall_is_the_same_for_assembly(void **state)
{
	struct small_ring ring;

	(void)state;
	assert_int_equal(ring_setup(&ring, WAY_SYSCALL), 0);
	assert_true(ring_works(&ring));
	ring.way = WAY_ASM;
	assert_true(ring_works(&ring));
	close(ring.fd);
}

static void *thread_of_nops(void *arg)
{
	struct small_ring ring;
	long good = 0;

	(void)arg;
	if (ring_setup(&ring, WAY_ASM))
		return NULL;
	for (int i = 0; i < ROUNDS; i++)
		good += ring_works(&ring);
	close(ring.fd);
	return (void *)good;
}

static void assembly_in_several_threads_at_once(void **state)
{
	pthread_t threads[THREADS];
	void *good;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_of_nops, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &good), 0);
		assert_int_equal((long)good, ROUNDS);
	}
}

static void a_trapped_call_keeps_errno(void **state)
{
	(void)state;
	errno = 4711;
	assert_int_equal(raw_syscall6(SYS_io_uring_enter, 9999, 0, 0, 0, 0, 0), -EBADF);
	assert_int_equal(errno, 4711);
	assert_int_equal(raw_syscall6(SYS_io_uring_setup, 0, 0, 0, 0, 0, 0), -EFAULT);
	assert_int_equal(errno, 4711);
}

static void syscall_reports_errors_as_libc_does(void **state)
{
	(void)state;
	errno = 0;
	assert_int_equal(syscall(SYS_io_uring_enter, 9999, 0, 0, 0, 0, 0), -1);
	assert_int_equal(errno, EBADF);
	errno = 0;
	assert_int_equal(syscall(SYS_close, -1), -1);
	assert_int_equal(errno, EBADF);
	errno = 0;
	assert_int_equal(syscall(SYS_getpid), getpid());
	assert_int_equal(syscall(100000), -1);
	assert_int_equal(errno, ENOSYS);
	errno = 0;
	assert_int_equal(syscall(-1), -1);
	assert_int_equal(errno, ENOSYS);
}

#if defined(__x86_64__)
static void syscall_vfork_comes_back_twice(void **state)
{
	static volatile int child_ran;
	long child = syscall(SYS_vfork);
	int status;

	(void)state;
	if (child == 0) {
		child_ran = 1;
		/* A call with arguments, to write over the stack that the parent returns on. */
		syscall(SYS_exit_group, 7, 1, 2, 3, 4, 5);
	}
	assert_true(child > 0);
	assert_int_equal(child_ran, 1);
	assert_int_equal(waitpid((pid_t)child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 7);
}
#endif

/*
 * Each blocks everything in its own way; the call must come through, and the program must see its
 * mask.
 */

static int blocked_by_sigprocmask(void)
{
	sigset_t set = full(), old;

	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK(asm_ring_works());
	CHECK(!sigprocmask(SIG_SETMASK, NULL, &old));
	CHECK(set_has(&old, SIGSYS) && set_has(&old, SIGSEGV) && set_has(&old, SIGUSR1));
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	CHECK(!sigprocmask(SIG_UNBLOCK, &set, &old));
	CHECK(set_has(&old, SIGSYS));
	CHECK(!sigprocmask(SIG_BLOCK, NULL, &old));
	CHECK(!set_has(&old, SIGSYS) && set_has(&old, SIGSEGV));
	return 0;
}

static int blocked_by_pthread_sigmask(void)
{
	sigset_t set = full(), old;

	CHECK(!pthread_sigmask(SIG_SETMASK, &set, NULL));
	CHECK(asm_ring_works());
	CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &old));
	CHECK(set_has(&old, SIGSYS) && set_has(&old, SIGBUS) && !set_has(&old, SIGKILL));
	CHECK(pthread_sigmask(99, &set, NULL) == EINVAL);
	return 0;
}

static int blocked_by_raw_syscall(void)
{
	u64 all = ~0ull, old = 0;

	CHECK(!syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all)));
	CHECK(asm_ring_works());
	CHECK(!syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &old, sizeof(old)));
	CHECK(old == (~0ull & ~(1ull << (SIGKILL - 1)) & ~(1ull << (SIGSTOP - 1))));
	errno = 0;
	CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, (void *)8, NULL, sizeof(all)) == -1);
	CHECK(errno == EFAULT);
	CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 4) == -1 && errno == EINVAL);
	return 0;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static int blocked_by_older_functions(void)
{
	CHECK(!sighold(SIGSYS));
	CHECK(asm_ring_works());
	CHECK(sigset(SIGSYS, SIG_HOLD) == SIG_HOLD);
	CHECK(asm_ring_works());
	CHECK(!sigrelse(SIGSYS));
	CHECK(!sigignore(SIGSYS));
	CHECK(asm_ring_works());
	return 0;
}
#pragma GCC diagnostic pop

static volatile bool handler_worked;

static void handler_with_ring(int sig)
{
	(void)sig;
	handler_worked = asm_ring_works();
}

static int blocked_by_the_mask_of_a_handler(void)
{
	struct sigaction action = {.sa_handler = handler_with_ring}, old;

	sigfillset(&action.sa_mask);
	CHECK(!sigaction(SIGUSR1, &action, NULL));
	CHECK(!raise(SIGUSR1));
	CHECK(handler_worked);
	CHECK(!sigaction(SIGUSR1, NULL, &old));
	CHECK(set_has(&old.sa_mask, SIGSYS) && set_has(&old.sa_mask, SIGSEGV));
	CHECK(old.sa_handler == handler_with_ring);
	return 0;
}

/* The kernel sets the wait's mask, under which the handler runs. */
static int blocked_by_the_mask_of_a_wait(void)
{
	struct sigaction action = {.sa_handler = handler_with_ring};
	struct timespec second = {1, 0};
	int epoll = epoll_create1(0);
	struct epoll_event event;
	sigset_t one, all = full();

	sigdelset(&all, SIGUSR1);
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	CHECK(!sigaction(SIGUSR1, &action, NULL));
	for (int way = 0; way < 5; way++) {
		int ret = -1;

		CHECK(!sigprocmask(SIG_BLOCK, &one, NULL));
		CHECK(!raise(SIGUSR1));
		handler_worked = false;
		if (way == 0)
			ret = ppoll(NULL, 0, &second, &all);
		else if (way == 1)
			ret = pselect(0, NULL, NULL, NULL, &second, &all);
		else if (way == 2)
			ret = epoll_pwait(epoll, &event, 1, 1000, &all);
		else if (way == 3)
			ret = sigsuspend(&all);
		else
			ret = (int)syscall(SYS_ppoll, NULL, 0, &second, &all, 8);
		CHECK(ret == -1 && errno == EINTR);
		CHECK(handler_worked);
	}
	return 0;
}

static void *thread_with_mask(void *arg)
{
	sigset_t old;

	(void)arg;
	pthread_sigmask(SIG_SETMASK, NULL, &old);
	return (void *)(long)(asm_ring_works() && set_has(&old, SIGSYS) && set_has(&old, SIGUSR1));
}

static int blocked_in_the_creator_of_a_thread(void)
{
	sigset_t set = full();
	pthread_t thread;
	void *good;

	CHECK(!pthread_sigmask(SIG_SETMASK, &set, NULL));
	CHECK(!pthread_create(&thread, NULL, thread_with_mask, NULL));
	CHECK(!pthread_join(thread, &good));
	CHECK(good);
	return 0;
}

static void *thread_of_attributes(void *arg)
{
	(void)arg;
	return (void *)(long)asm_ring_works();
}

static int blocked_by_the_attributes_of_a_thread(void)
{
	pthread_attr_t attributes;
	sigset_t set = full();
	pthread_t thread;
	void *good;

	CHECK(!pthread_attr_init(&attributes));
	CHECK(!pthread_attr_setsigmask_np(&attributes, &set));
	CHECK(!pthread_create(&thread, &attributes, thread_of_attributes, NULL));
	CHECK(!pthread_join(thread, &good));
	CHECK(good);
	return 0;
}

static int ignored(void)
{
	CHECK(signal(SIGSYS, SIG_IGN) == SIG_DFL);
	CHECK(asm_ring_works());
	CHECK(signal(SIGSYS, SIG_DFL) == SIG_IGN);
	CHECK(asm_ring_works());
	return 0;
}

static int handled_by_the_program(void)
{
	CHECK(signal(SIGSYS, handler_with_ring) == SIG_DFL);
	CHECK(asm_ring_works());
	CHECK(!handler_worked);
	return 0;
}

static int blocked_through_posix_spawn(void)
{
	char *argv[] = {"true", NULL};
	sigset_t set = full();
	int status;
	pid_t pid;

	CHECK(!sigprocmask(SIG_SETMASK, &set, NULL));
	for (int i = 0; i < 3; i++) {
		CHECK(!posix_spawnp(&pid, "true", NULL, NULL, argv, environ));
		CHECK(asm_ring_works());
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
	return 0;
}

#define CASE_IN_CHILD(name)                                                                        \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		assert_int_equal(in_bare_child(name), 0);                                          \
	}

/* The runtime's sigaction(), which ours calls, is the last before libc's. */
#define CASE_OF_HANDLER_IN_CHILD(name)                                                             \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		unit_skip_under_tsan("ThreadSanitizer runs handlers with all signals blocked, "    \
				     "SIGSYS too");                                                \
		assert_int_equal(in_bare_child(name), 0);                                          \
	}

CASE_IN_CHILD(blocked_by_sigprocmask)
CASE_IN_CHILD(blocked_by_pthread_sigmask)
CASE_IN_CHILD(blocked_by_raw_syscall)
CASE_IN_CHILD(blocked_by_older_functions)
CASE_OF_HANDLER_IN_CHILD(blocked_by_the_mask_of_a_handler)
CASE_OF_HANDLER_IN_CHILD(blocked_by_the_mask_of_a_wait)
CASE_IN_CHILD(blocked_in_the_creator_of_a_thread)
CASE_IN_CHILD(blocked_by_the_attributes_of_a_thread)
CASE_IN_CHILD(ignored)
CASE_IN_CHILD(handled_by_the_program)
CASE_IN_CHILD(blocked_through_posix_spawn)

/* The CQ ring's offset: the same memory for a ring, the kernel's answer for anything else. */

static void *map_cq(int way, int fd)
{
	const int prot = PROT_READ | PROT_WRITE;
	long ret;

	if (way == 0)
		return mmap(NULL, 4096, prot, MAP_SHARED, fd, IORING_OFF_CQ_RING);
	if (way == 1)
		ret = syscall(SYS_mmap, NULL, 4096, prot, MAP_SHARED, fd, (long)IORING_OFF_CQ_RING);
	else
		ret = raw_syscall6(SYS_mmap, 0, 4096, prot, MAP_SHARED, fd, IORING_OFF_CQ_RING);
	return ret < 0 ? MAP_FAILED : (void *)ret;
}

static void the_cq_offset_shows_the_rings_memory(void **state)
{
	struct small_ring ring;

	(void)state;
	assert_int_equal(ring_setup(&ring, WAY_ASM), 0);
	for (int way = 0; way < 3; way++) {
		u32 *memory = map_cq(way, ring.fd);

		assert_ptr_not_equal(memory, MAP_FAILED);
		assert_true(ring_works(&ring));
		assert_int_equal(memory[ring.params.cq_off.tail / 4],
				 *ring_word(&ring, ring.params.cq_off.tail));
		assert_int_equal(munmap(memory, 4096), 0);
	}
	close(ring.fd);
}

static void the_cq_offset_of_a_file_is_the_files(void **state)
{
	int fd = (int)syscall(SYS_memfd_create, "file", 0);

	(void)state;
	assert_int_equal(ftruncate(fd, IORING_OFF_CQ_RING + 4096), 0);
	assert_int_equal(pwrite(fd, "here", 4, IORING_OFF_CQ_RING), 4);
	for (int way = 0; way < 3; way++) {
		char *memory = map_cq(way, fd);

		assert_ptr_not_equal(memory, MAP_FAILED);
		assert_memory_equal(memory, "here", 4);
		assert_int_equal(munmap(memory, 4096), 0);
	}
	close(fd);
	for (int way = 0; way < 3; way++)
		assert_ptr_equal(map_cq(way, fd), MAP_FAILED);
	errno = 0;
	map_cq(0, -1);
	assert_int_equal(errno, EBADF);
}

static void one_filter_is_installed_and_no_more(void **state)
{
	(void)state;
	/* forbid's and ours: this image found ours, or installed it, but did not add one. */
	char line[128];
	FILE *status = fopen("/proc/self/status", "r");
	int filters = -1;

	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		sscanf(line, "Seccomp_filters: %d", &filters);
	fclose(status);
	assert_int_equal(filters, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_made_by_assembly_works),
		cmocka_unit_test(a_ring_made_by_syscall_is_the_same_for_assembly),
		cmocka_unit_test(assembly_in_several_threads_at_once),
		cmocka_unit_test(a_trapped_call_keeps_errno),
		cmocka_unit_test(syscall_reports_errors_as_libc_does),
#if defined(__x86_64__)
		cmocka_unit_test(syscall_vfork_comes_back_twice),
#endif
		cmocka_unit_test(test_blocked_by_sigprocmask),
		cmocka_unit_test(test_blocked_by_pthread_sigmask),
		cmocka_unit_test(test_blocked_by_raw_syscall),
		cmocka_unit_test(test_blocked_by_older_functions),
		cmocka_unit_test(test_blocked_by_the_mask_of_a_handler),
		cmocka_unit_test(test_blocked_by_the_mask_of_a_wait),
		cmocka_unit_test(test_blocked_in_the_creator_of_a_thread),
		cmocka_unit_test(test_blocked_by_the_attributes_of_a_thread),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_handled_by_the_program),
		cmocka_unit_test(test_blocked_through_posix_spawn),
		cmocka_unit_test(the_cq_offset_shows_the_rings_memory),
		cmocka_unit_test(the_cq_offset_of_a_file_is_the_files),
		cmocka_unit_test(one_filter_is_installed_and_no_more),
	};

	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
