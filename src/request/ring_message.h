/*
 * ring_message.h - messages from one ring to another (MSG_RING)
 *
 * All calls: any thread, with no ring lock held, but for ring_message_put().
 */
#ifndef RS_REQUEST_RING_MESSAGE_H
#define RS_REQUEST_RING_MESSAGE_H

#include "base/types.h"

struct file;
struct ring;

/* What the CQE on the other ring says. */
struct ring_message {
	u64 user_data;
	s32 result;
	u32 cqe_flags;
};

/* The ring that fd names, or NULL and -EBADF or -EBADFD (fd is open, and no ring) in *err. */
struct ring *ring_message_target(int fd, int *err);

/* Driver of the ring. 0, -EBADFD (it is disabled), -ENOMEM. The CQE is shown when the driver
 * leaves. */
int ring_message_put(struct ring *ring, const struct ring_message *message);

/* The same to a ring that this thread does not drive; what was posted is shown at once. Also -EBADF
 * and -EOWNERDEAD (it ended, or is the parent's), and -EBUSY: the calling signal handler
 * interrupted this thread in that ring. */
int ring_message_send(struct ring *ring, const struct ring_message *message);

/*
 * Installs the file as a fixed file of the ring, and posts the message with the slot's result if
 * there is one. The caller's reference is taken over, whatever comes of it. What
 * resource_install_file() returns, or what ring_message_send() fails with.
 */
int ring_message_send_file(struct ring *ring, struct file *file, u32 file_slot,
			   struct ring_message *message);

#endif
