/*
 * program.c - finds a program as execvp() would
 *
 * Entry:  program_find()
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/program.h"

/* 0 if path is a file that may be executed. */
static int check(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	return S_ISREG(st.st_mode) && !access(path, X_OK) ? 0 : -EACCES;
}

int program_find(const char *name, char *path, size_t size)
{
	const char *folder = getenv("PATH");
	int result = -ENOENT;

	if (strchr(name, '/')) {
		if (snprintf(path, size, "%s", name) >= (int)size)
			return -ENAMETOOLONG;
		return check(path);
	}
	if (*name == '\0')
		return -ENOENT;
	/* What execvp() searches without PATH. */
	if (folder == NULL)
		folder = "/bin:/usr/bin";
	for (;;) {
		int len = (int)strcspn(folder, ":");
		/* An empty part is the current folder. */
		int written = snprintf(path, size, "%.*s%s%s", len, folder, len ? "/" : "", name);
		int err = written < (int)size ? check(path) : -ENAMETOOLONG;

		if (!err)
			return 0;
		if (err == -EACCES)
			result = err;
		if (folder[len] == '\0')
			return result;
		folder += len + 1;
	}
}
