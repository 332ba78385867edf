/*
 * main.c - the oracle: random programs on the kernel's io_uring and on ringside
 *
 * Programs mostly wait, so several jobs run at a time, each a process with programs of its own;
 * what a job prints is kept in a file until it is done, and its sums in shared memory.
 *
 * Entry:       main()
 * Result:      0 no unexplained difference, 1 there is one, 2 wrong arguments,
 *              77 the kernel refuses io_uring, so there is nothing to compare with
 * Not here:    drawing (generate.c), executing (execute.c), children (collect.c),
 *              comparing (compare.c), shrinking (shrink.c)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "collect.h"
#include "compare.h"
#include "generate.h"
#include "shrink.h"

#define CHUNK              100 /* programs per child */
#define KINDS_MAX          200
#define SEEDS_TOLD         20 /* of each job, for each reason to tell one */
#define PROGRESS_S         60 /* between two lines that tell it */
#define CONFIRMATIONS      4  /* runs of ringside after one that differs */
#define JOBS_MAX           64
#define JOBS_PER_CPU       3              /* they wait more than they compute */
#define VARIED_SHARE       1000           /* at most one program in so many, and one more */
#define MISSING            "CQEs missing" /* what execute.c says of a promise not kept */
#define PATIENCE_MS        1500
#define HANG_MS            12000
#define SHRINK_PATIENCE_MS 60
#define SHRINK_HANG_MS     2000

/* A kind of difference: all that have the same signature. Owner: main(). */
struct kind {
	char signature[256];
	uint64_t seed; /* of the first */
	int count;
};

struct options {
	struct side sides[2];
	uint64_t seed;
	int programs;
	int jobs;    /* 0: as many as suit the machine */
	int shrinks; /* so many kinds are shrunk and printed in full */
	bool show;
	const char *known;
	struct collect_options collect;
	int execute; /* the descriptor of the programs; -1 in the parent */
	int from;
};

struct totals {
	long programs;
	long sqes;
	long cqes;
	long differences;
	long explained;
	long varied;        /* programs whose difference the kernel has with itself */
	long once;          /* programs that differed, and not when they were run again */
	long misses;        /* programs whose kernel posted less than the model promised */
	int met[KNOWN_MAX]; /* differences that each entry of known-differences explained */
	int nkinds;
	struct kind kinds[KINDS_MAX];
};

static void usage(FILE *out)
{
	fputs("usage: oracle (--lib PATH/libringside.so | --self) [--seed S] [--programs N]\n"
	      "              [--jobs N] [--entry libc|asm] [--known FILE] [--shrink N]\n"
	      "              [--show SEED]\n",
	      out);
}

static int number_parse(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	if (errno || end == text || *end) {
		fprintf(stderr, "oracle: '%s' is not a number\n", text);
		return 2;
	}
	return 0;
}

enum option_code {
	OPTION_LIB = 1,
	OPTION_SELF,
	OPTION_SEED,
	OPTION_PROGRAMS,
	OPTION_JOBS,
	OPTION_ENTRY,
	OPTION_KNOWN,
	OPTION_SHRINK,
	OPTION_SHOW,
	OPTION_EXECUTE,
	OPTION_FROM,
	OPTION_PATIENCE,
	OPTION_SCRATCH_MEMORY,
	OPTION_SCRATCH_DISK,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"lib", required_argument, NULL, OPTION_LIB},
	{"self", no_argument, NULL, OPTION_SELF},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"programs", required_argument, NULL, OPTION_PROGRAMS},
	{"jobs", required_argument, NULL, OPTION_JOBS},
	{"entry", required_argument, NULL, OPTION_ENTRY},
	{"known", required_argument, NULL, OPTION_KNOWN},
	{"shrink", required_argument, NULL, OPTION_SHRINK},
	{"show", required_argument, NULL, OPTION_SHOW},
	{"execute", required_argument, NULL, OPTION_EXECUTE},
	{"from", required_argument, NULL, OPTION_FROM},
	{"patience", required_argument, NULL, OPTION_PATIENCE},
	{"scratch-memory", required_argument, NULL, OPTION_SCRATCH_MEMORY},
	{"scratch-disk", required_argument, NULL, OPTION_SCRATCH_DISK},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

