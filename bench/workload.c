/*
 * workload.c - the program that is timed, natively and under ringside
 *
 * An ordinary liburing program that knows nothing of ringside. One process
 * runs one case; its ring lives as long as the process, and the timed slices
 * follow one another as `ringside bench` asks for them, alternating with the
 * other side's, so that both meet the same noise. A case that compares one
 * thread with two has a second thread, with a ring of its own.
 *
 * Entry:       main(); the functions named in cases.def
 * Invariants:  every read is checked (length, and the place in the file that its
 *              first and its last sector name): a fast wrong answer is an error,
 *              not a result; nothing is in flight between slices
 * Locks:       none; the threads meet at a barrier, before a slice and after it
 * Not here:    other means than io_uring (rivals.c), who starts and judges us (side.c)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/workload.h"

/* As programs size their rings: by the depth they mean to reach. */
#define RING_ENTRIES BENCH_DEPTH

/* How much work is done between two looks at the clock. */
#define CHUNK_NS 1000000

uint64_t nops_one_by_one(struct workload *load, uint64_t ops);
uint64_t nops_in_batches(struct workload *load, uint64_t ops);
uint64_t reads_in_batches(struct workload *load, uint64_t ops);
uint64_t reads_pipelined(struct workload *load, uint64_t ops);
uint64_t requests_that_wait(struct workload *load, uint64_t ops);
uint64_t pages_held(struct workload *load, uint64_t ops);

static const struct bench_case bench_cases[] = {
#define BENCH_CASE(case_name, function, ...) {.name = #case_name, .run = function, __VA_ARGS__},
#include "bench/cases.def"
#undef BENCH_CASE
};

