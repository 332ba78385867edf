/*
 * arguments_test.c - what the three calls say to their arguments
 *
 * Each row says what is expected of us. Where the kernel's io_uring works it is
 * given the same row, on a fresh ring, and must say the same: so a row cannot
 * claim what the kernel does not do.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "unit_ring.h"

#define BAD_POINTER ((void *)8)

static bool has_kernel;

static long kernel_setup(u32 entries, struct io_uring_params *params)
{
	long result = syscall(425, entries, params);

	return result < 0 ? -errno : result;
}

static long kernel_enter(u32 fd, u32 to_submit, u32 min_complete, u32 flags, const void *arg,
			 size_t size)
{
	long result = syscall(426, fd, to_submit, min_complete, flags, arg, size);

	return result < 0 ? -errno : result;
}

static long kernel_register(u32 fd, u32 opcode, void *arg, u32 count)
{
	long result = syscall(427, fd, opcode, arg, count);

	return result < 0 ? -errno : result;
}

/* The two sides of each row. */
static const struct side {
	const char *name;
	long (*setup)(u32 entries, struct io_uring_params *params);
	long (*enter)(u32 fd, u32 to_submit, u32 min_complete, u32 flags, const void *arg,
		      size_t size);
	long (*reg)(u32 fd, u32 opcode, void *arg, u32 count);
} sides[] = {
	{"ringside", syscall_setup, syscall_enter, syscall_register},
	{"the kernel", kernel_setup, kernel_enter, kernel_register},
};

static u32 side_count(void)
{
	return has_kernel ? 2 : 1;
}

static u32 open_on(const struct side *side, u32 flags)
{
	struct io_uring_params params = {.flags = flags};
	long fd = side->setup(8, &params);

	if (fd < 0)
		fail_msg("%s makes no ring: %ld", side->name, fd);
	return (u32)fd;
}

static u32 differences;

static void check(const struct side *side, const char *what, long result, long expected)
{
	if (result == expected)
		return;
	print_message("%s says %ld to \"%s\", not %ld\n", side->name, result, what, expected);
	differences++;
}

static int no_differences(void **state)
{
	(void)state;
	differences = 0;
	return 0;
}

/* io_uring_setup() */

struct setup_row {
	const char *what;
	u32 entries;
	u32 flags;
	u32 cq_entries;
	u32 cpu;
	u32 wq_fd;
	u32 resv;
	long expected; /* 0: a ring */
	u32 sq_result, cq_result;
};

