/*
 * cover.c - reads a program file the way the kernel and the dynamic loader will
 *
 * Entry:       cover_examine(), cover_refusal(), entry_can_cover()
 * Invariants:  V1 the file is not trusted: every offset is used in a pread() into a buffer of
 *              ours, every count is bounded, every string is cut
 * Locks:       none
 * Not here:    what is done about it (exec.c, cli/)
 */
#include "entry/cover.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "host/kernel.h"

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#endif

#define SEGMENTS_MAX 64
#define DYNAMIC_MAX  1024
#define SYMBOLS_MAX  (1 << 20)
#define SCRIPTS_MAX  4 /* interpreters of interpreters, as in the kernel */
#define CHUNK        8192

struct program {
	int fd;
	Elf64_Ehdr header;
	Elf64_Phdr segments[SEGMENTS_MAX];
	size_t segment_count;
	const Elf64_Phdr *dynamic;
	u64 strings, symbols, hash, gnu_hash; /* file offsets; 0: none */
};

static long read_at(int fd, void *to, size_t size, u64 at)
{
	long ret = host_call(SYS_pread64, fd, to, size, at);

	return ret >= 0 && (size_t)ret < size ? -ENOEXEC : ret;
}

/* Where the byte that will be at `address` is in the file; 0 if nowhere. */
static u64 file_offset(const struct program *program, u64 address)
{
	for (size_t i = 0; i < program->segment_count; i++) {
		const Elf64_Phdr *s = &program->segments[i];

		if (s->p_type == PT_LOAD && address >= s->p_vaddr &&
		    address - s->p_vaddr < s->p_filesz)
			return s->p_offset + (address - s->p_vaddr);
	}
	return 0;
}

static long segments_read(struct program *program, struct cover *out)
{
	const Elf64_Ehdr *header = &program->header;
	long ret;

	program->segment_count = min_of((size_t)header->e_phnum, (size_t)SEGMENTS_MAX);
	ret = read_at(program->fd, program->segments, program->segment_count * sizeof(Elf64_Phdr),
		      header->e_phoff);
	if (ret < 0)
		return ret;
	out->is_static = true;
	for (size_t i = 0; i < program->segment_count; i++) {
		if (program->segments[i].p_type == PT_INTERP)
			out->is_static = false;
		if (program->segments[i].p_type == PT_DYNAMIC)
			program->dynamic = &program->segments[i];
	}
	return 0;
}

static bool string_begins(const struct program *program, u64 offset, const char *prefix, bool whole)
{
	char text[32];
	size_t len = strlen(prefix) + (whole ? 1 : 0);

	if (!program->strings || len > sizeof(text))
		return false;
	return read_at(program->fd, text, len, program->strings + offset) >= 0 &&
	       !memcmp(text, prefix, len);
}

/* The dynamic section: first where things are, then what is needed. */
static void dynamic_read(struct program *program, struct cover *out)
{
	size_t count = program->dynamic->p_filesz / sizeof(Elf64_Dyn);
	bool is_needed_pass = false;
	Elf64_Dyn d;

	for (int pass = 0; pass < 2; pass++, is_needed_pass = true) {
		for (size_t i = 0; i < min_of(count, (size_t)DYNAMIC_MAX); i++) {
			if (read_at(program->fd, &d, sizeof(d),
				    program->dynamic->p_offset + i * sizeof(d)) < 0 ||
			    d.d_tag == DT_NULL)
				break;
			if (is_needed_pass && d.d_tag == DT_NEEDED)
				out->has_liburing |=
					string_begins(program, d.d_un.d_val, "liburing.so", false);
			else if (d.d_tag == DT_STRTAB)
				program->strings = file_offset(program, d.d_un.d_ptr);
			else if (d.d_tag == DT_SYMTAB)
				program->symbols = file_offset(program, d.d_un.d_ptr);
			else if (d.d_tag == DT_HASH)
				program->hash = file_offset(program, d.d_un.d_ptr);
			else if (d.d_tag == DT_GNU_HASH)
				program->gnu_hash = file_offset(program, d.d_un.d_ptr);
		}
	}
}

/* How many dynamic symbols to look at: imports come before those that the GNU hash table knows. */
static u32 imports_count(const struct program *program)
{
	u32 words[2] = {0, 0};

	if (program->gnu_hash && read_at(program->fd, words, sizeof(words), program->gnu_hash) >= 0)
		return min_of(words[1], (u32)SYMBOLS_MAX);
	if (program->hash && read_at(program->fd, words, sizeof(words), program->hash) >= 0)
		return min_of(words[1], (u32)SYMBOLS_MAX);
	return 0;
}

static void imports_read(const struct program *program, struct cover *out)
{
	Elf64_Sym symbols[64];
	u32 count = program->symbols ? imports_count(program) : 0;

	for (u32 done = 0; done < count; done += ARRAY_SIZE(symbols)) {
		u32 here = min_of(count - done, (u32)ARRAY_SIZE(symbols));

		if (read_at(program->fd, symbols, here * sizeof(symbols[0]),
			    program->symbols + done * sizeof(symbols[0])) < 0)
			return;
		for (u32 i = 0; i < here && !out->has_syscall; i++)
			if (symbols[i].st_shndx == SHN_UNDEF && symbols[i].st_name)
				out->has_syscall =
					string_begins(program, symbols[i].st_name, "syscall", true);
	}
}

/* Bytes that load a number of ours, and how many bytes later at most the call stands. */
#define CALL_WITHIN 64