/* 0, 2, or -1 after --help. */
static int option_take(struct options *options, int option, const char *value)
{
	uint64_t number = 0;

	switch (option) {
	case OPTION_SEED:
	case OPTION_PROGRAMS:
	case OPTION_JOBS:
	case OPTION_SHRINK:
	case OPTION_SHOW:
	case OPTION_EXECUTE:
	case OPTION_FROM:
	case OPTION_PATIENCE:
		if (number_parse(value, &number))
			return 2;
		break;
	default:
		break;
	}
	switch (option) {
	case OPTION_LIB:
		options->sides[1].name = "ringside";
		options->sides[1].library = realpath(value, NULL);
		if (!options->sides[1].library) {
			fprintf(stderr, "oracle: %s: %s\n", value, strerror(errno));
			return 2;
		}
		return 0;
	case OPTION_SELF:
		options->sides[1].name = "kernel again";
		return 0;
	case OPTION_SHOW:
		options->show = true;
		options->programs = 1;
		options->seed = number;
		return 0;
	case OPTION_SEED:
		options->seed = number;
		return 0;
	case OPTION_PROGRAMS:
		options->programs = (int)number;
		return 0;
	case OPTION_JOBS:
		options->jobs = number < JOBS_MAX ? (int)number : JOBS_MAX;
		return 0;
	case OPTION_SHRINK:
		options->shrinks = (int)number;
		return 0;
	case OPTION_ENTRY:
		options->sides[1].entry = !strcmp(value, "asm") ? ENTRY_ASM : ENTRY_LIBC;
		return strcmp(value, "asm") && strcmp(value, "libc") ? 2 : 0;
	case OPTION_KNOWN:
		options->known = value;
		return 0;
	case OPTION_EXECUTE:
		options->execute = (int)number;
		return 0;
	case OPTION_FROM:
		options->from = (int)number;
		return 0;
	case OPTION_PATIENCE:
		options->collect.patience_ms = (unsigned int)number;
		return 0;
	case OPTION_SCRATCH_MEMORY:
		options->collect.scratch[0] = value;
		return 0;
	case OPTION_SCRATCH_DISK:
		options->collect.scratch[1] = value;
		return 0;
	case OPTION_HELP:
		return -1;
	default:
		return 2;
	}
}

static int options_parse(struct options *options, int argc, char **argv)
{
	int option, ret;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		ret = option_take(options, option, optarg);
		if (ret) {
			usage(ret < 0 ? stdout : stderr);
			return ret;
		}
	}
	if (optind == argc && (options->sides[1].name || options->execute >= 0))
		return 0;
	usage(stderr);
	return 2;
}

static int scratch_make(const char *parent, char *path, size_t size)
{
	snprintf(path, size, "%s/oracle.XXXXXX", parent);
	return mkdtemp(path) ? 0 : -errno;
}

