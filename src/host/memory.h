/*
 * memory.h - how much memory there is
 */
#ifndef RS_HOST_MEMORY_H
#define RS_HOST_MEMORY_H

#include "base/types.h"

/* Bytes in this machine, or as many as the control group that a container sees as its own may
 * have, if that is less. UINT64_MAX if nobody says. */
u64 memory_bytes(void);

#endif
