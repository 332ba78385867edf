/*
 * register_restrict.c - IORING_REGISTER_RESTRICTIONS: what a ring will be limited to
 *
 * Registered once, while the ring is disabled; in force from when it is enabled. An opcode of
 * io_uring_register() that is not allowed is answered with -EACCES (register.c), an SQE with a
 * CQE that says so (request/submit.c).
 *
 * The kernel: io_register_restrictions()
 */
#include "host/usercopy.h"
#include "syscall/internal.h"

#define RESTRICTIONS_MAX (IORING_RESTRICTION_LAST + IORING_REGISTER_LAST + IORING_OP_LAST)

static void allow(u64 *bits, u32 number)
{
	bits[number / 64] |= 1ull << number % 64;
}

static int add_restriction(struct restrictions *all, const struct io_uring_restriction *one)
{
	switch (one->opcode) {
	case IORING_RESTRICTION_REGISTER_OP:
		if (one->value >= IORING_REGISTER_LAST)
			return -EINVAL;
		allow(all->register_ops, one->value);
		return 0;
	case IORING_RESTRICTION_SQE_OP:
		if (one->value >= IORING_OP_LAST)
			return -EINVAL;
		allow(all->sqe_ops, one->value);
		return 0;
	case IORING_RESTRICTION_SQE_FLAGS_ALLOWED:
		all->sqe_flags_allowed = one->value;
		return 0;
	case IORING_RESTRICTION_SQE_FLAGS_REQUIRED:
		all->sqe_flags_required = one->value;
		return 0;
	default:
		return -EINVAL;
	}
}

long register_restrictions(struct ring *ring, const void *user_restrictions, u32 count)
{
	struct io_uring_restriction list[RESTRICTIONS_MAX];
	struct restrictions all = {.is_registered = true};

	if (!ring->is_disabled)
		return -EBADFD;
	if (ring->restrictions.is_registered)
		return -EBUSY;
	if (user_restrictions == NULL || count > RESTRICTIONS_MAX)
		return -EINVAL;
	if (copy_from_user(list, user_restrictions, count * sizeof(list[0])))
		return -EFAULT;
	for (u32 i = 0; i < count; i++) {
		int err = add_restriction(&all, &list[i]);

		if (err)
			return err;
	}
	ring->restrictions = all;
	return 0;
}