static void answer(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void answer(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

noreturn void fail(const char *format, ...)
{
	char why[BENCH_ANSWER_MAX / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	answer("error %s", why);
	exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/*
 * Each step is a bijection on block_count numbers (adding, multiplying by an
 * odd number, folding high bits into low ones), so the walk is a permutation.
 */
uint64_t next_offset(struct workload *load)
{
	uint64_t mask = load->block_count - 1;
	unsigned int half = ((unsigned int)__builtin_ctzll(load->block_count) + 1) / 2;
	uint64_t n = load->walk++ & mask;

	for (int i = 0; i < 3 && !load->row->sequential; i++) {
		n = (n * 0x9e3779b97f4a7c15) & mask;
		n ^= n >> half;
	}
	return n * load->block;
}

static void check_sector(struct workload *load, unsigned int slot, unsigned int at)
{
	uint64_t offset = load->offsets[slot] + at, found;

	memcpy(&found, buffer(load, slot) + at, sizeof(found));
	if (found != offset)
		fail("a read at %llu returned what is at %llu", (unsigned long long)offset,
		     (unsigned long long)found);
}

void check_read(struct workload *load, unsigned int slot, long result)
{
	if (result < 0)
		fail("a read failed: %s", strerror((int)-result));
	if (result != load->block)
		fail("a read of %u bytes returned %ld", load->block, result);
	check_sector(load, slot, 0);
	if (load->block > BENCH_PAGE)
		check_sector(load, slot, load->block - BENCH_SECTOR);
}

static struct io_uring_sqe *get_sqe(struct workload *load)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&load->ring);

	if (!sqe)
		fail("the submission queue is full");
	return sqe;
}

static void submit_and_wait(struct workload *load, unsigned int count)
{
	int ret;

	do {
		ret = io_uring_submit_and_wait(&load->ring, count);
	} while (ret == -EINTR);
	if (ret < 0)
		fail("io_uring_submit_and_wait: %s", strerror(-ret));
}

uint64_t nops_one_by_one(struct workload *load, uint64_t ops)
{
	for (uint64_t i = 0; i < ops; i++) {
		struct io_uring_cqe *cqe;

		io_uring_prep_nop(get_sqe(load));
		submit_and_wait(load, 1);
		if (io_uring_peek_cqe(&load->ring, &cqe) || cqe->res)
			fail("a NOP failed");
		io_uring_cqe_seen(&load->ring, cqe);
	}
	return ops;
}

uint64_t nops_in_batches(struct workload *load, uint64_t ops)
{
	uint64_t done = 0;

	while (done < ops) {
		struct io_uring_cqe *cqe;
		unsigned int head, count = 0;
		int failed = 0;

		for (unsigned int i = 0; i < BENCH_DEPTH; i++)
			io_uring_prep_nop(get_sqe(load));
		submit_and_wait(load, BENCH_DEPTH);
		io_uring_for_each_cqe(&load->ring, head, cqe)
		{
			failed |= cqe->res;
			count++;
		}
		if (failed || count != BENCH_DEPTH)
			fail("of %d NOPs %u completed, result %d", BENCH_DEPTH, count, failed);
		io_uring_cq_advance(&load->ring, count);
		done += count;
	}
	return done;
}

static void uring_queue(struct workload *load, unsigned int slot)
{
	struct io_uring_sqe *sqe = get_sqe(load);

	io_uring_prep_read(sqe, load->fd, buffer(load, slot), load->block, load->offsets[slot]);
	io_uring_sqe_set_data64(sqe, slot);
}

/* Stores the slots of all completions that are there. */
static unsigned int uring_reap(struct workload *load, unsigned int *slots)
{
	struct io_uring_cqe *cqe;
	unsigned int head, count = 0;

	io_uring_for_each_cqe(&load->ring, head, cqe)
	{
		if (cqe->user_data >= BENCH_DEPTH || count == BENCH_DEPTH)
			fail("a completion that nobody asked for");
		slots[count] = (unsigned int)cqe->user_data;
		check_read(load, slots[count], cqe->res);
		count++;
	}
	io_uring_cq_advance(&load->ring, count);
	return count;
}

static unsigned int uring_collect(struct workload *load, unsigned int *slots)
{
	submit_and_wait(load, 1);
	return uring_reap(load, slots);
}

uint64_t reads_in_batches(struct workload *load, uint64_t ops)
{
	uint64_t done = 0;

	while (done < ops) {
		unsigned int slots[BENCH_DEPTH];
		unsigned int count;

		for (unsigned int slot = 0; slot < load->depth; slot++) {
			load->offsets[slot] = next_offset(load);
			uring_queue(load, slot);
		}
		submit_and_wait(load, load->depth);
		count = uring_reap(load, slots);
		if (count != load->depth)
			fail("of %u reads %u completed", load->depth, count);
		done += count;
	}
	return done;
}

uint64_t pipeline(struct workload *load, const struct engine *engine, uint64_t ops)
{
	uint64_t done = 0;

	if (!load->engine) {
		load->engine = engine;
		if (engine->start)
			engine->start(load);
		while (load->idle_count < load->depth) {
			load->idle[load->idle_count] = load->idle_count;
			load->idle_count++;
		}
	}
	while (done < ops) {
		unsigned int count;

		while (load->idle_count) {
			unsigned int slot = load->idle[--load->idle_count];

			load->offsets[slot] = next_offset(load);
			engine->queue(load, slot);
		}
		count = engine->collect(load, load->idle);
		load->idle_count = count;
		done += count;
	}
	return done;
}

/* Nothing stays in flight between slices: collects without queueing more. */
static void pipeline_drain(struct workload *load)
{
	while (load->idle_count < load->depth)
		load->idle_count += load->engine->collect(load, load->idle + load->idle_count);
}

uint64_t reads_pipelined(struct workload *load, uint64_t ops)
{
	static const struct engine engine = {
		.queue = uring_queue,
		.collect = uring_collect,
	};

	return pipeline(load, &engine, ops);
}

/* Arms `ops` requests that will not complete while we run. */
uint64_t requests_that_wait(struct workload *load, uint64_t ops)
{
	static struct __kernel_timespec one_day = {.tv_sec = 24 * 3600};
	static int event = -1;
	uint64_t done = 0;

	if (event < 0)
		event = eventfd(0, EFD_CLOEXEC);
	if (event < 0)
		fail("eventfd: %s", strerror(errno));
	while (done < ops) {
		unsigned int count = 0;
		int ret;

		for (; count < RING_ENTRIES && done + count < ops; count++) {
			struct io_uring_sqe *sqe = get_sqe(load);

			if (!strcmp(load->hold_kind, "poll"))
				io_uring_prep_poll_add(sqe, event, POLLIN);
			else if (!strcmp(load->hold_kind, "read"))
				io_uring_prep_read(sqe, event, load->buffers, 8, 0);
			else if (!strcmp(load->hold_kind, "timeout"))
				io_uring_prep_timeout(sqe, &one_day, 0, 0);
			else
				fail("no kind of waiting request '%s'", load->hold_kind);
		}
		ret = io_uring_submit(&load->ring);
		if (ret != (int)count)
			fail("of %u requests %d were submitted", count, ret);
		done += count;
	}
	if (io_uring_cq_ready(&load->ring))
		fail("a request that should wait completed");
	return done;
}

/* Anonymous and shared memory of this process: everything but mapped files. */
static uint64_t memory_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	unsigned long kib, sum = 0;
	int found = 0;

	if (!file)
		fail("/proc/self/smaps_rollup: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Pss_Anon: %lu", &kib) == 1 ||
		    sscanf(line, "Pss_Shmem: %lu", &kib) == 1) {
			sum += kib;
			found++;
		}
	}
	fclose(file);
	if (found != 2)
		fail("/proc/self/smaps_rollup does not tell Pss_Anon and Pss_Shmem");
	return (uint64_t)sum * 1024;
}

