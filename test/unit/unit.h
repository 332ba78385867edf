/*
 * unit.h - what every unit test includes: cmocka, and waiting for a condition
 *
 * Tests wait for what must happen (a futex, a pipe, a counter), never for time
 * to pass; one that waits in vain is ended by the alarm of unit_main().
 */
#ifndef RS_TEST_UNIT_H
#define RS_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/types.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNIT_HAS_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define UNIT_HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNIT_HAS_ASAN 1
#elif __has_feature(thread_sanitizer)
#define UNIT_HAS_TSAN 1
#endif
#endif
#ifndef UNIT_HAS_ASAN
#define UNIT_HAS_ASAN 0
#endif
#ifndef UNIT_HAS_TSAN
#define UNIT_HAS_TSAN 0
#endif
#define UNIT_IS_SANITIZED (UNIT_HAS_ASAN || UNIT_HAS_TSAN)

#define UNIT_SECONDS 60

#define unit_main(tests)                                                                           \
	int main(void)                                                                             \
	{                                                                                          \
		alarm(UNIT_SECONDS);                                                               \
		return cmocka_run_group_tests(tests, NULL, NULL);                                  \
	}

/* Gives up the CPU until `condition` holds, which another thread makes true. */
#define unit_wait_until(condition)                                                                 \
	do {                                                                                       \
		while (!(condition))                                                               \
			sched_yield();                                                             \
	} while (0)

/* xorshift64*: the same numbers in every run. */
static inline u64 unit_random(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* Skips the test; test/run tells the reason. */
#define unit_skip(reason)                                                                          \
	do {                                                                                       \
		print_message("# skipped: %s\n", reason);                                          \
		skip();                                                                            \
	} while (0)

/* For what ThreadSanitizer's runtime does in its own way. */
#define unit_skip_under_tsan(reason)                                                               \
	do {                                                                                       \
		if (UNIT_HAS_TSAN)                                                                 \
			unit_skip(reason);                                                         \
	} while (0)

/* How many threads of this process are called `name`. */
static inline int unit_threads_named(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	assert_non_null(tasks);
	while ((entry = readdir(tasks)) != NULL) {
		char path[300], comm[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (file == NULL)
			continue;
		if (fgets(comm, sizeof(comm), file)) {
			comm[strcspn(comm, "\n")] = '\0';
			count += strcmp(comm, name) == 0;
		}
		fclose(file);
	}
	closedir(tasks);
	return count;
}

/* Whether thread `tid` of this process sleeps in the kernel; false when it has ended. */
static inline bool unit_thread_sleeps(int tid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(file);
	return state == 'S';
}

/* An unlinked scratch file of `size` bytes, byte i being UNIT_BYTE(i), on disk. */
#define UNIT_BYTE(i) ((unsigned char)((i)*31 + ((i) >> 12) * 7 + 5))

static inline int unit_scratch_file(size_t size, int flags)
{
	const char *base = getenv("TMPDIR");
	char path[512], again[64];
	unsigned char *bytes = malloc(size + 1);
	int fd, result;

	snprintf(path, sizeof(path), "%s/ringside-unit-XXXXXX", base ? base : "/var/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	for (size_t i = 0; i < size; i++)
		bytes[i] = UNIT_BYTE(i);
	assert_int_equal(pwrite(fd, bytes, size, 0), size);
	free(bytes);
	assert_int_equal(fsync(fd), 0);
	snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	result = open(again, flags);
	close(fd);
	return result;
}

static inline void unit_assert_bytes(const unsigned char *bytes, size_t size, size_t offset)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != UNIT_BYTE(offset + i))
			fail_msg("byte %zu of the file is %d, not %d", offset + i, bytes[i],
				 UNIT_BYTE(offset + i));
}

/* In a forked child: from now on pthread_create() fails. The limit does not bind root. */
static inline void unit_forbid_threads(void)
{
	struct rlimit limit = {0, 0};

	if (geteuid() == 0)
		assert_int_equal(setresuid(65534, 65534, 65534), 0);
	assert_int_equal(setrlimit(RLIMIT_NPROC, &limit), 0);
}

/* Runs `body` in a forked child; its return value is the child's exit status, which is returned. */
static inline int unit_in_child(int (*body)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(body());
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

#endif
