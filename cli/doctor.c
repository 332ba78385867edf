/*
 * doctor.c - ringside doctor: what works here, and why what does not work does not
 *
 * For an operator in a container: is the kernel's io_uring refused, by whom,
 * and what will ringside do instead. With a program's name also by which way
 * its calls will reach ringside.
 *
 * Entry:     cmd_doctor()
 * Not here:  the trials (probe.c), the look into the program's file (entry/cover.c)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/json.h"
#include "cli/cli.h"
#include "cli/probe.h"
#include "cli/program.h"
#include "entry/cover.h"

#define LIBRARY "libringside.so"

struct diagnosis {
	struct probe_kernel kernel;
	const struct probe_part *parts;
	size_t part_count;
	char folder[PATH_MAX];  /* of the scratch file */
	char library[PATH_MAX]; /* "": not found */
	const char *program;    /* as given, or NULL */
	char program_path[PATH_MAX];
	struct cover cover;
	const char *refusal; /* why the program cannot be covered, or NULL */
};

static const char help[] =
	"usage: ringside doctor [--json] [PROGRAM]\n"
	"\n"
	"Says whether the kernel's io_uring can be used here and why not, what ringside\n"
	"uses instead, and, given a program, how its calls will reach ringside.\n"
	"\n"
	"Exit status: 0 if ringside can run programs (PROGRAM, if given) here, 1 if not,\n"
	"2 for a wrong argument.\n";

static bool part_works(const struct diagnosis *d, const char *key)
{
	for (size_t i = 0; i < d->part_count; i++)
		if (!strcmp(d->parts[i].key, key))
			return d->parts[i].error == 0;
	return false;
}

static bool ringside_works(const struct diagnosis *d)
{
	if (d->library[0] == '\0')
		return false;
	for (size_t i = 0; i < d->part_count; i++)
		if (d->parts[i].is_needed && d->parts[i].error)
			return false;
	return true;
}

/* Why nothing of the program's calls would be seen, though it can be preloaded; or NULL. */
static const char *program_is_deaf(const struct diagnosis *d)
{
	const struct cover *c = &d->cover;

	if (c->has_inline && !c->has_liburing && !c->has_syscall && !part_works(d, "trap"))
		return "all its calls are inline assembly, and the trap does not work here";
	return NULL;
}

static int examine_program(struct diagnosis *d)
{
	int err = program_find(d->program, d->program_path, sizeof(d->program_path));

	if (!err)
		err = cover_examine(d->program_path, true, &d->cover);
	if (err) {
		errno = -err;
		return cli_fail("doctor: %s: %m", d->program);
	}
	d->refusal = cover_refusal(&d->cover);
	if (d->refusal == NULL)
		d->refusal = program_is_deaf(d);
	return CLI_OK;
}

/* "a", "a and b", "a, b and c" */
static void print_list(const char *const *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", items[i]);
}

static size_t program_ways(const struct diagnosis *d, const char **ways)
{
	size_t count = 0;

	if (d->cover.has_liburing)
		ways[count++] = "liburing's functions";
	if (d->cover.has_syscall)
		ways[count++] = "libc's syscall()";
	if (d->cover.has_inline && part_works(d, "trap"))
		ways[count++] = "the trap (inline assembly)";
	return count;
}

static void print_program(const struct diagnosis *d)
{
	const char *ways[3];
	size_t count = program_ways(d, ways);

	printf("\n%s", d->program_path);
	if (strcmp(d->program_path, d->cover.path))
		printf(" (run by %s)", d->cover.path);
	if (d->refusal) {
		printf("\n  cannot be covered: %s\n", d->refusal);
		return;
	}
	fputs("\n  is covered: ", stdout);
	if (count) {
		fputs("calls come by ", stdout);
		print_list(ways, count);
		putchar('\n');
	} else {
		puts("no io_uring call in the file itself; its libraries' are caught");
	}
	if (d->cover.has_inline && !part_works(d, "trap"))
		puts("  but calls from inline assembly are not caught: no trap here");
}

static void print_text(const struct diagnosis *d)
{
	const struct probe_kernel *kernel = &d->kernel;

	printf("The kernel's io_uring (Linux %s) ", kernel->release);
	if (kernel->error)
		printf("cannot be used here:\n  %s.\n", kernel->reason);
	else
		puts("can be used here.");
	printf("\nringside %s programs here%s\n", ringside_works(d) ? "can run" : "CANNOT run",
	       ringside_works(d) && kernel->error == 0
		       ? " (with --engine=auto it leaves them to the kernel)."
		       : ".");
	if (d->library[0] == '\0')
		puts("  " LIBRARY " is neither beside this command nor installed");
	for (size_t i = 0; i < d->part_count; i++) {
		const struct probe_part *part = &d->parts[i];

		if (part->error)
			printf("  %-12s no   %s (%s)\n", part->name, part->without,
			       strerror(part->error));
		else
			printf("  %-12s yes  %s\n", part->name, part->use);
	}
	printf("  (files were tried in %s)\n", d->folder);
	if (d->program)
		print_program(d);
}

static void json_member(const char *separator, const char *key, const char *text)
{
	printf("%s\"%s\": ", separator, key);
	if (text && *text)
		json_string(stdout, text);
	else
		fputs("null", stdout);
}

static const char *json_bool(bool value)
{
	return value ? "true" : "false";
}

static void print_json(const struct diagnosis *d)
{
	printf("{\n  \"kernel\": {\"usable\": %s, \"errno\": %d", json_bool(!d->kernel.error),
	       d->kernel.error);
	json_member(", ", "release", d->kernel.release);
	json_member(", ", "reason", d->kernel.reason);
	printf("},\n  \"ringside\": {\"usable\": %s", json_bool(ringside_works(d)));
	json_member(", ", "library", d->library);
	json_member(", ", "folder", d->folder);
	for (size_t i = 0; i < d->part_count; i++) {
		const struct probe_part *part = &d->parts[i];

		printf(",\n    \"%s\": {\"works\": %s, \"errno\": %d}", part->key,
		       json_bool(!part->error), part->error);
	}
	fputs("\n  }", stdout);
	if (d->program) {
		json_member(",\n  \"program\": {", "path", d->program_path);
		json_member(", ", "examined", d->cover.path);
		printf(", \"covered\": %s", json_bool(!d->refusal));
		json_member(", ", "reason", d->refusal);
		printf(",\n    \"liburing\": %s, \"syscall\": %s, \"inline\": %s}",
		       json_bool(d->cover.has_liburing), json_bool(d->cover.has_syscall),
		       json_bool(d->cover.has_inline));
	}
	puts("\n}");
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option names[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	static struct diagnosis d;
	bool as_json = false;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "+", names, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return CLI_OK;
		}
		if (option != 'j')
			return cli_usage("doctor: unknown option '%s'", argv[optind - 1]);
		as_json = true;
	}
	if (argc - optind > 1)
		return cli_usage("doctor: one program at a time: '%s'", argv[optind + 1]);
	d.program = argv[optind];
	if (cli_find(CLI_LIBDIR, LIBRARY, d.library, sizeof(d.library)))
		d.library[0] = '\0';
	probe_kernel(&d.kernel);
	d.parts = probe_parts(&d.part_count, d.folder, sizeof(d.folder));
	if (d.program && examine_program(&d))
		return CLI_FAILED;
	if (as_json)
		print_json(&d);
	else
		print_text(&d);
	return ringside_works(&d) && !d.refusal ? CLI_OK : CLI_FAILED;
}