static const struct setup_row setup_rows[] = {
	{"one entry", .entries = 1, .sq_result = 1, .cq_result = 2},
	{"three entries", .entries = 3, .sq_result = 4, .cq_result = 8},
	{"as many as there may be", .entries = 32768, .sq_result = 32768, .cq_result = 65536},
	{"no entries", .entries = 0, .expected = -EINVAL},
	{"too many entries", .entries = 32769, .expected = -EINVAL},
	{"most of a u32", .entries = UINT32_MAX, .expected = -EINVAL},
	{"too many, clamped", .entries = 40000, .flags = IORING_SETUP_CLAMP, .sq_result = 32768,
	 .cq_result = 65536},
	{"no entries, clamped", .entries = 0, .flags = IORING_SETUP_CLAMP, .expected = -EINVAL},
	{"a CQ size", .entries = 4, .flags = IORING_SETUP_CQSIZE, .cq_entries = 20, .sq_result = 4,
	 .cq_result = 32},
	{"a CQ as large as the SQ", .entries = 4, .flags = IORING_SETUP_CQSIZE, .cq_entries = 4,
	 .sq_result = 4, .cq_result = 4},
	{"a CQ of none", .entries = 4, .flags = IORING_SETUP_CQSIZE, .expected = -EINVAL},
	{"a CQ smaller than the SQ", .entries = 8, .flags = IORING_SETUP_CQSIZE, .cq_entries = 4,
	 .expected = -EINVAL},
	{"too large a CQ", .entries = 8, .flags = IORING_SETUP_CQSIZE, .cq_entries = 65537,
	 .expected = -EINVAL},
	{"too large a CQ, clamped", .entries = 8, .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
	 .cq_entries = 70000, .sq_result = 8, .cq_result = 65536},
	{"a CQ size that nobody asked for", .entries = 4, .cq_entries = 999, .sq_result = 4,
	 .cq_result = 8},
	{"an unknown flag", .entries = 4, .flags = 1u << 31, .expected = -EINVAL},
	{"another unknown flag", .entries = 4, .flags = 1u << 25, .expected = -EINVAL},
	{"a reserved field", .entries = 4, .resv = 1, .expected = -EINVAL},
	{"DEFER_TASKRUN alone", .entries = 4, .flags = IORING_SETUP_DEFER_TASKRUN,
	 .expected = -EINVAL},
	{"DEFER_TASKRUN of one issuer", .entries = 4,
	 .flags = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER, .sq_result = 4,
	 .cq_result = 8},
	{"DEFER_TASKRUN and SQPOLL", .entries = 4,
	 .flags = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SQPOLL,
	 .expected = -EINVAL},
	{"COOP_TASKRUN", .entries = 4, .flags = IORING_SETUP_COOP_TASKRUN, .sq_result = 4,
	 .cq_result = 8},
	{"COOP_TASKRUN and SQPOLL", .entries = 4,
	 .flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SQPOLL, .expected = -EINVAL},
	{"TASKRUN_FLAG alone", .entries = 4, .flags = IORING_SETUP_TASKRUN_FLAG,
	 .expected = -EINVAL},
	{"TASKRUN_FLAG with COOP_TASKRUN", .entries = 4,
	 .flags = IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN, .sq_result = 4,
	 .cq_result = 8},
	{"TASKRUN_FLAG with SQPOLL", .entries = 4,
	 .flags = IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SQPOLL,
	 .expected = -EINVAL},
	{"a processor without SQPOLL", .entries = 4, .flags = IORING_SETUP_SQ_AFF,
	 .expected = -EINVAL},
	{"a processor that is not there", .entries = 4,
	 .flags = IORING_SETUP_SQ_AFF | IORING_SETUP_SQPOLL, .cpu = 1u << 20, .expected = -EINVAL},
	{"no memory but the program's, and no address", .entries = 4, .flags = IORING_SETUP_NO_MMAP,
	 .expected = -EFAULT},
	{"only registered, without memory", .entries = 4, .flags = IORING_SETUP_REGISTERED_FD_ONLY,
	 .expected = -EINVAL},
	{"workers of no ring", .entries = 4, .flags = IORING_SETUP_ATTACH_WQ, .wq_fd = 1000000,
	 .expected = -ENXIO},
	{"workers of what is no ring", .entries = 4, .flags = IORING_SETUP_ATTACH_WQ, .wq_fd = 0,
	 .expected = -EINVAL},
	{"SQE128, CQE32 and no array", .entries = 4,
	 .flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_NO_SQARRAY,
	 .sq_result = 4, .cq_result = 8},
	{"disabled", .entries = 4, .flags = IORING_SETUP_R_DISABLED, .sq_result = 4,
	 .cq_result = 8},
};

static void setup_checks_its_arguments_as_the_kernel_does(void **state)
{
	(void)state;
	unit_catch_faults();
	for (u32 i = 0; i < ARRAY_SIZE(setup_rows); i++) {
		const struct setup_row *row = &setup_rows[i];

		for (u32 s = 0; s < side_count(); s++) {
			struct io_uring_params params = {
				.flags = row->flags,
				.cq_entries = row->cq_entries,
				.sq_thread_cpu = row->cpu,
				.wq_fd = row->wq_fd,
				.resv[1] = row->resv,
			};
			long fd = sides[s].setup(row->entries, &params);

			check(&sides[s], row->what, min_of(fd, 0L), row->expected);
			if (fd < 0)
				continue;
			assert_int_equal(params.sq_entries, row->sq_result);
			assert_int_equal(params.cq_entries, row->cq_result);
			unit_close((int)fd);
		}
	}
	for (u32 s = 0; s < side_count(); s++) {
		check(&sides[s], "no parameters", sides[s].setup(4, NULL), -EFAULT);
		check(&sides[s], "a bad pointer", sides[s].setup(4, BAD_POINTER), -EFAULT);
	}
	assert_int_equal(differences, 0);
}