static uint64_t file_bytes(const struct workload *load)
{
	return load->block_count * load->block;
}

static uint64_t resident_bytes(struct workload *load)
{
	size_t bytes = file_bytes(load);
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	size_t system_pages = (bytes + page_size - 1) / page_size;
	unsigned char *state = malloc(system_pages);
	void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, load->fd, 0);
	uint64_t resident = 0;

	if (!state || map == MAP_FAILED || mincore(map, bytes, state))
		fail("what is cached cannot be told: %s", strerror(errno));
	for (size_t i = 0; i < system_pages; i++)
		resident += state[i] & 1;
	munmap(map, bytes);
	free(state);
	return resident * page_size;
}

static void read_whole_file(struct workload *load)
{
	uint64_t size = file_bytes(load);
	static unsigned char scratch[1 << 20];

	for (uint64_t at = 0; at < size; at += sizeof(scratch))
		if (pread(load->fd, scratch, sizeof(scratch), (off_t)at) != sizeof(scratch))
			fail("the file cannot be read: %s", strerror(errno));
}

/*
 * As much as ringside's cache takes, or the whole file, once by the ring: whatever cache
 * answers it holds the file then. A cache that is to miss has used all its memory by
 * then: what the first touch of it costs depends on the machine's past.
 */
static void warm_up(struct workload *load)
{
	uint64_t left = load->row->cache / load->block;

	if (left > load->block_count)
		left = load->block_count;
	load->walk = 0;
	while (left > 0) {
		uint64_t done = load->row->run(load, load->depth);

		left -= done < left ? done : left;
	}
	if (load->engine)
		pipeline_drain(load);
	load->is_warm = true;
}

/* Brings the caches into the state the case is about; NULL, or why it cannot be had. */
static const char *file_prepare(struct workload *load)
{
	if (load->row->cache && !load->is_warm)
		warm_up(load);
	switch (load->row->file) {
	case FILE_CACHED:
		if (resident_bytes(load) < file_bytes(load))
			read_whole_file(load);
		if (resident_bytes(load) < file_bytes(load))
			return "the file does not stay in the page cache";
		break;
	case FILE_COLD:
		posix_fadvise(load->fd, 0, 0, POSIX_FADV_DONTNEED);
		if (resident_bytes(load) > file_bytes(load) / 100)
			return "the file cannot be dropped from the page cache here";
		break;
	case FILE_MEMORY:
		memory_prepare(load);
		break;
	case FILE_DIRECT:
	case FILE_NONE:
		break;
	}
	return NULL;
}

