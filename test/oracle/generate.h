/*
 * generate.h - drawing programs whose outcome does not depend on speed
 *
 * The kernel's io_uring runs requests concurrently, so most random programs have
 * many right outcomes. Those drawn here have one. Two rules give that:
 *
 *  - within a batch, an object belongs to one chain (or to readers only), so
 *    requests that may run at the same time share nothing;
 *  - what can wait (a read of an empty pipe, a poll, a long timeout) is followed in a model,
 *    so that we know in which batch its CQE is due, and never end a batch
 *    while something that can complete has not.
 *
 * Entry:       generate_program()
 * Files:       generate.c draws rings, batches and chains; generate_file.c and generate_net.c draw
 *              what completes by itself; generate_other.c the same for operations of no
 *              family; generate_wait.c what may wait, and the model; generate_run.c
 *              what needs no order; generate_probe.c arguments of the three calls
 * Invariants:  G1 a chain that changes the model has only requests whose success is known
 *              G2 requests that may fail stand in chains that change nothing the
 *                 model knows
 */
#ifndef ORACLE_GENERATE_H
#define ORACLE_GENERATE_H

#include "program.h"

#define FILES             6 /* objects and names below are regular files, and the same ones */
#define CHANNELS          10
#define WAITING_MAX       24
#define TAIL_MAX          3
#define CLAIMS            56
#define CLAIM_ROOT        30 /* entries of the scratch directory */
#define CLAIM_FIXED       31 /* and the next three: the memory of fixed buffers */
#define CLAIM_EPOLL       35
#define CLAIM_MAP         36
#define CLAIM_UNCONNECTED 37
#define CLAIM_SLOT        40 /* and the next eleven: fixed file slots */
#define CLAIM_SPLICE      52 /* the pipes of splices */
#define CLAIM_OTHER       53

enum channel_kind {
	CHANNEL_PIPE,
	CHANNEL_STREAM,
	CHANNEL_DGRAM,
	CHANNEL_EVENT,
	CHANNEL_SEM,
};

/* One direction of a pipe or socket, as the model sees it. */
struct channel {
	uint8_t kind;
	uint8_t reader;
	uint8_t writer;
	bool tcp;
	bool ended;       /* the writing side is shut down or closed */
	bool reader_gone; /* the reading side is closed */
	int bytes;        /* of an eventfd: its counter */
	int messages[16]; /* lengths, of a datagram socket */
	int nmessages;
	int touched; /* the last batch that did something here */
};

enum waiting_kind {
	WAITING_READ,
	WAITING_POLL,
	WAITING_POLL_MULTI,
	WAITING_TIMEOUT,
	WAITING_ACCEPT,
	WAITING_ACCEPT_MULTI,
};

/* A request that is armed at the end of a batch. Gone when its last CQE is due. */
struct waiting {
	bool live;
	uint8_t kind;
	uint8_t object; /* OBJ_COUNT: a timeout has none */
	int8_t channel; /* -1: none */
	bool async;     /* armed by a worker: cannot be cancelled predictably */
	int born;       /* in which batch */
	int op;
	int len;
	int ntail;
	int tail[TAIL_MAX];
};

/* Owner: generate_program(). */
struct generator {
	uint64_t random[2];
	struct program *program;
	int batch;
	int chain;
	int room;           /* SQEs left in this batch */
	bool cancels;       /* this program cancels, so nothing waits in a worker */
	bool skip_used;     /* CQE_SKIP_SUCCESS was used, so the kernel refuses DRAIN */
	bool sqpoll;        /* a thread submits: no drains, no counting */
	bool drain_open;    /* the kernel may still hold what comes next, as if behind the drain */
	bool calm;          /* only what completes by itself may follow in this batch */
	int claims[CLAIMS]; /* 0: free, -1: readers, else chain + 1 */
	struct channel channels[CHANNELS];
	struct waiting waiting[WAITING_MAX];
	int backlog[2];
	int listener_touched[2];
	bool connected[4];
	uint8_t slots[PROGRAM_SLOTS]; /* fixed files, as they are now */
	bool was_in_slot[256];        /* objects that fixed files may hold open */
	bool was_spliced[FILES];      /* pipes may have pages of these */
	bool renames;                 /* names may have changed */
	uint8_t buffer_slots[PROGRAM_BUFFERS];
};

void generate_program(struct program *program, uint64_t seed);

/* generate.c: what the other files draw with */
uint64_t draw(struct generator *g);
uint32_t draw_below(struct generator *g, uint32_t bound);
bool draw_percent(struct generator *g, uint32_t percent);
struct op *op_add(struct generator *g, uint8_t opcode);
int op_index(const struct generator *g, const struct op *op);
void op_due(struct generator *g, int op);
/* Link everything from op `first` to the newest into a chain. */
void chain_link(struct generator *g, int first, uint8_t flag);
bool claim_try(struct generator *g, int index, bool exclusive);
void op_set_fd(struct op *op, uint8_t object);
/* The same, but sometimes through a fixed file slot that holds the object. */
void op_set_file(struct generator *g, struct op *op, uint8_t object);

/* generate_file.c: one op that completes in its batch, whatever its result */
void file_op_draw(struct generator *g);

/* generate_net.c: one op that fails, or none if its chain may not have what it needs */
void net_op_draw(struct generator *g);

/* generate_other.c: one op that completes in its batch; a chain that does, or none */
void other_op_draw(struct generator *g);
bool other_chain_draw(struct generator *g);

/* generate_socket.c: one op that completes in its batch; a chain that does, or none */
void socket_op_draw(struct generator *g);
bool socket_chain_draw(struct generator *g);

/* generate_wait.c */
void model_init(struct generator *g);
int waiting_count(const struct generator *g);
bool wait_chain_draw(struct generator *g);
bool drain_scene_draw(struct generator *g);
/* A channel that nothing was drawn for in this batch, or -1. */
int draw_channel(struct generator *g);

/* Of what draw_channel() says; NULL: of none. */
static inline struct channel *channel_of(struct generator *g, int channel)
{
	return channel < 0 ? NULL : &g->channels[channel];
}
bool channel_has_room(const struct channel *c);
/* What waits on a channel, of a kind (-1: of any), or NULL. */
struct waiting *waiting_on(struct generator *g, int channel, int kind);
void channel_put(struct channel *c, int len);
int channel_take(struct channel *c, int len);

/* generate_run.c: side by side, not linked; or none */
bool run_draw(struct generator *g);

/* generate_register.c */
void newer_register_draw(struct generator *g, struct probe *probe);

/* generate_probe.c */
void probe_draw(struct generator *g, struct probe *probe);

#endif
