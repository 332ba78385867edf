/*
 * run.c - ringside run: starts a program with ringside behind its rings
 *
 * The library is named in LD_PRELOAD and the options in RINGSIDE; both are
 * inherited, so what the program starts is covered too. Without --stats this
 * process becomes the program, and nothing of the command is left. With it, it
 * waits (supervise.c), for it is the one who writes the figures down even if
 * the program is killed.
 *
 * Entry:     cmd_run()
 * Not here:  waiting and signals (supervise.c), whether a program can be covered (entry/cover.c)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/program.h"
#include "cli/supervise.h"
#include "entry/cover.h"
#include "entry/options.h"
#include "observe/stats.h"

/* Exit statuses of env(1) and nice(1), for what is not the program's own. */
enum {
	RUN_FAILED = 125,
	RUN_NOT_EXECUTABLE = 126,
	RUN_NOT_FOUND = 127,
};

#define LIBRARY "libringside.so"

/* Where the region's descriptor goes in the program: above what programs count through. */
#define STATS_FD_LOWEST 900

static const char help[] =
	"usage: ringside run [options] -- PROGRAM [ARG...]\n"
	"\n"
	"Runs PROGRAM with io_uring answered by ringside inside its process.\n"
	"\n"
	"  --engine=user     ringside answers every ring (default)\n"
	"  --engine=auto     the kernel's io_uring where it is allowed, ringside where not\n"
	"  --cache SIZE      a page cache of SIZE (512M, 2G) for files that are only read; each\n"
	"                    process of PROGRAM has its own\n"
	"  --own GLOB        files whose path matches GLOB are PROGRAM's alone: cached though\n"
	"                    they are written; may be given more than once\n"
	"  --trap=auto       catch calls from inline assembly if the kernel lets us (default)\n"
	"  --trap=on|off     ... with a warning if not; never\n"
	"  --stats FILE      write counters and latencies as JSON when the program ends\n"
	"  --verbose         say on stderr what ringside decides\n"
	"  --help, --version\n"
	"\n"
	"RINGSIDE=option,... in the environment is read first: engine=, trap=, stats=, verbose;\n"
	"and RINGSIDE_CACHE=SIZE, RINGSIDE_OWN=GLOB:GLOB.\n"
	"RINGSIDE_LIB names another library than the one installed with this command.\n"
	"\n"
	"The exit status is PROGRAM's, and a signal that ends PROGRAM ends this command.\n"
	"2: wrong option; 125: ringside failed; 126: PROGRAM cannot be executed; 127: not found.\n";

struct run {
	struct options options;
	const char *stats_path;    /* NULL: none */
	const char *cache;         /* NULL: none */
	char own[OPTIONS_OWN_MAX]; /* globs, separated by colons; "": none */
	bool is_done;              /* --help, --version: nothing to run */
};

static int set_option(struct options *o, const char *name, const char *value)
{
	char text[256], error[OPTIONS_ERROR_SIZE];
	int len = snprintf(text, sizeof(text), "%s=%s", name, value);

	/* A comma would begin another option. */
	if (len < 0 || (size_t)len >= sizeof(text) || strchr(value, ','))
		return cli_usage("run: bad value for --%s: '%s'", name, value);
	if (options_parse(o, text, error))
		return cli_usage("run: %s", error);
	return CLI_OK;
}

static int add_own(struct run *run, const char *glob)
{
	size_t used = strlen(run->own);

	if (glob[0] == '\0' || strchr(glob, ':'))
		return cli_usage("run: --own wants a pattern without ':', not '%s'", glob);
	if (used + 1 + strlen(glob) >= sizeof(run->own))
		return cli_usage("run: the patterns of --own are too long");
	snprintf(run->own + used, sizeof(run->own) - used, "%s%s", used ? ":" : "", glob);
	return CLI_OK;
}