static int scratch_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static void scratch_remove(const char *path)
{
	nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct kind *kind_of(struct totals *totals, const char *signature, uint64_t seed)
{
	struct kind *kind;

	for (int i = 0; i < totals->nkinds; i++)
		if (!strcmp(totals->kinds[i].signature, signature))
			return &totals->kinds[i];
	if (totals->nkinds == KINDS_MAX)
		return &totals->kinds[KINDS_MAX - 1];
	kind = &totals->kinds[totals->nkinds++];
	memcpy(kind->signature, signature, sizeof(kind->signature));
	kind->seed = seed;
	return kind;
}

static long cqes_in(const char *outcome)
{
	long count = 0;

	while ((outcome = strstr(outcome, " flags=0"))) {
		count++;
		outcome++;
	}
	return count;
}

/* Print a program with both its outcomes. */
static void report(const struct options *options, const struct program *program,
		   struct known *known, bool everything)
{
	char *outcome[2] = {NULL, NULL};
	char **outcomes[2] = {&outcome[0], &outcome[1]};

	program_print(stdout, program);
	if (collect_outcomes(options->sides, program, 1, &options->collect, outcomes))
		return;
	if (everything)
		printf("%s:\n%s", options->sides[0].name, outcome[0]);
	printf("differences:\n");
	outcome_compare(outcome[0], outcome[1], known, stdout);
	free(outcome[0]);
	free(outcome[1]);
}

static void difference_report(const struct options *options, const struct program *program,
			      struct known *known, const struct comparison *comparison,
			      const char *kernel, const char *ringside)
{
	static struct program small;
	struct options quick = *options;

	printf("\n=== seed %llu: %s\n", (unsigned long long)program->seed, comparison->signature);
	small = *program;
	quick.collect.patience_ms = SHRINK_PATIENCE_MS;
	quick.collect.hang_ms = SHRINK_HANG_MS;
	if (program_shrink(&small, options->sides, &quick.collect, known, comparison->signature)) {
		report(&quick, &small, known, false);
	} else {
		printf("did not happen again in three runs; "
		       "the whole program, and what it said:\n");
		program_print(stdout, program);
		outcome_compare(kernel, ringside, known, stdout);
	}
	fflush(stdout);
}

/*
 * Run a program twice more on each side of `sides`, and count the outcomes, up to four, that
 * `other` does not differ from; with no `other`, those that keep what the model promised.
 * Negative: it cannot be run.
 */
static int count_agreeing(const struct options *options, const struct side sides[2],
			  const struct program *program, struct known *known, const char *other)
{
	char *outcome[2] = {NULL, NULL};
	char **outcomes[2] = {&outcome[0], &outcome[1]};
	int agreeing = 0;

	for (int tries = 0; tries < CONFIRMATIONS / 2; tries++) {
		if (collect_outcomes(sides, program, 1, &options->collect, outcomes))
			return -1;
		for (int s = 0; s < 2; s++) {
			if (!outcome[s])
				return -1;
			if (other)
				agreeing += !outcome_compare(outcome[s], other, known, NULL)
						     .differences;
			else
				agreeing += !strstr(outcome[s], MISSING);
			free(outcome[s]);
			outcome[s] = NULL;
		}
	}
	return agreeing;
}

/*
 * Ask the kernel again: it may say, at another time, what ringside said (`other`), or,
 * with no `other`, keep what the model promised. A few programs in a hundred thousand
 * have two right outcomes.
 */
static bool kernel_says(const struct options *options, const struct program *program,
			struct known *known, const char *other)
{
	const struct side kernels[2] = {options->sides[0], options->sides[0]};

	return count_agreeing(options, kernels, program, known, other) > 0;
}

/* Whether ringside agrees with the kernel's outcome as often as it is asked again. */
static bool happened_once(const struct options *options, const struct program *program,
			  struct known *known, const char *kernel)
{
	const struct side both[2] = {options->sides[1], options->sides[1]};

	return count_agreeing(options, both, program, known, kernel) == CONFIRMATIONS;
}

/* Some of the seeds of which something is to be known, by which they can be run again. */
static void seed_tell(long *count, const char *what, const struct program *program,
		      const char *signature)
{
	if ((*count)++ < SEEDS_TOLD)
		printf("%s: seed %llu  %s\n", what, (unsigned long long)program->seed, signature);
	fflush(stdout);
}

static int chunk_run(const struct options *options, struct known *known, struct totals *totals,
		     uint64_t seed, int count)
{
	struct program *programs = calloc((size_t)count, sizeof(*programs));
	char *text[2][CHUNK] = {{NULL}};
	char **outcomes[2] = {text[0], text[1]};
	struct comparison comparison;
	struct kind *kind;
	int ret = -ENOMEM;

	if (!programs)
		return ret;
	for (int i = 0; i < count; i++) {
		generate_program(&programs[i], seed + (uint64_t)i);
		totals->sqes += programs[i].nops;
	}
	ret = collect_outcomes(options->sides, programs, count, &options->collect, outcomes);
	for (int i = 0; !ret && i < count; i++) {
		totals->programs++;
		totals->cqes += cqes_in(text[0][i]);
		if (strstr(text[0][i], MISSING) && !kernel_says(options, &programs[i], known, NULL))
			seed_tell(&totals->misses, "the model promised too much", &programs[i], "");
		known->is_counting = true;
		comparison = outcome_compare(text[0][i], text[1][i], known, NULL);
		known->is_counting = false;
		totals->explained += comparison.explained;
		if (!comparison.differences)
			continue;
		if (kernel_says(options, &programs[i], known, text[1][i])) {
			seed_tell(&totals->varied, "the kernel says both", &programs[i],
				  comparison.signature);
			continue;
		}
		/* Most likely a race of ringside's: as much a failure as any other. */
		if (happened_once(options, &programs[i], known, text[0][i]))
			seed_tell(&totals->once, "differed once", &programs[i],
				  comparison.signature);
		totals->differences++;
		kind = kind_of(totals, comparison.signature, programs[i].seed);
		if (!kind->count++ && totals->nkinds <= options->shrinks)
			difference_report(options, &programs[i], known, &comparison, text[0][i],
					  text[1][i]);
	}
	for (int i = 0; i < count; i++) {
		free(text[0][i]);
		free(text[1][i]);
	}
	free(programs);
	return ret;
}

/* The chunks of one job: every so-many-th. */
static int job_run(const struct options *options, struct known *known, struct totals *totals,
		   int job, int jobs)
{
	int ret = 0;

	for (int done = job * CHUNK; done < options->programs && !ret; done += jobs * CHUNK)
		ret = chunk_run(options, known, totals, options->seed + (uint64_t)done,
				options->programs - done < CHUNK ? options->programs - done
								 : CHUNK);
	memcpy(totals->met, known->met, sizeof(totals->met));
	if (ret)
		fprintf(stderr, "oracle: %s\n", strerror(-ret));
	return ret ? 1 : 0;
}

/* Its process id, or -1; what it prints goes to `output`. */
static pid_t job_start(const struct options *options, struct known *known, struct totals *totals,
		       int job, int jobs, FILE *output)
{
	sigset_t none;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(fileno(output), STDOUT_FILENO) < 0)
		exit(1);
	exit(job_run(options, known, totals, job, jobs));
}

