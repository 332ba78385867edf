/*
 * biased_lock_test.c - the lock that is biased to one thread
 *
 * ThreadSanitizer's build never biases a lock: there the same tests show that it is an
 * ordinary one.
 */
#include "base/biased_lock.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#include "unit.h"

#define ROUNDS  20000
#define OTHERS  3
#define SIGNALS 20000
/* Or as many as there is time for: where others have the CPUs, each waits for a time slice. */
#define SIGNAL_SECONDS 10

static struct biased_lock lock;
static u64 counter;  /* plain: the lock protects it */
static bool is_held; /* plain */

static void enter(void)
{
	biased_lock_acquire(&lock);
	assert_false(is_held);
	is_held = true;
}

static void leave(void)
{
	assert_true(is_held);
	is_held = false;
	biased_lock_release(&lock);
}

/* Takes the lock until it is biased to the calling thread. */
static int bias(void **state)
{
	(void)state;
	lock = BIASED_LOCK_INIT;
	counter = 0;
	is_held = false;
	for (int i = 0; i < 100; i++) {
		enter();
		biased_lock_may_bias(&lock);
		leave();
	}
	return 0;
}

static void assert_free(void)
{
	assert_int_equal(lock.inside, 0);
	assert_int_equal(lock.word.word, 0);
	assert_false(biased_lock_is_mine(&lock));
}

static void skip_unless_biased(void)
{
	if (lock.bias == 0)
		unit_skip("no lock is biased in this build, or membarrier(2) is refused");
}

static void on_another_thread(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
	pthread_join(thread, NULL);
}

static void the_bias_is_given_after_sixteen_acquisitions_in_a_row(void **state)
{
	(void)state;
	lock = BIASED_LOCK_INIT;
	for (int i = 0; i < 15; i++) {
		enter();
		biased_lock_may_bias(&lock);
		leave();
		assert_int_equal(lock.bias, 0);
	}
	enter();
	biased_lock_may_bias(&lock);
	leave();
	skip_unless_biased();
	assert_int_equal(lock.bias, thread_id());
	assert_free();
}

static void *take_once(void *unused)
{
	enter();
	biased_lock_may_bias(&lock);
	leave();
	return unused;
}

static void a_streak_that_another_thread_breaks_begins_again(void **state)
{
	(void)state;
	lock = BIASED_LOCK_INIT;
	for (int i = 0; i < 15; i++)
		take_once(NULL);
	on_another_thread(take_once, NULL);
	for (int i = 0; i < 15; i++)
		take_once(NULL);
	assert_int_equal(lock.bias, 0);
}

static void the_biased_thread_takes_it_without_the_word(void **state)
{
	(void)state;
	skip_unless_biased();
	enter();
	assert_int_equal(lock.inside, 1);
	assert_int_equal(lock.word.word, 0);
	assert_true(biased_lock_is_mine(&lock));
	leave();
	assert_free();
}

static void another_thread_gives_the_bias_back_and_never_takes_it(void **state)
{
	u32 before = lock.bias;

	(void)state;
	for (int i = 0; i < 40; i++)
		on_another_thread(take_once, NULL);
	assert_int_equal(lock.bias, before);
	skip_unless_biased();
	assert_int_equal(lock.revoked, 0);
	assert_int_equal(lock.revocations, 40);
	enter();
	assert_int_equal(lock.inside, 1);
	leave();
}

static void *take_often(void *count)
{
	for (u32 i = 0; i < *(u32 *)count; i++) {
		enter();
		counter++;
		leave();
	}
	return NULL;
}

static void a_bias_that_is_revoked_too_often_is_lost_for_good(void **state)
{
	u32 count = 1100;

	(void)state;
	skip_unless_biased();
	on_another_thread(take_often, &count);
	assert_int_equal(lock.revoked, 1);
	assert_int_equal(lock.revocations, 1000);
	enter();
	assert_int_equal(lock.inside, 0);
	assert_int_not_equal(lock.word.word, 0);
	assert_true(biased_lock_is_mine(&lock));
	leave();
	assert_free();
}

static void *try_and_tell(void *taken)
{
	*(bool *)taken = biased_lock_acquire_try(&lock);
	assert_int_equal(*(bool *)taken, biased_lock_is_mine(&lock));
	if (*(bool *)taken)
		biased_lock_release(&lock);
	return NULL;
}

static void a_try_fails_while_it_is_held_and_succeeds_when_it_is_free(void **state)
{
	bool taken = true;

	(void)state;
	enter();
	on_another_thread(try_and_tell, &taken);
	assert_false(taken);
	leave();
	on_another_thread(try_and_tell, &taken);
	assert_true(taken);
	try_and_tell(&taken);
	assert_true(taken);
	assert_free();
}

/* The owner holds it by `inside`; who wants it sleeps on that, and must be woken by the release. */
static u32 sleeper_tid; /* (a) */

static void *take_slowly(void *unused)
{
	store_release(&sleeper_tid, thread_id());
	enter();
	counter++;
	leave();
	return unused;
}

