/*
 * random_test.c - many readers, writes, losses, errors and short reads, by seed
 *
 * One thread plays everybody, and the seed decides who goes next, so a failure is
 * played again by its seed:
 *
 *     RINGSIDE_SEED=N unit-cache-random        RINGSIDE_SEEDS=N: so many of them
 *
 * The model: a page of a file has a version that writes raise, and a version below
 * which no read that begins now may be (writes that have completed). A read that
 * ended well has all its bytes, each of a version that was valid between its begin and
 * its end. What a read may end with besides is known from what was done to it. A hit has the bytes
 * that it had when it was looked up, or says that it has none.
 */
#include <errno.h>
#include <inttypes.h>

#include "unit_cache.h"

#define SEEDS   (UNIT_IS_SANITIZED ? 300u : 2000u)
#define STEPS   400u
#define FILES   3u
#define PAGES   1200u /* of a file: more than the smallest cache has frames for */
#define READERS 24u
#define HITS    8u
#define WRITERS 4u
#define LONGEST (12 * UNIT_PAGE)

/* What kind of weather the seed brings. */
struct weather {
	bool has_errors, has_short_reads, has_losses, has_writes, has_cuts, has_cancels;
	u64 span; /* pages of a file that are used */
};

struct file {
	cache_binding binding;
	u64 size;
	u32 done[PAGES]; /* versions whose writes have completed */
};

struct reader {
	struct unit_reader unit;
	struct file *file;
	bool is_active;
	bool saw_cut;          /* its file was cut or extended meanwhile */
	bool saw_loss;         /* its file was lost meanwhile */
	u32 oldest[1 + PAGES]; /* by page, from the first that it reads */
};

/* A look-up that was a hit, and is copied when others had their turns. */
struct hit {
	struct cache_hit hit;
	unsigned char found[UNIT_PAGE], copied[UNIT_PAGE]; /* the bytes, then and now */
	bool is_active;
};

/* A write past the cache: the bytes are there from its begin, and it completes when their pages are
 * dropped. */
struct writer {
	struct cache_drop drop;
	struct cache_waiter waiter;
	struct file *file;
	u64 first, end;      /* pages */
	u32 versions[PAGES]; /* that it made, by page from the first */
	u32 woken;
	bool is_active, is_waiting;
};

static struct {
	u64 seed, random;
	struct weather weather;
	struct file files[FILES];
	struct reader readers[READERS];
	struct hit hits[HITS];
	struct writer writers[WRITERS];
	u64 ended[CACHE_REFUSED + 1]; /* reads, by verdict */
	u64 good_hits, gone_hits;
} world;

static struct readahead shared_readahead[FILES];

#define expect(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("seed %" PRIu64 ": not so: %s", world.seed, #condition);          \
	} while (0)

static u64 draw(u64 limit)
{
	return unit_random(&world.random) % limit;
}

static bool one_in(u64 count)
{
	return draw(count) == 0;
}

static int fd_of(const struct file *file)
{
	return UNIT_FILE + (int)(file - world.files);
}

/* Readers. */

static void reader_begin(struct reader *reader)
{
	u64 file = draw(FILES), size = 1 + draw(one_in(3) ? LONGEST : UNIT_PAGE), offset;

	reader->file = &world.files[file];
	offset = draw(world.weather.span * UNIT_PAGE - size);
	unit_reader_prepare(&reader->unit, reader->file->binding, fd_of(reader->file), offset,
			    size);
	if (one_in(2))
		reader->unit.read.readahead = &shared_readahead[file];
	reader->is_active = true;
	reader->saw_cut = reader->saw_loss = false;
	for (u64 page = offset / UNIT_PAGE, i = 0; page <= (offset + size) / UNIT_PAGE; page++, i++)
		reader->oldest[i] = reader->file->done[page];
	unit_reader_step(&reader->unit);
}

static void check_bytes(const struct reader *reader)
{
	const struct unit_reader *unit = &reader->unit;

	for (u64 at = 0; at < unit->copied;) {
		u64 offset = unit->offset + at, page = offset / UNIT_PAGE;
		u64 count = min_of(UNIT_PAGE - offset % UNIT_PAGE, unit->copied - at);
		u32 version = sim_version(&unit_sim, unit->fd, offset);
		u32 oldest = reader->oldest[page - unit->offset / UNIT_PAGE];

		while (!sim_bytes_are(unit->buffer + at, count, unit->fd, offset, version)) {
			if (version-- == oldest)
				fail_msg("seed %" PRIu64 ": page %" PRIu64 " of file %d: not of "
					 "version %u to %u",
					 world.seed, page, unit->fd - UNIT_FILE, oldest,
					 sim_version(&unit_sim, unit->fd, offset));
		}
		at += count;
	}
}

