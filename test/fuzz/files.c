/*
 * files.c - the descriptors that fuzzed requests may name
 *
 * One of each kind, always at the same numbers, made anew for each input. The
 * fuzzer's own (its corpus, its output) are never among them. One file is the page cache's
 * where the scratch directory is on a disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "fuzz.h"
#include "host/fd.h"
#include "syscall/descriptor.h"

/* What the program's numbers are below; the library's own are far above. */
#define FD_FIRST 64
#define FD_END   256

enum file {
	FILE_REGULAR,
	FILE_READ_ONLY,
	FILE_DIRECT,
	FILE_DIRECTORY,
	FILE_NULL,
	FILE_PIPE_READ,
	FILE_PIPE_WRITE,
	FILE_PIPE_READ_BLOCKING,
	FILE_PIPE_WRITE_BLOCKING,
	FILE_STREAM,
	FILE_STREAM_PEER,
	FILE_PACKETS,
	FILE_PACKETS_PEER,
	FILE_LISTENER,
	FILE_CLIENT,
	FILE_DATAGRAM,
	FILE_EVENT,
	FILE_TIMER,
	FILE_EPOLL,
	FILE_CACHED,
	FILE_CHILD,
	FILE_RING,
	FILE_OTHER_RING,
	FILE_CLOSED,
	FILES,
};

static bool is_fuzzers[FD_END]; /* open before the first input */
static int regular = -1;
static pid_t child;

s32 files_child(void)
{
	return child;
}

/* It ends with the fuzzer. */
static void child_start(void)
{
	pid_t parent = getpid();

	child = fork();
	if (child < 0)
		abort();
	if (child > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

/* Only read, so that it can be had under a lease; on a tmpfs that is only asked for. */
static void cached_make(void)
{
	static char content[64 * 1024];
	int fd = open("r", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, content, sizeof(content)) != sizeof(content))
		abort();
	close(fd);
}

void files_init(void)
{
	/* A ring's memory is a file too: the hard limit is left for it. */
	struct rlimit file_size = {1 << 20, RLIM_INFINITY}, no_core = {0, 0};
	char scratch[] = "/tmp/fuzz.XXXXXX";

	if (!mkdtemp(scratch) || chdir(scratch) || mkdir("d", 0700))
		abort();
	regular = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (regular < 0)
		abort();
	setrlimit(RLIMIT_FSIZE, &file_size);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	child_start();
	cached_make();
}

/* At the first input: by then a merge has opened what it writes to. */
static void note_fuzzers(void)
{
	static bool is_noted;

	for (int fd = 0; fd < FD_END && !is_noted; fd++)
		is_fuzzers[fd] = fcntl(fd, F_GETFD) >= 0;
	is_noted = true;
}

s32 files_pick(s32 raw)
{
	if (raw == -1 || raw == IORING_REGISTER_FILES_SKIP || raw == AT_FDCWD)
		return raw;
	return FD_FIRST + (s32)((u32)raw % FILES);
}

static void put(enum file file, int fd)
{
	if (fd < 0)
		return;
	if (dup3(fd, FD_FIRST + (int)file, O_CLOEXEC) < 0)
		abort();
	close(fd);
}

static void put_pair(enum file first, const int pair[2])
{
	put(first, pair[0]);
	put(first + 1, pair[1]);
}

void files_add_ring(u32 which, int fd)
{
	put(which ? FILE_OTHER_RING : FILE_RING, dup(fd));
	descriptor_duplicated(fd, FD_FIRST + (which ? FILE_OTHER_RING : FILE_RING));
}

static void close_all(void)
{
	for (int fd = 3; fd < FD_END; fd++) {
		if (is_fuzzers[fd] || fd_is_private(fd) || fcntl(fd, F_GETFD) < 0)
			continue;
		descriptor_closing(fd);
		close(fd);
	}
}

static void open_sockets(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (bind(listener, (void *)&address, size) == 0 && listen(listener, 4) == 0 &&
	    getsockname(listener, (void *)&address, &size) == 0)
		connect(client, (void *)&address, size);
	put(FILE_LISTENER, listener);
	put(FILE_CLIENT, client);
	put(FILE_DATAGRAM, socket(AF_INET, SOCK_DGRAM, 0));
}

void files_reset(void)
{
	struct itimerspec soon = {.it_value.tv_nsec = 500000, .it_interval.tv_nsec = 500000};
	static const char content[2 * PAGE] = "content";
	int pair[2];

	note_fuzzers();
	close_all();
	unlink("new");
	mkdir("d", 0700);
	close(open("f", O_RDWR | O_CREAT, 0600)); /* it may have been renamed */
	put(FILE_REGULAR, open("f", O_RDWR));
	put(FILE_READ_ONLY, open("f", O_RDONLY));
	put(FILE_DIRECT, open("f", O_RDWR | O_DIRECT));
	if (ftruncate(FD_FIRST + FILE_REGULAR, 0) ||
	    write(FD_FIRST + FILE_REGULAR, content, sizeof(content)) < 0)
		abort();
	put(FILE_DIRECTORY, open(".", O_RDONLY | O_DIRECTORY));
	put(FILE_NULL, open("/dev/null", O_RDWR));
	if (pipe2(pair, O_NONBLOCK))
		abort();
	put_pair(FILE_PIPE_READ, pair);
	if (pipe2(pair, 0))
		abort();
	put_pair(FILE_PIPE_READ_BLOCKING, pair);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		abort();
	put_pair(FILE_STREAM, pair);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair))
		abort();
	put_pair(FILE_PACKETS, pair);
	open_sockets();
	put(FILE_EVENT, eventfd(0, EFD_NONBLOCK));
	put(FILE_TIMER, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	timerfd_settime(FD_FIRST + FILE_TIMER, 0, &soon, NULL);
	put(FILE_EPOLL, epoll_create1(0));
	put(FILE_CACHED, open("r", O_RDONLY));
	put(FILE_CHILD, (int)syscall(SYS_pidfd_open, child, 0));
}

static void feed(int fd, size_t size)
{
	static const char bytes[PAGE] = "fed";
	int flags = fcntl(fd, F_GETFL);

	/* Never here to wait. */
	if (flags < 0)
		return;
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (write(fd, bytes, size) < 0)
		errno = 0;
	fcntl(fd, F_SETFL, flags);
}

void files_step(struct input *in)
{
	u8 kind = input_take(in, u8);
	int fd = FD_FIRST + input_take(in, u8) % FILES;
	u16 size = input_take(in, u16);

	switch (kind % 3) {
	case 0:
		if (fd != FD_FIRST + FILE_RING && fd != FD_FIRST + FILE_OTHER_RING)
			feed(fd, fd == FD_FIRST + FILE_EVENT ? 8 : size % PAGE);
		break;
	case 1:
		shutdown(fd, size % 3);
		break;
	case 2:
		descriptor_closing(fd);
		close(fd);
		break;
	}
}
