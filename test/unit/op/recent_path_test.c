/*
 * recent_path_test.c - which look-ups are remembered, and for how long
 */
#include "op/recent_path.h"

#include <fcntl.h>

#include "unit.h"

#define LATER(units) ((units)*RECENT_PATH_UNIT_NS)

/* Of a machine that has run for a while. */
static const u64 start = 12345 * RECENT_PATH_UNIT_NS;

static void a_look_up_is_remembered_for_a_second_and_no_longer(void **state)
{
	u64 key = recent_path_key(AT_FDCWD, 0, "/etc/passwd");

	(void)state;
	assert_false(recent_path_has(key, start));
	recent_path_add(key, start);
	assert_true(recent_path_has(key, start));
	assert_true(recent_path_has(key, start + LATER(RECENT_PATH_UNITS)));
	assert_false(recent_path_has(key, start + LATER(RECENT_PATH_UNITS + 1)));
	assert_false(recent_path_has(key, start + LATER(1u << 20)));
	/* To be told again is to be remembered for longer. */
	recent_path_add(key, start + LATER(100));
	assert_true(recent_path_has(key, start + LATER(110)));
}

static void the_clock_may_be_at_its_very_beginning(void **state)
{
	u64 key = recent_path_key(AT_FDCWD, 0, "/etc/group");

	(void)state;
	assert_false(recent_path_has(key, 0));
	assert_false(recent_path_has(0, 0));
	recent_path_add(key, 0);
	assert_true(recent_path_has(key, 0));
}

static void look_ups_that_differ_are_not_taken_for_each_other(void **state)
{
	static const char *const paths[] = {
		"",          "a",        "b",          "aa",         "aaaaaaa",    "aaaaaaaa",
		"aaaaaaaab", "baaaaaaa", "aaaaaaaaaa", "abcdefgh/1", "abcdefgh/2", "/abcdefgh",
	};
	const u32 count = sizeof(paths) / sizeof(paths[0]);
	u64 keys[3 * sizeof(paths) / sizeof(paths[0])];

	(void)state;
	for (u32 i = 0; i < count; i++) {
		keys[3 * i] = recent_path_key(AT_FDCWD, 0, paths[i]);
		keys[3 * i + 1] = recent_path_key(7, 0, paths[i]);
		keys[3 * i + 2] = recent_path_key(AT_FDCWD, AT_SYMLINK_NOFOLLOW, paths[i]);
	}
	for (u32 i = 0; i < 3 * count; i++)
		for (u32 j = 0; j < i; j++)
			assert_true(keys[i] != keys[j]);
	/* Where the path ends counts, not what lies behind it. */
	assert_true(recent_path_key(0, 0, "a\0b") == recent_path_key(0, 0, "a\0c"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_look_up_is_remembered_for_a_second_and_no_longer),
		cmocka_unit_test(the_clock_may_be_at_its_very_beginning),
		cmocka_unit_test(look_ups_that_differ_are_not_taken_for_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
