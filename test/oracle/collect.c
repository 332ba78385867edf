/*
 * collect.c - children that execute, and the watch over them
 *
 * Entry:       see collect.h
 * Invariants:  K1 every program gets exactly one outcome from each side
 *              K2 only children started here are signalled, by their id
 */
#define _GNU_SOURCE
#include <linux/time_types.h>

#include "collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "execute.h"

/* Around each outcome on the pipe; neither occurs in one. */
#define FRAME_END '\x1e'

/* Owner: collect_outcomes(). One side's present child. */
struct worker {
	const struct side *side;
	char **outcomes;
	pid_t pid; /* 0: none */
	int pipe;
	int next; /* the program whose outcome comes next */
	char *text;
	size_t size;
	size_t room;
	int64_t deadline_ms;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void child_exec(const struct worker *worker, int programs, int count,
		       const struct collect_options *options)
{
	char fd[16], from[16], total[16], patience[16];

	/* The descriptor is the only thing the child may inherit. */
	fcntl(programs, F_SETFD, 0);
	snprintf(fd, sizeof(fd), "%d", programs);
	snprintf(from, sizeof(from), "%d", worker->next);
	snprintf(total, sizeof(total), "%d", count);
	snprintf(patience, sizeof(patience), "%u", options->patience_ms);
	if (worker->side->library)
		setenv("LD_PRELOAD", worker->side->library, 1);
	execl("/proc/self/exe", "oracle", "--execute", fd, "--from", from, "--programs", total,
	      "--patience", patience, "--entry", worker->side->entry == ENTRY_ASM ? "asm" : "libc",
	      "--scratch-memory", options->scratch[0], "--scratch-disk", options->scratch[1],
	      (char *)NULL);
	perror("oracle: exec");
	_exit(127);
}

static int worker_start(struct worker *worker, int programs, int count,
			const struct collect_options *options)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	worker->pid = fork();
	if (worker->pid < 0) {
		close(fds[0]);
		close(fds[1]);
		worker->pid = 0;
		return -errno;
	}
	if (!worker->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		child_exec(worker, programs, count, options);
	}
	close(fds[1]);
	worker->pipe = fds[0];
	worker->size = 0;
	worker->deadline_ms = now_ms() + options->hang_ms;
	return 0;
}

/* Hand over every finished outcome in the buffer. */
static void worker_split(struct worker *worker, const struct collect_options *options)
{
	char *end;

	while ((end = memchr(worker->text, FRAME_END, worker->size))) {
		const size_t length = (size_t)(end - worker->text);

		worker->outcomes[worker->next++] = strndup(worker->text, length);
		worker->size -= length + 1;
		memmove(worker->text, end + 1, worker->size);
		worker->deadline_ms = now_ms() + options->hang_ms;
	}
}

/* One file of a thread under /proc, as it is, onto stderr. What cannot be read is left out. */
static void tell_file(pid_t pid, const char *thread, const char *name)
{
	char path[300], text[2000];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", (int)pid, thread, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	got = read(fd, text, sizeof(text));
	if (got > 0)
		fprintf(stderr, "%s of thread %s: %.*s\n", name, thread, (int)got, text);
	close(fd);
}

/* A hang may not come twice: where its threads are is told while they are there. */
static void tell_threads(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	threads = opendir(path);
	if (!threads)
		return;
	while ((entry = readdir(threads))) {
		if (entry->d_name[0] == '.')
			continue;
		tell_file(pid, entry->d_name, "stat");
		tell_file(pid, entry->d_name, "syscall");
		tell_file(pid, entry->d_name, "stack");
	}
	closedir(threads);
}

/* The child is gone or must go: the program it was at has that as its outcome. */
static void worker_end(struct worker *worker, bool hangs, int count)
{
	char *outcome = NULL;
	int status = 0;

	if (hangs) {
		fprintf(stderr, "oracle: process %d (%s) hangs\n", (int)worker->pid,
			worker->side->library ? "ringside" : "kernel");
		tell_threads(worker->pid);
		kill(worker->pid, SIGKILL);
	}
	waitpid(worker->pid, &status, 0);
	close(worker->pipe);
	worker->pid = 0;
	if (worker->next >= count)
		return;
	/* First of all lines, so that it names the kind of difference. */
	if (asprintf(&outcome, "end of the process: %s %d\n%.*s\n",
		     hangs                 ? "HANGS"
		     : WIFSIGNALED(status) ? "KILLED BY SIGNAL"
					   : "EXITS WITH",
		     hangs                 ? 0
		     : WIFSIGNALED(status) ? WTERMSIG(status)
					   : WEXITSTATUS(status),
		     (int)worker->size, worker->text ? worker->text : "") < 0)
		outcome = strdup("end of the process: out of memory\n");
	worker->outcomes[worker->next++] = outcome;
}

