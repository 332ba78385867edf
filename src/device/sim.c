/*
 * sim.c - a simulated device (see sim.h)
 */
#include "device/sim.h"

#include <string.h>
#include <sys/eventfd.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/pages.h"
#include "host/kernel.h"

#define DEPTH_DEFAULT   64u
#define LATENCY_DEFAULT 100000u

#define VERSION_SHIFT 12
#define VERSION_BYTES (1u << VERSION_SHIFT)

static struct sim *sim_of(struct device *device)
{
	return container_of(device, struct sim, device);
}

/* xorshift64* */
static u64 draw(struct sim *sim)
{
	sim->random ^= sim->random >> 12;
	sim->random ^= sim->random << 25;
	sim->random ^= sim->random >> 27;
	return sim->random * 0x2545f4914f6cdd1dull;
}

static void assert_locked(const struct sim *sim)
{
	rs_assert(lock_is_mine(&sim->lock));
}

/* Contents. */

static struct sim_file *file_locked(struct sim *sim, int fd)
{
	assert_locked(sim);
	if (fd < SIM_FD || fd >= SIM_FD + SIM_FILES || sim->files[fd - SIM_FD].versions == NULL)
		return NULL;
	return &sim->files[fd - SIM_FD];
}

void sim_file(struct sim *sim, int fd, u64 size, u64 capacity)
{
	struct sim_file *file = &sim->files[fd - SIM_FD];

	rs_assert(fd >= SIM_FD && fd < SIM_FD + SIM_FILES && size <= capacity);
	lock_acquire(&sim->lock);
	rs_assert(file->versions == NULL);
	file->size = size;
	file->capacity = capacity;
	file->versions = pages_reserve(((capacity >> VERSION_SHIFT) + 1) * sizeof(u32));
	rs_assert(file->versions != NULL);
	lock_release(&sim->lock);
}

void sim_file_resize(struct sim *sim, int fd, u64 size)
{
	lock_acquire(&sim->lock);
	rs_assert(size <= file_locked(sim, fd)->capacity);
	file_locked(sim, fd)->size = size;
	lock_release(&sim->lock);
}

void sim_write(struct sim *sim, int fd, u64 offset, u64 end)
{
	struct sim_file *file;

	lock_acquire(&sim->lock);
	file = file_locked(sim, fd);
	rs_assert(offset < end && end <= file->capacity);
	for (u64 page = offset >> VERSION_SHIFT; page <= (end - 1) >> VERSION_SHIFT; page++)
		file->versions[page]++;
	lock_release(&sim->lock);
}

u32 sim_version(struct sim *sim, int fd, u64 offset)
{
	u32 version;

	lock_acquire(&sim->lock);
	rs_assert(offset <= file_locked(sim, fd)->capacity);
	version = file_locked(sim, fd)->versions[offset >> VERSION_SHIFT];
	lock_release(&sim->lock);
	return version;
}

bool sim_bytes_are(const void *bytes, u64 size, int fd, u64 offset, u32 version)
{
	const unsigned char *at = bytes;

	while (size > 0) {
		u64 word = sim_word(fd, version, offset), skip = offset % 8;
		u64 count = min_of(8 - skip, size);

		if (memcmp(at, (const char *)&word + skip, count) != 0)
			return false;
		at += count;
		offset += count;
		size -= count;
	}
	return true;
}

/* Into the read's own bytes: what the file has now. */
static void take_bytes(const struct sim_file *file, struct sim_read *read)
{
	u64 offset = read->read->offset;

	for (u64 i = 0; i < (u64)read->result; i += 8) {
		u64 word = sim_word(read->read->fd, file->versions[(offset + i) >> VERSION_SHIFT],
				    offset + i);

		memcpy(read->bytes + i, &word, sizeof(word));
	}
}

