/*
 * core_futex_test.c - FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAITV: who is woken, and how many are counted
 */
#include "core_newer.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

#define ALL     FUTEX_BITSET_MATCH_ANY
#define SHARED  2u /* FUTEX2_SIZE_U32 */
#define PRIVATE (SHARED | 128u)
#define WORDS   4

static struct io_uring ring;
static unsigned words[WORDS];

static int setup(void **state)
{
	(void)state;
	core_ring(&ring, 64, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	core_works(&ring);
	io_uring_queue_exit(&ring);
	return 0;
}

static struct io_uring_sqe *futex_sqe(unsigned opcode, const void *word, __u64 value, __u64 mask,
				      unsigned flags, __u64 user_data)
{
	struct io_uring_sqe *sqe = newer_sqe(&ring, opcode, (int)flags, word, 0, user_data);

	sqe->off = value;
	newer_set_addr3(sqe, mask);
	return sqe;
}

/* Submits a wait, which waits when this returns. */
static void wait_on(unsigned *word, unsigned mask, unsigned flags, __u64 user_data)
{
	futex_sqe(NEWER_OP_FUTEX_WAIT, word, *word, mask, flags, user_data);
	assert_int_equal(io_uring_submit(&ring), 1);
}

/* By a system call, as a C library makes it: how many it says it woke. */
static long wake(const unsigned *word, int count, unsigned mask, unsigned flags)
{
	int op = FUTEX_WAKE_BITSET | (flags & 128 ? FUTEX_PRIVATE_FLAG : 0);

	return core_call(SYS_futex, (long)word, op, count, 0, 0, mask);
}

static int wake_by_request(const void *word, __u64 count, __u64 mask, unsigned flags)
{
	futex_sqe(NEWER_OP_FUTEX_WAKE, word, count, mask, flags, 99);
	return core_run(&ring, 99);
}

static void a_wake_is_counted_as_soon_as_the_wait_is_submitted(void **state)
{
	static const unsigned flags[] = {PRIVATE, SHARED};

	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	for (int i = 0; i < 100; i++) {
		wait_on(words, ALL, flags[i % 2], 1);
		assert_int_equal(wake(words, 1, ALL, flags[i % 2]), 1);
		assert_int_equal(core_result(&ring, 1), 0);
		assert_int_equal(wake(words, 1, ALL, flags[i % 2]), 0);
	}
}

static void as_many_are_woken_as_are_asked_for_and_the_oldest_first(void **state)
{
	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	for (__u64 i = 0; i < 5; i++)
		wait_on(words, ALL, PRIVATE, i);
	assert_int_equal(wake(words, 1, ALL, PRIVATE), 1);
	assert_int_equal(core_result(&ring, 0), 0);
	assert_int_equal(wake_by_request(words, 1, ALL, PRIVATE), 1);
	assert_int_equal(core_result(&ring, 1), 0);
	newer_nothing_comes(&ring);
	assert_int_equal(wake(words, 100, ALL, PRIVATE), 3);
	for (int i = 0; i < 3; i++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
		assert_int_equal(cqe->res, 0);
		io_uring_cqe_seen(&ring, cqe);
	}
}

static void a_mask_chooses_who_is_woken(void **state)
{
	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	wait_on(words, 1, PRIVATE, 1);
	wait_on(words, 2, PRIVATE, 2);
	wait_on(words, 4, SHARED, 3);
	assert_int_equal(wake(words, 9, 2, PRIVATE), 1);
	assert_int_equal(core_result(&ring, 2), 0);
	assert_int_equal(wake(words, 9, 8, PRIVATE), 0);
	assert_int_equal(wake(words, 9, 4, PRIVATE), 0); /* that one waits as others' word */
	assert_int_equal(wake(words, 9, 6, SHARED), 1);
	assert_int_equal(core_result(&ring, 3), 0);
	assert_int_equal(wake_by_request(words, 9, 3, PRIVATE), 1);
	assert_int_equal(core_result(&ring, 1), 0);
}

static void a_word_of_another_value_is_not_waited_for(void **state)
{
	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	futex_sqe(NEWER_OP_FUTEX_WAIT, words, 5, ALL, PRIVATE, 1);
	assert_int_equal(core_run(&ring, 1), -EAGAIN);
	assert_int_equal(wake(words, 1, ALL, PRIVATE), 0);
}

static void a_value_that_changes_later_wakes_nobody(void **state)
{
	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	wait_on(words, ALL, PRIVATE, 1);
	words[0]++;
	newer_nothing_comes(&ring);
	assert_int_equal(wake(words, 1, ALL, PRIVATE), 1);
	assert_int_equal(core_result(&ring, 1), 0);
	words[0]--;
}

static void mistakes_are_told_apart(void **state)
{
	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	futex_sqe(NEWER_OP_FUTEX_WAIT, words, 0, 0, PRIVATE, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL); /* no bit */
	futex_sqe(NEWER_OP_FUTEX_WAIT, (char *)words + 1, 0, ALL, PRIVATE, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	futex_sqe(NEWER_OP_FUTEX_WAIT, BAD_POINTER, 0, ALL, PRIVATE, 1);
	assert_int_equal(core_run(&ring, 1), -EFAULT);
	futex_sqe(NEWER_OP_FUTEX_WAIT, words, 0, ALL, 1, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL); /* 16 bits */
	futex_sqe(NEWER_OP_FUTEX_WAIT, words, 0, ALL, PRIVATE | 0x40, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	futex_sqe(NEWER_OP_FUTEX_WAIT, words, 1ull << 32, ALL, PRIVATE, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	futex_sqe(NEWER_OP_FUTEX_WAIT, words, 0, 1ull << 32, PRIVATE, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	futex_sqe(NEWER_OP_FUTEX_WAIT, words, 0, ALL, PRIVATE, 1)->len = 1;
	assert_int_equal(core_run(&ring, 1), -EINVAL);
	assert_int_equal(wake_by_request(words, 0, ALL, PRIVATE), 0);
	assert_int_equal(wake_by_request(words, 1, 0, PRIVATE), -EINVAL);
	assert_int_equal(wake_by_request((char *)words + 2, 1, ALL, PRIVATE), -EINVAL);
}

/* A cancelled futex wait is counted: 1, not 0. */
static void cancel(__u64 user_data)
{
	int seen = 0;

	newer_sqe(&ring, IORING_OP_ASYNC_CANCEL, -1, (void *)user_data, 0, 98);
	assert_int_equal(io_uring_submit(&ring), 1);
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
		assert_int_equal(cqe->res, cqe->user_data == 98 ? 1 : -ECANCELED);
		seen += cqe->user_data == 98 || cqe->user_data == user_data;
		io_uring_cqe_seen(&ring, cqe);
	}
	assert_int_equal(seen, 2);
}

/* Words that the kernel keeps by their node: the one behind FUTEX2_NUMA's says which, or -1. */
static void words_of_a_node_are_waited_for_and_woken(void **state)
{
	static const unsigned flags[] = {PRIVATE | 8, SHARED | 8, PRIVATE | 4, SHARED | 12};
	static unsigned pair[2] __attribute__((aligned(8)));

	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	if (core_call(454 /* futex_wake */, (long)pair, ALL, 0, PRIVATE | 8, 0, 0) != 0)
		skip();
	for (int i = 0; i < 4; i++) {
		pair[1] = ~0u;
		futex_sqe(NEWER_OP_FUTEX_WAIT, pair, 5, ALL, flags[i], 1);
		assert_int_equal(core_run(&ring, 1), -EAGAIN);
		futex_sqe(NEWER_OP_FUTEX_WAIT, pair, 5, 1, flags[i], 1);
		assert_int_equal(core_run(&ring, 1), -EAGAIN);
		wait_on(pair, ALL, flags[i], 1);
		wait_on(pair, ALL, flags[i], 1);
		assert_int_equal(wake_by_request(pair, 9, ALL, flags[i]), 2);
		assert_int_equal(core_result(&ring, 1), 0);
		assert_int_equal(core_result(&ring, 1), 0);
		wait_on(pair, ALL, flags[i], 1);
		cancel(1);
		assert_int_equal(wake_by_request(pair, 9, ALL, flags[i]), 0);
	}
	pair[1] = 12345;
	futex_sqe(NEWER_OP_FUTEX_WAIT, pair, 0, ALL, PRIVATE | 4, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL); /* no such node */
	futex_sqe(NEWER_OP_FUTEX_WAIT, pair + 1, 0, ALL, PRIVATE | 4, 1);
	assert_int_equal(core_run(&ring, 1), -EINVAL); /* they lie at a multiple of eight */
	futex_sqe(NEWER_OP_FUTEX_WAIT, BAD_POINTER, 0, ALL, PRIVATE | 8, 1);
	assert_int_equal(core_run(&ring, 1), -EFAULT);
}

static void a_wait_can_be_cancelled_and_takes_no_wake_then(void **state)
{
	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	for (int i = 0; i < 50; i++) {
		wait_on(words, ALL, PRIVATE, 1);
		cancel(1);
		assert_int_equal(wake(words, 1, ALL, PRIVATE), 0);
	}
}

static void a_wait_ends_with_its_link_timeout(void **state)
{
	struct __kernel_timespec time = {.tv_nsec = 5000000};

	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	futex_sqe(NEWER_OP_FUTEX_WAIT, words, 0, ALL, PRIVATE, 1)->flags = IOSQE_IO_LINK;
	newer_sqe(&ring, IORING_OP_LINK_TIMEOUT, -1, &time, 1, 2);
	assert_int_equal(io_uring_submit(&ring), 2);
	for (int i = 0; i < 2; i++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
		assert_int_equal(cqe->res, cqe->user_data == 1 ? -ECANCELED : 1);
		io_uring_cqe_seen(&ring, cqe);
	}
}

struct vector_word {
	__u64 value, addr;
	__u32 flags, reserved;
};

static void vector_of(struct vector_word *vector, int count)
{
	for (int i = 0; i < count; i++)
		vector[i] = (struct vector_word){
			.addr = (unsigned long)&words[i],
			.value = words[i],
			.flags = PRIVATE,
		};
}

static void one_of_several_words_is_enough(void **state)
{
	struct vector_word vector[WORDS];

	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAITV);
	for (int i = 0; i < 40; i++) {
		vector_of(vector, WORDS);
		newer_sqe(&ring, NEWER_OP_FUTEX_WAITV, 0, vector, WORDS, 1);
		assert_int_equal(io_uring_submit(&ring), 1);
		memset(vector, 0xff, sizeof(vector)); /* it was copied */
		assert_int_equal(wake(&words[i % WORDS], 5, ALL, PRIVATE), 1);
		assert_int_equal(core_result(&ring, 1), i % WORDS);
		for (int k = 0; k < WORDS; k++)
			assert_int_equal(wake(&words[k], 5, ALL, PRIVATE), 0);
	}
}

/* As the kernel counts them: all of them are one. */
static void waits_cancelled_together_count_as_one(void **state)
{
	struct io_uring_sqe *sqe;
	int results[3] = {0};

	(void)state;
	for (int i = 0; i < 3; i++)
		wait_on(&words[i], ALL, PRIVATE, 1);
	sqe = newer_sqe(&ring, IORING_OP_ASYNC_CANCEL, -1, (void *)1ul, 0, 2);
	sqe->cancel_flags = IORING_ASYNC_CANCEL_ALL;
	assert_int_equal(io_uring_submit(&ring), 1);
	for (int i = 0; i < 4; i++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
		results[cqe->user_data] += cqe->res;
		io_uring_cqe_seen(&ring, cqe);
	}
	assert_int_equal(results[1], -3 * ECANCELED);
	assert_int_equal(results[2], 1);
}

static void a_wait_for_several_words_can_be_cancelled(void **state)
{
	struct vector_word vector[WORDS];

	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAITV);
	vector_of(vector, WORDS);
	newer_sqe(&ring, NEWER_OP_FUTEX_WAITV, 0, vector, WORDS, 1);
	assert_int_equal(io_uring_submit(&ring), 1);
	cancel(1);
	assert_int_equal(wake(words, 1, ALL, PRIVATE), 0);
}

static int run_vector(struct vector_word *vector, unsigned count)
{
	newer_sqe(&ring, NEWER_OP_FUTEX_WAITV, 0, vector, count, 1);
	return core_run(&ring, 1);
}

static void mistakes_in_a_vector_are_told_apart(void **state)
{
	struct vector_word vector[WORDS];

	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAITV);
	vector_of(vector, WORDS);
	vector[2].value++;
	assert_int_equal(run_vector(vector, WORDS), -EAGAIN);
	assert_int_equal(run_vector(vector, 0), -EINVAL);
	assert_int_equal(run_vector(vector, 129), -EINVAL);
	assert_int_equal(run_vector(BAD_POINTER, 1), -EFAULT);
	vector_of(vector, WORDS);
	vector[1].flags = 0x40 | PRIVATE;
	assert_int_equal(run_vector(vector, WORDS), -EINVAL);
	vector_of(vector, WORDS);
	vector[1].reserved = 1;
	assert_int_equal(run_vector(vector, WORDS), -EINVAL);
	vector_of(vector, WORDS);
	vector[1].addr = (unsigned long)BAD_POINTER;
	assert_int_equal(run_vector(vector, WORDS), -EFAULT);
	assert_int_equal(wake(words, 1, ALL, PRIVATE), 0);
}

static void a_hundred_waits_are_all_woken(void **state)
{
	struct io_uring many;

	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	core_ring(&many, 128, 0);
	for (__u64 i = 0; i < 100; i++) {
		struct io_uring_sqe *sqe =
			newer_sqe(&many, NEWER_OP_FUTEX_WAIT, PRIVATE, &words[i % WORDS], 0, i);

		newer_set_addr3(sqe, ALL);
	}
	assert_int_equal(io_uring_submit(&many), 100);
	for (int i = 0; i < WORDS; i++)
		assert_int_equal(wake(&words[i], 1000, ALL, PRIVATE), 100 / WORDS);
	for (int i = 0; i < 100; i++) {
		struct io_uring_cqe *cqe;

		assert_int_equal(io_uring_wait_cqe(&many, &cqe), 0);
		assert_int_equal(cqe->res, 0);
		io_uring_cqe_seen(&many, cqe);
	}
	io_uring_queue_exit(&many);
}

/* Moves those who wait on the word to itself: how many, and nobody is woken. */
static long waiters_left(void)
{
	return core_call(SYS_futex, (long)words, FUTEX_CMP_REQUEUE_PRIVATE, 0, 1000, (long)words,
			 words[0]);
}

static void a_ring_that_is_closed_leaves_no_waiter(void **state)
{
	struct io_uring closed;
	struct io_uring_sqe *sqe;

	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	core_ring(&closed, 4, 0);
	sqe = newer_sqe(&closed, NEWER_OP_FUTEX_WAIT, PRIVATE, words, 0, 1);
	newer_set_addr3(sqe, ALL);
	assert_int_equal(io_uring_submit(&closed), 1);
	io_uring_queue_exit(&closed);
	/* The kernel ends a ring some time after the close. */
	for (int tries = 0; tries < 1000 && waiters_left(); tries++)
		usleep(1000);
	assert_int_equal(waiters_left(), 0);
}

static void a_forked_child_waits_by_itself(void **state)
{
	int status = 0;
	pid_t child;

	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	wait_on(words, ALL, PRIVATE, 1);
	child = fork();
	if (child == 0) {
		io_uring_queue_init(4, &ring, 0); /* the parent's stays the parent's */
		wait_on(words, ALL, PRIVATE, 2);
		wait_on(words, ALL, SHARED, 3);
		_exit(wake(words, 9, ALL, PRIVATE) == 1 && core_result(&ring, 2) == 0 &&
				      wake(words, 9, ALL, SHARED) == 1 && core_result(&ring, 3) == 0
			      ? 17
			      : 1);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 17);
	assert_int_equal(wake(words, 9, ALL, PRIVATE), 1);
	assert_int_equal(core_result(&ring, 1), 0);
}

/* A lock of one word: 0 free, 1 taken, 2 taken and waited for; waits by requests. */
struct counted {
	unsigned lock;
	long value;
};

static void lock_by_ring(struct counted *counted, struct io_uring *own)
{
	unsigned old = 0;

	if (__atomic_compare_exchange_n(&counted->lock, &old, 1, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&counted->lock, 2, __ATOMIC_ACQUIRE) != 0) {
		struct io_uring_sqe *sqe =
			newer_sqe(own, NEWER_OP_FUTEX_WAIT, PRIVATE, &counted->lock, 0, 1);

		sqe->off = 2;
		newer_set_addr3(sqe, ALL);
		core_run(own, 1);
	}
}

static void unlock_by_call(struct counted *counted)
{
	if (__atomic_exchange_n(&counted->lock, 0, __ATOMIC_RELEASE) == 2)
		wake(&counted->lock, 1, ALL, PRIVATE);
}

#define LOCK_ROUNDS 1000

static void *count_under_lock(void *argument)
{
	struct counted *counted = argument;
	struct io_uring own;

	core_ring(&own, 4, 0);
	for (int i = 0; i < LOCK_ROUNDS; i++) {
		lock_by_ring(counted, &own);
		counted->value++;
		unlock_by_call(counted);
	}
	io_uring_queue_exit(&own);
	return NULL;
}

static void a_lock_that_waits_by_requests_loses_no_wake(void **state)
{
	struct counted counted = {0};
	pthread_t threads[3];

	(void)state;
	newer_require(&ring, NEWER_OP_FUTEX_WAIT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_under_lock, &counted), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counted.value, 3 * LOCK_ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wake_is_counted_as_soon_as_the_wait_is_submitted),
		cmocka_unit_test(as_many_are_woken_as_are_asked_for_and_the_oldest_first),
		cmocka_unit_test(a_mask_chooses_who_is_woken),
		cmocka_unit_test(a_word_of_another_value_is_not_waited_for),
		cmocka_unit_test(a_value_that_changes_later_wakes_nobody),
		cmocka_unit_test(mistakes_are_told_apart),
		cmocka_unit_test(words_of_a_node_are_waited_for_and_woken),
		cmocka_unit_test(a_wait_can_be_cancelled_and_takes_no_wake_then),
		cmocka_unit_test(a_wait_ends_with_its_link_timeout),
		cmocka_unit_test(one_of_several_words_is_enough),
		cmocka_unit_test(waits_cancelled_together_count_as_one),
		cmocka_unit_test(a_wait_for_several_words_can_be_cancelled),
		cmocka_unit_test(mistakes_in_a_vector_are_told_apart),
		cmocka_unit_test(a_hundred_waits_are_all_woken),
		cmocka_unit_test(a_ring_that_is_closed_leaves_no_waiter),
		cmocka_unit_test(a_forked_child_waits_by_itself),
		cmocka_unit_test(a_lock_that_waits_by_requests_loses_no_wake),
	};

	core_require_rings();
	alarm(100);
	return cmocka_run_group_tests(tests, setup, teardown);
}
