/*
 * coherence.c - a reader through rings, and a writer in another process, on one file
 *
 * usage: coherence read FILE SECONDS
 *
 * The reader starts the writer, a process of its own that executes this program anew as
 * `coherence write FILE`, before it has a ring. What was written is said in memory that
 * both share: for each page the version that it has at least. The reader looks before it
 * submits a read; bytes that are older than that are stale, and end the test. It
 * is what the kernel's page cache promises, so the reader passes on the kernel's rings too.
 *
 * The writer opens the file, rewrites some pages, now and then extends the file, cuts it, or
 * replaces it by a new one; and closes it for a while, so that it can be leased again.
 *
 * Printed: reads, how often the file was opened for writing, and how long such an open took.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE        4096u
#define WORDS       (PAGE / 8)
#define PAGES       512u
#define PAGES_MIN   256u
#define DEPTH       16u
#define READ_PAGES  4u
#define SHARED_NAME "COHERENCE_SHARED_FD"

/* Written by the writer alone, but for `stop`. */
struct shared {
	_Atomic unsigned stop;
	_Atomic unsigned long version;  /* the last that was begun */
	_Atomic unsigned long replaced; /* raised before another file takes the name */
	_Atomic unsigned long resized;  /* odd: the size is changing; pages may read as zeros */
	_Atomic unsigned long pages;    /* of the file, while `resized` is even */
	_Atomic unsigned long least[PAGES];
	_Atomic unsigned long opens, cuts;
	_Atomic unsigned long open_ns_max, open_ns_sum;
};

struct slot {
	unsigned long *bytes;
	unsigned long replaced, resized, pages;
	unsigned long least[READ_PAGES];
	unsigned page, count;
	int file; /* which of the two descriptors */
};

static struct shared *shared;

static unsigned long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long)now.tv_sec * 1000000000 + (unsigned long)now.tv_nsec;
}

static unsigned long next_random(unsigned long *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dul >> 16;
}

static void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

/* Writer */

static void write_page(int fd, unsigned page)
{
	unsigned long words[WORDS], version = atomic_fetch_add(&shared->version, 1) + 1;

	for (unsigned i = 0; i < WORDS; i++)
		words[i] = version;
	if (pwrite(fd, words, PAGE, (off_t)page * PAGE) != PAGE)
		fail("pwrite");
	atomic_store(&shared->least[page], version);
}

static int open_timed(const char *path)
{
	unsigned long before = now_ns(), ns;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		fail("open for writing");
	ns = now_ns() - before;
	atomic_fetch_add(&shared->opens, 1);
	atomic_fetch_add(&shared->open_ns_sum, ns);
	if (ns > atomic_load(&shared->open_ns_max))
		atomic_store(&shared->open_ns_max, ns);
	return fd;
}

static void resize(int fd, unsigned long *random)
{
	unsigned from = (unsigned)atomic_load(&shared->pages);
	unsigned to = PAGES_MIN + (unsigned)(next_random(random) % (PAGES - PAGES_MIN));

	atomic_fetch_add(&shared->resized, 1);
	for (unsigned page = to; page < from; page++)
		atomic_store(&shared->least[page], 0);
	if (to < from && ftruncate(fd, (off_t)to * PAGE))
		fail("ftruncate");
	for (unsigned page = from; page < to; page++)
		write_page(fd, page);
	atomic_store(&shared->pages, to);
	atomic_fetch_add(&shared->resized, 1);
	atomic_fetch_add(&shared->cuts, 1);
}

static void replace(const char *path)
{
	char other[4096];
	int fd;

	snprintf(other, sizeof(other), "%s.new", path);
	fd = open(other, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		fail("open");
	atomic_fetch_add(&shared->replaced, 1);
	for (unsigned page = 0; page < atomic_load(&shared->pages); page++)
		write_page(fd, page);
	close(fd);
	if (rename(other, path))
		fail("rename");
	atomic_fetch_add(&shared->replaced, 1);
}

static void rest(unsigned long ns)
{
	struct timespec time = {.tv_sec = (time_t)(ns / 1000000000),
				.tv_nsec = (long)(ns % 1000000000)};

	nanosleep(&time, NULL);
}

static int writer(const char *path)
{
	unsigned long random = 4711;

	while (!atomic_load(&shared->stop)) {
		unsigned kind = (unsigned)(next_random(&random) % 16);
		int fd;

		if (kind == 0) {
			replace(path);
		} else {
			fd = open_timed(path);
			if (kind == 1)
				resize(fd, &random);
			for (unsigned i = 0; i < kind; i++)
				write_page(fd, (unsigned)(next_random(&random) %
							  atomic_load(&shared->pages)));
			close(fd);
		}
		/* Long enough for the lease to be taken again, mostly. */
		rest(kind % 4 == 3 ? 300000000 : 1000000 * (next_random(&random) % 60));
	}
	return 0;
}

/* Reader */

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail("open for reading");
	return fd;
}