#if defined(__x86_64__)
static bool code_loads_number(const u8 *code)
{
	/* mov $nr, %eax */
	return code[0] == 0xb8 && code[1] >= (SYS_io_uring_setup & 0xff) &&
	       code[1] <= (SYS_io_uring_register & 0xff) && code[2] == SYS_io_uring_setup >> 8 &&
	       !code[3] && !code[4];
}

static bool code_calls(const u8 *code)
{
	return code[0] == 0x0f && code[1] == 0x05;
}
#elif defined(__aarch64__)
static bool code_loads_number(const u8 *code)
{
	u32 instruction;

	memcpy(&instruction, code, sizeof(instruction));
	/* mov x8 or w8, #nr */
	for (u32 nr = SYS_io_uring_setup; nr <= SYS_io_uring_register; nr++)
		if ((instruction & 0x7fffffff) == (0x52800008 | nr << 5))
			return true;
	return false;
}

static bool code_calls(const u8 *code)
{
	u32 instruction;

	memcpy(&instruction, code, sizeof(instruction));
	return instruction == 0xd4000001;
}
#endif

static bool code_has_call(const u8 *code, size_t len)
{
	for (size_t i = 0; i + CALL_WITHIN + 4 < len; i++) {
		if (likely(!code_loads_number(&code[i])))
			continue;
		for (size_t j = i + 4; j < i + CALL_WITHIN; j++)
			if (code_calls(&code[j]))
				return true;
	}
	return false;
}

/* Chunks overlap, so that no sequence is cut; the last is filled up with zeroes. */
static void code_read(const struct program *program, const Elf64_Phdr *segment, struct cover *out)
{
	const size_t overlap = CALL_WITHIN + 8;
	u8 chunk[CHUNK];

	for (u64 at = 0; at < segment->p_filesz && !out->has_inline; at += CHUNK - overlap) {
		long len =
			host_call(SYS_pread64, program->fd, chunk, CHUNK, segment->p_offset + at);

		if (len <= 0)
			return;
		memset(chunk + len, 0, CHUNK - (size_t)len);
		out->has_inline = code_has_call(chunk, CHUNK);
	}
}

static long elf_examine(int fd, bool look_inside, struct cover *out)
{
	struct program program = {.fd = fd};
	long ret = read_at(fd, &program.header, sizeof(program.header), 0);

	if (ret < 0)
		return ret;
	if (memcmp(program.header.e_ident, ELFMAG, SELFMAG))
		return -ENOEXEC;
	if (program.header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    program.header.e_machine != NATIVE_MACHINE ||
	    program.header.e_phentsize != sizeof(Elf64_Phdr)) {
		out->is_foreign = true;
		return 0;
	}
	ret = segments_read(&program, out);
	if (ret < 0 || !look_inside)
		return ret;
	if (program.dynamic) {
		dynamic_read(&program, out);
		imports_read(&program, out);
	}
	for (size_t i = 0; i < program.segment_count; i++)
		if (program.segments[i].p_type == PT_LOAD && (program.segments[i].p_flags & PF_X))
			code_read(&program, &program.segments[i], out);
	return 0;
}

/* Whether executing the file changes who we are, upon which the loader ignores LD_PRELOAD. */
static void privileges_examine(int fd, struct cover *out)
{
	struct stat st;
	char value[64];

	if (host_call(SYS_fstat, fd, &st))
		return;
	out->is_setid = ((st.st_mode & S_ISUID) && st.st_uid != (uid_t)host_call(SYS_getuid)) ||
			((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
			 st.st_gid != (gid_t)host_call(SYS_getgid));
	out->has_capabilities =
		host_call(SYS_fgetxattr, fd, "security.capability", value, sizeof(value)) > 0;
}

/* "#! interpreter": its path, in out->path. Whether there was one. */
static bool script_follow(int fd, struct cover *out)
{
	char line[256];
	long len = host_call(SYS_pread64, fd, line, sizeof(line) - 1, 0);
	char *begin;
	size_t path_len;

	if (len < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[len] = '\0';
	begin = line + 2 + strspn(line + 2, " \t");
	path_len = strcspn(begin, " \t\n");
	if (!path_len)
		return false;
	memcpy(out->path, begin, path_len);
	out->path[path_len] = '\0';
	out->is_script = true;
	return true;
}

int cover_examine(const char *path, bool look_inside, struct cover *out)
{
	size_t len = strlen(path);
	long ret = -ELOOP;

	memset(out, 0, sizeof(*out));
	if (len >= sizeof(out->path))
		return -ENAMETOOLONG;
	memcpy(out->path, path, len + 1);
	for (int i = 0; ret == -ELOOP && i < SCRIPTS_MAX; i++) {
		int fd = (int)host_call(SYS_openat, AT_FDCWD, out->path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return fd;
		if (!script_follow(fd, out)) {
			privileges_examine(fd, out);
			ret = elf_examine(fd, look_inside, out);
		}
		host_call(SYS_close, fd);
	}
	return (int)ret;
}

const char *cover_refusal(const struct cover *cover)
{
	if (cover->is_foreign)
		return "it is a program for another machine or word size";
	if (cover->is_static)
		return "it is statically linked, so no library can be preloaded";
	if (cover->is_setid)
		return "it is set-user-ID or set-group-ID, so the loader ignores LD_PRELOAD";
	if (cover->has_capabilities && host_call(SYS_getuid) != 0)
		return "it has file capabilities, so the loader ignores LD_PRELOAD";
	return NULL;
}

bool entry_can_cover(const char *path, const char **reason)
{
	struct cover cover;

	*reason = NULL;
	if (!cover_examine(path, false, &cover))
		*reason = cover_refusal(&cover);
	return !*reason;
}
