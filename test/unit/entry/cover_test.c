/*
 * cover_test.c - what is said of program files, good, bad and hostile
 */
#include "entry/cover.h"

#include <elf.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "unit.h"

static struct cover examined(const char *path)
{
	struct cover cover;

	assert_int_equal(cover_examine(path, true, &cover), 0);
	return cover;
}

/* A file of these bytes; its path is valid until the next call. */
static const char *file_of(const void *bytes, size_t size, mode_t mode)
{
	static char path[64];
	static int fd = -1;

	if (fd >= 0)
		close(fd);
	fd = (int)syscall(SYS_memfd_create, "program", 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(fchmod(fd, mode), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/* This program's own ELF header, to be spoilt. */
static Elf64_Ehdr own_header(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	Elf64_Ehdr header;

	assert_int_equal(read(fd, &header, sizeof(header)), sizeof(header));
	close(fd);
	return header;
}

static void this_program_can_be_covered(void **state)
{
	struct cover cover = examined("/proc/self/exe");
	const char *reason = "?";

	(void)state;
	assert_false(cover.is_static);
	assert_false(cover.is_foreign);
	assert_false(cover.is_script);
	assert_null(cover_refusal(&cover));
	assert_true(entry_can_cover("/proc/self/exe", &reason));
	assert_null(reason);
}

static void a_script_is_its_interpreter(void **state)
{
	static const char script[] = "#!  /bin/sh -e\necho\n";
	struct cover cover = examined(file_of(script, sizeof(script) - 1, 0755));

	(void)state;
	assert_true(cover.is_script);
	assert_string_equal(cover.path, "/bin/sh");
	assert_false(cover.is_static);
}

static void a_script_of_itself_ends(void **state)
{
	char script[64];
	const char *path = file_of("", 0, 0755);
	struct cover cover;
	int fd, len;

	(void)state;
	len = snprintf(script, sizeof(script), "#!%s\n", path);
	fd = open(path, O_WRONLY);
	assert_int_equal(write(fd, script, (size_t)len), len);
	close(fd);
	assert_int_equal(cover_examine(path, true, &cover), -ELOOP);
}

static void what_is_no_program_is_enoexec(void **state)
{
	struct cover cover;
	const char *reason;

	(void)state;
	assert_int_equal(cover_examine(file_of("hello", 5, 0755), true, &cover), -ENOEXEC);
	assert_int_equal(cover_examine(file_of("", 0, 0755), true, &cover), -ENOEXEC);
	assert_int_equal(cover_examine("/nonexistent", true, &cover), -ENOENT);
	assert_true(entry_can_cover("/nonexistent", &reason));
	assert_null(reason);
}

static void another_word_size_is_foreign(void **state)
{
	Elf64_Ehdr header = own_header();
	struct cover cover;

	(void)state;
	header.e_ident[EI_CLASS] = ELFCLASS32;
	cover = examined(file_of(&header, sizeof(header), 0755));
	assert_true(cover.is_foreign);
	assert_non_null(strstr(cover_refusal(&cover), "word size"));
}

static void without_an_interpreter_it_is_static(void **state)
{
	Elf64_Ehdr header = own_header();
	struct cover cover;
	const char *reason;

	(void)state;
	header.e_phnum = 0;
	cover = examined(file_of(&header, sizeof(header), 0755));
	assert_true(cover.is_static);
	assert_false(entry_can_cover(file_of(&header, sizeof(header), 0755), &reason));
	assert_non_null(strstr(reason, "statically linked"));
}

static void set_user_id_of_another_is_refused(void **state)
{
	Elf64_Ehdr header = own_header();
	struct cover cover;
	const char *path;

	(void)state;
	if (geteuid() != 0)
		skip();
	header.e_phnum = 0;
	path = file_of(&header, sizeof(header), 0755);
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_int_equal(chmod(path, 04755), 0);
	assert_int_equal(cover_examine(path, false, &cover), 0);
	assert_true(cover.is_setid);
	cover.is_static = false;
	assert_non_null(strstr(cover_refusal(&cover), "set-user-ID"));
	assert_int_equal(chmod(path, 02755), 0);
	assert_int_equal(cover_examine(path, false, &cover), 0);
	assert_true(cover.is_setid);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(cover_examine(path, false, &cover), 0);
	assert_false(cover.is_setid);
}

/* Every table of the file is cut off, or points anywhere: an answer, and no crash. */
static void a_hostile_file_is_survived(void **state)
{
	u64 random = 0x123456789abcdefull;
	static unsigned char bytes[65536];
	int fd = open("/proc/self/exe", O_RDONLY);
	ssize_t size = read(fd, bytes, sizeof(bytes));

	(void)state;
	close(fd);
	assert_true(size > 4096);
	for (int round = 0; round < 400; round++) {
		static unsigned char spoilt[65536];
		size_t len = unit_random(&random) % (size_t)size;
		struct cover cover;

		memcpy(spoilt, bytes, (size_t)size);
		for (int i = 0; i < 40; i++)
			spoilt[16 + unit_random(&random) % 2000] =
				(unsigned char)unit_random(&random);
		cover_examine(file_of(spoilt, len, 0755), true, &cover);
	}
}

static void an_inline_call_is_found(void **state)
{
#if defined(__x86_64__)
	static const u8 code[] = {0xb8, 0xaa, 0x01, 0, 0, 0x0f, 0x05, 0xc3};
	static const u8 other[] = {0xb8, 0xa8, 0x01, 0, 0, 0x0f, 0x05, 0xc3};
#else
	static const u32 code[] = {0x52803548, 0xd4000001, 0xd65f03c0};
	static const u32 other[] = {0x52803508, 0xd4000001, 0xd65f03c0};
#endif
	static struct {
		Elf64_Ehdr header;
		Elf64_Phdr segment;
		u8 code[20000];
	} program;

	(void)state;
	program.header = own_header();
	program.header.e_phoff = offsetof(__typeof__(program), segment);
	program.header.e_phnum = 1;
	program.segment = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_offset = offsetof(__typeof__(program), code),
		.p_filesz = sizeof(program.code),
	};
	/* At every place, those where two chunks of reading meet among them. */
	for (size_t at = 0; at + sizeof(code) <= sizeof(program.code); at += 4) {
		if (at > 64 && at < sizeof(program.code) - 256 && at % 64 != 0 &&
		    (at < 7900 || at > 8300))
			continue;
		memset(program.code, 0, sizeof(program.code));
		memcpy(program.code + at, code, sizeof(code));
		assert_true(examined(file_of(&program, sizeof(program), 0755)).has_inline);
	}
	memcpy(program.code, other, sizeof(other));
	memset(program.code + sizeof(other), 0, sizeof(program.code) - sizeof(other));
	assert_false(examined(file_of(&program, sizeof(program), 0755)).has_inline);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_program_can_be_covered),
		cmocka_unit_test(a_script_is_its_interpreter),
		cmocka_unit_test(a_script_of_itself_ends),
		cmocka_unit_test(what_is_no_program_is_enoexec),
		cmocka_unit_test(another_word_size_is_foreign),
		cmocka_unit_test(without_an_interpreter_it_is_static),
		cmocka_unit_test(set_user_id_of_another_is_refused),
		cmocka_unit_test(a_hostile_file_is_survived),
		cmocka_unit_test(an_inline_call_is_found),
	};

	alarm(UNIT_SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
