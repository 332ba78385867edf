/*
 * find.c - finds the files that belong to this ringside command
 *
 * The command, the library and the bench programs must be of one build, so
 * the search starts from where the running command itself is: the
 * installation it is part of (also one that was moved as a whole), the build
 * tree around it, and only then the configured prefix.
 *
 * Entry:  cli_find()
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* Relative to the folder of the command; a build tree has it in cli/ or at its top. */
static const char *const build_folders[] = {".", "src", "bench", "..", "../src", "../bench"};

static const char *const from_command[] = {
	[CLI_LIBDIR] = RINGSIDE_BIN_TO_LIB,
	[CLI_LIBEXECDIR] = RINGSIDE_BIN_TO_LIBEXEC,
};

static const char *const configured[] = {
	[CLI_LIBDIR] = RINGSIDE_LIBDIR,
	[CLI_LIBEXECDIR] = RINGSIDE_LIBEXECDIR,
};

static int command_folder(char *folder, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", folder, size - 1);
	char *slash;

	if (len < 0)
		return -errno;
	folder[len] = '\0';
	slash = strrchr(folder, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	return 0;
}

/* Leaves the resolved path of base/folder/name in path if such a file is there. */
static int look_in(const char *base, const char *folder, const char *name, char *path, size_t size)
{
	char joined[PATH_MAX], resolved[PATH_MAX];
	const char *prefix = folder[0] == '/' ? "" : base;
	const char *slash = folder[0] == '/' ? "" : "/";
	int len = snprintf(joined, sizeof(joined), "%s%s%s/%s", prefix, slash, folder, name);

	if (len < 0 || (size_t)len >= sizeof(joined) || !realpath(joined, resolved))
		return -ENOENT;
	if (strlen(resolved) >= size || access(resolved, R_OK))
		return -ENOENT;
	strcpy(path, resolved);
	return 0;
}

int cli_find(enum cli_place place, const char *name, char *path, size_t size)
{
	char base[PATH_MAX];
	int err = command_folder(base, sizeof(base));

	if (err)
		return err;
	if (!look_in(base, from_command[place], name, path, size))
		return 0;
	for (size_t i = 0; i < sizeof(build_folders) / sizeof(build_folders[0]); i++)
		if (!look_in(base, build_folders[i], name, path, size))
			return 0;
	return look_in(base, configured[place], name, path, size);
}
