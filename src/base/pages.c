/*
 * pages.c - memory straight from the kernel
 *
 * By raw system call: the C library's mmap() is one of the functions that
 * ringside interposes.
 */
#include "base/pages.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/raw.h"

static void *pages_or_null(long result)
{
	/* The kernel returns -errno in the last page of the address space, where no mapping is. */
	return result < 0 && result > -4096 ? NULL : (void *)result;
}

static void *pages_map(size_t size, int flags)
{
	return pages_or_null(raw_syscall6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0));
}

void *pages_alloc(size_t size)
{
	return pages_map(size, 0);
}

void *pages_reserve(size_t size)
{
	return pages_map(size, MAP_NORESERVE);
}

void *pages_grow(void *old, size_t old_size, size_t new_size)
{
	if (old == NULL)
		return pages_alloc(new_size);
	return pages_or_null(raw_syscall4(SYS_mremap, (long)old, (long)old_size, (long)new_size,
					  MREMAP_MAYMOVE));
}

void pages_free(void *addr, size_t size)
{
	if (addr == NULL)
		return;
#if defined(__SANITIZE_THREAD__)
	/* It does not see raw calls, and would take the next owner of an address for the last: the
	 * memory goes back, the address stays ours. */
	raw_syscall3(SYS_madvise, (long)addr, (long)size, MADV_DONTNEED);
#else
	raw_syscall2(SYS_munmap, (long)addr, (long)size);
#endif
}
