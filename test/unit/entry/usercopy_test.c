/*
 * usercopy_test.c - copies from and to addresses of every kind of badness
 *
 * Without cmocka's runner, which takes SIGSEGV and SIGBUS for itself around
 * each case: a case is a child process, and its exit status says how it went.
 */
#include "host/usercopy.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "unit.h"

#define PAGE 4096

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("# line %d: %s\n", __LINE__, #condition);                           \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

/* One good page, then one that is not there. */
static char *page_before_a_hole(void)
{
	char *pages =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || munmap(pages + PAGE, PAGE))
		abort();
	return pages;
}

static const u64 bad_addresses[] = {
	8,                     /* never mapped */
	0x00f0000000000000ull, /* not canonical */
	0x8000000000000000ull, /* not canonical */
	0xffff800000000000ull, /* the kernel's */
	0xfffffffffffffff8ull, /* wraps around */
};

static int every_length_arrives_whole_and_no_byte_more(void)
{
	static unsigned char from[1024], to[1024];

	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = UNIT_BYTE(i);
	for (size_t len = 0; len <= 600; len++) {
		memset(to, 0xee, sizeof(to));
		CHECK(copy_from_user(to + 3, from + 1, len) == 0);
		CHECK(!memcmp(to + 3, from + 1, len));
		CHECK(to[2] == 0xee);
		CHECK(to[3 + len] == 0xee);
	}
	return 0;
}

static int bad_addresses_are_efault(void)
{
	char buffer[PAGE];

	for (size_t i = 0; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++) {
		void *bad = (void *)bad_addresses[i];

		CHECK(copy_from_user(buffer, bad, 1) == -EFAULT);
		CHECK(copy_from_user(buffer, bad, 24) == -EFAULT);
		CHECK(copy_from_user(buffer, bad, sizeof(buffer)) == -EFAULT);
		CHECK(copy_to_user(bad, buffer, 24) == -EFAULT);
		CHECK(copy_to_user(bad, buffer, sizeof(buffer)) == -EFAULT);
		CHECK(string_from_user(buffer, bad, sizeof(buffer)) == -EFAULT);
		CHECK(user_range_check(bad, 16, 0) == -EFAULT);
		CHECK(user_range_check(bad, 16, 1) == -EFAULT);
	}
	return 0;
}

static int a_copy_that_runs_into_a_hole_is_efault(void)
{
	char *pages = page_before_a_hole(), buffer[2 * PAGE];

	memset(pages, 'x', PAGE);
	for (size_t len = 1; len < 400; len += 13) {
		CHECK(copy_from_user(buffer, pages + PAGE - len, len) == 0);
		CHECK(copy_from_user(buffer, pages + PAGE - len, len + 1) == -EFAULT);
		CHECK(copy_to_user(pages + PAGE - len, buffer, len) == 0);
		CHECK(copy_to_user(pages + PAGE - len, buffer, len + 1) == -EFAULT);
	}
	munmap(pages, PAGE);
	return 0;
}

static int strings_end_at_their_nul_at_a_hole_or_at_the_limit(void)
{
	char *pages = page_before_a_hole(), buffer[16];

	memcpy(pages + PAGE - 4, "abc", 4);
	CHECK(string_from_user(buffer, pages + PAGE - 4, sizeof(buffer)) == 3);
	CHECK(!strcmp(buffer, "abc"));
	CHECK(string_from_user(buffer, pages + PAGE - 4, 4) == 3);
	CHECK(string_from_user(buffer, pages + PAGE - 4, 3) == -ENAMETOOLONG);
	CHECK(string_from_user(buffer, "", sizeof(buffer)) == 0);
	pages[PAGE - 1] = 'd';
	CHECK(string_from_user(buffer, pages + PAGE - 4, sizeof(buffer)) == -EFAULT);
	munmap(pages, PAGE);
	return 0;
}

static int a_range_is_checked_page_by_page_and_not_changed(void)
{
	char *pages =
		mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(pages, 'y', 3 * PAGE);
	CHECK(mprotect(pages + 2 * PAGE, PAGE, PROT_READ) == 0);
	CHECK(user_range_check(pages, 3 * PAGE, 0) == 0);
	CHECK(user_range_check(pages, 2 * PAGE, 1) == 0);
	CHECK(user_range_check(pages, 2 * PAGE + 1, 1) == -EFAULT);
	CHECK(user_range_check(pages + 2 * PAGE - 1, 2, 1) == -EFAULT);
	CHECK(user_range_check(pages + 2 * PAGE - 1, 1, 1) == 0);
	CHECK(user_range_check(pages + 3 * PAGE, 0, 1) == 0);
	CHECK(user_range_check(NULL, 0, 1) == 0);
	for (size_t i = 0; i < 3 * PAGE; i++)
		CHECK(pages[i] == 'y');
	CHECK(mprotect(pages + PAGE, PAGE, PROT_NONE) == 0);
	CHECK(user_range_check(pages, 3 * PAGE, 0) == -EFAULT);
	munmap(pages, 3 * PAGE);
	return 0;
}

static int memory_behind_the_end_of_a_file_is_efault(void)
{
	int fd = (int)syscall(SYS_memfd_create, "short", 0);
	char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), buffer[8];

	CHECK(memory != MAP_FAILED);
	CHECK(copy_from_user(buffer, memory, sizeof(buffer)) == -EFAULT);
	CHECK(user_range_check(memory, 1, 1) == -EFAULT);
	munmap(memory, PAGE);
	close(fd);
	return 0;
}

/* A fault of the program itself is not mended. */
static int a_fault_elsewhere_kills(void)
{
	struct rlimit none = {0, 0};
	volatile char *volatile nowhere = (char *)16;

	setrlimit(RLIMIT_CORE, &none);
	*nowhere = 1;
	return 0;
}

static const struct {
	const char *name;
	int (*body)(void);
	int expected; /* exit status, or 256 + signal */
} cases[] = {
#define CASE(name, expected)                                                                       \
	{                                                                                          \
#name, name, expected                                                              \
	}
	CASE(every_length_arrives_whole_and_no_byte_more, 0),
	CASE(bad_addresses_are_efault, 0),
	CASE(a_copy_that_runs_into_a_hole_is_efault, 0),
	CASE(strings_end_at_their_nul_at_a_hole_or_at_the_limit, 0),
	CASE(a_range_is_checked_page_by_page_and_not_changed, 0),
	CASE(memory_behind_the_end_of_a_file_is_efault, 0),
	CASE(a_fault_elsewhere_kills, 256 + SIGSEGV),
#undef CASE
};

int main(void)
{
	int failed = 0;

	alarm(UNIT_SECONDS);
	if (usercopy_init())
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool ok;

		fflush(stdout);
		ok = unit_in_child(cases[i].body) == cases[i].expected;
		printf("%sok %zu - %s\n", ok ? "" : "not ", i + 1, cases[i].name);
		failed += !ok;
	}
	return failed ? 1 : 0;
}
