/*
 * side.c - starts a workload program, gives it commands, ends it
 *
 * Entry:       side_start(), side_slice(), side_hold(), side_owns_file(), side_stop()
 * Invariants:  the native side never has our library in its environment; the
 *              other side is refused unless its rings are really ours, so that
 *              a library that failed to load cannot pass for a fast one;
 *              no workload outlives this process (parent-death signal)
 * Not here:    what the lines mean (cases.h), what to compare (cli/bench.c)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/side.h"

/* A slice takes a fraction of a second; preparing a cold or cached file, some. */
#define ANSWER_MS 30000

volatile bool side_interrupted;

static enum side_state end_with(struct side *side, enum side_state state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static enum side_state end_with(struct side *side, enum side_state state, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(side->why, sizeof(side->why), format, args);
	va_end(args);
	side->state = state;
	return state;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Reads one line, byte by byte: answers are short, and what is not read yet
 * stays in the pipe. 0, -EPIPE at its end, -ETIMEDOUT, -EINTR when interrupted.
 */
static int read_line(int fd, char *line, size_t size)
{
	int64_t end = now_ms() + ANSWER_MS;
	size_t len = 0;

	while (len < size - 1) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		int64_t left = end - now_ms();
		ssize_t n;

		if (side_interrupted)
			return -EINTR;
		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&wait, 1, (int)left) <= 0)
			continue;
		n = read(fd, line + len, 1);
		if (n == 0)
			return -EPIPE;
		if (n < 0)
			continue;
		if (line[len] == '\n')
			break;
		len++;
	}
	line[len] = '\0';
	return 0;
}

/* True, with the rest of the line, if the line's first word is this one. */
static bool begins_with(const char *line, const char *word, const char **rest)
{
	size_t len = strlen(word);

	if (strncmp(line, word, len) || (line[len] && line[len] != ' '))
		return false;
	*rest = line + len + (line[len] == ' ');
	return true;
}

/* Waits for an answer of that kind; any other one decides the state. */
static enum side_state expect(struct side *side, const char *word, char *arguments, size_t size)
{
	char line[BENCH_ANSWER_MAX];
	const char *rest;
	int err = read_line(side->from, line, sizeof(line));

	if (err == -EINTR)
		return end_with(side, SIDE_FAILED, "interrupted");
	if (err == -ETIMEDOUT)
		return end_with(side, SIDE_FAILED, "no answer in %d s", ANSWER_MS / 1000);
	if (err)
		return end_with(side, SIDE_FAILED, "the program ended without an answer");
	if (begins_with(line, word, &rest)) {
		snprintf(arguments, size, "%s", rest);
		return SIDE_RUNS;
	}
	if (begins_with(line, "refused", &rest))
		return end_with(side, SIDE_REFUSED, "%s", rest);
	if (begins_with(line, "skip", &rest))
		return end_with(side, SIDE_SKIPPED, "%s", rest);
	if (begins_with(line, "error", &rest))
		return end_with(side, SIDE_FAILED, "%s", rest);
	return end_with(side, SIDE_FAILED, "unexpected answer '%.100s'", line);
}

static enum side_state command(struct side *side, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static enum side_state command(struct side *side, const char *format, ...)
{
	char line[BENCH_ANSWER_MAX];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* SIGPIPE is ignored. A short line goes into a pipe whole or not at all. */
	if (write(side->to, line, (size_t)len) != len)
		return end_with(side, SIDE_FAILED, "the program is gone");
	return SIDE_RUNS;
}

/*
 * The kernel names its own ring descriptors; none of them may be there when
 * the program runs under ringside and says that its ring is set up.
 */
static bool has_kernel_ring(pid_t pid)
{
	char path[64], target[64];
	bool found = false;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (len < 0)
			continue;
		target[len] = '\0';
		found = !strcmp(target, "anon_inode:[io_uring]");
	}
	closedir(dir);
	return found;
}

/* In the child, between fork and exec: no return. */
static void become_workload(const struct side_config *config, int in, int out, pid_t parent)
{
	char options[PATH_MAX + 16], cache[32];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(127);
	unsetenv("LD_PRELOAD");
	unsetenv("RINGSIDE");
	unsetenv("RINGSIDE_CACHE");
	unsetenv("RINGSIDE_OWN");
	if (config->library)
		setenv("LD_PRELOAD", config->library, 1);
	if (config->library && config->stats) {
		snprintf(options, sizeof(options), "stats=%s", config->stats);
		setenv("RINGSIDE", options, 1);
	}
	if (config->library && config->cache) {
		snprintf(cache, sizeof(cache), "%llu", (unsigned long long)config->cache);
		setenv("RINGSIDE_CACHE", cache, 1);
	}
	execl(config->program, config->program, config->case_name, config->file, (char *)NULL);
	dprintf(STDOUT_FILENO, "error %.200s: %s\n", config->program, strerror(errno));
	_exit(127);
}

