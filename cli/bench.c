/*
 * bench.c - `ringside bench`: the kernel's io_uring and ringside, compared
 *
 * Reads the options, finds the programs and the library, makes the scratch
 * file, measures one case after the other and writes the results. A figure
 * that is not reached is shown and changes nothing else: the exit status is 1
 * only if something could not be measured.
 *
 * Entry:       cmd_bench()
 * Invariants:  the scratch folder is gone when we are, whatever the reason
 *              (but for SIGKILL); the JSON file is the old one or the whole new one
 * Not here:    measuring (bench/measure.c), the cases (bench/cases.def),
 *              the form of the results (bench/report.c)
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bench/measure.h"
#include "bench/report.h"
#include "bench/side.h"
#include "cli/cli.h"

/* Sizes are powers of two (the workload's random walk needs it) and not below the cases' spans. */
struct mode {
	unsigned int rounds;
	unsigned int slice_ms;
	int64_t limit_ms; /* for all cases together; rounds are left out to stay within */
	uint64_t file_bytes;
};

static const struct mode full_mode = {41, 150, 270000, UINT64_C(1) << 30};
static const struct mode quick_mode = {25, 60, 45000, UINT64_C(256) << 20};

struct options {
	struct mode mode;
	bool quick;
	bool null;
	const char *json;
	const char *folder;
	const struct bench_case *cases[64];
	unsigned int case_count;
};

/* Everything that is made on disk or looked up, from prepare() to clean_up(). */
struct bench {
	struct options options;
	struct plan plan;
	char program[PATH_MAX], program_by_trap[PATH_MAX], library[PATH_MAX];
	char folder[PATH_MAX / 2]; /* empty: not made yet */
	char file[PATH_MAX], stats[PATH_MAX];
	char json_target[PATH_MAX]; /* options.json, symbolic links followed */
	char json[PATH_MAX + 8];    /* what becomes json_target; empty: nothing is to be renamed */
	FILE *json_file;
	bool json_in_place; /* a terminal, a pipe: nothing to rename */
};

static void print_cases(FILE *out)
{
	for (unsigned int i = 0; i < bench_case_count; i++)
		if (bench_cases[i].measure != MEASURE_RIVAL)
			fprintf(out, "  %-10s %s\n", bench_cases[i].name, bench_cases[i].what);
}

static int print_help(void)
{
	puts("usage: ringside bench [options] [CASE...]\n"
	     "\n"
	     "Runs one liburing program natively and under ringside, in turns, and prints times\n"
	     "and ratios (kernel / ringside: above 1 ringside is faster). All cases by default.\n"
	     "\n"
	     "  --quick      within a minute, less exact\n"
	     "  --rounds N   so many rounds for each case, whatever time it takes\n"
	     "  --json FILE  write the results to FILE as JSON as well\n"
	     "  --dir DIR    where the scratch file goes (default: $TMPDIR or /tmp)\n"
	     "  --null       native on both sides: shows how exact this machine is\n"
	     "\n"
	     "cases:");
	print_cases(stdout);
	return CLI_OK;
}

static const struct bench_case *find_case(const char *name)
{
	for (unsigned int i = 0; i < bench_case_count; i++)
		if (bench_cases[i].measure != MEASURE_RIVAL && !strcmp(bench_cases[i].name, name))
			return &bench_cases[i];
	return NULL;
}

static int add_case(struct options *options, const char *name)
{
	const struct bench_case *row = find_case(name);

	if (!row) {
		int status = cli_usage("bench: no case '%s'; the cases are:", name);

		print_cases(stderr);
		return status;
	}
	for (unsigned int i = 0; i < options->case_count; i++)
		if (options->cases[i] == row)
			return CLI_OK;
	if (options->case_count < sizeof(options->cases) / sizeof(options->cases[0]))
		options->cases[options->case_count++] = row;
	return CLI_OK;
}

