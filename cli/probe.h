/*
 * probe.h - finds out by trying what ringside can use on this machine
 */
#ifndef CLI_PROBE_H
#define CLI_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#define PROBE_TEXT 256

/* The kernel's own io_uring. */
struct probe_kernel {
	int error;               /* 0 if a ring can be made, else errno */
	char release[80];        /* of the kernel, as uname tells */
	char reason[PROBE_TEXT]; /* why it is refused, in words; "" if it is not */
};

void probe_kernel(struct probe_kernel *kernel);

/* What ringside builds on. */
struct probe_part {
	const char *key; /* in JSON */
	const char *name;
	const char *use;     /* what it is good for */
	const char *without; /* how ringside does without it */
	bool is_needed;      /* ringside cannot run programs without it */
	int error;           /* 0 if it works, else errno */
};

/*
 * Tries all parts, in the order they are to be shown; `folder` is where the scratch file was made.
 */
const struct probe_part *probe_parts(size_t *count, char *folder, size_t size);

#endif