/* io_uring_enter() */

struct enter_row {
	const char *what;
	u32 setup_flags;
	u32 to_submit, min_complete, flags;
	const void *arg;
	size_t size;
	long expected;
};

static const struct abi_timespec no_time;
static const u64 mask;
static const struct io_uring_getevents_arg
	arg_time = {.ts = (u64)&no_time},
	arg_bad_time = {.ts = 8},
	arg_mask = {.sigmask = (u64)&mask, .sigmask_sz = 8, .ts = (u64)&no_time},
	arg_mask_size = {.sigmask = (u64)&mask, .sigmask_sz = 4, .ts = (u64)&no_time},
	arg_bad_mask = {.sigmask = 8, .sigmask_sz = 8, .ts = (u64)&no_time};

#define GET           IORING_ENTER_GETEVENTS
#define EXT           (IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG)
#define EXT_ARG(name) &arg_##name, sizeof(arg_##name)

static const struct enter_row enter_rows[] = {
	{"nothing at all", 0, 0, 0, 0, NULL, 0, 0},
	{"more than is there", 0, 5, 0, 0, NULL, 0, 0},
	{"no events wanted", 0, 0, 0, GET, NULL, 0, 0},
	{"a count without GETEVENTS", 0, 0, 7, 0, NULL, 0, 0},
	{"an unknown flag", 0, 0, 0, 1u << 31, NULL, 0, -EINVAL},
	{"another unknown flag", 0, 0, 0, 1u << 9, NULL, 0, -EINVAL},
	{"EXT_ARG without GETEVENTS, unread", 0, 0, 0, IORING_ENTER_EXT_ARG, BAD_POINTER, 1, 0},
	{"EXT_ARG of a wrong size", 0, 0, 1, EXT, &arg_time, sizeof(arg_time) - 1, -EINVAL},
	{"EXT_ARG of no size", 0, 0, 0, EXT, NULL, 0, -EINVAL},
	{"EXT_ARG at a bad address", 0, 0, 1, EXT, BAD_POINTER, sizeof(arg_time), -EFAULT},
	{"EXT_ARG at no address", 0, 0, 1, EXT, NULL, sizeof(arg_time), -EFAULT},
	{"a timeout", 0, 0, 1, EXT, EXT_ARG(time), -ETIME},
	{"a timeout that has been", 0, 0, 1, EXT | IORING_ENTER_ABS_TIMER, EXT_ARG(time), -ETIME},
	{"a timeout, and nothing wanted", 0, 0, 0, EXT, EXT_ARG(time), 0},
	{"a timeout at a bad address", 0, 0, 1, EXT, EXT_ARG(bad_time), -EFAULT},
	{"a signal mask", 0, 0, 1, EXT, EXT_ARG(mask), -ETIME},
	{"a signal mask of a wrong size", 0, 0, 1, EXT, EXT_ARG(mask_size), -EINVAL},
	{"a signal mask at a bad address", 0, 0, 1, EXT, EXT_ARG(bad_mask), -EFAULT},
	{"a plain signal mask of a wrong size", 0, 0, 1, GET, &mask, 4, -EINVAL},
	{"a plain signal mask at a bad address", 0, 0, 1, GET, BAD_POINTER, 8, -EFAULT},
	{"EXT_ARG_REG without EXT_ARG, unread", 0, 0, 0, GET | IORING_ENTER_EXT_ARG_REG, NULL, 3,
	 0},
	{"EXT_ARG_REG without a region", 0, 0, 1, EXT | IORING_ENTER_EXT_ARG_REG, NULL, 64,
	 -EFAULT},
	{"EXT_ARG_REG of a wrong size", 0, 0, 1, EXT | IORING_ENTER_EXT_ARG_REG, NULL, 24, -EINVAL},
	{"a disabled ring", IORING_SETUP_R_DISABLED, 0, 0, 0, NULL, 0, -EBADFD},
	{"events of a disabled ring", IORING_SETUP_R_DISABLED, 0, 0, GET, NULL, 0, -EBADFD},
	{"a poller is woken", IORING_SETUP_SQPOLL, 3, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0, 3},
	{"room in the SQ of a poller", IORING_SETUP_SQPOLL, 0, 0, IORING_ENTER_SQ_WAIT, NULL, 0, 0},
	{"SQ_WAKEUP of a ring without poller", 0, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0, 0},
	{"no iowait", 0, 0, 0, GET | IORING_ENTER_NO_IOWAIT, NULL, 0, 0},
};

