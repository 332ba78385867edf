/*
 * register_query.c - IORING_REGISTER_QUERY: what this io_uring can do
 *
 * A chain of questions in the program's memory, each answered in place. The program's idea of an
 * answer's size may be an older or a newer one: what both know is written, the rest is zero.
 *
 * The kernel: io_uring/query.c
 */
#include "host/usercopy.h"
#include "request/submit.h"
#include "syscall/internal.h"

/* Longer chains are taken for circles. */
#define QUERY_ENTRIES_MAX 1000

/* The rings and their calls as of this interface. */
static void query_opcodes(struct io_uring_query_opcode *answer)
{
	*answer = (struct io_uring_query_opcode){
		.nr_request_opcodes = IORING_OP_LAST,
		.nr_register_opcodes = IORING_REGISTER_LAST,
		.feature_flags = setup_features,
		.ring_setup_flags = setup_known_flags,
		.enter_flags = enter_known_flags,
		.sqe_flags = SQE_FLAGS_VALID,
		.nr_query_opcodes = 1,
	};
}

/* The answer to `header`; its size. Or -errno, which is the question's own result. */
static int answer_query(const struct io_uring_query_hdr *header,
			struct io_uring_query_opcode *answer)
{
	if (header->query_op != IO_URING_QUERY_OPCODES)
		return -EOPNOTSUPP;
	if (header->resv[0] || header->resv[1] || header->resv[2] || header->result ||
	    header->size == 0)
		return -EINVAL;
	query_opcodes(answer);
	return (int)sizeof(*answer);
}

/* Writes what the program has room for. */
static int answer_to_user(u64 user_data, u32 room, const void *answer, u32 size)
{
	static const char zeroes[64];
	u32 copied = min_of(room, size);

	if (copy_to_user((void *)user_data, answer, copied))
		return -EFAULT;
	for (u32 at = copied; at < room; at += (u32)sizeof(zeroes))
		if (copy_to_user(user_element(user_data, at, 1), zeroes,
				 min_of((u32)sizeof(zeroes), room - at)))
			return -EFAULT;
	return 0;
}

static int query_one(struct io_uring_query_hdr *user_header, u64 *next)
{
	struct io_uring_query_hdr header;
	struct io_uring_query_opcode answer;
	int size;

	if (copy_from_user(&header, user_header, sizeof(header)))
		return -EFAULT;
	size = answer_query(&header, &answer);
	header.result = min_of(size, 0);
	size = max_of(size, 0);
	if (answer_to_user(header.query_data, header.size, &answer, (u32)size))
		return -EFAULT;
	header.size = min_of(header.size, (u32)size);
	if (copy_to_user(user_header, &header, sizeof(header)))
		return -EFAULT;
	*next = header.next_entry;
	return 0;
}

long register_query(void *user_entry, u32 count)
{
	u64 next = (u64)user_entry;

	if (count)
		return -EINVAL;
	for (u32 i = 0; next != 0; i++) {
		int err = i == QUERY_ENTRIES_MAX ? -ERANGE : query_one((void *)next, &next);

		if (err)
			return err;
	}
	return 0;
}