static int parse_arguments(int argc, char **argv, struct run *run)
{
	static const struct option names[] = {
		{"engine", required_argument, NULL, 'e'},
		{"cache", required_argument, NULL, 'c'},
		{"own", required_argument, NULL, 'o'},
		{"trap", required_argument, NULL, 't'},
		{"stats", required_argument, NULL, 's'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int option, err = CLI_OK;

	opterr = 0;
	/*
	 * "+": what follows the program's name is the program's; ":": tell a missing value apart.
	 */
	while (!err && !run->is_done &&
	       (option = getopt_long(argc, argv, "+:", names, NULL)) != -1) {
		switch (option) {
		case 'e':
			err = set_option(&run->options, "engine", optarg);
			break;
		case 't':
			err = set_option(&run->options, "trap", optarg);
			break;
		case 'c':
			run->cache = optarg;
			if (*optarg == '\0')
				err = cli_usage("run: --cache wants a size such as 512M or 2G");
			break;
		case 'o':
			err = add_own(run, optarg);
			break;
		case 's':
			run->stats_path = optarg;
			break;
		case 'v':
			run->options.verbose = true;
			break;
		case 'h':
			fputs(help, stdout);
			run->is_done = true;
			break;
		case 'V':
			puts("ringside " RINGSIDE_VERSION);
			run->is_done = true;
			break;
		case ':':
			return cli_usage("run: option '%s' wants a value", argv[optind - 1]);
		default:
			return cli_usage(
				"run: unknown option '%s'; 'ringside run --help' lists them",
				argv[optind - 1]);
		}
	}
	if (!err && !run->is_done && optind >= argc)
		return cli_usage("run: no program given");
	return err;
}

/* Those of the command line, or else of the environment. */
static int check_cache(const struct run *run)
{
	const char *size = run->cache ? run->cache : getenv(OPTIONS_CACHE);
	const char *own = run->own[0] ? run->own : getenv(OPTIONS_OWN);
	struct options tried = OPTIONS_INIT;
	char error[OPTIONS_ERROR_SIZE];

	if (options_parse_cache(&tried, size, own, error))
		return cli_usage("run: %s", error);
	if ((run->cache && setenv(OPTIONS_CACHE, run->cache, 1)) ||
	    (run->own[0] && setenv(OPTIONS_OWN, run->own, 1)))
		return RUN_FAILED;
	return CLI_OK;
}

static int read_environment(struct run *run)
{
	char error[OPTIONS_ERROR_SIZE];

	if (options_parse(&run->options, getenv(OPTIONS_VARIABLE), error))
		return cli_usage("run: %s: %s", OPTIONS_VARIABLE, error);
	/* A region of a ringside around this one is not passed on: its parent would count twice. */
	run->options.stats_fd = -1;
	return CLI_OK;
}

/* Said before the program runs, not after its hours of work. */
static int check_stats_path(const char *path)
{
	char folder[PATH_MAX];
	const char *wanted = path;
	struct stat st;

	if (path[0] == '\0' || strlen(path) >= sizeof(folder))
		return cli_usage("run: --stats wants a file name");
	if (stat(path, &st)) {
		strcpy(folder, path);
		wanted = dirname(folder);
	} else if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return cli_usage("run: --stats %s: %m", path);
	}
	if (access(wanted, W_OK))
		return cli_usage("run: --stats %s: %m", path);
	return CLI_OK;
}

/* LD_PRELOAD with our library before what is there already. */
static int set_preload(void)
{
	const char *lib = getenv("RINGSIDE_LIB"), *old = getenv("LD_PRELOAD");
	char found[PATH_MAX], *value;
	int err;

	if (lib == NULL || *lib == '\0') {
		err = cli_find(CLI_LIBDIR, LIBRARY, found, sizeof(found));
		if (err) {
			cli_fail("run: " LIBRARY " is neither beside this command nor installed "
				 "(RINGSIDE_LIB names another place)");
			return RUN_FAILED;
		}
		lib = found;
	} else if (!realpath(lib, found) || access(found, R_OK)) {
		cli_fail("run: RINGSIDE_LIB=%s: %m", lib);
		return RUN_FAILED;
	} else {
		lib = found;
	}
	if (strpbrk(lib, ": \t")) {
		cli_fail("run: %s: the loader takes no path with a space or a colon in it", lib);
		return RUN_FAILED;
	}
	if (asprintf(&value, "%s%s%s", lib, old && *old ? ":" : "", old ? old : "") < 0)
		return RUN_FAILED;
	err = setenv("LD_PRELOAD", value, 1);
	free(value);
	return err ? RUN_FAILED : CLI_OK;
}

static int set_options_variable(const struct options *o)
{
	static const char *const engines[] = {[ENGINE_USER] = "user", [ENGINE_AUTO] = "auto"};
	static const char *const traps[] = {
		[TRAP_AUTO] = "auto", [TRAP_ON] = "on", [TRAP_OFF] = "off"};
	char value[128], stats[32] = "";

	if (o->stats_fd >= 0)
		snprintf(stats, sizeof(stats), ",stats_fd=%d", o->stats_fd);
	snprintf(value, sizeof(value), "engine=%s,trap=%s%s%s", engines[o->engine], traps[o->trap],
		 o->verbose ? ",verbose" : "", stats);
	return setenv(OPTIONS_VARIABLE, value, 1) ? RUN_FAILED : CLI_OK;
}

static void warn_if_uncovered(const char *path)
{
	const char *reason = NULL;

	if (!entry_can_cover(path, &reason))
		fprintf(stderr, "ringside: warning: %s runs without ringside: %s\n", path, reason);
}

static int report_exec_error(const char *name, int error)
{
	errno = error;
	cli_fail("run: %s: %m", name);
	return error == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE;
}

/* The region, under a number that the program is unlikely to use. */
static int create_region(struct options *o)
{
	int fd = stats_region_create(), high;

	if (fd < 0) {
		errno = -fd;
		cli_fail("run: no shared memory for --stats: %m");
		return RUN_FAILED;
	}
	high = fcntl(fd, F_DUPFD, STATS_FD_LOWEST);
	if (high >= 0) {
		close(fd);
		fd = high;
	}
	o->stats_fd = fd;
	return CLI_OK;
}

static int run_supervised(struct run *run, char **argv)
{
	struct supervised end;
	int err = supervise(argv, &end);

	if (err == -ECHILD)
		return report_exec_error(argv[0], end.exec_error);
	if (err) {
		errno = -err;
		cli_fail("run: cannot start a process: %m");
		return RUN_FAILED;
	}
	err = stats_write_json(run->stats_path);
	if (err) {
		errno = -err;
		cli_fail("run: --stats %s: %m", run->stats_path);
	}
	return supervise_end_alike(&end);
}

int cmd_run(int argc, char **argv)
{
	struct run run = {.options = OPTIONS_INIT};
	char path[PATH_MAX], stats_path[PATH_MAX];
	int err = read_environment(&run);

	if (!err)
		err = parse_arguments(argc, argv, &run);
	if (err || run.is_done)
		return err;
	argv += optind;
	err = check_cache(&run);
	if (err)
		return err;
	if (run.stats_path == NULL && run.options.stats_file[0]) {
		if (options_stats_path(&run.options, stats_path, sizeof(stats_path)))
			return cli_usage("run: option 'stats': the file name is too long");
		run.stats_path = stats_path;
	}
	if (run.stats_path) {
		err = check_stats_path(run.stats_path);
		if (!err)
			err = create_region(&run.options);
	}
	if (!err)
		err = set_preload();
	if (!err)
		err = set_options_variable(&run.options);
	if (err)
		return err;
	if (!program_find(argv[0], path, sizeof(path)))
		warn_if_uncovered(path);
	if (run.stats_path)
		return run_supervised(&run, argv);
	execvp(argv[0], argv);
	return report_exec_error(argv[0], errno);
}