static int worker_read(struct worker *worker, const struct collect_options *options, int count)
{
	ssize_t got;

	if (worker->room - worker->size < 65536) {
		char *text = realloc(worker->text, worker->room + (1 << 20));

		if (!text)
			return -ENOMEM;
		worker->text = text;
		worker->room += 1 << 20;
	}
	got = read(worker->pipe, worker->text + worker->size, 65536);
	if (got > 0) {
		worker->size += (size_t)got;
		worker_split(worker, options);
	} else if (got == 0 || errno != EINTR) {
		worker_end(worker, false, count);
	}
	return 0;
}

static int workers_step(struct worker workers[2], const struct collect_options *options, int count)
{
	struct pollfd polls[2];
	int64_t wait_ms = 60000;
	int ret = 0;

	for (int s = 0; s < 2; s++) {
		polls[s].fd = workers[s].pid ? workers[s].pipe : -1;
		polls[s].events = POLLIN;
		if (workers[s].pid && workers[s].deadline_ms - now_ms() < wait_ms)
			wait_ms = workers[s].deadline_ms - now_ms();
	}
	poll(polls, 2, wait_ms > 0 ? (int)wait_ms : 0);
	for (int s = 0; s < 2 && !ret; s++) {
		if (!workers[s].pid)
			continue;
		if (polls[s].revents)
			ret = worker_read(&workers[s], options, count);
		else if (now_ms() >= workers[s].deadline_ms)
			worker_end(&workers[s], true, count);
	}
	return ret;
}

static int programs_share(const struct program *programs, int count)
{
	const size_t size = (size_t)count * sizeof(*programs);
	int fd = memfd_create("programs", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, programs, size) != (ssize_t)size) {
		close(fd);
		return -EIO;
	}
	return fd < 0 ? -errno : fd;
}

int collect_outcomes(const struct side sides[2], const struct program *programs, int count,
		     const struct collect_options *options, char **outcomes[2])
{
	struct worker workers[2] = {0};
	int ret = 0, fd = programs_share(programs, count);

	if (fd < 0)
		return fd;
	for (int s = 0; s < 2; s++) {
		workers[s].side = &sides[s];
		workers[s].outcomes = outcomes[s];
	}
	while (!ret) {
		for (int s = 0; s < 2 && !ret; s++)
			if (!workers[s].pid && workers[s].next < count)
				ret = worker_start(&workers[s], fd, count, options);
		if (!ret && !workers[0].pid && !workers[1].pid)
			break;
		if (!ret)
			ret = workers_step(workers, options, count);
	}
	for (int s = 0; s < 2; s++) {
		if (workers[s].pid)
			worker_end(&workers[s], true, 0);
		free(workers[s].text);
	}
	close(fd);
	return ret;
}

int executor_main(int fd, int from, int count, const struct collect_options *options)
{
	static struct program program;
	char scratch[2][200];
	struct execution execution = {
		.scratch = {scratch[0], scratch[1]},
		.patience_ms = options->patience_ms,
		.out = stdout,
	};
	struct memory memory;
	int ret = memory_open(&memory);

	execution.memory = &memory;
	if (ret) {
		fprintf(stderr, "oracle: memory: %s\n", strerror(-ret));
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	for (int i = 0; i < 2; i++) {
		snprintf(scratch[i], sizeof(scratch[i]), "%s/%d", options->scratch[i], getpid());
		if (mkdir(scratch[i], 0755)) {
			perror("oracle: scratch directory");
			return 1;
		}
	}
	for (int i = from; i < count; i++) {
		if (pread(fd, &program, sizeof(program), (off_t)((size_t)i * sizeof(program))) !=
		    (ssize_t)sizeof(program))
			return 1;
		execute_program(&execution, &program);
		putchar(FRAME_END);
		if (fflush(stdout))
			return 1;
	}
	return rmdir(scratch[0]) || rmdir(scratch[1]);
}