static void reader_end(struct reader *reader)
{
	const struct unit_reader *unit = &reader->unit;
	u64 size = reader->file->size;
	u64 there = size > unit->offset ? size - unit->offset : 0;

	reader->is_active = false;
	world.ended[unit->verdict]++;
	expect(unit->copied <= unit->size);
	/* A cut leaves zeros, or what was there before the end moved. */
	if (!reader->saw_cut)
		check_bytes(reader);
	switch (unit->verdict) {
	case CACHE_DONE:
		expect(reader->saw_cut || unit->copied == min_of(there, unit->size));
		break;
	case CACHE_FAILED:
		expect(world.weather.has_errors || world.weather.has_short_reads ||
		       world.weather.has_cuts);
		break;
	case CACHE_REFUSED:
		/* Lost, never held, or woken sixteen times in vain. */
		expect(reader->saw_loss || unit->read.binding == 0 || unit->waiter.wakes > 16);
		break;
	default:
		fail_msg("seed %" PRIu64 ": a read ended with %d", world.seed, unit->verdict);
	}
}

static void reader_go_on(struct reader *reader)
{
	if (!reader->is_active) {
		reader_begin(reader);
	} else if (reader->unit.is_waiting && world.weather.has_cancels && one_in(8)) {
		bool was_woken = load_relaxed(&reader->unit.woken);

		expect(cache_read_cancel(&reader->unit.waiter) == !was_woken);
		if (was_woken)
			unit_reader_go_on(&reader->unit);
		else
			reader->is_active = false;
	} else {
		unit_reader_go_on(&reader->unit);
	}
	if (reader->is_active && reader->unit.is_done)
		reader_end(reader);
}

/* Hits. */

/* What is there now is the file's, and no older than what its last write left. */
static void hit_begin(struct hit *hit)
{
	struct file *file = &world.files[draw(FILES)];
	u64 offset = draw(world.weather.span * UNIT_PAGE), size = 1 + draw(UNIT_PAGE);
	u32 version = sim_version(&unit_sim, fd_of(file), offset);

	if (!cache_hit_look(&hit->hit, file->binding, &shared_readahead[file - world.files], offset,
			    (u32)size))
		return;
	hit->is_active = true;
	hit->hit.user = hit->copied;
	memcpy(hit->found, hit->hit.bytes, hit->hit.count);
	while (!world.weather.has_cuts &&
	       !sim_bytes_are(hit->found, hit->hit.count, fd_of(file), offset, version))
		expect(version-- > file->done[offset / UNIT_PAGE]);
}

/* Whatever became of the page and the file: those bytes, or none. */
static void hit_end(struct hit *hit)
{
	bool is_good = cache_hit_copy(&hit->hit);

	hit->is_active = false;
	expect(!is_good || memcmp(hit->copied, hit->found, hit->hit.count) == 0);
	world.good_hits += is_good;
	world.gone_hits += !is_good;
}

static void hit_go_on(struct hit *hit)
{
	if (!hit->is_active)
		hit_begin(hit);
	else if (one_in(4))
		hit_end(hit);
}

/* Writers. */

static void writer_retry(struct cache_waiter *waiter)
{
	container_of(waiter, struct writer, waiter)->woken = 1;
}

static void writer_go_on(struct writer *writer)
{
	enum cache_verdict verdict;

	if (writer->is_waiting && !writer->woken)
		return;
	writer->is_waiting = false;
	while ((verdict = cache_drop_try(&writer->drop)) == CACHE_CAUGHT) {
		writer->woken = 0;
		verdict = cache_drop_wait(&writer->drop, &writer->waiter);
		if (verdict == CACHE_WAITING) {
			writer->is_waiting = true;
			return;
		}
		expect(verdict == CACHE_RETRY);
	}
	expect(verdict == CACHE_DONE);
	writer->is_active = false;
	for (u64 page = writer->first; page < writer->end; page++)
		writer->file->done[page] =
			max_of(writer->file->done[page], writer->versions[page - writer->first]);
}

