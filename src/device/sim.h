/*
 * sim.h - a simulated device: virtual time, faults by rule, and a test that decides
 *
 * Time passes only when sim_advance() is called, or, if the device is automatic,
 * when somebody reaps what is not due yet. A read takes a latency drawn from the
 * seed, so the order of completions is random and the same in every run; rules
 * give chosen reads another fate; a read that is held completes when it is
 * released by name.
 *
 * What is read: each 8-byte word of a file says where it is from, sim_word(). A
 * file's pages have versions, which sim_write() raises. The device is as bad as
 * a device may be: it reads the bytes when the read is sent and delivers them
 * when it completes (the most stale that an overtaking write can find), and what it
 * does not deliver it leaves spoiled.
 *
 *                 device_add()           device_submit()             due, device_reap()
 *      (caller) --------------> staged -------------------> in flight -----------------> done()
 *                                 |  refused by a rule, or not aligned                     ^
 *                                 +--------------------------------------------------------+
 *
 * Entry:       sim_init(), sim_file(); then sim->device is a device like any other
 * Invariants:  S1 done() is called once for each read added
 *              S2 at most `depth` reads are in flight; the others are staged, in order
 *              S3 reads in flight are in the order in which they are due, held ones last
 * Locks:       sim->lock, a leaf, so that a test may steer while other threads reap; it is not
 *              held in done(). The order that device.h asks of callers stays theirs.
 * Not here:    what tests alone decide with it (test/unit); this library is not in the product
 */
#ifndef RS_DEVICE_SIM_H
#define RS_DEVICE_SIM_H

#include "base/lock.h"
#include "device/device.h"

/* Descriptors of simulated files: SIM_FD + 0 to SIM_FD + SIM_FILES - 1. No process has so many, so
 * a system call that goes past the device gets -EBADF. */
#define SIM_FD    0x40000000
#define SIM_FILES 16
#define SIM_RULES 16
#define SIM_BLOCK 512u /* the alignment that it asks for, as O_DIRECT does */
#define SIM_NEVER UINT64_MAX
#define SIM_SPOIL 0xdb /* what stands where no byte was delivered */

/* What befalls the reads that it is for: those that overlap the range, and of these, counted
 * from 1 as they are sent, the `first`, first + step ... `last`. The first rule that fits. */
struct sim_rule {
	int fd;           /* -1: any */
	u64 offset, end;  /* end 0: to the end */
	u64 first, last;  /* first 0: from the first on; last 0: without end */
	u64 step;         /* 0: 1 */
	long error;       /* -errno that it completes with; 0: none */
	u64 keep;         /* a short read: it brings so many bytes at most; 0: all */
	u64 delay_ns;     /* on top of the latency */
	bool is_refused;  /* with `error`: as it is sent, and never in flight */
	bool is_held;     /* until sim_release() */
	u64 seen, fitted; /* the device's: reads in its range; those it befell */
};

/* A read that the device has, as the trace sees it. */
struct sim_read {
	struct list_node node;    /* (l) staged or in flight */
	struct device_read *read; /* (c) */
	u64 number;               /* (c) counted from 1 as they are sent */
	u64 size;                 /* (c) bytes asked for */
	u64 due_ns;               /* (l) SIM_NEVER: held */
	long result;              /* (c) once sent */
	u64 mapped;               /* (c) bytes of this mapping */
	unsigned char bytes[] __attribute__((aligned(8)));
};

struct sim_file {
	u64 size;      /* (l) */
	u64 capacity;  /* (c) */
	u32 *versions; /* (l) by page */
};

/* (l) sim->lock */
struct sim {
	struct device device;
	struct lock lock;
	u64 random;                      /* (l) */
	u32 depth;                       /* (c) */
	u64 latency_min, latency_max;    /* (c) ns */
	bool is_automatic;               /* (c) time passes when somebody reaps */
	bool is_busy;                    /* (l) a done() may be running */
	u64 now_ns;                      /* (a) */
	u64 sent;                        /* (l) reads */
	u32 staged_count, flight_count;  /* (a) written with the lock */
	struct list_node staged, flight; /* (l) struct sim_read */
	struct sim_rule rules[SIM_RULES];
	u32 rule_count;
	struct sim_file files[SIM_FILES];
	/* (c) or NULL: called as a read is sent or refused, the lock held. */
	void (*trace)(const struct sim_read *read, void *arg);
	void *trace_arg; /* (c) */
};

struct sim_options {
	u64 seed;                     /* not 0 */
	u32 depth;                    /* 0: 64 */
	u64 latency_min, latency_max; /* ns; both 0: 100,000 */
	bool is_automatic;
};

/* 0, or -errno of the eventfd. */
int sim_init(struct sim *sim, const struct sim_options *options);
/* Nothing is staged or in flight: asserted. */
void sim_destroy(struct sim *sim);

/* From now on there is a file `fd` of `size` bytes, which may grow up to `capacity`, of version 0.
 * Others are refused with -EBADF. */
void sim_file(struct sim *sim, int fd, u64 size, u64 capacity);
void sim_file_resize(struct sim *sim, int fd, u64 size);
/* The pages of the range have the next version. */
void sim_write(struct sim *sim, int fd, u64 offset, u64 end);
u32 sim_version(struct sim *sim, int fd, u64 offset);

/* The word of that version at that offset, a multiple of 8. */
static inline u64 sim_word(int fd, u32 version, u64 offset)
{
	return (u64)fd << 56 | (u64)(version & 0xffffff) << 32 | (u32)(offset / 8);
}

/* Whether the bytes are those of `fd` from `offset` on, all of that version. */
bool sim_bytes_are(const void *bytes, u64 size, int fd, u64 offset, u32 version);

/* A copy is kept; the rule, so that its counts can be read. */
struct sim_rule *sim_rule_add(struct sim *sim, const struct sim_rule *rule);
void sim_rules_clear(struct sim *sim);

/* The oldest read in flight that covers that byte is due now, and the next to complete. False:
 * there is none. */
bool sim_release(struct sim *sim, int fd, u64 offset);
/* All that are held are due now, in the order in which they were sent. */
void sim_release_all(struct sim *sim);
bool sim_is_in_flight(struct sim *sim, int fd, u64 offset);

/* Time passes until the next completion; the device's eventfd is signalled. False: nothing in
 * flight will complete by itself. */
bool sim_advance(struct sim *sim);
/* Time passes, whatever becomes due meanwhile. */
void sim_advance_by(struct sim *sim, u64 ns);

#endif
