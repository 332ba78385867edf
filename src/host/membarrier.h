/*
 * membarrier.h - a full barrier in every thread of the process, at the cost of one
 *
 * For a flag that is stored rarely and loaded often: the frequent side stores,
 * has a barrier_compiler(), and loads; the rare side stores, calls
 * barrier_all_threads(), and loads. At least one of the two sees the other's store.
 */
#ifndef RS_HOST_MEMBARRIER_H
#define RS_HOST_MEMBARRIER_H

#include <linux/membarrier.h>

#include "base/atomic.h"
#include "host/kernel.h"

/* False where the kernel refuses it: then nothing is promised, and the caller must not rely on
 * it. */
static inline bool barrier_all_threads(void)
{
	barrier_full();
	if (host_call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
		return true;
	host_call(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	return host_call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

#endif