static void enter_checks_its_arguments_as_the_kernel_does(void **state)
{
	(void)state;
	unit_catch_faults();
	for (u32 i = 0; i < ARRAY_SIZE(enter_rows); i++) {
		const struct enter_row *row = &enter_rows[i];

		for (u32 s = 0; s < side_count(); s++) {
			u32 fd = open_on(&sides[s], row->setup_flags);

			check(&sides[s], row->what,
			      sides[s].enter(fd, row->to_submit, row->min_complete, row->flags,
					     row->arg, row->size),
			      row->expected);
			unit_close((int)fd);
		}
	}
	assert_int_equal(differences, 0);
}

/* Descriptors that are no rings, for enter and register. */
static void a_call_on_what_is_no_ring_is_refused_as_by_the_kernel(void **state)
{
	(void)state;
	for (u32 s = 0; s < side_count(); s++) {
		const struct side *side = &sides[s];

		check(side, "enter of no descriptor", side->enter(1000000, 0, 0, 0, NULL, 0),
		      -EBADF);
		check(side, "enter of -1", side->enter(UINT32_MAX, 0, 0, 0, NULL, 0), -EBADF);
		check(side, "enter of another file", side->enter(0, 0, 0, 0, NULL, 0), -EOPNOTSUPP);
		check(side, "register of no descriptor",
		      side->reg(1000000, IORING_UNREGISTER_FILES, NULL, 0), -EBADF);
		check(side, "register of another file",
		      side->reg(0, IORING_UNREGISTER_FILES, NULL, 0), -EOPNOTSUPP);
		check(side, "a registered ring that is none",
		      side->enter(3, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0), -EBADF);
		check(side, "a registered ring out of range",
		      side->enter(16, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0), -EINVAL);
		check(side, "an unknown register opcode on no descriptor",
		      side->reg(1000000, 9999, NULL, 0), -EINVAL);
	}
	assert_int_equal(differences, 0);
}

/* io_uring_register() */

struct register_row {
	const char *what;
	u32 opcode;
	void *arg;
	u32 count;
	long expected;
	u32 setup_flags;
};

static s32 fds[4], bad_fds[2] = {0, 1000000}, no_event_fd, bad_event_fd = 1000000;
static s32 event_fd;
static char buffer[4096];
static struct iovec buffers[2] = {{buffer, 4096}, {NULL, 0}}, null_with_length = {NULL, 1},
		    no_length = {buffer, 0}, huge = {buffer, (1ull << 30) + 1},
		    unmapped = {(void *)8, 10};
static struct io_uring_rsrc_register rsrc_files = {.nr = 2, .data = (u64)fds},
				     rsrc_none = {.nr = 0, .data = (u64)fds},
				     rsrc_reserved = {.nr = 1, .data = (u64)fds, .resv2 = 1},
				     rsrc_flags = {.nr = 1, .data = (u64)fds, .flags = 2},
				     rsrc_sparse = {.nr = 8, .flags = IORING_RSRC_REGISTER_SPARSE},
				     rsrc_sparse_data = {.nr = 1,
							 .data = (u64)fds,
							 .flags = IORING_RSRC_REGISTER_SPARSE};
static struct io_uring_rsrc_update update_ok = {.data = (u64)fds},
				   update_reserved = {.resv = 1, .data = (u64)fds};
static struct io_uring_rsrc_update2 update2_ok = {.data = (u64)fds, .nr = 1},
				    update2_none = {.data = (u64)fds},
				    update2_reserved = {.data = (u64)fds, .nr = 1, .resv2 = 1};
