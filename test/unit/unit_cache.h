/*
 * unit_cache.h - a page cache over the simulated device, and reads that are driven by hand
 *
 * A unit_reader is what a request is to its ring: it tries, is caught, waits, is
 * woken by retry(), and tries again when the test says so. Time is the simulated
 * device's: nothing happens that the test did not bring about, unless it starts
 * threads.
 */
#ifndef RS_TEST_UNIT_CACHE_H
#define RS_TEST_UNIT_CACHE_H

#include "base/atomic.h"
#include "cache/cache.h"
#include "cache/drop.h"
#include "cache/internal.h"
#include "cache/page.h"
#include "cache/read.h"
#include "device/sim.h"
#include "unit.h"

#define UNIT_PAGE   ((u64)PAGE_BYTES)
#define UNIT_MIB    (1ull << 20)
#define UNIT_FILE   SIM_FD /* the first file */
#define UNIT_BUFFER (1u << 20)

static struct sim unit_sim;

struct unit_reader {
	struct cache_read read;
	struct cache_waiter waiter;
	struct iovec iov;
	struct readahead readahead; /* its own, unless it was told another */
	unsigned char *buffer;
	int fd;
	u64 offset, size, copied;
	u32 woken; /* (a) retry() was called since it began to wait */
	u32 wakes; /* (a) how often in all */
	bool is_waiting, is_done;
	enum cache_verdict verdict; /* the last */
};

static inline void unit_cache_start(u64 limit, const struct sim_options *options)
{
	assert_int_equal(sim_init(&unit_sim, options), 0);
	assert_int_equal(cache_init(limit, &unit_sim.device), 0);
}

/* Every file is lost, nothing is under way. */
static inline void unit_cache_stop(void)
{
	assert_false(cache_is_busy());
	cache_destroy();
	sim_destroy(&unit_sim);
}

/* A new binding of that simulated file, as large as it is now. */
static inline cache_binding unit_cache_open(int fd)
{
	struct cache_source source = {
		.direct_fd = fd,
		.buffered_fd = -1,
		.size = unit_sim.files[fd - SIM_FD].size,
	};
	cache_binding binding = cache_file_open(&source);

	assert_int_not_equal(binding, 0);
	return binding;
}

static inline u64 *unit_word(cache_binding binding, u64 page)
{
	return &binding_file(binding)->words[page];
}

static inline struct cache_usage unit_usage(void)
{
	struct cache_usage usage;

	cache_usage(&usage);
	assert_true(usage.bytes <= usage.limit);
	return usage;
}

static inline void unit_reader_retry(struct cache_waiter *waiter)
{
	struct unit_reader *reader = container_of(waiter, struct unit_reader, waiter);

	add_full(&reader->wakes, 1);
	/* The last use: the reader goes on in its own thread. */
	store_release(&reader->woken, 1);
}

/* From where it is until it waits or ends. True: it ended, with reader->verdict. */
static inline bool unit_reader_step(struct unit_reader *reader)
{
	assert_false(reader->is_done);
	do {
		reader->is_waiting = false;
		reader->read.copied = 0;
		reader->verdict = cache_read_try(&reader->read);
		reader->copied += reader->read.copied;
		if (reader->verdict != CACHE_CAUGHT)
			break;
		store_relaxed(&reader->woken, 0);
		reader->is_waiting = true;
		reader->verdict = cache_read_wait(&reader->read, &reader->waiter);
		if (reader->verdict == CACHE_WAITING)
			return false;
		reader->is_waiting = false;
	} while (reader->verdict == CACHE_RETRY);
	reader->is_done = true;
	return true;
}

static inline void unit_reader_prepare(struct unit_reader *reader, cache_binding binding, int fd,
				       u64 offset, u64 size)
{
	unsigned char *buffer = reader->buffer;

	assert_true(size <= UNIT_BUFFER);
	*reader = (struct unit_reader){
		.buffer = buffer ? buffer : malloc(UNIT_BUFFER),
		.waiter.retry = unit_reader_retry,
		.fd = fd,
		.offset = offset,
		.size = size,
	};
	reader->iov = (struct iovec){reader->buffer, size};
	reader->read = (struct cache_read){
		.binding = binding,
		.readahead = &reader->readahead,
		.iov = &reader->iov,
		.iov_count = 1,
		.offset = offset,
	};
	/* Random: only what a test asks for is filled. */
	reader->readahead.advice = READAHEAD_RANDOM;
}

/* Begins a read of UNIT_FILE, and goes on until it waits or ends. The reader is zeroed before its
 * first use. */
static inline bool unit_reader_begin(struct unit_reader *reader, cache_binding binding, u64 offset,
				     u64 size)
{
	unit_reader_prepare(reader, binding, UNIT_FILE, offset, size);
	return unit_reader_step(reader);
}

static inline void unit_reader_free(struct unit_reader *reader)
{
	free(reader->buffer);
	reader->buffer = NULL;
}

/* It goes on, if it was woken. */
static inline bool unit_reader_go_on(struct unit_reader *reader)
{
	if (!reader->is_waiting || !load_acquire(&reader->woken))
		return false;
	unit_reader_step(reader);
	return true;
}

/* Sends what is staged; lets time pass until the next completion, and takes it up. False: nothing
 * is under way that will end by itself. */
static inline bool unit_device_step(void)
{
	cache_submit();
	if (!sim_advance(&unit_sim))
		return false;
	cache_look();
	return true;
}

/* Whether those that wait were woken, and go on: all of them, once. */
static inline bool unit_readers_go_on(struct unit_reader *readers, u32 count)
{
	bool has_moved = false;

	for (u32 i = 0; i < count; i++)
		has_moved |= unit_reader_go_on(&readers[i]);
	return has_moved;
}

/* Until all have ended, which fails if one waits for what will not come. */
static inline void unit_readers_run(struct unit_reader *readers, u32 count)
{
	for (;;) {
		u32 waiting = 0;

		while (unit_readers_go_on(readers, count))
			;
		for (u32 i = 0; i < count; i++)
			waiting += readers[i].is_waiting;
		if (waiting == 0)
			return;
		if (!unit_device_step() && !unit_readers_go_on(readers, count))
			fail_msg("%u reads wait for nothing", waiting);
	}
}

/* Whether the bytes that it copied are those of the file, each page of one of these versions. */
static inline bool unit_reader_has_versions(const struct unit_reader *reader, u32 oldest,
					    u32 newest)
{
	u64 copied = reader->copied;

	for (u64 at = 0; at < copied;) {
		u64 offset = reader->offset + at;
		u64 count = min_of(UNIT_PAGE - offset % UNIT_PAGE, copied - at);
		u32 version = newest;

		while (!sim_bytes_are(reader->buffer + at, count, reader->fd, offset, version)) {
			if (version == oldest)
				return false;
			version--;
		}
		at += count;
	}
	return true;
}

/* It ended well, with so many bytes of that version. */
static inline void unit_reader_expect(const struct unit_reader *reader, u64 copied, u32 version)
{
	assert_true(reader->is_done);
	assert_int_equal(reader->verdict, CACHE_DONE);
	assert_int_equal(reader->copied, copied);
	assert_true(unit_reader_has_versions(reader, version, version));
}

/* One read from begin to end. */
static inline void unit_read(struct unit_reader *reader, cache_binding binding, u64 offset,
			     u64 size)
{
	unit_reader_begin(reader, binding, offset, size);
	unit_readers_run(reader, 1);
}

#endif
