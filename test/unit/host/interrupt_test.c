/*
 * interrupt_test.c - an interrupt is neither lost nor late
 *
 * One thread plays both sides. The moment between the gate's look at
 * is_requested and its entry into the kernel is a few instructions long; here
 * it is hit every time: is_requested lies in a page that cannot be read, so the
 * look faults, and the SIGSEGV handler sends the interrupt, which the kernel
 * delivers when that handler returns to the gate.
 */
#include "host/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "host/kernel.h"
#include "host/sigaction.h"
#include "unit.h"

#define PAGE 65536 /* at least one page on every machine */

static struct interrupt *self;
static bool is_sent;

static const long no_arguments[6];

/* On return the interrupt is pending, and the look says "not requested": it seems to come first. */
static void fault_at_the_look(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	host_call(SYS_mprotect, self, PAGE, PROT_READ | PROT_WRITE);
	is_sent = interrupt_send(self);
	store_relaxed(&self->is_requested, 0);
}

static void fault_with_two_signals(int signal, siginfo_t *info, void *context)
{
	fault_at_the_look(signal, info, context);
	host_call(SYS_tgkill, getpid(), gettid(), SIGUSR1);
}

static bool has_other_handler_run;

static void other_signalled(int signal)
{
	(void)signal;
	has_other_handler_run = true;
}

/* The lower number is delivered first, so that the interrupt finds the thread in its handler. */
static void an_interrupt_on_top_of_another_handler_is_not_lost(void **state)
{
	const struct kernel_sigaction fault = {.handler = (u64)fault_with_two_signals,
					       .flags = SA_SIGINFO,
					       .mask = ~0ull};
	const struct kernel_sigaction other = {.handler = (u64)other_signalled,
					       .flags = SA_RESTART};
	struct kernel_sigaction old;

	(void)state;
	interrupt_open(self);
	assert_int_equal(sigaction_set(SIGUSR1, &other, NULL), 0);
	assert_int_equal(sigaction_set(SIGSEGV, &fault, &old), 0);
	host_call(SYS_mprotect, self, PAGE, PROT_NONE);
	assert_int_equal(interrupt_call(self, SYS_getppid, no_arguments), -EINTR);
	assert_int_equal(sigaction_raw(SIGSEGV, &old, NULL), 0);
	assert_true(has_other_handler_run);
	assert_true(is_sent);
	interrupt_settle(self);
	assert_int_equal(self->is_taken, 1);
}

static void an_interrupt_between_the_look_and_the_kernel_is_not_lost(void **state)
{
	const struct kernel_sigaction action = {.handler = (u64)fault_at_the_look,
						.flags = SA_SIGINFO,
						.mask = ~0ull};
	struct kernel_sigaction old;

	(void)state;
	interrupt_open(self);
	assert_int_equal(sigaction_set(SIGSEGV, &action, &old), 0);
	host_call(SYS_mprotect, self, PAGE, PROT_NONE);
	assert_int_equal(interrupt_call(self, SYS_getppid, no_arguments), -EINTR);
	assert_int_equal(sigaction_raw(SIGSEGV, &old, NULL), 0);
	assert_true(is_sent);
	interrupt_settle(self);
	assert_int_equal(self->is_taken, 1);
}

static void a_call_after_a_request_is_not_made(void **state)
{
	(void)state;
	interrupt_open(self);
	assert_int_equal(interrupt_call(self, SYS_getppid, no_arguments), getppid());
	assert_true(interrupt_send(self));
	assert_int_equal(interrupt_call(self, SYS_getppid, no_arguments), -EINTR);
	interrupt_settle(self);
	interrupt_open(self);
	assert_int_equal(interrupt_call(self, SYS_getppid, no_arguments), getppid());
}

static void settle_takes_a_signal_that_is_still_pending(void **state)
{
	u64 mask, pending = 0;

	(void)state;
	interrupt_open(self);
	mask = SIGNAL_BIT(self->signal);
	assert_int_equal(sigmask_set(SIG_BLOCK, &mask, NULL), 0);
	assert_true(interrupt_send(self));
	assert_int_equal(self->is_taken, 0);
	interrupt_settle(self);
	assert_int_equal(self->is_taken, 1);
	host_call(SYS_rt_sigpending, &pending, sizeof(pending));
	assert_int_equal(pending & mask, 0);
}

static void two_requests_send_one_signal(void **state)
{
	(void)state;
	interrupt_open(self);
	assert_true(interrupt_send(self));
	assert_true(interrupt_send(self));
	interrupt_settle(self);
}

static void all_six_arguments_reach_the_kernel(void **state)
{
	const long args[6] = {0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0};
	long address;

	(void)state;
	interrupt_open(self);
	address = interrupt_call(self, SYS_mmap, args);
	assert_true(address > 0);
	assert_int_equal(munmap((void *)address, PAGE), 0);
}

static int setup(void **state)
{
	(void)state;
	self = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return self == MAP_FAILED;
}

static int teardown(void **state)
{
	(void)state;
	interrupt_close(self);
	return munmap(self, PAGE);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_interrupt_between_the_look_and_the_kernel_is_not_lost),
	cmocka_unit_test(an_interrupt_on_top_of_another_handler_is_not_lost),
	cmocka_unit_test(a_call_after_a_request_is_not_made),
	cmocka_unit_test(settle_takes_a_signal_that_is_still_pending),
	cmocka_unit_test(two_requests_send_one_signal),
	cmocka_unit_test(all_six_arguments_reach_the_kernel),
};

int main(void)
{
	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, setup, teardown);
}