static struct io_uring_file_index_range range = {0, 4, 0};
static u32 limits[2];
static u64 probe_dirty[2 + 64] = {1};
static struct io_uring_rsrc_update ring_out_of_range = {.offset = 16},
				   ring_reserved = {.offset = 0, .resv = 1},
				   ring_no_fd = {.offset = 0, .data = 1000000},
				   ring_other_fd = {.offset = 0, .data = 0};

static const struct register_row register_rows[] = {
	{"an unknown opcode", IORING_REGISTER_LAST, NULL, 0, -EINVAL, 0},
	{"a far opcode", 1u << 20, NULL, 0, -EINVAL, 0},
	{"buffers", IORING_REGISTER_BUFFERS, buffers, 2, 0, 0},
	{"no buffers", IORING_REGISTER_BUFFERS, buffers, 0, -EINVAL, 0},
	{"too many buffers", IORING_REGISTER_BUFFERS, buffers, 16385, -EINVAL, 0},
	{"buffers at no address", IORING_REGISTER_BUFFERS, NULL, 1, -EFAULT, 0},
	{"buffers at a bad address", IORING_REGISTER_BUFFERS, BAD_POINTER, 1, -EFAULT, 0},
	{"a buffer of no address", IORING_REGISTER_BUFFERS, &null_with_length, 1, -EFAULT, 0},
	{"a buffer of no length", IORING_REGISTER_BUFFERS, &no_length, 1, -EFAULT, 0},
	{"a buffer that is too long", IORING_REGISTER_BUFFERS, &huge, 1, -EFAULT, 0},
	{"a buffer that is not mapped", IORING_REGISTER_BUFFERS, &unmapped, 1, -EFAULT, 0},
	{"unregistering no buffers", IORING_UNREGISTER_BUFFERS, NULL, 0, -ENXIO, 0},
	{"unregistering buffers with argument", IORING_UNREGISTER_BUFFERS, buffers, 0, -EINVAL, 0},
	{"unregistering buffers with count", IORING_UNREGISTER_BUFFERS, NULL, 1, -EINVAL, 0},
	{"files", IORING_REGISTER_FILES, fds, 4, 0, 0},
	{"no files", IORING_REGISTER_FILES, fds, 0, -EINVAL, 0},
	{"too many files", IORING_REGISTER_FILES, fds, 1u << 21, -EMFILE, 0},
	{"files at no address", IORING_REGISTER_FILES, NULL, 1, -EFAULT, 0},
	{"files at a bad address", IORING_REGISTER_FILES, BAD_POINTER, 1, -EFAULT, 0},
	{"a file that is not open", IORING_REGISTER_FILES, bad_fds, 2, -EBADF, 0},
	{"unregistering no files", IORING_UNREGISTER_FILES, NULL, 0, -ENXIO, 0},
	{"unregistering files with argument", IORING_UNREGISTER_FILES, fds, 0, -EINVAL, 0},
	{"files, new", IORING_REGISTER_FILES2, &rsrc_files, sizeof(rsrc_files), 0, 0},
	{"files, new, of a wrong size", IORING_REGISTER_FILES2, &rsrc_files, 8, -EINVAL, 0},
	{"files, new, none", IORING_REGISTER_FILES2, &rsrc_none, sizeof(rsrc_none), -EINVAL, 0},
	{"files, new, reserved", IORING_REGISTER_FILES2, &rsrc_reserved, sizeof(rsrc_none), -EINVAL,
	 0},
	{"files, new, unknown flag", IORING_REGISTER_FILES2, &rsrc_flags, sizeof(rsrc_none),
	 -EINVAL, 0},
	{"files, sparse", IORING_REGISTER_FILES2, &rsrc_sparse, sizeof(rsrc_none), 0, 0},
	{"files, sparse with data", IORING_REGISTER_FILES2, &rsrc_sparse_data, sizeof(rsrc_none),
	 -EINVAL, 0},
	{"files, new, at a bad address", IORING_REGISTER_FILES2, BAD_POINTER, sizeof(rsrc_none),
	 -EFAULT, 0},
	{"buffers, sparse", IORING_REGISTER_BUFFERS2, &rsrc_sparse, sizeof(rsrc_none), 0, 0},
	{"buffers, new, of a wrong size", IORING_REGISTER_BUFFERS2, &rsrc_files, 8, -EINVAL, 0},
	{"updating no files", IORING_REGISTER_FILES_UPDATE, &update_ok, 1, -ENXIO, 0},
	{"updating none", IORING_REGISTER_FILES_UPDATE, &update_ok, 0, -EINVAL, 0},
	{"updating, reserved", IORING_REGISTER_FILES_UPDATE, &update_reserved, 1, -EINVAL, 0},
	{"updating at a bad address", IORING_REGISTER_FILES_UPDATE, BAD_POINTER, 1, -EFAULT, 0},
	{"updating, new, of no files", IORING_REGISTER_FILES_UPDATE2, &update2_ok,
	 sizeof(update2_ok), -ENXIO, 0},
	{"updating, new, none", IORING_REGISTER_FILES_UPDATE2, &update2_none, sizeof(update2_ok),
	 -EINVAL, 0},
	{"updating, new, reserved", IORING_REGISTER_FILES_UPDATE2, &update2_reserved,
	 sizeof(update2_ok), -EINVAL, 0},
	{"updating, new, of a wrong size", IORING_REGISTER_FILES_UPDATE2, &update2_ok, 31, -EINVAL,
	 0},
	{"updating no buffers", IORING_REGISTER_BUFFERS_UPDATE, &update2_ok, sizeof(update2_ok),
	 -ENXIO, 0},
	{"an eventfd", IORING_REGISTER_EVENTFD, &event_fd, 1, 0, 0},
	{"an eventfd for some", IORING_REGISTER_EVENTFD_ASYNC, &event_fd, 1, 0, 0},
	{"two eventfds", IORING_REGISTER_EVENTFD, &event_fd, 2, -EINVAL, 0},
	{"an eventfd at a bad address", IORING_REGISTER_EVENTFD, BAD_POINTER, 1, -EFAULT, 0},
	{"what is no eventfd", IORING_REGISTER_EVENTFD, &no_event_fd, 1, -EINVAL, 0},
	{"an eventfd that is not open", IORING_REGISTER_EVENTFD, &bad_event_fd, 1, -EBADF, 0},
	{"unregistering no eventfd", IORING_UNREGISTER_EVENTFD, NULL, 0, -ENXIO, 0},
	{"unregistering an eventfd with count", IORING_UNREGISTER_EVENTFD, NULL, 1, -EINVAL, 0},
	{"a probe at no address", IORING_REGISTER_PROBE, NULL, 1, -EINVAL, 0},
	{"a probe of too many", IORING_REGISTER_PROBE, BAD_POINTER, 257, -EINVAL, 0},
	{"a probe at a bad address", IORING_REGISTER_PROBE, BAD_POINTER, 8, -EFAULT, 0},
	{"a probe that is not empty", IORING_REGISTER_PROBE, probe_dirty, 8, -EINVAL, 0},
	{"enabling what is enabled", IORING_REGISTER_ENABLE_RINGS, NULL, 0, -EBADFD, 0},
	{"enabling", IORING_REGISTER_ENABLE_RINGS, NULL, 0, 0, IORING_SETUP_R_DISABLED},
	{"enabling with argument", IORING_REGISTER_ENABLE_RINGS, fds, 0, -EINVAL,
	 IORING_SETUP_R_DISABLED},
	{"limits", IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 2, 0, 0},
	{"one limit", IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 1, -EINVAL, 0},
	{"limits at no address", IORING_REGISTER_IOWQ_MAX_WORKERS, NULL, 2, -EINVAL, 0},
	{"limits at a bad address", IORING_REGISTER_IOWQ_MAX_WORKERS, BAD_POINTER, 2, -EFAULT, 0},
	{"a range without files", IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0, -EINVAL, 0},
	{"a range with count", IORING_REGISTER_FILE_ALLOC_RANGE, &range, 1, -EINVAL, 0},
	{"a range at a bad address", IORING_REGISTER_FILE_ALLOC_RANGE, BAD_POINTER, 0, -EFAULT, 0},
	{"no rings", IORING_REGISTER_RING_FDS, &ring_no_fd, 0, -EINVAL, 0},
	{"too many rings", IORING_REGISTER_RING_FDS, &ring_no_fd, 17, -EINVAL, 0},
	{"rings at a bad address", IORING_REGISTER_RING_FDS, BAD_POINTER, 1, -EFAULT, 0},
	{"a ring out of range", IORING_REGISTER_RING_FDS, &ring_out_of_range, 1, -EINVAL, 0},
	{"a ring, reserved", IORING_REGISTER_RING_FDS, &ring_reserved, 1, -EINVAL, 0},
	{"a ring that is not open", IORING_REGISTER_RING_FDS, &ring_no_fd, 1, -EBADF, 0},
	{"a ring that is none", IORING_REGISTER_RING_FDS, &ring_other_fd, 1, -EOPNOTSUPP, 0},
	{"unregistering no rings", IORING_UNREGISTER_RING_FDS, &ring_out_of_range, 0, -EINVAL, 0},
	{"unregistering a ring out of range", IORING_UNREGISTER_RING_FDS, &ring_out_of_range, 1,
	 -EINVAL, 0},
};