static int set_rounds(struct options *options, const char *text)
{
	char *end;
	long rounds;

	errno = 0;
	rounds = strtol(text, &end, 10);
	if (errno || end == text || *end || rounds < 1 || rounds > ROUNDS_MAX)
		return cli_usage("bench: --rounds takes a number from 1 to %d: '%s'", ROUNDS_MAX,
				 text);
	options->mode.rounds = (unsigned int)rounds;
	options->mode.limit_ms = INT64_MAX / 2;
	return CLI_OK;
}

enum {
	OPT_QUICK = 256,
	OPT_ROUNDS,
	OPT_JSON,
	OPT_DIR,
	OPT_NULL,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"quick", no_argument, NULL, OPT_QUICK},
	{"rounds", required_argument, NULL, OPT_ROUNDS},
	{"json", required_argument, NULL, OPT_JSON},
	{"dir", required_argument, NULL, OPT_DIR},
	{"null", no_argument, NULL, OPT_NULL},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

/* CLI_OK, or the status to exit with. --help is told apart by *help. */
static int parse(struct options *options, int argc, char **argv, bool *help)
{
	const char *rounds = NULL;
	int opt, status;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		switch (opt) {
		case OPT_QUICK:
			options->quick = true;
			break;
		case OPT_ROUNDS:
			rounds = optarg;
			break;
		case OPT_JSON:
			options->json = optarg;
			break;
		case OPT_DIR:
			options->folder = optarg;
			break;
		case OPT_NULL:
			options->null = true;
			break;
		case OPT_HELP:
			*help = true;
			return CLI_OK;
		case ':':
			return cli_usage("bench: option '%s' wants an argument", argv[optind - 1]);
		default:
			return cli_usage("bench: wrong option '%s'; see 'ringside bench --help'",
					 argv[optind - 1]);
		}
	}
	options->mode = options->quick ? quick_mode : full_mode;
	status = rounds ? set_rounds(options, rounds) : CLI_OK;
	for (int i = optind; i < argc && status == CLI_OK; i++)
		status = add_case(options, argv[i]);
	for (unsigned int i = 0; i < bench_case_count && optind == argc; i++)
		if (bench_cases[i].measure != MEASURE_RIVAL)
			add_case(options, bench_cases[i].name);
	if (status == CLI_OK && options->json && !*options->json)
		return cli_usage("bench: --json wants the name of a file");
	return status;
}

static void interrupted(int signal)
{
	(void)signal;
	side_interrupted = true;
}

/* Without SA_RESTART, so that waits and writes end and the scratch folder is removed. */
static void watch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = interrupted};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int find_programs(struct bench *bench)
{
	static const char *const names[] = {"ringside-workload", "ringside-workload-static"};
	char *const paths[] = {bench->program, bench->program_by_trap};

	for (size_t i = 0; i < 2; i++)
		if (cli_find(CLI_LIBEXECDIR, names[i], paths[i], PATH_MAX))
			return cli_fail("bench: the program '%s' is neither in the build tree of "
					"this command nor installed",
					names[i]);
	bench->plan.program = bench->program;
	bench->plan.program_by_trap = bench->program_by_trap;
	if (bench->options.null)
		return CLI_OK;
	if (cli_find(CLI_LIBDIR, "libringside.so", bench->library, sizeof(bench->library)))
		return cli_fail("bench: libringside.so is neither in the build tree of this "
				"command nor installed");
	if (strpbrk(bench->library, " :"))
		return cli_fail("bench: LD_PRELOAD cannot name a path with a blank or a colon: "
				"'%s'",
				bench->library);
	bench->plan.library = bench->library;
	return CLI_OK;
}

/* Is this what our standard output goes to, under any name (/dev/stdout, a redirection)? */
static bool is_standard_output(const struct stat *st)
{
	struct stat out;

	return !fstat(STDOUT_FILENO, &out) && out.st_dev == st->st_dev && out.st_ino == st->st_ino;
}

/*
 * Opened before anything is measured: a wrong name shows at once, not after
 * minutes. Only a regular file is replaced, and a symbolic link to one is
 * followed first: the name itself may be /dev/stdout.
 */
