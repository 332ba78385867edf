/*
 * fuzz.h - what the fuzzers of the three system calls share
 *
 * A fuzzer's input is a program: how to set a ring up, and then steps (an SQE,
 * an enter, a registration, a write to the ring's shared header, ...) until the
 * bytes are used up. It is played on the library's own functions
 * (syscall/syscall.h), in process and without a preload.
 *
 * An operation can do to the process what a system call can. What it is not to
 * do is kept from it in two ways. Where an input names memory that requests
 * write to, the pointer is led into the arena (arena.c), and where it names a
 * descriptor, to one of a fixed set (files.c); so a finding is ringside's fault
 * and not the input's. And all of it runs in test/sandbox/run, as nobody, with
 * nothing of the machine writable: fuzz_is_confined() refuses anything else.
 */
#ifndef RS_TEST_FUZZ_FUZZ_H
#define RS_TEST_FUZZ_FUZZ_H

#include "base/abi.h"
#include "base/types.h"

#define PAGE 4096u

/* Of arena_pointer(): where an area begins. */
#define ARENA_START (1ull << 55)

/* Reading beyond the end gives zeroes. */
struct input {
	const u8 *at, *end;
};

static inline bool input_is_used_up(const struct input *in)
{
	return in->at == in->end;
}

static inline void input_bytes(struct input *in, void *to, size_t size)
{
	size_t left = (size_t)(in->end - in->at), count = min_of(left, size);

	__builtin_memset(to, 0, size);
	__builtin_memcpy(to, in->at, count);
	in->at += count;
}

#define input_take(in, type)                                                                       \
	({                                                                                         \
		type value_;                                                                       \
		input_bytes(in, &value_, sizeof(value_));                                          \
		value_;                                                                            \
	})

/* arena.c: memory that an input may name. Each area ends in nothing mapped. */
enum area {
	AREA_DATA,     /* what requests read and write; no pointer is ever taken from here and
			* written through */
	AREA_VECTORS,  /* iovecs; read-only to everybody but the steps */
	AREA_MESSAGES, /* message headers, 64 bytes apart */
	AREA_FDS,      /* descriptors to register; read-only */
	AREA_BUFFERS,  /* rings of provided buffers */
	AREA_SQES,     /* memory of a ring that brings its own: SQEs, ... */
	AREA_RINGS,    /* ... and the rest of it */
	AREA_ARGUMENT, /* a registration's argument */
	AREAS,
};

/* Offsets in AREA_DATA at which every input finds something useful. */
enum {
	DATA_SLOT = 64,
	DATA_SLOTS = 16,
};

void arena_init(void);

/* As it is at the beginning of each input. */
void arena_reset(void);

u32 arena_size(enum area area);

/* Where a step writes: of a read-only area this is another mapping. */
void *arena_writable(enum area area, u32 offset);

/*
 * The pointer that the input's word `raw` stands for: usually one into the area, a multiple of
 * `align` from its start, perhaps just past its end; NULL for 0; and what cannot be mapped.
 */
u64 arena_pointer(u64 raw, enum area area, u32 align);

/* A step: fills a part of one of the areas. */
void arena_step(struct input *in);

/* The words of `words` that are bits of `mask` become pointers into `area`. */
void arena_words(u64 *words, u32 mask, enum area area, u32 align);

/* files.c: descriptors that an input may name, and a child. */

/* Limits, signals, a scratch directory; once. */
void files_init(void);

/* Opens them anew, and closes what the last input left. */
void files_reset(void);

/* The descriptor that `raw` stands for. */
s32 files_pick(s32 raw);

/* The process id of a child that never ends. */
s32 files_child(void);

/* `fd` can be picked from now on, as one of the rings 0 and 1. */
void files_add_ring(u32 which, int fd);

/* A step: data for who waits for some, or a descriptor that is closed. */
void files_step(struct input *in);

/* sqe.c: an SQE of the input's, made harmless. */
void sqe_take(struct input *in, struct io_uring_sqe *sqe, bool is_raw);

/* A number: half of all are 0, the others small or of one bit. */
u32 small_or_bit(struct input *in);

/* world.c: a ring, and what is done to it. */

/* Once; ends the process where it is not confined. */
void world_init(void);

/* Sets the ring up. Whether there is one. `params` may be of any content but for its pointers. */
bool world_begin(u32 entries, struct io_uring_params *params);

/* Parameters by the input: the flags that are known, or everything. */
void world_params(struct input *in, struct io_uring_params *params, bool is_raw);

void world_sqe(struct input *in);
void world_enter(struct input *in);
void world_register(struct input *in);

/* Any of the other steps: memory, files, the shared header. */
void world_other(struct input *in);

/* Consumes what has completed. */
void world_reap(void);

/* Ends the rings; everything is over then. */
void world_end(void);

#endif
