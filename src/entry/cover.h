/*
 * cover.h - whether ringside can stand behind a program, and by which way in
 *
 * A program file is looked at, never run: ELF headers, the dynamic section, and
 * (only if asked) its code for inline-assembly calls. For `ringside run` and
 * `ringside doctor`, and for exec. No malloc, safe in a vfork() child.
 *
 * Not here: finding the file on PATH (the caller's business).
 */
#ifndef RS_ENTRY_COVER_H
#define RS_ENTRY_COVER_H

#include "base/types.h"

#define COVER_PATH 4096

struct cover {
	bool is_script;        /* "#!": all that follows is about the interpreter */
	bool is_foreign;       /* for another machine or word size */
	bool is_static;        /* has no dynamic loader, so LD_PRELOAD is not looked at */
	bool is_setid;         /* set-user-ID or set-group-ID to somebody else than the caller */
	bool has_capabilities; /* carries file capabilities */
	bool has_liburing;     /* needs liburing.so: our symbols answer in its place */
	bool has_syscall;      /* imports libc's syscall(): ours answers in its place */
	bool has_inline; /* its code loads one of our numbers and makes a system call: the trap */
	char path[COVER_PATH]; /* of the file that was looked at (the interpreter of a script) */
};

/*
 * 0, -ENOEXEC if it is no program, or -errno if it cannot be read. `look_inside` also fills
 * has_liburing, has_syscall and has_inline: it reads the symbols and all the code
 * (milliseconds for 10 MB).
 */
int cover_examine(const char *path, bool look_inside, struct cover *out);

/*
 * Why a program that looks like this cannot be covered, as the end of a sentence ("it is
 * statically linked"), or NULL if it can be.
 */
const char *cover_refusal(const struct cover *cover);

/* Both in one: true if it can be covered or cannot be executed at all; else *reason is set. */
bool entry_can_cover(const char *path, const char **reason);

#endif
