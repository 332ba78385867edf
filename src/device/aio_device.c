/*
 * aio_device.c - the device of this process: Linux AIO
 *
 * Gives the queue of aio.c, which a ring has one of for its direct requests, the shape of a
 * device. Its bounds are the queue's: what finds no room at the device stays staged.
 *
 * Locks: none; the caller of device.h serialises, as it does for aio.c
 */
#include "device/device.h"

static struct aio_queue *queue_of(struct device *device)
{
	return &container_of(device, struct aio_device, device)->queue;
}

static void read_completed(struct aio_op *op, long result)
{
	struct device_read *read = container_of(op, struct device_read, aio);

	read->done(read, result);
}

static void add(struct device *device, struct device_read *read)
{
	aio_prep_rw(&read->aio, read->fd, false, read->iov, read->iov_count, read->offset, 0);
	read->aio.done = read_completed;
	aio_queue_add(queue_of(device), &read->aio);
}

static u32 submit(struct device *device)
{
	return aio_queue_submit(queue_of(device));
}

static u32 reap(struct device *device, u32 limit)
{
	return aio_queue_reap(queue_of(device), limit);
}

static u32 pending(const struct device *device)
{
	return aio_in_flight(&((const struct aio_device *)device)->queue);
}

static const struct device_ops aio_ops = {
	.add = add,
	.submit = submit,
	.reap = reap,
	.pending = pending,
};

int aio_device_init(struct aio_device *device, u32 depth)
{
	int err;

	*device = (struct aio_device){.device = {.ops = &aio_ops, .event_fd = -1}};
	err = aio_queue_init(&device->queue, depth);
	if (!err)
		device->device.event_fd = device->queue.event_fd;
	return err;
}

void aio_device_fork_child(struct aio_device *device)
{
	aio_queue_fork_child(&device->queue);
	device->device.event_fd = -1;
}
