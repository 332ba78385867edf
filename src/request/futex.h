/*
 * futex.h - requests that wait on words of the program's memory. All calls: driver.
 */
#ifndef RS_REQUEST_FUTEX_H
#define RS_REQUEST_FUTEX_H

#include "request/request.h"

/* Most words that one request waits on. */
#define FUTEX_WORDS 128

/* One element of a wait on several words, as futex_waitv(2) takes it. */
struct futex_word {
	u64 value;
	u64 addr;
	u32 flags;
	u32 reserved;
};
_Static_assert(sizeof(struct futex_word) == 24, "struct futex_waitv");

/* Lives in the data of a request, from its prep() until it is freed. */
struct futex_wait {
	u64 addr; /* (c) one word */
	u32 value;
	u32 mask;
	bool is_private;
	struct futex_word *words; /* (c) or several, with room for one more behind them; or NULL */
	u32 count;
	struct futex_word near[2];   /* one word that only futex_waitv() can wait for */
	struct futex_waiter *waiter; /* (q: the waiters' lock) the thread that waits for it */
};

/*
 * The request waits (WAIT_FUTEX) until somebody wakes the word, or one of the words: result 0, or
 * the index. 0: it waits, or has ended already (-EAGAIN: another value was there, -EFAULT).
 * -ENOMEM, and it does not wait: no thread can be had.
 */
int futex_wait_arm(struct request *req);

/* 0: a WAIT_FUTEX request will complete with -ECANCELED. -EALREADY: it was woken, or cancelled. */
int futex_wait_cancel(struct request *req);

void futex_fork_child(void);

#endif