static void writer_begin(struct writer *writer)
{
	u64 offset, end;

	writer->file = &world.files[draw(FILES)];
	offset = draw(world.weather.span * UNIT_PAGE - 1);
	end = offset + 1 + draw(one_in(4) ? 32 * UNIT_PAGE : UNIT_PAGE);
	end = min_of(end, world.weather.span * UNIT_PAGE);
	writer->first = offset / UNIT_PAGE;
	writer->end = (end + UNIT_PAGE - 1) / UNIT_PAGE;
	sim_write(&unit_sim, fd_of(writer->file), offset, end);
	for (u64 page = writer->first; page < writer->end; page++)
		writer->versions[page - writer->first] =
			sim_version(&unit_sim, fd_of(writer->file), page * UNIT_PAGE);
	writer->drop =
		(struct cache_drop){.binding = writer->file->binding, .offset = offset, .end = end};
	writer->waiter = (struct cache_waiter){.retry = writer_retry};
	writer->is_active = true;
	writer->is_waiting = false;
}

/* What else happens. */

static void open_file(struct file *file)
{
	struct cache_source source = {.direct_fd = fd_of(file),
				      .buffered_fd = -1,
				      .size = file->size};

	file->binding = cache_file_open(&source);
	/* All frames may be in use just now: then it is not held, and its reads are refused. */
}

/* For a call that blocks: it moves the device on itself, but time is ours. */
static void let_time_pass(bool passes)
{
	unit_sim.is_automatic = passes;
	if (passes)
		sim_advance_by(&unit_sim, 1000000000);
}

static void lose_file(struct file *file)
{
	if (file->binding != 0) {
		let_time_pass(true);
		cache_file_lose(file->binding);
		let_time_pass(false);
	}
	for (u32 i = 0; i < READERS; i++)
		if (world.readers[i].file == file)
			world.readers[i].saw_loss = true;
	/* Whoever made the lease break writes now. */
	sim_write(&unit_sim, fd_of(file), 0, PAGES * UNIT_PAGE);
	for (u64 page = 0; page < PAGES; page++)
		file->done[page] = sim_version(&unit_sim, fd_of(file), page * UNIT_PAGE);
	open_file(file);
}

/* The program cuts or extends it, and drops what is behind the new end or the old one. */
static void resize_file(struct file *file)
{
	u64 size = draw(PAGES * UNIT_PAGE), from = min_of(size, file->size);

	sim_file_resize(&unit_sim, fd_of(file), size);
	cache_file_resize(file->binding, size);
	file->size = size;
	for (u32 i = 0; i < READERS; i++)
		if (world.readers[i].file == file)
			world.readers[i].saw_cut = true;
	let_time_pass(true);
	cache_drop_range(file->binding, from, UINT64_MAX);
	let_time_pass(false);
}

static void device_go_on(void)
{
	switch (draw(3)) {
	case 0:
		cache_submit();
		break;
	case 1:
		sim_advance(&unit_sim);
		break;
	default:
		cache_look();
		break;
	}
}

static void step(void)
{
	const struct weather *weather = &world.weather;
	struct writer *writer = &world.writers[draw(WRITERS)];
	u64 what = draw(100);

	if (what < 10)
		hit_go_on(&world.hits[draw(HITS)]);
	else if (what < 55)
		reader_go_on(&world.readers[draw(READERS)]);
	else if (what < 85)
		device_go_on();
	else if (what < 97 && weather->has_writes && !writer->is_active)
		writer_begin(writer);
	else if (what < 97 && writer->is_active)
		writer_go_on(writer);
	else if (what == 97 && weather->has_losses && one_in(4))
		lose_file(&world.files[draw(FILES)]);
	else if (what == 98 && weather->has_cuts && one_in(4))
		resize_file(&world.files[draw(FILES)]);
	unit_usage();
}

