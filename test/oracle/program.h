/*
 * program.h - a random SQE program, as plain data
 *
 * A program is what the generator draws from a seed, what the shrinker takes
 * apart, and what the executor runs. It holds no pointers and no descriptors:
 * an SQE is an image plus references, which the executor resolves into the
 * objects of its own world (world.h). So the same bytes mean the same thing in
 * every process, and a program can be sent through a file.
 *
 * Entry:       program_print(), program_drop_op()
 * Invariants:  P1 ops[] is ordered by batch, and within a batch by submission
 *              P2 ops of one link chain share `chain` and are neighbours
 *              P3 due[b] is how many CQEs this op posts in batch b if the model
 *                 is right; the executor waits for their sum, and compares all
 *                 that comes
 * Not here:    what may follow what (generate.c), how it is run (execute.c)
 */
#ifndef ORACLE_PROGRAM_H
#define ORACLE_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "abi.h"

#define PROGRAM_OPS       48
#define PROGRAM_BATCHES   7
#define PROGRAM_PROBES    4
#define PROGRAM_SLOTS     12 /* fixed files */
#define PROGRAM_BUFFERS   4  /* fixed buffers */
#define FIXED_BUFFER_SIZE 8192
#define ARENA_DATA        8192 /* bytes of private data behind each op */
#define OP_IOVECS         4

/* Descriptors a program can name; world.c makes those that are named. */
enum object {
	OBJ_FILE_RW,
	OBJ_FILE_RO,
	OBJ_FILE_WO,
	OBJ_FILE_APPEND,
	OBJ_FILE_DIRECT,
	OBJ_FILE_EMPTY,
	OBJ_DIR,
	OBJ_PATH,
	OBJ_PIPE_R,
	OBJ_PIPE_W,
	OBJ_NBPIPE_R,
	OBJ_NBPIPE_W,
	OBJ_UNIX_A,
	OBJ_UNIX_B,
	OBJ_DGRAM_A,
	OBJ_DGRAM_B,
	OBJ_TCP_A,
	OBJ_TCP_B,
	OBJ_EVENT,
	OBJ_EVENT_SEM,
	OBJ_EPOLL,
	OBJ_LISTEN_TCP,
	OBJ_LISTEN_UNIX,
	OBJ_CLIENT_TCP0,
	OBJ_CLIENT_TCP1,
	OBJ_CLIENT_UNIX0,
	OBJ_CLIENT_UNIX1,
	OBJ_UNCONNECTED, /* a Unix socket that stays so */
	OBJ_RING,
	OBJ_CLOSED, /* a number that is not open */
	/* two pipes that only splices know */
	OBJ_SPLICE_R,
	OBJ_SPLICE_W,
	OBJ_OTHER_R,
	OBJ_OTHER_W,
	OBJ_COUNT,
};

/* Names below the scratch directory; the first six belong to the files above. */
enum path {
	PATH_RW,
	PATH_RO,
	PATH_WO,
	PATH_APPEND,
	PATH_DIRECT,
	PATH_EMPTYFILE,
	PATH_A, /* does not exist at the start */
	PATH_B,
	PATH_SUBDIR,     /* an empty directory */
	PATH_FULLDIR,    /* a directory with a file in it */
	PATH_LINK,       /* a symbolic link to PATH_RW */
	PATH_BELOW_FILE, /* a name below a regular file */
	PATH_MISSING,    /* in a directory that does not exist */
	PATH_NULLNAME,   /* the empty string */
	PATH_LONG,       /* one component too long */
	PATH_COUNT,
};

#define NAMES 6 /* of extended attributes: two good ones first */

enum ref_kind {
	REF_RAW,         /* the value itself */
	REF_OBJ,         /* the descriptor of object a */
	REF_BUF,         /* this op's private buffer, at v */
	REF_FIXED,       /* fixed buffer a, at v */
	REF_GUARD,       /* a page that cannot be touched */
	REF_PATH,        /* the name a */
	REF_IOV,         /* this op's iovec array */
	REF_TS,          /* this op's timespec */
	REF_TS_ABS,      /* the same, added to the present of the op's clock */
	REF_HOW,         /* this op's open_how */
	REF_MSG,         /* this op's msghdr over its iovec array */
	REF_ADDR,        /* the address of listener a */
	REF_ADDRLEN,     /* the length of the address of listener a, as a value */
	REF_ADDR_OUT,    /* room for an address */
	REF_ADDRLEN_OUT, /* a pointer to the length of that room */
	REF_EVENT,       /* this op's epoll_event */
	REF_STATX,       /* room for a struct statx */
	REF_MAP,         /* a private anonymous mapping for madvise, at v */
	REF_NAME,        /* the name a of an extended attribute */
	REF_WAITV,       /* this op's iovec array as futexes: where, and which value */
	REF_USER_DATA,   /* this op's user_data, as a value */
};