static void a_revoker_that_sleeps_is_woken_by_the_release(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		pthread_t thread;

		store_relaxed(&sleeper_tid, 0);
		enter();
		assert_int_equal(pthread_create(&thread, NULL, take_slowly, NULL), 0);
		unit_wait_until(load_acquire(&sleeper_tid) &&
				unit_thread_sleeps((int)load_acquire(&sleeper_tid)));
		assert_int_equal(counter, i);
		leave();
		pthread_join(thread, NULL);
		assert_int_equal(counter, i + 1);
	}
	assert_free();
}

static u32 others_left; /* (a) */

static void *count_and_try(void *unused)
{
	for (int i = 0; i < ROUNDS / 20; i++) {
		if (i % 4) {
			enter();
		} else {
			unit_wait_until(biased_lock_acquire_try(&lock));
			assert_false(is_held);
			is_held = true;
		}
		counter++;
		if (i % 16 == 0)
			sched_yield(); /* held: the others come to sleep on it */
		leave();
	}
	sub_full(&others_left, 1);
	return unused;
}

static void the_biased_thread_and_others_exclude_each_other(void **state)
{
	pthread_t threads[OTHERS];
	u64 mine = 0;

	(void)state;
	others_left = OTHERS;
	for (int i = 0; i < OTHERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_and_try, NULL), 0);
	while (mine < ROUNDS || load_relaxed(&others_left)) {
		enter();
		counter++;
		mine++;
		leave();
	}
	for (int i = 0; i < OTHERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter, mine + OTHERS * (ROUNDS / 20));
	assert_free();
}

/*
 * A signal handler may want the lock at any instruction of a thread's own acquisition and
 * release. It is either told that this thread has it, or may take it; afterwards the thread
 * goes on as if nothing had been.
 */
static u32 handled, handled_inside; /* (a) */

static void on_signal(int signal)
{
	(void)signal;
	if (biased_lock_is_mine(&lock)) {
		add_relaxed(&handled_inside, 1);
	} else {
		biased_lock_acquire(&lock);
		counter++;
		biased_lock_release(&lock);
	}
	add_relaxed(&handled, 1);
}

struct victim {
	u32 tid;
	u32 sent;
	u32 is_done; /* (a) */
};

static void *bombard(void *argument)
{
	struct victim *victim = argument;
	time_t end = time(NULL) + SIGNAL_SECONDS;

	while (victim->sent < SIGNALS && time(NULL) < end) {
		syscall(SYS_tgkill, getpid(), victim->tid, SIGUSR1);
		unit_wait_until(load_relaxed(&handled) > victim->sent);
		victim->sent++;
	}
	store_release(&victim->is_done, 1);
	return NULL;
}

static void assert_survives_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal}, old;
	struct victim victim = {.tid = thread_id()};
	pthread_t thread;
	u64 taken = 0;

	handled = handled_inside = 0;
	assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
	assert_int_equal(pthread_create(&thread, NULL, bombard, &victim), 0);
	while (!load_acquire(&victim.is_done)) {
		biased_lock_acquire(&lock);
		taken++;
		biased_lock_release(&lock);
	}
	pthread_join(thread, NULL);
	sigaction(SIGUSR1, &old, NULL);
	assert_true(victim.sent > 0);
	assert_int_equal(handled, victim.sent);
	assert_int_equal(counter + handled_inside, victim.sent);
	assert_true(taken > 0);
	assert_free();
}

static void a_signal_at_any_instruction_does_no_harm_to_the_biased_thread(void **state)
{
	(void)state;
	skip_unless_biased();
	assert_survives_signals();
}

static void a_signal_at_any_instruction_does_no_harm_without_bias(void **state)
{
	(void)state;
	lock = BIASED_LOCK_INIT;
	assert_survives_signals();
}

static int take_twice(void)
{
	close(STDERR_FILENO);
	biased_lock_acquire(&lock);
	biased_lock_acquire(&lock);
	return 0;
}

static void taking_it_twice_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(unit_in_child(take_twice), 256 + SIGABRT);
	lock = BIASED_LOCK_INIT;
	assert_int_equal(unit_in_child(take_twice), 256 + SIGABRT);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_bias_is_given_after_sixteen_acquisitions_in_a_row),
	cmocka_unit_test(a_streak_that_another_thread_breaks_begins_again),
	cmocka_unit_test_setup(the_biased_thread_takes_it_without_the_word, bias),
	cmocka_unit_test_setup(another_thread_gives_the_bias_back_and_never_takes_it, bias),
	cmocka_unit_test_setup(a_bias_that_is_revoked_too_often_is_lost_for_good, bias),
	cmocka_unit_test_setup(a_try_fails_while_it_is_held_and_succeeds_when_it_is_free, bias),
	cmocka_unit_test_setup(a_revoker_that_sleeps_is_woken_by_the_release, bias),
	cmocka_unit_test_setup(the_biased_thread_and_others_exclude_each_other, bias),
	cmocka_unit_test_setup(a_signal_at_any_instruction_does_no_harm_to_the_biased_thread, bias),
	cmocka_unit_test_setup(a_signal_at_any_instruction_does_no_harm_without_bias, bias),
	cmocka_unit_test_setup(taking_it_twice_is_an_error, bias),
};

unit_main(tests)