/* NULL, or why the case cannot run with this file. */
static const char *file_open(struct workload *load, const char *path)
{
	int flags = O_RDONLY | O_CLOEXEC | (load->row->file == FILE_DIRECT ? O_DIRECT : 0);
	struct stat st;

	load->fd = open(path, flags);
	if (load->fd < 0 && errno == EINVAL && load->row->file == FILE_DIRECT)
		return "the file system has no O_DIRECT";
	if (load->fd < 0 || fstat(load->fd, &st))
		fail("%s: %s", path, strerror(errno));
	load->block_count = (uint64_t)st.st_size / load->block;
	if (load->row->span && load->row->span / load->block < load->block_count)
		load->block_count = load->row->span / load->block;
	if (load->block_count < 2 * BENCH_DEPTH || (load->block_count & (load->block_count - 1)))
		fail("%s: the number of blocks is not a power of two", path);
	if (load->row->file == FILE_COLD && !load->row->sequential)
		posix_fadvise(load->fd, 0, 0, POSIX_FADV_RANDOM);
	return NULL;
}

/* What one thread did in a slice. */
struct lap {
	uint64_t ops, ns;
};

static struct lap run_lap(struct workload *load, uint64_t ms)
{
	const struct bench_case *row = load->row;
	/* A cold block is cold once: the slice ends before the walk meets it again. */
	uint64_t limit = row->file == FILE_COLD ? load->block_count - 2 * load->depth : UINT64_MAX;
	uint64_t start = clock_ns(CLOCK_MONOTONIC), ns = 0, ops = 0, chunk = load->depth;

	while (ns < ms * 1000000 && ops < limit) {
		ops += row->run(load, chunk < limit - ops ? chunk : limit - ops);
		ns = clock_ns(CLOCK_MONOTONIC) - start;
		chunk = ops * CHUNK_NS / (ns + 1) / load->depth * load->depth + load->depth;
	}
	return (struct lap){.ops = ops, .ns = ns};
}

/*
 * The second thread of a case that has one. It stays, because rings know by which
 * thread they are used. The first thread writes `ms` and `seed` before the
 * barrier that begins a slice, and reads `lap` after the one that ends it.
 */
static struct {
	struct workload load;
	pthread_t thread;
	pthread_barrier_t begin, end;
	bool is_running;
	uint64_t ms, seed;
	struct lap lap;
} second;

static void *second_main(void *nothing)
{
	for (;;) {
		pthread_barrier_wait(&second.begin);
		second.load.walk = second.seed;
		second.lap = run_lap(&second.load, second.ms);
		pthread_barrier_wait(&second.end);
	}
	return nothing;
}

static void load_init(struct workload *load);

/* With a ring, a descriptor and buffers of its own, as a program's threads have. */
static void second_start(const struct workload *first, const char *path)
{
	second.load = (struct workload){.row = first->row, .fd = -1};
	load_init(&second.load);
	if (first->row->measure != MEASURE_RIVAL &&
	    io_uring_queue_init(RING_ENTRIES, &second.load.ring, 0))
		fail("a second ring cannot be had");
	if (file_open(&second.load, path))
		fail("the file cannot be opened twice");
	pthread_barrier_init(&second.begin, NULL, 2);
	pthread_barrier_init(&second.end, NULL, 2);
	if (pthread_create(&second.thread, NULL, second_main, NULL))
		fail("a second thread cannot be had");
	second.is_running = true;
}

static struct lap run_two_laps(struct workload *load, uint64_t ms, uint64_t seed)
{
	struct lap lap;

	second.ms = ms;
	/* Half the walk away: they meet different blocks. */
	second.seed = seed + load->block_count / 2;
	pthread_barrier_wait(&second.begin);
	lap = run_lap(load, ms);
	pthread_barrier_wait(&second.end);
	/* As if the two had done it in the time of the one that took longer. */
	lap.ops += second.lap.ops;
	if (lap.ns < second.lap.ns)
		lap.ns = second.lap.ns;
	return lap;
}

