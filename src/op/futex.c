/*
 * futex.c - FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAITV
 *
 * Not here: how a request waits on a word (request/futex.c).
 * The kernel: io_uring/futex.c
 */
#include <linux/futex.h>

#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/ops.h"
#include "request/futex.h"
#include "request/ring.h"

#ifndef SYS_futex_wake
#define SYS_futex_wake 454
#endif

#define FUTEX2_SIZE_MASK 3u
#define FUTEX2_SIZE_U32  2u
#define FUTEX2_NODE      12u /* FUTEX2_NUMA, FUTEX2_MPOL: where in the kernel the word is found */
#define FUTEX2_PRIVATE   128u
#define FUTEX2_FLAGS     (FUTEX2_SIZE_MASK | FUTEX2_NODE | FUTEX2_PRIVATE)

struct futex_wake {
	u64 addr;
	u32 count, mask, flags;
};

static bool are_flags_valid(u32 flags)
{
	return !(flags & ~FUTEX2_FLAGS) && (flags & FUTEX2_SIZE_MASK) == FUTEX2_SIZE_U32;
}

/* What FUTEX_WAIT and FUTEX_WAKE have in common. 0 or -EINVAL. */
static int check_one(const struct io_uring_sqe *sqe)
{
	if (load_relaxed(&sqe->len) || load_relaxed(&sqe->futex_flags) ||
	    load_relaxed(&sqe->buf_index) || load_relaxed(&sqe->file_index))
		return -EINVAL;
	return are_flags_valid((u32)load_relaxed(&sqe->fd)) ? 0 : -EINVAL;
}

OP_PREP(futex_wait)
{
	u64 value = load_relaxed(&sqe->addr2), mask = load_relaxed(&sqe->addr3);
	struct futex_wait *wait = request_data(req, struct futex_wait);
	u32 flags = (u32)load_relaxed(&sqe->fd);

	*wait = (struct futex_wait){
		.addr = load_relaxed(&sqe->addr),
		.value = (u32)value,
		.mask = (u32)mask,
		.is_private = flags & FUTEX2_PRIVATE,
	};
	/* The older call, by which one word is waited for, knows no nodes; the one for several
	 * does. */
	if (flags & FUTEX2_NODE) {
		wait->words = wait->near;
		wait->count = 1;
		wait->near[0] = (struct futex_word){
			.value = (u32)value,
			.addr = wait->addr,
			.flags = flags,
		};
	}
	return value > UINT32_MAX || mask > UINT32_MAX ? -EINVAL : check_one(sqe);
}

/*
 * 0 if the kernel would find the word, which may name its node: waking nobody asks just that, and
 * writes the node chosen where none was, as a wait does. -EINVAL, -EFAULT.
 */
static int find_word(const struct futex_word *word)
{
	long n = host_call(SYS_futex_wake, word->addr, FUTEX_BITSET_MATCH_ANY, 0, word->flags);

	return n == -ENOSYS || n == -EPERM ? -EINVAL : (int)n;
}

OP_ISSUE(futex_wait)
{
	const struct futex_wait *wait = request_data(req, struct futex_wait);
	u32 value;
	int err;

	if (wait->mask == 0 || wait->addr % sizeof(value))
		return request_done(req, -EINVAL);
	if (wait->words != NULL) {
		err = find_word(wait->words);
		if (err)
			return request_done(req, err);
	}
	if (copy_from_user(&value, (const void *)wait->addr, sizeof(value)))
		return request_done(req, -EFAULT);
	if (value != wait->value)
		return request_done(req, -EAGAIN);
	/* The call for several words knows no mask. */
	if (wait->words != NULL && wait->mask != FUTEX_BITSET_MATCH_ANY)
		return request_done(req, -EINVAL);
	err = futex_wait_arm(req);
	return err ? request_done(req, err) : ISSUE_WAITING;
}

