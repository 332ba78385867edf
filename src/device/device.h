/*
 * device.h - where the bytes of a fill come from
 *
 * A device takes reads, has many of them under way at a time, and completes them in
 * any order. There are two: Linux AIO (aio_device.c), and a simulated one with
 * virtual time and faults (sim.c), by which tests drive every interleaving.
 *
 *                 device_add()             device_submit()
 *      (caller) ---------------> staged ------------------> in flight --> done()
 *
 * Locks: the caller serialises all calls on one device (cache/fill.c does by its device
 * lock). done() is called inside device_submit() (refused) or device_reap(),
 * with that lock held; it may add reads, it may not submit or reap.
 */
#ifndef RS_DEVICE_DEVICE_H
#define RS_DEVICE_DEVICE_H

#include <sys/uio.h>

#include "base/types.h"
#include "device/aio.h"

/* Lives in a fill, from device_add() until done() is called. */
struct device_read {
	/* (c) */
	int fd; /* private: it is not closed while the read is under way */
	u32 iov_count;
	const struct iovec *iov; /* of whole pages; stays as it is until done() */
	u64 offset;
	/* `result`: bytes read, fewer than asked for at the end of the file or of the device's
	 * patience; 0 at or behind the end; -errno. */
	void (*done)(struct device_read *read, long result);
	struct aio_op aio; /* the AIO device's own */
};

struct device;

struct device_ops {
	void (*add)(struct device *device, struct device_read *read);
	u32 (*submit)(struct device *device);
	u32 (*reap)(struct device *device, u32 limit);
	u32 (*pending)(const struct device *device);
};

/* The first member of a backend's own structure. */
struct device {
	const struct device_ops *ops; /* (c) */
	/* (c) an eventfd, readable (EPOLLET) when a read has completed since; -1: none */
	int event_fd;
};

/* Stages `read`. */
static inline void device_add(struct device *device, struct device_read *read)
{
	device->ops->add(device, read);
}

/* Sends what is staged, as far as the device has room; the rest goes after the next reap. A
 * refused read completes here. Returns how many done() were called. */
static inline u32 device_submit(struct device *device)
{
	return device->ops->submit(device);
}

/* Completes what the device has finished, at most `limit` reads, and sends what waited for room.
 * Returns how many done() were called. */
static inline u32 device_reap(struct device *device, u32 limit)
{
	return device->ops->reap(device, limit);
}

/* Reads that done() has not been called for. */
static inline u32 device_pending(const struct device *device)
{
	return device->ops->pending(device);
}

/* The AIO device of this process. `depth`: reads at the device at a time. 0, or -errno as
 * aio_queue_init(). */
struct aio_device {
	struct device device;
	struct aio_queue queue;
};

int aio_device_init(struct aio_device *device, u32 depth);
/* In the child of a fork(): the kernel's half stayed with the parent. */
void aio_device_fork_child(struct aio_device *device);

#endif