static int open_json(struct bench *bench)
{
	const char *name = bench->options.json;
	struct stat st;
	int fd, len;

	if (!stat(name, &st) && is_standard_output(&st)) {
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		bench->json_in_place = true;
	} else if (!stat(name, &st) && !S_ISREG(st.st_mode)) {
		fd = open(name, O_WRONLY | O_CLOEXEC);
		bench->json_in_place = true;
	} else {
		if (!realpath(name, bench->json_target))
			snprintf(bench->json_target, sizeof(bench->json_target), "%s", name);
		len = snprintf(bench->json, sizeof(bench->json), "%s.XXXXXX", bench->json_target);
		if (strlen(name) >= PATH_MAX || len >= PATH_MAX) {
			bench->json[0] = '\0';
			return cli_usage("bench: the name of the JSON file is too long");
		}
		fd = mkostemp(bench->json, O_CLOEXEC);
		if (fd < 0)
			bench->json[0] = '\0';
	}
	if (fd >= 0)
		bench->json_file = fdopen(fd, "w");
	if (!bench->json_file)
		return cli_fail("bench: %s: %s", name, strerror(errno));
	return CLI_OK;
}

/* As if it had been created by open(): with the permissions of the umask. */
static int set_json_mode(int fd)
{
	mode_t mask = umask(0);

	umask(mask);
	return fchmod(fd, 0666 & ~mask);
}

static int write_json(struct bench *bench, const struct report_setting *setting,
		      const struct result *results)
{
	char *text = report_json(setting, results, bench->options.case_count);
	FILE *file = bench->json_file;
	int err = 0;

	if (!text)
		return cli_fail("bench: no memory for the JSON");
	bench->json_file = NULL;
	if (fputs(text, file) < 0 || fflush(file))
		err = errno;
	free(text);
	if (!err && !bench->json_in_place && (set_json_mode(fileno(file)) || fsync(fileno(file))))
		err = errno;
	if (fclose(file) && !err)
		err = errno;
	if (!err && !bench->json_in_place && rename(bench->json, bench->json_target))
		err = errno;
	if (err)
		return cli_fail("bench: %s: %s", bench->options.json, strerror(err));
	bench->json[0] = '\0';
	return CLI_OK;
}

/*
 * Each sector begins with its place in the file, which the workload checks; the rest
 * is noise, so that no layer below can compress it or find pages alike.
 */
static int fill_file(int fd, uint64_t bytes)
{
	static uint64_t chunk[1 << 17];
	uint64_t noise = 88172645463325252;

	for (uint64_t at = 0; at < bytes; at += sizeof(chunk)) {
		for (size_t i = 0; i < sizeof(chunk) / 8; i++) {
			noise ^= noise << 13;
			noise ^= noise >> 7;
			noise ^= noise << 17;
			chunk[i] = i % (BENCH_SECTOR / 8) ? noise : at + i * 8;
		}
		for (size_t done = 0; done < sizeof(chunk);) {
			ssize_t n = write(fd, (char *)chunk + done, sizeof(chunk) - done);

			if (side_interrupted)
				return -EINTR;
			if (n < 0 && errno != EINTR)
				return -errno;
			done += n > 0 ? (size_t)n : 0;
		}
	}
	return fsync(fd) ? -errno : 0;
}