/* To where the caller wants them: the result's bytes; what is behind them is spoiled. */
static void deliver_bytes(const struct sim_read *read)
{
	u64 left = read->result > 0 ? (u64)read->result : 0;
	const unsigned char *from = read->bytes;

	for (u32 i = 0; i < read->read->iov_count; i++) {
		const struct iovec *iov = &read->read->iov[i];
		u64 count = min_of(left, (u64)iov->iov_len);

		memcpy(iov->iov_base, from, count);
		memset((char *)iov->iov_base + count, SIM_SPOIL, iov->iov_len - count);
		from += count;
		left -= count;
	}
}

/* Rules. */

struct sim_rule *sim_rule_add(struct sim *sim, const struct sim_rule *rule)
{
	struct sim_rule *added = &sim->rules[sim->rule_count];

	lock_acquire(&sim->lock);
	rs_assert(sim->rule_count < SIM_RULES && rule->error <= 0);
	rs_assert(!rule->is_refused || rule->error < 0);
	*added = *rule;
	added->seen = added->fitted = 0;
	sim->rule_count++;
	lock_release(&sim->lock);
	return added;
}

void sim_rules_clear(struct sim *sim)
{
	lock_acquire(&sim->lock);
	sim->rule_count = 0;
	lock_release(&sim->lock);
}

static bool is_in_range(const struct sim_rule *rule, const struct sim_read *read)
{
	u64 offset = read->read->offset;

	return (rule->fd < 0 || rule->fd == read->read->fd) && offset + read->size > rule->offset &&
	       (rule->end == 0 || offset < rule->end);
}

/* Each rule counts the reads in its range, also when another one befalls them. */
static struct sim_rule *rule_for(struct sim *sim, const struct sim_read *read)
{
	struct sim_rule *found = NULL;

	for (u32 i = 0; i < sim->rule_count; i++) {
		struct sim_rule *rule = &sim->rules[i];
		u64 first = max_of(rule->first, (u64)1), step = max_of(rule->step, (u64)1);

		if (!is_in_range(rule, read))
			continue;
		rule->seen++;
		if (found || rule->seen < first || (rule->seen - first) % step != 0)
			continue;
		if (rule->last == 0 || rule->seen <= rule->last)
			found = rule;
	}
	if (found)
		found->fitted++;
	return found;
}

/* Sending. */

/* What an O_DIRECT read says at once: 0, or -errno. */
static int refusal(struct sim *sim, const struct sim_read *read)
{
	const struct device_read *asked = read->read;

	if (file_locked(sim, asked->fd) == NULL)
		return -EBADF;
	if (asked->offset % SIM_BLOCK)
		return -EINVAL;
	for (u32 i = 0; i < asked->iov_count; i++)
		if (asked->iov[i].iov_len % SIM_BLOCK ||
		    (uintptr_t)asked->iov[i].iov_base % SIM_BLOCK)
			return -EINVAL;
	return 0;
}

static void flight_insert(struct sim *sim, struct sim_read *read)
{
	struct list_node *at;

	list_for_each (at, &sim->flight) {
		if (list_entry(at, struct sim_read, node)->due_ns > read->due_ns)
			break;
	}
	list_insert_before(&read->node, at);
}

/* False: it is refused, with read->result. */
static bool send_read(struct sim *sim, struct sim_read *read)
{
	const struct sim_file *file = file_locked(sim, read->read->fd);
	struct sim_rule none = {0}, *rule;
	u64 span = sim->latency_max - sim->latency_min + 1;

	read->number = ++sim->sent;
	rule = rule_for(sim, read);
	if (rule == NULL)
		rule = &none;
	read->result = refusal(sim, read);
	if (read->result == 0 && rule->is_refused)
		read->result = rule->error;
	read->due_ns = sim->now_ns + sim->latency_min + draw(sim) % span + rule->delay_ns;
	if (rule->is_held)
		read->due_ns = SIM_NEVER;
	if (read->result == 0) {
		u64 offset = read->read->offset;
		u64 there = file->size > offset ? file->size - offset : 0;

		read->result = (long)min_of(there, read->size);
		if (rule->keep)
			read->result = (long)min_of((u64)read->result, rule->keep);
		take_bytes(file, read);
		if (rule->error)
			read->result = rule->error;
		flight_insert(sim, read);
		store_relaxed(&sim->flight_count, sim->flight_count + 1);
		if (sim->trace)
			sim->trace(read, sim->trace_arg);
		return true;
	}
	if (sim->trace)
		sim->trace(read, sim->trace_arg);
	return false;
}