enum side_state side_start(struct side *side, const struct side_config *config)
{
	pid_t parent = getpid();
	int in[2], out[2];
	char nothing[8];

	*side = (struct side){.to = -1, .from = -1};
	if (pipe2(in, O_CLOEXEC))
		return end_with(side, SIDE_FAILED, "pipe: %s", strerror(errno));
	if (pipe2(out, O_CLOEXEC)) {
		close(in[0]);
		close(in[1]);
		return end_with(side, SIDE_FAILED, "pipe: %s", strerror(errno));
	}
	side->to = in[1];
	side->from = out[0];
	side->pid = fork();
	if (side->pid == 0)
		become_workload(config, in[0], out[1], parent);
	close(in[0]);
	close(out[1]);
	if (side->pid < 0) {
		side->pid = 0;
		return end_with(side, SIDE_FAILED, "fork: %s", strerror(errno));
	}
	if (expect(side, "ready", nothing, sizeof(nothing)) != SIDE_RUNS)
		return side->state;
	if (config->library && has_kernel_ring(side->pid))
		return end_with(side, SIDE_FAILED,
				"its ring is the kernel's: the library was not loaded");
	return SIDE_RUNS;
}

enum side_state side_slice(struct side *side, unsigned int ms, uint64_t seed, unsigned int threads,
			   struct sample *sample)
{
	unsigned long long ops, ns, cpu_ns;
	char arguments[128];

	if (command(side, "slice %u %llu %u\n", ms, (unsigned long long)seed, threads) !=
		    SIDE_RUNS ||
	    expect(side, "slice", arguments, sizeof(arguments)) != SIDE_RUNS)
		return side->state;
	if (sscanf(arguments, "%llu %llu %llu", &ops, &ns, &cpu_ns) != 3 || !ops || !ns)
		return end_with(side, SIDE_FAILED, "no figures in '%s'", arguments);
	sample->ns = (double)ns / (double)ops;
	sample->cpu_ns = (double)cpu_ns / (double)ops;
	return SIDE_RUNS;
}

enum side_state side_hold(struct side *side, const char *kind, unsigned long count, uint64_t *bytes)
{
	unsigned long long held;
	char arguments[128];

	if (command(side, "hold %s %lu\n", kind, count) != SIDE_RUNS ||
	    expect(side, "held", arguments, sizeof(arguments)) != SIDE_RUNS)
		return side->state;
	if (sscanf(arguments, "%llu", &held) != 1)
		return end_with(side, SIDE_FAILED, "no figure in '%s'", arguments);
	*bytes = held;
	return SIDE_RUNS;
}

/* A file that ringside's cache holds is leased to the process: /proc/locks names both. */
enum side_state side_owns_file(struct side *side)
{
	FILE *file = fopen("/proc/locks", "re");
	char line[256];
	bool found = false;

	if (!file)
		return end_with(side, SIDE_FAILED, "/proc/locks: %s", strerror(errno));
	while (!found && fgets(line, sizeof(line), file)) {
		long pid;

		found = sscanf(line, "%*u: LEASE %*s %*s %ld", &pid) == 1 && pid == side->pid;
	}
	fclose(file);
	if (!found)
		return end_with(side, SIDE_FAILED, "ringside does not own the file");
	return SIDE_RUNS;
}

/* Its pipe is at its end when the process and all who inherited from it are gone. */
static bool ends_by_itself(struct side *side)
{
	char rest[BENCH_ANSWER_MAX];
	int err;

	do {
		err = read_line(side->from, rest, sizeof(rest));
	} while (!err);
	return err == -EPIPE;
}

enum side_state side_stop(struct side *side)
{
	bool was_running = side->state == SIDE_RUNS;
	int status = 0;

	if (side->to >= 0)
		close(side->to);
	if (side->pid) {
		bool ended = was_running && ends_by_itself(side);

		/* One that already said why it cannot go on may hang in its exit. */
		if (!ended)
			kill(side->pid, SIGKILL);
		while (waitpid(side->pid, &status, 0) < 0 && errno == EINTR)
			;
		if (was_running && !ended)
			end_with(side, SIDE_FAILED, "it does not exit");
		else if (was_running && WIFSIGNALED(status))
			end_with(side, SIDE_FAILED, "it died at its exit: %s",
				 strsignal(WTERMSIG(status)));
		else if (was_running && WEXITSTATUS(status))
			end_with(side, SIDE_FAILED, "its exit status is %d", WEXITSTATUS(status));
	}
	if (side->from >= 0)
		close(side->from);
	side->pid = 0;
	side->to = side->from = -1;
	return side->state;
}
