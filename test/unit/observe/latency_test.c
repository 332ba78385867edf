/*
 * latency_test.c - the log-linear histogram
 */
#include "observe/stats.h"

#include "unit.h"

/* Every value up to 2^16, and around each power of two and its eighths up to 2^48. */
static void for_each_interesting(void (*check)(u64 ticks))
{
	for (u64 ticks = 0; ticks < 1 << 16; ticks++)
		check(ticks);
	for (u32 octave = 16; octave < 48; octave++)
		for (u64 step = 0; step < HISTOGRAM_STEPS; step++)
			for (int off = -1; off <= 1; off++)
				check(((HISTOGRAM_STEPS + step) << (octave - 3)) + (u64)off);
}

static void check_near(u64 ticks)
{
	u64 middle = histogram_middle(histogram_bucket(ticks));
	u64 distance = middle > ticks ? middle - ticks : ticks - middle;

	assert_true(distance * 16 <= ticks);
}

static void a_reported_value_is_within_a_sixteenth_of_the_true_one(void **state)
{
	(void)state;
	for_each_interesting(check_near);
}

static void check_order(u64 ticks)
{
	u32 bucket = histogram_bucket(ticks);

	assert_true(bucket < HISTOGRAM_BUCKETS);
	assert_true(histogram_bucket(ticks + 1) - bucket <= 1);
}

static void buckets_follow_one_another_without_a_gap(void **state)
{
	(void)state;
	for_each_interesting(check_order);
	for (u32 bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
		assert_int_equal(histogram_bucket(histogram_middle(bucket)), bucket);
}

static void values_beyond_the_range_go_to_the_last_bucket(void **state)
{
	(void)state;
	assert_int_equal(histogram_bucket(1ull << 48), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_bucket(~0ull), HISTOGRAM_BUCKETS - 1);
}

static void quantiles_are_those_of_the_sorted_values(void **state)
{
	u64 buckets[HISTOGRAM_BUCKETS] = {0};

	(void)state;
	assert_int_equal(histogram_quantile(buckets, 500), 0);
	/* 1..1000: bucket middles are within a sixteenth of the value that stands there. */
	for (u64 value = 1; value <= 1000; value++)
		buckets[histogram_bucket(value)]++;
	for (u32 per_mille = 1; per_mille <= 1000; per_mille++) {
		u64 found = histogram_quantile(buckets, per_mille);

		assert_true(found * 16 >= per_mille * 15ull && found * 16 <= per_mille * 17ull);
	}
}

static void one_value_is_every_quantile(void **state)
{
	u64 buckets[HISTOGRAM_BUCKETS] = {0};

	(void)state;
	buckets[histogram_bucket(5)] = 1;
	assert_int_equal(histogram_quantile(buckets, 1), 5);
	assert_int_equal(histogram_quantile(buckets, 990), 5);
	assert_int_equal(histogram_quantile(buckets, 1000), 5);
}

static void a_count_near_the_limit_of_its_type_does_not_overflow_the_rank(void **state)
{
	u64 buckets[HISTOGRAM_BUCKETS] = {0};

	(void)state;
	buckets[3] = 1ull << 62;
	buckets[7] = 1ull << 62;
	assert_int_equal(histogram_quantile(buckets, 500), 3);
	assert_int_equal(histogram_quantile(buckets, 501), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reported_value_is_within_a_sixteenth_of_the_true_one),
		cmocka_unit_test(buckets_follow_one_another_without_a_gap),
		cmocka_unit_test(values_beyond_the_range_go_to_the_last_bucket),
		cmocka_unit_test(quantiles_are_those_of_the_sorted_values),
		cmocka_unit_test(one_value_is_every_quantile),
		cmocka_unit_test(a_count_near_the_limit_of_its_type_does_not_overflow_the_rank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