static void signal_event(const struct sim *sim)
{
	u64 one = 1;

	host_call(SYS_write, sim->device.event_fd, &one, sizeof(one));
}

/* Whether a reap would complete something. */
static bool is_ready(const struct sim *sim)
{
	const struct sim_read *first = list_first(&sim->flight, struct sim_read, node);

	if (list_is_empty(&sim->flight) || first->due_ns == SIM_NEVER)
		return false;
	return sim->is_automatic || first->due_ns <= sim->now_ns;
}

/* The read is in no list. The lock is given up while done() runs. */
static void complete_read(struct sim *sim, struct sim_read *read)
{
	struct device_read *asked = read->read;
	long result = read->result;

	deliver_bytes(read);
	pages_free(read, read->mapped);
	sim->is_busy = true;
	lock_release(&sim->lock);
	asked->done(asked, result);
	lock_acquire(&sim->lock);
	sim->is_busy = false;
}

static u32 submit_locked(struct sim *sim)
{
	u32 refused = 0;

	while (!list_is_empty(&sim->staged) && sim->flight_count < sim->depth) {
		struct sim_read *read = list_first(&sim->staged, struct sim_read, node);

		list_del(&read->node);
		store_relaxed(&sim->staged_count, sim->staged_count - 1);
		if (send_read(sim, read))
			continue;
		complete_read(sim, read);
		refused++;
	}
	if (is_ready(sim))
		signal_event(sim);
	return refused;
}

/* The device's calls. */

static void sim_add(struct device *device, struct device_read *asked)
{
	struct sim *sim = sim_of(device);
	struct sim_read *read;
	u64 size = 0;

	for (u32 i = 0; i < asked->iov_count; i++) {
		memset(asked->iov[i].iov_base, SIM_SPOIL, asked->iov[i].iov_len);
		size += asked->iov[i].iov_len;
	}
	read = pages_alloc(sizeof(*read) + size);
	rs_assert(read != NULL && size > 0);
	*read = (struct sim_read){.read = asked, .size = size, .mapped = sizeof(*read) + size};
	lock_acquire(&sim->lock);
	list_add_tail(&sim->staged, &read->node);
	store_relaxed(&sim->staged_count, sim->staged_count + 1);
	lock_release(&sim->lock);
}

static u32 sim_submit(struct device *device)
{
	struct sim *sim = sim_of(device);
	u32 refused;

	lock_acquire(&sim->lock);
	rs_assert(!sim->is_busy);
	refused = submit_locked(sim);
	lock_release(&sim->lock);
	return refused;
}

static u32 sim_reap(struct device *device, u32 limit)
{
	struct sim *sim = sim_of(device);
	u32 reaped = 0;

	lock_acquire(&sim->lock);
	rs_assert(!sim->is_busy);
	while (reaped < limit && is_ready(sim)) {
		struct sim_read *read = list_first(&sim->flight, struct sim_read, node);

		/* An automatic device: time passes as far as there is something to wait for. */
		if (read->due_ns > sim->now_ns)
			store_relaxed(&sim->now_ns, read->due_ns);
		list_del(&read->node);
		store_relaxed(&sim->flight_count, sim->flight_count - 1);
		complete_read(sim, read);
		reaped++;
	}
	if (reaped > 0)
		reaped += submit_locked(sim);
	lock_release(&sim->lock);
	return reaped;
}