static void copy_output(FILE *output)
{
	char line[4096];

	rewind(output);
	while (fgets(line, sizeof(line), output))
		fputs(line, stdout);
	fclose(output);
}

static void totals_add(struct totals *sum, const struct totals *job)
{
	sum->programs += job->programs;
	sum->sqes += job->sqes;
	sum->cqes += job->cqes;
	sum->differences += job->differences;
	sum->explained += job->explained;
	sum->varied += job->varied;
	sum->once += job->once;
	for (int i = 0; i < KNOWN_MAX; i++)
		sum->met[i] += job->met[i];
	sum->misses += job->misses;
	for (int i = 0; i < job->nkinds; i++)
		kind_of(sum, job->kinds[i].signature, job->kinds[i].seed)->count +=
			job->kinds[i].count;
}

/* Before which seed all programs are done: where to go on if this run is broken off. */
static uint64_t seed_reached(const struct options *options, const struct totals *totals, int jobs)
{
	long reached = options->programs;

	for (int job = 0; job < jobs; job++) {
		long done = __atomic_load_n(&totals[job].programs, __ATOMIC_RELAXED);
		long next = (done / CHUNK * jobs + job) * CHUNK;

		if (next < reached)
			reached = next;
	}
	return options->seed + (uint64_t)reached;
}

static void print_progress(const struct options *options, const struct totals *totals, int jobs)
{
	long programs = 0, differences = 0;

	for (int job = 0; job < jobs; job++) {
		programs += __atomic_load_n(&totals[job].programs, __ATOMIC_RELAXED);
		differences += __atomic_load_n(&totals[job].differences, __ATOMIC_RELAXED);
	}
	fprintf(stderr, "oracle: %ld of %d programs, %ld differ, all done before seed %llu\n",
		programs, options->programs, differences,
		(unsigned long long)seed_reached(options, totals, jobs));
}

/* The job's exit status. SIGCHLD is blocked; it only ends the pause between two lines. */
static int job_await(const struct options *options, const struct totals *totals, int jobs,
		     pid_t pid)
{
	static const struct timespec moment = {.tv_sec = 1};
	static int seconds;
	sigset_t children;
	int status;
	pid_t done;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	while ((done = waitpid(pid, &status, WNOHANG)) == 0) {
		if (sigtimedwait(&children, NULL, &moment) < 0 && ++seconds % PROGRESS_S == 0)
			print_progress(options, totals, jobs);
	}
	return done < 0 ? 1 : status;
}