/* Everything that was begun ends. */
static void settle(void)
{
	for (;;) {
		u32 active = 0;
		bool has_moved = unit_device_step();

		for (u32 i = 0; i < WRITERS; i++) {
			struct writer *writer = &world.writers[i];

			active += writer->is_active;
			has_moved |= writer->is_active && (!writer->is_waiting || writer->woken);
			if (writer->is_active)
				writer_go_on(writer);
		}
		for (u32 i = 0; i < READERS; i++) {
			struct reader *reader = &world.readers[i];

			active += reader->is_active;
			if (!reader->is_active)
				continue;
			has_moved |= unit_reader_go_on(&reader->unit);
			if (reader->unit.is_done)
				reader_end(reader);
		}
		if (active == 0)
			break;
		expect(has_moved);
	}
	while (unit_device_step())
		;
	expect(!cache_is_busy());
}

static void add_rules(void)
{
	struct sim_rule rule = {.fd = -1, .first = 1 + draw(10), .step = 2 + draw(10)};

	if (world.weather.has_errors) {
		rule.error = -EIO;
		rule.is_refused = one_in(3);
		sim_rule_add(&unit_sim, &rule);
	}
	rule = (struct sim_rule){.fd = -1, .first = 1 + draw(3), .step = 1 + draw(5)};
	if (world.weather.has_short_reads) {
		rule.keep = SIM_BLOCK * (1 + draw(40));
		sim_rule_add(&unit_sim, &rule);
	}
}

static void world_begin(u64 seed)
{
	struct sim_options options = {.latency_min = 1000, .latency_max = 300000};
	u64 bits;

	memset(world.files, 0, sizeof(world.files));
	memset(shared_readahead, 0, sizeof(shared_readahead));
	world.seed = seed;
	world.random = seed * 0x9e3779b97f4a7c15ull | 1;
	bits = draw(64);
	world.weather = (struct weather){
		.has_errors = bits & 1,
		.has_short_reads = bits & 2,
		.has_losses = bits & 4,
		.has_writes = bits & 8,
		.has_cuts = bits & 16,
		.has_cancels = bits & 32,
		.span = one_in(2) ? 16 + draw(32) : PAGES,
	};
	options.seed = 1 + draw(UINT32_MAX);
	options.depth = (u32)(1 + draw(40));
	unit_cache_start(CACHE_LIMIT_MIN, &options);
	for (u32 i = 0; i < FILES; i++) {
		world.files[i].size = PAGES * UNIT_PAGE - draw(20000);
		sim_file(&unit_sim, UNIT_FILE + (int)i, world.files[i].size, PAGES * UNIT_PAGE);
		open_file(&world.files[i]);
	}
	add_rules();
}

static void world_end(void)
{
	settle();
	for (u32 i = 0; i < FILES; i++)
		if (world.files[i].binding)
			cache_file_lose(world.files[i].binding);
	for (u32 i = 0; i < HITS; i++)
		if (world.hits[i].is_active)
			hit_end(&world.hits[i]);
	expect(unit_usage().pages == 0 && unit_usage().words == 0);
	unit_cache_stop();
}

static void play(u64 seed)
{
	world_begin(seed);
	for (u32 i = 0; i < STEPS; i++)
		step();
	world_end();
}

static void whatever_happens_a_read_gets_the_files_bytes_or_says_why_not(void **state)
{
	const char *one = getenv("RINGSIDE_SEED"), *many = getenv("RINGSIDE_SEEDS");
	u64 seeds = many ? strtoull(many, NULL, 0) : SEEDS, all = 0;

	(void)state;
	if (one) {
		play(strtoull(one, NULL, 0));
		return;
	}
	for (u64 seed = 1; seed <= seeds; seed++)
		play(seed);
	for (enum cache_verdict verdict = CACHE_DONE; verdict <= CACHE_REFUSED; verdict++)
		all += world.ended[verdict];
	print_message("%" PRIu64 " seeds: %" PRIu64 " reads, %" PRIu64 " whole, %" PRIu64
		      " failed, %" PRIu64 " refused; %" PRIu64 " hits, %" PRIu64 " gone\n",
		      seeds, all, world.ended[CACHE_DONE], world.ended[CACHE_FAILED],
		      world.ended[CACHE_REFUSED], world.good_hits, world.gone_hits);
	assert_true(world.ended[CACHE_DONE] > all / 2);
	assert_true(world.ended[CACHE_FAILED] > 0 && world.ended[CACHE_REFUSED] > 0);
	assert_true(world.good_hits > 0 && world.gone_hits > 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(whatever_happens_a_read_gets_the_files_bytes_or_says_why_not),
};

unit_main(tests)