static void register_checks_its_arguments_as_the_kernel_does(void **state)
{
	(void)state;
	unit_catch_faults();
	event_fd = eventfd(0, 0);
	for (u32 i = 0; i < ARRAY_SIZE(register_rows); i++) {
		const struct register_row *row = &register_rows[i];

		for (u32 s = 0; s < side_count(); s++) {
			u32 fd = open_on(&sides[s], row->setup_flags);

			check(&sides[s], row->what,
			      sides[s].reg(fd, row->opcode, row->arg, row->count), row->expected);
			unit_close((int)fd);
		}
	}
	unit_close(event_fd);
	assert_int_equal(differences, 0);
}

/* What depends on an earlier registration, or on the calling thread. */

static void a_second_registration_is_busy(void **state)
{
	struct io_uring_file_index_range too_far = {2, 3, 0}, overflow = {UINT32_MAX, 2, 0},
					 reserved = {0, 2, 1};
	s32 skip[2] = {IORING_REGISTER_FILES_SKIP, -1};
	struct io_uring_rsrc_update beyond = {.offset = 3, .data = (u64)skip},
				    ok = {.offset = 1, .data = (u64)skip};

	(void)state;
	event_fd = eventfd(0, 0);
	for (u32 s = 0; s < side_count(); s++) {
		const struct side *side = &sides[s];
		u32 fd = open_on(side, 0);

#define CHECK(what, expected, ...) check(side, what, side->reg(fd, __VA_ARGS__), expected)
		CHECK("files", 0, IORING_REGISTER_FILES, fds, 4);
		CHECK("files again", -EBUSY, IORING_REGISTER_FILES, fds, 4);
		CHECK("an update beyond the end", -EINVAL, IORING_REGISTER_FILES_UPDATE, &beyond,
		      2);
		CHECK("an update", 2, IORING_REGISTER_FILES_UPDATE, &ok, 2);
		CHECK("a range", 0, IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0);
		CHECK("a range too far", -EINVAL, IORING_REGISTER_FILE_ALLOC_RANGE, &too_far, 0);
		CHECK("a range too long", -EOVERFLOW, IORING_REGISTER_FILE_ALLOC_RANGE, &overflow,
		      0);
		CHECK("a range, reserved", -EINVAL, IORING_REGISTER_FILE_ALLOC_RANGE, &reserved, 0);
		CHECK("no files", 0, IORING_UNREGISTER_FILES, NULL, 0);
		CHECK("no files again", -ENXIO, IORING_UNREGISTER_FILES, NULL, 0);
		CHECK("buffers", 0, IORING_REGISTER_BUFFERS, buffers, 2);
		CHECK("buffers again", -EBUSY, IORING_REGISTER_BUFFERS, buffers, 2);
		CHECK("no buffers", 0, IORING_UNREGISTER_BUFFERS, NULL, 0);
		CHECK("an eventfd", 0, IORING_REGISTER_EVENTFD, &event_fd, 1);
		CHECK("an eventfd again", -EBUSY, IORING_REGISTER_EVENTFD_ASYNC, &event_fd, 1);
		CHECK("no eventfd", 0, IORING_UNREGISTER_EVENTFD, NULL, 0);
#undef CHECK
		unit_close((int)fd);
	}
	unit_close(event_fd);
	assert_int_equal(differences, 0);
}