static u32 sim_pending(const struct device *device)
{
	const struct sim *sim = (const struct sim *)device;

	return load_relaxed(&sim->staged_count) + load_relaxed(&sim->flight_count);
}

static const struct device_ops sim_ops = {
	.add = sim_add,
	.submit = sim_submit,
	.reap = sim_reap,
	.pending = sim_pending,
};

/* What a test decides. */

static struct sim_read *find_in_flight(struct sim *sim, int fd, u64 offset)
{
	struct sim_read *read, *oldest = NULL;

	assert_locked(sim);
	list_for_each_entry (read, &sim->flight, node) {
		if (read->read->fd != fd || offset < read->read->offset ||
		    offset - read->read->offset >= read->size)
			continue;
		if (oldest == NULL || read->number < oldest->number)
			oldest = read;
	}
	return oldest;
}

bool sim_is_in_flight(struct sim *sim, int fd, u64 offset)
{
	bool is_there;

	lock_acquire(&sim->lock);
	is_there = find_in_flight(sim, fd, offset) != NULL;
	lock_release(&sim->lock);
	return is_there;
}

bool sim_release(struct sim *sim, int fd, u64 offset)
{
	struct sim_read *read;

	lock_acquire(&sim->lock);
	read = find_in_flight(sim, fd, offset);
	if (read != NULL) {
		list_del(&read->node);
		read->due_ns = 0; /* before all others */
		flight_insert(sim, read);
		signal_event(sim);
	}
	lock_release(&sim->lock);
	return read != NULL;
}

void sim_release_all(struct sim *sim)
{
	struct sim_read *read, *next;

	lock_acquire(&sim->lock);
	list_for_each_entry_safe (read, next, &sim->flight, node) {
		if (read->due_ns != SIM_NEVER)
			continue;
		list_del(&read->node);
		read->due_ns = sim->now_ns;
		flight_insert(sim, read);
	}
	if (is_ready(sim))
		signal_event(sim);
	lock_release(&sim->lock);
}

bool sim_advance(struct sim *sim)
{
	const struct sim_read *first;
	bool will_complete;

	lock_acquire(&sim->lock);
	first = list_first(&sim->flight, struct sim_read, node);
	will_complete = !list_is_empty(&sim->flight) && first->due_ns != SIM_NEVER;
	if (will_complete) {
		store_relaxed(&sim->now_ns, max_of(sim->now_ns, first->due_ns));
		signal_event(sim);
	}
	lock_release(&sim->lock);
	return will_complete;
}

void sim_advance_by(struct sim *sim, u64 ns)
{
	lock_acquire(&sim->lock);
	store_relaxed(&sim->now_ns, sim->now_ns + ns);
	if (is_ready(sim))
		signal_event(sim);
	lock_release(&sim->lock);
}

int sim_init(struct sim *sim, const struct sim_options *options)
{
	rs_assert(options->seed != 0 && options->latency_min <= options->latency_max);
	*sim = (struct sim){
		.device = {.ops = &sim_ops},
		.random = options->seed,
		.depth = options->depth ? options->depth : DEPTH_DEFAULT,
		.latency_min = options->latency_max ? options->latency_min : LATENCY_DEFAULT,
		.latency_max = options->latency_max ? options->latency_max : LATENCY_DEFAULT,
		.is_automatic = options->is_automatic,
	};
	list_init(&sim->staged);
	list_init(&sim->flight);
	sim->device.event_fd = (int)host_call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	return min_of(sim->device.event_fd, 0);
}

void sim_destroy(struct sim *sim)
{
	rs_assert(sim_pending(&sim->device) == 0);
	for (u32 i = 0; i < SIM_FILES; i++)
		pages_free(sim->files[i].versions,
			   ((sim->files[i].capacity >> VERSION_SHIFT) + 1) * sizeof(u32));
	host_call(SYS_close, sim->device.event_fd);
	sim->device.event_fd = -1;
}
