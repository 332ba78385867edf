/*
 * cli.h - what the subcommands of the ringside command share
 *
 * main.c owns the table of subcommands and calls one of them with its own
 * name as argv[0]. A subcommand returns the exit status of the process:
 * CLI_USAGE for a wrong option or argument, after one clear line on stderr.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stddef.h>

enum cli_status {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
};

int cmd_run(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_bench(int argc, char **argv);

/* Where a file of ours is installed; in a build tree both are searched alike. */
enum cli_place {
	CLI_LIBDIR,
	CLI_LIBEXECDIR,
};

/*
 * Finds a file that was built or installed together with this command:
 * beside the command, in the build tree around it, or where it is installed.
 * 0 and an absolute path, or -ENOENT.
 */
int cli_find(enum cli_place place, const char *name, char *path, size_t size);

/*
 * One line on stderr, "ringside: <text>"; returns CLI_FAILED or CLI_USAGE for
 * the subcommand to return.
 */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