struct stranger {
	const struct side *side;
	u32 fd;
	long submit, events, reg;
};

static void *call_as_a_stranger(void *argument)
{
	struct stranger *stranger = argument;
	const struct side *side = stranger->side;

	stranger->submit = side->enter(stranger->fd, 1, 0, 0, NULL, 0);
	stranger->events = side->enter(stranger->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	stranger->reg = side->reg(stranger->fd, IORING_UNREGISTER_FILES, NULL, 0);
	return NULL;
}

static void a_ring_of_one_issuer_is_refused_to_other_threads(void **state)
{
	static const struct {
		u32 flags;
		long events;
	} rows[] = {
		{IORING_SETUP_SINGLE_ISSUER, 0},
		{IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, -EEXIST},
	};

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		for (u32 s = 0; s < side_count(); s++) {
			struct stranger stranger = {.side = &sides[s]};
			pthread_t thread;

			stranger.fd = open_on(&sides[s], rows[i].flags);
			assert_int_equal(
				pthread_create(&thread, NULL, call_as_a_stranger, &stranger), 0);
			pthread_join(thread, NULL);
			check(&sides[s], "a stranger submits", stranger.submit, -EEXIST);
			check(&sides[s], "a stranger wants events", stranger.events,
			      rows[i].events);
			check(&sides[s], "a stranger registers", stranger.reg, -EEXIST);
			unit_close((int)stranger.fd);
		}
	}
	assert_int_equal(differences, 0);
}