static void run_slice(struct workload *load, const char *path, uint64_t ms, uint64_t seed,
		      unsigned int threads)
{
	const char *why = file_prepare(load);
	struct lap lap;
	uint64_t cpu;

	if (why) {
		answer("skip %s", why);
		return;
	}
	if (threads > 1 && !second.is_running)
		second_start(load, path);
	if (load->row->pending && !load->is_warm) {
		pending_prepare(load);
		load->is_warm = true;
	}
	load->walk = load->row->sequential ? 0 : seed;
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	lap = threads > 1 ? run_two_laps(load, ms, seed) : run_lap(load, ms);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (load->engine)
		pipeline_drain(load);
	answer("slice %llu %llu %llu", (unsigned long long)lap.ops, (unsigned long long)lap.ns,
	       (unsigned long long)cpu);
}

/* Reads the first `count` pages of the file, in order, by the ring. */
uint64_t pages_held(struct workload *load, uint64_t count)
{
	uint64_t done = 0;

	for (load->walk = 0; done < count;)
		done += reads_in_batches(load, load->depth);
	return done;
}

static void obey(struct workload *load, const char *path, char *line)
{
	unsigned long long ms, seed, count;
	unsigned int threads;
	char kind[16];

	if (sscanf(line, "slice %llu %llu %u", &ms, &seed, &threads) == 3) {
		run_slice(load, path, ms, seed, threads);
	} else if (sscanf(line, "hold %15s %llu", kind, &count) == 2) {
		load->hold_kind = kind;
		load->row->run(load, count);
		answer("held %llu", (unsigned long long)memory_bytes());
	} else {
		line[strcspn(line, "\n")] = '\0';
		fail("unknown command '%s'", line);
	}
}

static const struct bench_case *find_case(const char *name)
{
	for (size_t i = 0; i < sizeof(bench_cases) / sizeof(bench_cases[0]); i++)
		if (!strcmp(bench_cases[i].name, name))
			return &bench_cases[i];
	return NULL;
}

/* What follows from the case's row; the buffers are aligned for O_DIRECT. */
static void load_init(struct workload *load)
{
	size_t bytes;

	load->block = load->row->block ? load->row->block : BENCH_PAGE;
	load->depth = load->row->depth ? load->row->depth : BENCH_DEPTH;
	bytes = (size_t)load->depth * load->block;
	load->buffers = aligned_alloc(BENCH_PAGE, bytes);
	if (!load->buffers)
		fail("no memory for the buffers");
	/* So that no page of them is first touched while the clock runs. */
	memset(load->buffers, 0, bytes);
}

int main(int argc, char **argv)
{
	const struct bench_case *row = argc == 3 ? find_case(argv[1]) : NULL;
	struct workload load = {.row = row, .fd = -1};
	char line[BENCH_ANSWER_MAX];
	const char *why = NULL;
	int err = 0;

	if (!row) {
		fputs("usage: workload CASE FILE (started by 'ringside bench')\n", stderr);
		return 2;
	}
	load_init(&load);
	if (row->measure != MEASURE_RIVAL)
		err = io_uring_queue_init(RING_ENTRIES, &load.ring, 0);
	if (err == -ENOSYS || err == -EPERM || err == -EACCES) {
		answer("refused %s", strerror(-err));
		return 0;
	}
	if (err)
		fail("io_uring_queue_init: %s", strerror(-err));
	if (row->file != FILE_NONE)
		why = file_open(&load, argv[2]);
	if (why) {
		answer("skip %s", why);
		return 0;
	}
	answer("ready");
	while (fgets(line, sizeof(line), stdin))
		obey(&load, argv[2], line);
	if (row->measure != MEASURE_RIVAL)
		io_uring_queue_exit(&load.ring);
	return 0;
}
