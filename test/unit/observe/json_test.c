/*
 * json_test.c - the figures as JSON, read back by another implementation (jansson)
 */
#include "observe/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char folder[] = "/tmp/ringside-json.XXXXXX";
static char path[64];

static json_t *read_back(void)
{
	json_error_t error;
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

	if (root == NULL)
		fail_msg("line %d: %s", error.line, error.text);
	return root;
}

static json_int_t number_at(json_t *root, const char *group, const char *key)
{
	json_t *object = group ? json_object_get(root, group) : root;
	json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		fail_msg("%s.%s is no integer", group ? group : "", key);
	return json_integer_value(value);
}

static void every_key_is_there_even_when_nothing_was_counted(void **state)
{
	static const char *const plain[] = {
		"enters",          "traps",       "sqes",  "cqes",
		"inline",          "retries",     "punts", "punt_threads_peak",
		"reactor_wakeups", "cq_overflows"};
	static const char *const waits[] = {"page", "device", "poll", "timer"};
	static const char *const pagein[] = {"waits", "sweeps", "threads"};
	static const char *const cache[] = {"hits",          "misses",
					    "fills",         "readahead_pages",
					    "evictions",     "lease_breaks",
					    "foreign_opens", "bytes"};
	json_t *root;

	(void)state;
	assert_int_equal(stats_write_json(path), 0);
	root = read_back();
	for (size_t i = 0; i < ARRAY_SIZE(cache); i++)
		assert_int_equal(number_at(root, "cache", cache[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		assert_int_equal(number_at(root, NULL, plain[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
		assert_int_equal(number_at(root, "waits", waits[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(pagein); i++)
		assert_int_equal(number_at(root, "pagein", pagein[i]), 0);
	assert_true(json_is_object(json_object_get(root, "ops")));
	assert_int_equal(json_object_size(json_object_get(root, "ops")), 0);
	assert_int_equal(json_object_size(root), ARRAY_SIZE(plain) + 4);
	json_decref(root);
}

static void figures_come_out_under_their_names(void **state)
{
	struct stats_block *block = stats_block_claim();
	json_t *root, *read, *ops;

	(void)state;
	for (int i = 0; i < COUNTER_LAST; i++)
		stats_count(block, (enum counter)i, 1000 + (u64)i);
	stats_count_op(block, IORING_OP_READ, 4096);
	stats_count_op(block, IORING_OP_READ, -EIO);
	stats_count_op(block, IORING_OP_URING_CMD128, 0);
	stats_latency_record(block, IORING_OP_READ, 1000);
	assert_int_equal(stats_write_json(path), 0);
	root = read_back();
	assert_int_equal(number_at(root, NULL, "enters"), 1000 + COUNTER_ENTERS);
	assert_int_equal(number_at(root, NULL, "cq_overflows"), 1000 + COUNTER_CQ_OVERFLOWS);
	assert_int_equal(number_at(root, "waits", "page"), 1000 + COUNTER_WAITS_PAGE);
	assert_int_equal(number_at(root, "waits", "timer"), 1000 + COUNTER_WAITS_TIMER);
	assert_int_equal(number_at(root, "pagein", "threads"), 1000 + COUNTER_PAGEIN_THREADS);
	ops = json_object_get(root, "ops");
	assert_int_equal(json_object_size(ops), 2);
	read = json_object_get(ops, "READ");
	assert_int_equal(number_at(read, NULL, "count"), 2);
	assert_int_equal(number_at(read, NULL, "errors"), 1);
	assert_true(number_at(read, NULL, "p50_ns") > 0);
	assert_true(number_at(read, NULL, "p99_ns") > 0);
	assert_true(json_is_null(json_object_get(json_object_get(ops, "URING_CMD128"), "p50_ns")));
	json_decref(root);
}

static void the_largest_figures_fit(void **state)
{
	struct stats_block *block = stats_block_claim();
	json_t *root;

	(void)state;
	memset(block->counters, 0x7f, sizeof(block->counters));
	memset(block->ops, 0x7f, sizeof(block->ops));
	for (int op = 0; op < IORING_OP_LAST; op++)
		stats_latency_record(block, (u8)op, 1ull << 47);
	assert_int_equal(stats_write_json(path), 0);
	root = read_back();
	assert_int_equal(json_object_size(json_object_get(root, "ops")), IORING_OP_LAST);
	json_decref(root);
}

static void a_regular_file_is_replaced_and_nothing_is_left_beside_it(void **state)
{
	struct stat before, after;
	int fd;

	(void)state;
	unlink(path);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "old", 3), 3);
	assert_int_equal(stats_write_json(path), 0);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(stat(path, &after), 0);
	/* Who had the old file open still has it whole. */
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_size, 3);
	close(fd);
	unlink(path);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
}

static void what_is_no_regular_file_is_written_to(void **state)
{
	char link_path[80];
	struct stat st;

	(void)state;
	assert_int_equal(stats_write_json("/dev/null"), 0);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	snprintf(link_path, sizeof(link_path), "%s/link", folder);
	assert_int_equal(symlink(path, link_path), 0);
	assert_int_equal(stats_write_json(link_path), 0);
	assert_int_equal(lstat(link_path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	json_decref(read_back());
	unlink(link_path);
}

static void errors_are_told(void **state)
{
	(void)state;
	assert_int_equal(stats_write_json("/nonexistent/file"), -ENOENT);
	assert_int_equal(stats_write_json(folder), -EISDIR);
	assert_int_equal(stats_write_json("/dev/full"), -ENOSPC);
}

static void every_operation_has_a_name(void **state)
{
	(void)state;
	for (int op = 0; op < IORING_OP_LAST; op++) {
		assert_non_null(stats_op_name((u8)op));
		assert_true(strlen(stats_op_name((u8)op)) > 2);
	}
	assert_string_equal(stats_op_name(IORING_OP_LAST), "?");
	assert_string_equal(stats_op_name(255), "?");
}

static int set_up(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/stats.json", folder);
	return stats_init(-1, true);
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_there_even_when_nothing_was_counted),
		cmocka_unit_test(figures_come_out_under_their_names),
		cmocka_unit_test(the_largest_figures_fit),
		cmocka_unit_test(a_regular_file_is_replaced_and_nothing_is_left_beside_it),
		cmocka_unit_test(what_is_no_regular_file_is_written_to),
		cmocka_unit_test(errors_are_told),
		cmocka_unit_test(every_operation_has_a_name),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