/* Registered rings */

static void a_registered_ring_is_entered_by_its_index(void **state)
{
	(void)state;
	for (u32 s = 0; s < side_count(); s++) {
		const struct side *side = &sides[s];
		u32 fd = open_on(side, 0);
		struct io_uring_rsrc_update slot = {.offset = UINT32_MAX, .data = fd};

		check(side, "registering itself", side->reg(fd, IORING_REGISTER_RING_FDS, &slot, 1),
		      1);
		check(side, "enter by index",
		      side->enter(slot.offset, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0), 0);
		check(side, "register by index",
		      side->reg(slot.offset,
				IORING_UNREGISTER_FILES | IORING_REGISTER_USE_REGISTERED_RING, NULL,
				0),
		      -ENXIO);
		/* The index keeps the ring when its descriptor is closed. */
		unit_close((int)fd);
		check(side, "enter after close",
		      side->enter(slot.offset, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0), 0);
		slot.data = 0;
		check(side, "unregistering itself",
		      side->reg(slot.offset,
				IORING_UNREGISTER_RING_FDS | IORING_REGISTER_USE_REGISTERED_RING,
				&slot, 1),
		      1);
		check(side, "enter after that",
		      side->enter(slot.offset, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0),
		      -EBADF);
	}
	assert_int_equal(differences, 0);
}

#define CASE(name) cmocka_unit_test_setup(name, no_differences)

static const struct CMUnitTest tests[] = {
	CASE(setup_checks_its_arguments_as_the_kernel_does),
	CASE(enter_checks_its_arguments_as_the_kernel_does),
	CASE(a_call_on_what_is_no_ring_is_refused_as_by_the_kernel),
	CASE(register_checks_its_arguments_as_the_kernel_does),
	CASE(a_second_registration_is_busy),
	CASE(a_ring_of_one_issuer_is_refused_to_other_threads),
	CASE(a_registered_ring_is_entered_by_its_index),
};

int main(void)
{
	int null = open("/dev/null", O_RDWR);

	/* Descriptor 0 is the file that is no ring. */
	if (null < 0 || dup2(null, 0) != 0)
		return 1;
	alarm(UNIT_SECONDS);
	has_kernel = unit_kernel_has_uring();
	if (!has_kernel)
		print_message("the kernel's io_uring is refused here: only ours is asked\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
