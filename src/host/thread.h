/*
 * thread.h - ringside's own threads
 *
 * They live in somebody else's process, so they take none of its signals, use
 * little memory, carry a name that says whose they are, and need no join.
 */
#ifndef RS_HOST_THREAD_H
#define RS_HOST_THREAD_H

#include "base/types.h"

/*
 * Runs `body(argument)` on a new detached thread. 0, or -EAGAIN or -ENOMEM, and
 * nothing was started. Any thread, any lock held.
 *
 * The thread starts with every signal blocked but two kinds: those a faulting
 * instruction raises, which would kill the process if they were blocked, and
 * those the C library sends to all threads (a setuid() of the program waits
 * until every thread has answered).
 */
int thread_start(void *(*body)(void *argument), void *argument);

/* Names the calling thread, as seen in /proc and by debuggers; at most 15 bytes. */
void thread_set_name(const char *name);

#endif