/* All jobs to their end. 0, or 1 if one could not do its work. */
static int jobs_run(const struct options *options, struct known *known, struct totals *sum)
{
	const int chunks = (options->programs + CHUNK - 1) / CHUNK;
	const int jobs = options->jobs < chunks ? options->jobs : chunks;
	struct totals *totals = mmap(NULL, (size_t)jobs * sizeof(*totals), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	FILE *outputs[JOBS_MAX];
	pid_t pids[JOBS_MAX];
	sigset_t children;
	int ret = 0;

	if (totals == MAP_FAILED)
		return 1;
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	for (int i = 0; i < jobs; i++) {
		outputs[i] = tmpfile();
		pids[i] = outputs[i] ? job_start(options, known, &totals[i], i, jobs, outputs[i])
				     : -1;
	}
	for (int i = 0; i < jobs; i++) {
		ret |= pids[i] < 0 || job_await(options, totals, jobs, pids[i]);
		if (outputs[i])
			copy_output(outputs[i]);
		totals_add(sum, &totals[i]);
	}
	munmap(totals, (size_t)jobs * sizeof(*totals));
	return ret;
}

/* How often each entry was of use: one that never is may be superfluous. */
static void print_known(const struct known *known, const struct totals *totals)
{
	for (int i = 0; i < known->count; i++)
		printf("%6d  explained by %s | %s\n", totals->met[i], known->entries[i].kernel,
		       known->entries[i].ringside);
}

static int run_all(const struct options *options, struct known *known)
{
	static struct totals totals;
	int ret;

	if (options->programs <= CHUNK)
		ret = job_run(options, known, &totals, 0, 1);
	else
		ret = jobs_run(options, known, &totals);
	if (ret)
		return 1;
	if (totals.nkinds)
		printf("\nkinds of difference, with how many programs and the first seed:\n");
	for (int i = 0; i < totals.nkinds; i++)
		printf("%6d  seed %-8llu %s\n", totals.kinds[i].count,
		       (unsigned long long)totals.kinds[i].seed, totals.kinds[i].signature);
	if (options->programs > CHUNK)
		print_known(known, &totals);
	printf("oracle: %ld programs, %ld SQEs, %ld CQEs compared, %ld programs differ, "
	       "%ld differences explained, %ld programs the kernel answers in two ways\n",
	       totals.programs, totals.sqes, totals.cqes, totals.differences, totals.explained,
	       totals.varied);
	/* A promise that the kernel does not keep is a mistake of ours, and costs a wait. */
	if (totals.varied * VARIED_SHARE > totals.programs + VARIED_SHARE) {
		printf("oracle: too many of these: the programs are not deterministic\n");
		return 1;
	}
	return totals.differences || totals.misses ? 1 : 0;
}

static int jobs_for_machine(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	long jobs = cpus > 0 ? cpus * JOBS_PER_CPU : JOBS_PER_CPU;

	return jobs < JOBS_MAX ? (int)jobs : JOBS_MAX;
}

/* The kernel must answer, or there is nothing to compare with. */
static int kernel_try(void)
{
	struct io_uring_params params = {0};
	long fd = call_setup(1, &params);

	if (fd < 0)
		return (int)fd;
	close((int)fd);
	return 0;
}

int main(int argc, char **argv)
{
	static struct options options = {
		.sides = {{.name = "kernel"}},
		.seed = 1,
		.programs = 5000,
		.shrinks = 10,
		.collect = {.patience_ms = PATIENCE_MS, .hang_ms = HANG_MS},
		.execute = -1,
	};
	static struct program program;
	struct known known = {0};
	char scratch[2][200];
	const char *disk = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	int ret = options_parse(&options, argc, argv);

	if (ret)
		return ret < 0 ? 0 : ret;
	if (options.execute >= 0) {
		entry_select(options.sides[1].entry);
		return executor_main(options.execute, options.from, options.programs,
				     &options.collect);
	}
	if (options.jobs == 0)
		options.jobs = jobs_for_machine();
	ret = kernel_try();
	if (ret) {
		printf("oracle: skipped: the kernel refuses io_uring here (%s)\n", strerror(-ret));
		return 77;
	}
	if (options.known && known_read(&known, options.known))
		return 2;
	/* Without a filesystem in memory both are on disk. */
	if (scratch_make(disk, scratch[1], sizeof(scratch[1])) ||
	    (scratch_make("/dev/shm", scratch[0], sizeof(scratch[0])) &&
	     scratch_make(disk, scratch[0], sizeof(scratch[0])))) {
		fprintf(stderr, "oracle: %s: %s\n", disk, strerror(errno));
		return 2;
	}
	options.collect.scratch[0] = scratch[0];
	options.collect.scratch[1] = scratch[1];
	if (options.show) {
		generate_program(&program, options.seed);
		report(&options, &program, &known, true);
		ret = 0;
	} else {
		ret = run_all(&options, &known);
	}
	scratch_remove(scratch[0]);
	scratch_remove(scratch[1]);
	return ret;
}