enum capture {
	CAPTURE_NONE,
	CAPTURE_DATA,  /* the private buffer */
	CAPTURE_FIXED, /* the fixed buffer named by addr */
	CAPTURE_STATX,
	CAPTURE_ADDR,
	CAPTURE_MSG,
};

struct ref {
	uint8_t kind;
	uint8_t a;
	uint64_t v;
};

struct op {
	struct io_uring_sqe sqe; /* all but what the references below overwrite */
	struct ref fd;
	struct ref addr;
	struct ref off;
	struct ref third;     /* addr3, unless REF_RAW */
	struct ref second_fd; /* splice_fd_in, unless REF_RAW */
	uint8_t batch;
	uint8_t chain;
	uint8_t due[PROGRAM_BATCHES];
	uint8_t capture;
	bool result_is_fd;
	bool makes_pipe; /* two descriptors at addr, if no fixed files */
	bool fills;      /* the buffer is a source: give it a pattern */
	uint64_t value;  /* not 0: the first eight bytes of the buffer */
	struct {
		struct ref base;
		uint64_t len;
	} iov[OP_IOVECS];
	uint8_t niov;
	int64_t ts_sec;
	int64_t ts_nsec;
	uint64_t how_flags;
	uint64_t how_mode;
	uint64_t how_resolve;
	uint32_t epoll_events;
};

enum action_kind {
	ACTION_NONE,
	ACTION_WRITE,          /* the host writes v bytes to object a */
	ACTION_FILES_UPDATE,   /* slot a becomes object b (OBJ_COUNT: empty) */
	ACTION_BUFFERS_UPDATE, /* buffer slot a becomes the memory of b (255: empty) */
	ACTION_SETUP,          /* below: probes on a ring of their own */
	ACTION_REGISTER,
	ACTION_ENTER,
};

struct action {
	uint8_t kind;
	uint8_t a;
	uint8_t b;
	uint64_t v;
};

struct batch {
	struct action before;
	bool wait_in_submit; /* one enter submits and waits */
	bool inline_only;    /* nothing here leaves the caller: overflow can be compared */
	bool leave;          /* take no CQE out: the next batch finds them there */
};

/* A call with arguments that are of interest in themselves. */
struct probe {
	uint8_t kind; /* ACTION_SETUP, ACTION_REGISTER, ACTION_ENTER */
	uint8_t variant;
	uint32_t opcode; /* of register; to_submit of enter; entries of setup */
	uint32_t flags;
	uint32_t extra;      /* cq_entries; nr_args; min_complete */
	uint8_t fresh;       /* use a new ring, not the one of the probe before */
	uint32_t ring_flags; /* of that new ring */
};

struct program {
	uint64_t seed;
	uint32_t entries;
	uint32_t setup_flags;
	uint32_t cq_entries;
	bool on_disk;      /* scratch files on a disk filesystem, not in memory */
	bool map_cq_apart; /* map the CQ at its own offset, as old programs do */
	bool eventfd;      /* registered, and looked at in the end */
	bool enable_later; /* R_DISABLED, then REGISTER_ENABLE_RINGS */
	bool files;
	bool buffers;
	uint8_t slots[PROGRAM_SLOTS];          /* object, or OBJ_COUNT for sparse */
	uint8_t buffer_slots[PROGRAM_BUFFERS]; /* memory index, or 255 for sparse */
	uint8_t nprobes;
	uint8_t nbatches;
	uint8_t nops;
	struct probe probes[PROGRAM_PROBES];
	struct batch batches[PROGRAM_BATCHES];
	struct op ops[PROGRAM_OPS];
};

/* Print the program as the C that would fill its SQEs. */
void program_print(FILE *out, const struct program *program);

/* Take op `index` out; a chain that it ended stays a chain of what is left. */
void program_drop_op(struct program *program, int index);

const char *opcode_name(unsigned int opcode);
const char *object_name(unsigned int object);

/* user_data of op `index`: both halves used, so that a lost half is seen. */
static inline uint64_t op_user_data(int index)
{
	return 0xc0de000000000000ULL | ((uint64_t)(index + 1) << 33) | (uint64_t)(index + 1);
}

/* The op a CQE belongs to, or -1. */
static inline int op_of_user_data(uint64_t user_data)
{
	int index = (int)(user_data & 0xffff) - 1;

	if (index < 0 || index >= PROGRAM_OPS || user_data != op_user_data(index))
		return -1;
	return index;
}

#endif