static void submit(struct io_uring *ring, struct slot *slot, const int fds[2],
		   unsigned long *random)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	slot->resized = atomic_load(&shared->resized);
	slot->pages = atomic_load(&shared->pages);
	slot->count = 1 + (unsigned)(next_random(random) % READ_PAGES);
	slot->page = (unsigned)(next_random(random) % PAGES);
	slot->file = (int)(next_random(random) & 1);
	for (unsigned i = 0; i < slot->count; i++)
		slot->least[i] =
			slot->page + i < PAGES ? atomic_load(&shared->least[slot->page + i]) : 0;
	io_uring_prep_read(sqe, fds[slot->file], slot->bytes, slot->count * PAGE,
			   (__u64)slot->page * PAGE);
	io_uring_sqe_set_data(sqe, slot);
}

/* Whether the size was the same, and known, from before the read until now. */
static int is_sized(const struct slot *slot)
{
	return slot->resized % 2 == 0 && atomic_load(&shared->resized) == slot->resized;
}

static void check(const struct slot *slot, int result, unsigned long replaced)
{
	unsigned long words = result > 0 ? (unsigned long)result / 8 : 0, most;

	if (result < 0) {
		errno = -result;
		fail("read");
	}
	if (replaced % 2 || atomic_load(&shared->replaced) != replaced)
		return; /* it may have been the file before */
	if (is_sized(slot) &&
	    (unsigned long)result != PAGE * (slot->page >= slot->pages ? 0
					     : slot->pages - slot->page < slot->count
						     ? slot->pages - slot->page
						     : slot->count)) {
		printf("stale size: %d bytes at page %u of %lu\n", result, slot->page, slot->pages);
		exit(1);
	}
	most = atomic_load(&shared->version);
	for (unsigned long i = 0; i < words; i++) {
		unsigned page = slot->page + (unsigned)(i / WORDS);
		int may_be_cut = !is_sized(slot);

		if (slot->bytes[i] > most ||
		    (slot->bytes[i] < slot->least[i / WORDS] && !may_be_cut)) {
			printf("stale bytes: page %u word %lu is of version %lu, not %lu to %lu\n",
			       page, i % WORDS, slot->bytes[i], slot->least[i / WORDS], most);
			exit(1);
		}
	}
}

static unsigned long read_for(const char *path, unsigned seconds)
{
	static struct slot slots[DEPTH];
	unsigned long end = now_ns() + seconds * 1000000000ul, random = 42, reads = 0;
	struct io_uring rings[2];
	struct io_uring_cqe *cqe;

	for (unsigned i = 0; i < DEPTH; i++)
		slots[i].bytes = aligned_alloc(PAGE, READ_PAGES * PAGE);
	for (int i = 0; i < 2; i++)
		if (io_uring_queue_init(DEPTH, &rings[i], 0))
			fail("a ring");
	while (now_ns() < end) {
		unsigned long replaced = atomic_load(&shared->replaced);
		/* Two descriptors, two rings, one file; anew: the name may be another's. */
		int fds[2] = {open_file(path), open_file(path)};

		for (unsigned round = 0; round < 2000 && atomic_load(&shared->replaced) == replaced;
		     round++) {
			struct io_uring *ring = &rings[round & 1];

			for (unsigned i = 0; i < DEPTH; i++)
				submit(ring, &slots[i], fds, &random);
			if (io_uring_submit_and_wait(ring, DEPTH) < 0)
				fail("enter");
			for (unsigned i = 0; i < DEPTH; i++) {
				if (io_uring_wait_cqe(ring, &cqe))
					fail("wait");
				check(io_uring_cqe_get_data(cqe), cqe->res, replaced);
				io_uring_cqe_seen(ring, cqe);
			}
			reads += DEPTH;
		}
		close(fds[0]);
		close(fds[1]);
	}
	io_uring_queue_exit(&rings[0]);
	io_uring_queue_exit(&rings[1]);
	return reads;
}

static pid_t start_writer(char *self, char *path, int fd)
{
	char number[16];
	pid_t pid;

	snprintf(number, sizeof(number), "%d", fd);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a reader that found something just ends */
		setenv(SHARED_NAME, number, 1);
		execv("/proc/self/exe", (char *[]){self, "write", path, NULL});
		_exit(127);
	}
	return pid;
}

static int reader(char *self, char *path, unsigned seconds)
{
	int fd, status = 0;
	unsigned long reads;
	pid_t pid;

	fd = memfd_create("shared", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*shared)))
		fail("memfd_create");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	atomic_store(&shared->pages, PAGES_MIN);
	replace(path);
	pid = start_writer(self, path, fd);
	reads = read_for(path, seconds);
	atomic_store(&shared->stop, 1);
	waitpid(pid, &status, 0);
	printf("%lu reads, %lu opens for writing, %lu new sizes, %lu times replaced; "
	       "an open took %lu us, %lu at the most\n",
	       reads, shared->opens, shared->cuts, shared->replaced / 2,
	       shared->opens ? shared->open_ns_sum / shared->opens / 1000 : 0,
	       shared->open_ns_max / 1000);
	return status == 0 && reads > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *fd = getenv(SHARED_NAME);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "write") && fd) {
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(fd),
			      0);
		return writer(argv[2]);
	}
	if (argc == 4 && !strcmp(argv[1], "read"))
		return reader(argv[0], argv[2], (unsigned)atoi(argv[3]));
	fprintf(stderr, "usage: %s read FILE SECONDS\n", argv[0]);
	return 2;
}
