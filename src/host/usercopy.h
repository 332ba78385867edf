/*
 * usercopy.h - copies to and from the program's memory that cannot crash
 *
 * A bad address gives -EFAULT, as the kernel's copy_from_user() and
 * copy_to_user() do: one assembly routine touches the memory, and our SIGSEGV
 * and SIGBUS handler sends it to its fixup when it faults. Any thread, any lock.
 */
#ifndef RS_HOST_USERCOPY_H
#define RS_HOST_USERCOPY_H

#include <signal.h>
#include <stddef.h>

/* 0, or -EFAULT and `dst` is undefined. */
int copy_from_user(void *dst, const void *user_src, size_t size);

/* 0, or -EFAULT and a part may have been written. */
int copy_to_user(void *user_dst, const void *src, size_t size);

/*
 * Length of the string at user_src without its NUL, copied with it into dst: -ENAMETOOLONG if no
 * NUL within `size`, -EFAULT.
 */
long string_from_user(char *dst, const char *user_src, size_t size);

/*
 * Whether every page of the range can be read (and written, if so asked): 0 or -EFAULT. Changes
 * nothing.
 */
int user_range_check(const void *user_addr, size_t size, int writable);

/*
 * The address of an element of the program's array. Its pointer may be anything, NULL too, and
 * with such C has no arithmetic.
 */
static inline void *user_element(unsigned long user_array, size_t index, size_t size)
{
	return (void *)(user_array + index * size);
}

/*
 * Called by the SIGSEGV/SIGBUS handler first: true if the fault was ours and `context` was
 * mended.
 */
int usercopy_fixup(siginfo_t *info, void *context);

/*
 * Installs the handlers once; chained to by whatever the program installs later
 * (entry/signals.c).
 */
int usercopy_init(void);

#endif