static int make_file(struct bench *bench)
{
	uint64_t bytes = bench->options.mode.file_bytes;
	struct statvfs fs;
	int fd, err;

	if (!statvfs(bench->folder, &fs) && fs.f_bavail * fs.f_frsize < bytes + (bytes >> 4))
		return cli_fail("bench: %s has less than the %" PRIu64
				" MiB free that the scratch file needs; --dir names another place",
				bench->options.folder, (bytes + (bytes >> 4)) >> 20);
	fd = open(bench->file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return cli_fail("bench: %s: %s", bench->file, strerror(errno));
	err = fill_file(fd, bytes);
	close(fd);
	if (side_interrupted)
		return cli_fail("bench: interrupted");
	if (err)
		return cli_fail("bench: %s: %s", bench->file, strerror(-err));
	bench->plan.file = bench->file;
	return CLI_OK;
}

static int make_scratch(struct bench *bench)
{
	const char *parent = bench->options.folder;
	bool wants_file = false;
	int len;

	len = snprintf(bench->folder, sizeof(bench->folder), "%s/ringside-bench.XXXXXX", parent);
	/* In the library's options a comma ends a file's name, and %p stands for a process. */
	if (len < 0 || (size_t)len >= sizeof(bench->folder) || strpbrk(parent, ",%")) {
		bench->folder[0] = '\0';
		return cli_usage("bench: a scratch folder's name is not too long and has no ',' "
				 "or '%%': '%s'",
				 parent);
	}
	if (!mkdtemp(bench->folder)) {
		int err = errno;

		bench->folder[0] = '\0';
		return cli_fail("bench: no scratch folder can be made in %s: %s", parent,
				strerror(err));
	}
	snprintf(bench->file, sizeof(bench->file), "%s/data", bench->folder);
	snprintf(bench->stats, sizeof(bench->stats), "%s/stats.json", bench->folder);
	bench->plan.stats = bench->stats;
	bench->plan.file = "-";
	for (unsigned int i = 0; i < bench->options.case_count; i++)
		wants_file |= bench->options.cases[i]->file != FILE_NONE;
	return wants_file ? make_file(bench) : CLI_OK;
}

static int prepare(struct bench *bench)
{
	int status = find_programs(bench);

	if (status == CLI_OK && bench->options.json)
		status = open_json(bench);
	if (status == CLI_OK)
		status = make_scratch(bench);
	bench->plan.rounds = bench->options.mode.rounds;
	bench->plan.slice_ms = bench->options.mode.slice_ms;
	return status;
}

static void clean_up(struct bench *bench)
{
	if (bench->json_file)
		fclose(bench->json_file);
	if (bench->json[0])
		unlink(bench->json);
	if (!bench->folder[0])
		return;
	unlink(bench->file);
	unlink(bench->stats);
	if (rmdir(bench->folder))
		cli_fail("bench: %s: %s", bench->folder, strerror(errno));
}

static int measure_all(struct bench *bench, int64_t start_ms)
{
	const struct options *options = &bench->options;
	struct report_setting setting = {
		.quick = options->quick,
		.null = options->null,
		.rounds = options->mode.rounds,
		.slice_ms = options->mode.slice_ms,
		.folder = bench->folder,
	};
	struct result *results = calloc(options->case_count, sizeof(*results));
	int status = CLI_OK;

	if (!results)
		return cli_fail("bench: no memory");
	report_header(&setting);
	for (unsigned int i = 0; i < options->case_count && !side_interrupted; i++) {
		int64_t now = clock_ms();
		int64_t left = start_ms + options->mode.limit_ms - now;

		/* What a case leaves of its share goes to those after it. */
		bench->plan.case_end_ms = now + left / (options->case_count - i);
		measure_case(options->cases[i], &bench->plan, &results[i]);
		if (side_interrupted)
			break;
		report_case(&results[i]);
		if (results[i].state == RESULT_FAILED)
			status = CLI_FAILED;
	}
	if (side_interrupted)
		status = cli_fail("bench: interrupted");
	else if (options->json && write_json(bench, &setting, results) != CLI_OK)
		status = CLI_FAILED;
	free(results);
	return status;
}

int cmd_bench(int argc, char **argv)
{
	static struct bench bench;
	const char *folder = getenv("TMPDIR");
	int64_t start_ms = clock_ms();
	bool help = false;
	int status;

	bench.options.folder = folder && *folder ? folder : "/tmp";
	status = parse(&bench.options, argc, argv, &help);
	if (status != CLI_OK)
		return status;
	if (help)
		return print_help();
	watch_signals();
	status = prepare(&bench);
	if (status == CLI_OK)
		status = measure_all(&bench, start_ms);
	clean_up(&bench);
	return status;
}
