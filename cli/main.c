/*
 * main.c - the ringside command: picks the subcommand
 *
 * Entry:     main()
 * Not here:  what a subcommand does (run.c, doctor.c, bench.c), finding our
 *            own files (find.c)
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static int cmd_version(int argc, char **argv);
static int cmd_help(int argc, char **argv);

struct subcommand {
	const char *name;
	const char *alias; /* the spelling as an option, or NULL */
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *what;
};

static const struct subcommand subcommands[] = {
#ifdef CLI_HAS_RUN
	{"run", NULL, cmd_run, "[options] -- PROGRAM [ARG...]", "run a program under ringside"},
#endif
#ifdef CLI_HAS_DOCTOR
	{"doctor", NULL, cmd_doctor, "[PROGRAM]", "say what works here, and why not"},
#endif
	{"bench", NULL, cmd_bench, "[options] [CASE...]", "compare with the kernel's io_uring"},
	{"version", "--version", cmd_version, "", "print the version"},
	{"help", "--help", cmd_help, "", "print this list"},
};

#define SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

static void say(const char *format, va_list args)
{
	fflush(stdout);
	fputs("ringside: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int cli_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CLI_FAILED;
}

int cli_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CLI_USAGE;
}

static int cmd_version(int argc, char **argv)
{
	if (argc > 1)
		return cli_usage("%s takes no argument: '%s'", argv[0], argv[1]);
	printf("ringside %s\n", RINGSIDE_VERSION);
	return CLI_OK;
}

static int cmd_help(int argc, char **argv)
{
	if (argc > 1)
		return cli_usage("%s takes no argument: '%s'", argv[0], argv[1]);
	puts("ringside: the kernel's half of io_uring, in user space\n");
	for (size_t i = 0; i < SUBCOMMANDS; i++) {
		const struct subcommand *sub = &subcommands[i];

		printf("  ringside %-8s %-30s %s\n", sub->name, sub->arguments, sub->what);
	}
	puts("\n'ringside SUBCOMMAND --help' lists the options of run, doctor and bench.");
	return CLI_OK;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return cli_usage("no subcommand given; 'ringside help' lists them");
	for (size_t i = 0; i < SUBCOMMANDS; i++) {
		const struct subcommand *sub = &subcommands[i];

		if (!strcmp(argv[1], sub->name) || (sub->alias && !strcmp(argv[1], sub->alias)))
			return sub->run(argc - 1, argv + 1);
	}
	return cli_usage("unknown subcommand '%s'; 'ringside help' lists them", argv[1]);
}