OP_PREP(futex_wake)
{
	u64 count = load_relaxed(&sqe->addr2), mask = load_relaxed(&sqe->addr3);

	*request_data(req, struct futex_wake) = (struct futex_wake){
		.addr = load_relaxed(&sqe->addr),
		.count = (u32)count,
		.mask = (u32)mask,
		.flags = (u32)load_relaxed(&sqe->fd),
	};
	return count > UINT32_MAX || mask > UINT32_MAX ? -EINVAL : check_one(sqe);
}

OP_ISSUE(futex_wake)
{
	const struct futex_wake *wake = request_data(req, struct futex_wake);
	u32 private = wake->flags & FUTEX2_PRIVATE ? FUTEX_PRIVATE_FLAG : 0;
	long n = host_call(SYS_futex_wake, wake->addr, wake->mask, (s32)wake->count, wake->flags);

	if (n != -ENOSYS && n != -EPERM)
		return request_done(req, n);
	/* The older call would wake one where none is to be woken. */
	if (wake->count == 0)
		n = wake->mask == 0 || wake->addr % sizeof(u32) ? -EINVAL : 0;
	else
		n = host_call(SYS_futex, wake->addr, FUTEX_WAKE_BITSET | private, wake->count, NULL,
			      NULL, wake->mask);
	return request_done(req, n);
}

OP_PREP(futex_waitv)
{
	struct futex_wait *wait = request_data(req, struct futex_wait);
	u32 count = load_relaxed(&sqe->len);
	u64 user_words = load_relaxed(&sqe->addr);

	*wait = (struct futex_wait){.mask = FUTEX_BITSET_MATCH_ANY, .count = count};
	if (load_relaxed(&sqe->fd) || load_relaxed(&sqe->buf_index) ||
	    load_relaxed(&sqe->file_index) || load_relaxed(&sqe->addr2) ||
	    load_relaxed(&sqe->futex_flags) || load_relaxed(&sqe->addr3))
		return -EINVAL;
	if (count == 0 || count > FUTEX_WORDS)
		return -EINVAL;
	wait->words = ring_alloc(req->ring, (count + 1) * sizeof(*wait->words));
	if (wait->words == NULL)
		return -ENOMEM;
	for (u32 i = 0; i < count; i++) {
		struct futex_word *word = &wait->words[i];

		if (copy_from_user(word, user_element(user_words, i, sizeof(*word)), sizeof(*word)))
			return -EFAULT;
		if (!are_flags_valid(word->flags) || word->reserved || word->value > UINT32_MAX)
			return -EINVAL;
	}
	return 0;
}

/* As the kernel: each word is found first, which touches those that may be shared; then each is
 * compared. 0, -EINVAL, -EFAULT or -EAGAIN. */
static int compare_words(const struct futex_wait *wait)
{
	const struct futex_word *end = wait->words + wait->count;
	u32 value;

	for (const struct futex_word *word = wait->words; word < end; word++) {
		if (word->addr % sizeof(value))
			return -EINVAL;
		if (word->addr >= USER_ADDRESS_END)
			return -EFAULT;
		if (word->flags & FUTEX2_NODE) {
			int err = find_word(word);

			if (err)
				return err;
		}
		if (!(word->flags & FUTEX2_PRIVATE) &&
		    copy_from_user(&value, (const void *)word->addr, sizeof(value)))
			return -EFAULT;
	}
	for (const struct futex_word *word = wait->words; word < end; word++) {
		if (copy_from_user(&value, (const void *)word->addr, sizeof(value)))
			return -EFAULT;
		if (value != word->value)
			return -EAGAIN;
	}
	return 0;
}

OP_ISSUE(futex_waitv)
{
	const struct futex_wait *wait = request_data(req, struct futex_wait);
	int err = compare_words(wait);

	if (err == 0)
		err = futex_wait_arm(req);
	return err ? request_done(req, err) : ISSUE_WAITING;
}

OP_CLEANUP(futex_waitv)
{
	struct futex_wait *wait = request_data(req, struct futex_wait);

	ring_free(req->ring, wait->words, (wait->count + 1) * sizeof(*wait->words));
}
