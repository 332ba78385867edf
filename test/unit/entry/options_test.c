/*
 * options_test.c - RINGSIDE=option,option
 */
#include "entry/options.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

static char error[OPTIONS_ERROR_SIZE];

static struct options parse(const char *text)
{
	struct options o = OPTIONS_INIT;

	if (options_parse(&o, text, error))
		fail_msg("%s: %s", text, error);
	return o;
}

/* The reason, one line that names the culprit. */
static void refuse(const char *text, const char *culprit)
{
	struct options o = OPTIONS_INIT;

	assert_int_equal(options_parse(&o, text, error), -EINVAL);
	assert_non_null(strstr(error, culprit));
	assert_null(strchr(error, '\n'));
	assert_true(strlen(error) < OPTIONS_ERROR_SIZE);
}

static void nothing_means_the_defaults(void **state)
{
	static const char *const empty[] = {NULL, "", ",", ",,,"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		struct options o = parse(empty[i]);

		assert_int_equal(o.engine, ENGINE_USER);
		assert_int_equal(o.trap, TRAP_AUTO);
		assert_int_equal(o.stats_fd, -1);
		assert_string_equal(o.stats_file, "");
		assert_false(o.verbose);
	}
}

static void every_option_is_understood(void **state)
{
	struct options o = parse("engine=auto,trap=off,stats=/tmp/a=b c.json,stats_fd=900,verbose");

	(void)state;
	assert_int_equal(o.engine, ENGINE_AUTO);
	assert_int_equal(o.trap, TRAP_OFF);
	assert_string_equal(o.stats_file, "/tmp/a=b c.json");
	assert_int_equal(o.stats_fd, 900);
	assert_true(o.verbose);
	assert_int_equal(parse("trap=on").trap, TRAP_ON);
	assert_int_equal(parse("trap=auto").trap, TRAP_AUTO);
}

static void the_last_of_two_counts(void **state)
{
	(void)state;
	assert_int_equal(parse("engine=auto,engine=user").engine, ENGINE_USER);
	assert_int_equal(parse("engine=user,,engine=auto,").engine, ENGINE_AUTO);
}

static void a_wrong_option_is_named(void **state)
{
	(void)state;
	refuse("enigne=user", "enigne");
	refuse("engine=users", "users");
	refuse("engine=use", "use");
	refuse("engine=", "engine");
	refuse("engine", "engine");
	refuse("trap=yes", "yes");
	refuse("stats=", "stats");
	refuse("stats", "stats");
	refuse("verbose=1", "verbose");
	refuse("verbose,nonsense", "nonsense");
	refuse("stats_fd=", "stats_fd");
	refuse("stats_fd=-1", "-1");
	refuse("stats_fd=12x", "12x");
	refuse("stats_fd=99999999999999999999", "9999");
	refuse("=", "unknown");
	refuse(" verbose", " verbose");
	refuse("ENGINE=user", "ENGINE");
}

static void a_value_of_any_length_is_survived(void **state)
{
	char text[5000];
	struct options o = OPTIONS_INIT;

	(void)state;
	for (size_t len = 1; len < sizeof(text) - 10; len += 97) {
		memset(text, 'x', sizeof(text));
		text[len] = '\0';
		refuse(text, &"xxx"[len < 3 ? 3 - len : 0]);
		memcpy(text, "stats=", 6);
		text[len + 6] = '\0';
		if (len < OPTIONS_PATH_MAX)
			assert_int_equal(options_parse(&o, text, error), 0);
		else
			refuse(text, "stats");
	}
}

static void the_environment_adds_to_what_was_set(void **state)
{
	(void)state;
	options.engine = ENGINE_AUTO;
	setenv(OPTIONS_VARIABLE, "trap=off", 1);
	assert_int_equal(options_from_environment(error), 0);
	assert_int_equal(options.engine, ENGINE_AUTO);
	assert_int_equal(options.trap, TRAP_OFF);
	setenv(OPTIONS_VARIABLE, "engine=user,trap=maybe", 1);
	assert_int_equal(options_from_environment(error), -EINVAL);
	/* Nothing of a wrong variable is obeyed. */
	assert_int_equal(options.engine, ENGINE_AUTO);
	unsetenv(OPTIONS_VARIABLE);
	assert_int_equal(options_from_environment(error), 0);
}

static void the_process_id_stands_in_the_file_name(void **state)
{
	struct options o = parse("stats=a%pb%p%x%");
	char path[64], expected[64], tight[12];

	(void)state;
	snprintf(expected, sizeof(expected), "a%db%d%%x%%", getpid(), getpid());
	assert_int_equal(options_stats_path(&o, path, sizeof(path)), 0);
	assert_string_equal(path, expected);
	assert_int_equal(options_stats_path(&o, path, strlen(expected) + 1), 0);
	assert_int_equal(options_stats_path(&o, path, strlen(expected)), -ENAMETOOLONG);
	o = parse("stats=0123456789a");
	assert_int_equal(options_stats_path(&o, tight, sizeof(tight)), 0);
	o = parse("stats=0123456789ab");
	assert_int_equal(options_stats_path(&o, tight, sizeof(tight)), -ENAMETOOLONG);
}

static u64 cache_of(const char *text)
{
	struct options o = OPTIONS_INIT;

	if (options_parse_cache(&o, text, NULL, error))
		fail_msg("%s: %s", text, error);
	return o.cache_bytes;
}

static void refuse_cache(const char *text, const char *globs, const char *reason)
{
	struct options o = OPTIONS_INIT;

	assert_int_equal(options_parse_cache(&o, text, globs, error), -EINVAL);
	assert_non_null(strstr(error, reason));
	assert_int_equal(o.cache_bytes == 0 || o.own[0] == '\0', true);
}

static void the_size_of_the_cache_has_a_unit(void **state)
{
	(void)state;
	assert_int_equal(cache_of(NULL), 0);
	assert_int_equal(cache_of(""), 0);
	assert_int_equal(cache_of("4194304"), 4 << 20);
	assert_int_equal(cache_of("4096K"), 4 << 20);
	assert_int_equal(cache_of("16m"), 16 << 20);
}

static void what_cannot_be_a_cache_is_refused_with_the_reason(void **state)
{
	struct options o = OPTIONS_INIT;

	(void)state;
	refuse_cache("much", NULL, "not 'much'");
	refuse_cache("-1", NULL, "not '-1'");
	refuse_cache("64MB", NULL, "not '64MB'");
	refuse_cache("99999999999999999999999", NULL, "a size");
	refuse_cache("16777215T", NULL, "more than the memory there is");
	refuse_cache("3M", NULL, "4M at least");
	refuse_cache(NULL, "/data/*", "only if there is a cache");
	assert_int_equal(options_parse_cache(&o, "8M", "/a/*:/b", error), 0);
	assert_string_equal(o.own, "/a/*:/b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_size_of_the_cache_has_a_unit),
		cmocka_unit_test(what_cannot_be_a_cache_is_refused_with_the_reason),
		cmocka_unit_test(nothing_means_the_defaults),
		cmocka_unit_test(every_option_is_understood),
		cmocka_unit_test(the_last_of_two_counts),
		cmocka_unit_test(a_wrong_option_is_named),
		cmocka_unit_test(a_value_of_any_length_is_survived),
		cmocka_unit_test(the_environment_adds_to_what_was_set),
		cmocka_unit_test(the_process_id_stands_in_the_file_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
