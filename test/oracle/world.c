/*
 * world.c - making, printing and removing a program's objects
 *
 * Entry:       see world.h
 * Invariants:  see world.h
 */
#define _GNU_SOURCE
#include <linux/time_types.h>

#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_OBJECT_FD 600
#define CLOSED_FD       990
#define PAGE            4096
#define FILE_SIZE_MAX   40000

static const struct {
	const char *name;
	int flags;
	size_t size;
} files[] = {
	[OBJ_FILE_RW] = {"f0", O_RDWR, 10000},
	[OBJ_FILE_RO] = {"f1", O_RDONLY, 40000},
	[OBJ_FILE_WO] = {"f2", O_WRONLY, 100},
	[OBJ_FILE_APPEND] = {"f3", O_RDWR | O_APPEND, 4096},
	[OBJ_FILE_DIRECT] = {"f4", O_RDWR | O_DIRECT, 32768},
	[OBJ_FILE_EMPTY] = {"f5", O_RDWR, 0},
};

int memory_open(struct memory *memory)
{
	const size_t stride = ARENA_DATA + PAGE;
	const int prot = PROT_READ | PROT_WRITE;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uint8_t *fixed;

	memory->arenas = mmap(NULL, PROGRAM_OPS * stride, prot, flags, -1, 0);
	memory->map = mmap(NULL, 16 * PAGE, prot, flags, -1, 0);
	fixed = mmap(NULL, (size_t)PROGRAM_BUFFERS * FIXED_BUFFER_SIZE, prot, flags, -1, 0);
	memory->sides = calloc(PROGRAM_OPS, sizeof(*memory->sides));
	if (memory->arenas == MAP_FAILED || memory->map == MAP_FAILED || fixed == MAP_FAILED ||
	    !memory->sides)
		return -ENOMEM;
	for (int i = 0; i < PROGRAM_OPS; i++)
		if (mprotect(memory->arenas + i * stride + ARENA_DATA, PAGE, PROT_NONE))
			return -errno;
	for (int i = 0; i < PROGRAM_BUFFERS; i++)
		memory->fixed[i] = fixed + (size_t)i * FIXED_BUFFER_SIZE;
	memory->guard = memory->arenas + ARENA_DATA;
	return 0;
}

uint8_t *memory_data(const struct memory *memory, int op)
{
	return memory->arenas + (size_t)op * (ARENA_DATA + PAGE);
}

uint64_t hash_bytes(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t hash = 0xcbf29ce484222325ULL;
	uint64_t word;

	for (; size >= 8; bytes += 8, size -= 8) {
		memcpy(&word, bytes, 8);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
	}
	for (; size; bytes++, size--)
		hash = (hash ^ *bytes) * 0x100000001b3ULL;
	return hash;
}

/* Move a descriptor out of the range that the kernel gives out. */
static int fd_raise(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OBJECT_FD);

	close(fd);
	return high;
}

static int pair_raise(struct world *world, int a, int b, const int fds[2])
{
	world->fd[a] = fd_raise(fds[0]);
	world->fd[b] = fd_raise(fds[1]);
	return world->fd[a] < 0 || world->fd[b] < 0 ? -errno : 0;
}

/* What a file of this letter begins with; drawn up once. */
static const uint8_t *file_contents(uint8_t letter)
{
	static uint8_t contents[256][FILE_SIZE_MAX];
	static bool is_drawn[256];
	uint8_t *data = contents[letter];

	for (size_t i = 0; !is_drawn[letter] && i < FILE_SIZE_MAX; i++)
		data[i] = (uint8_t)(i * 7 + (i / 4096 * 4096 >> 8) + letter);
	is_drawn[letter] = true;
	return data;
}

static int file_create(const struct world *world, const char *name, size_t size)
{
	const uint8_t *data = file_contents((uint8_t)name[1]);
	int fd = openat(world->dir_fd, name, O_CREAT | O_WRONLY | O_EXCL, 0640);
	ssize_t written;

	if (fd < 0)
		return -errno;
	written = write(fd, data, size);
	close(fd);
	return written == (ssize_t)size ? 0 : -EIO;
}

static int tree_create(struct world *world, const char *scratch, bool has_files)
{
	int ret;

	snprintf(world->dir, sizeof(world->dir), "%s/p", scratch);
	if (mkdir(world->dir, 0755))
		return -errno;
	world->dir_fd = open(world->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (world->dir_fd < 0)
		return -errno;
	world->dir_fd = fd_raise(world->dir_fd);
	if (world->dir_fd < 0 || fchdir(world->dir_fd))
		return -errno;
	if (!has_files)
		return 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		ret = file_create(world, files[i].name, files[i].size);
		if (ret)
			return ret;
	}
	if (mkdir("sub", 0755) || mkdir("full", 0755) || symlink("f0", "link"))
		return -errno;
	return file_create(world, "full/x", 10);
}

static int file_open(struct world *world, int object)
{
	int fd = open(files[object].name, files[object].flags | O_CLOEXEC);

	if (fd < 0 && errno == EINVAL)
		fd = open(files[object].name, (files[object].flags & ~O_DIRECT) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	world->fd[object] = fd_raise(fd);
	return world->fd[object] < 0 ? -errno : 0;
}

static int listen_tcp(struct world *world)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&world->addr[0];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port = 0;
	world->addrlen[0] = sizeof(*in);
	if (bind(fd, (struct sockaddr *)in, sizeof(*in)) || listen(fd, 16) ||
	    getsockname(fd, (struct sockaddr *)in, &world->addrlen[0])) {
		close(fd);
		return -errno;
	}
	world->fd[OBJ_LISTEN_TCP] = fd_raise(fd);
	return 0;
}

static int listen_unix(struct world *world)
{
	struct sockaddr_un *un = (struct sockaddr_un *)(void *)&world->addr[1];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	un->sun_family = AF_UNIX;
	/* Autobind: an abstract name that nobody else has. */
	if (bind(fd, (struct sockaddr *)un, sizeof(un->sun_family)) || listen(fd, 16)) {
		close(fd);
		return -errno;
	}
	world->addrlen[1] = sizeof(*un);
	getsockname(fd, (struct sockaddr *)un, &world->addrlen[1]);
	world->fd[OBJ_LISTEN_UNIX] = fd_raise(fd);
	return 0;
}

static int pair_tcp(struct world *world)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fds[2] = {-1, -1};
	int one = 1, ret = -EIO;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0)
		return -errno;
	if (bind(listener, (struct sockaddr *)&in, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&in, &len))
		goto out;
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fds[0] < 0 || connect(fds[0], (struct sockaddr *)&in, len))
		goto out;
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fds[1] < 0)
		goto out;
	setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	ret = pair_raise(world, OBJ_TCP_A, OBJ_TCP_B, fds);
	fds[0] = -1;
out:
	if (ret && fds[0] >= 0)
		close(fds[0]);
	close(listener);
	return ret;
}

static int single_raise(struct world *world, int object, int fd)
{
	if (fd < 0)
		return -errno;
	world->fd[object] = fd_raise(fd);
	return world->fd[object] < 0 ? -errno : 0;
}

static int object_open(struct world *world, int object)
{
	int fds[2];

	switch (object) {
	case OBJ_FILE_RW ... OBJ_FILE_EMPTY:
		return file_open(world, object);
	case OBJ_DIR:
		return single_raise(world, object, open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	case OBJ_PATH:
		return single_raise(world, object, open("f0", O_PATH | O_CLOEXEC));
	case OBJ_PIPE_R:
	case OBJ_PIPE_W:
		return pipe2(fds, O_CLOEXEC) ? -errno
					     : pair_raise(world, OBJ_PIPE_R, OBJ_PIPE_W, fds);
	case OBJ_NBPIPE_R:
	case OBJ_NBPIPE_W:
		return pipe2(fds, O_CLOEXEC | O_NONBLOCK)
			       ? -errno
			       : pair_raise(world, OBJ_NBPIPE_R, OBJ_NBPIPE_W, fds);
	case OBJ_SPLICE_R:
	case OBJ_SPLICE_W:
		return pipe2(fds, O_CLOEXEC) ? -errno
					     : pair_raise(world, OBJ_SPLICE_R, OBJ_SPLICE_W, fds);
	case OBJ_OTHER_R:
	case OBJ_OTHER_W:
		return pipe2(fds, O_CLOEXEC) ? -errno
					     : pair_raise(world, OBJ_OTHER_R, OBJ_OTHER_W, fds);
	case OBJ_UNIX_A:
	case OBJ_UNIX_B:
		return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)
			       ? -errno
			       : pair_raise(world, OBJ_UNIX_A, OBJ_UNIX_B, fds);
	case OBJ_DGRAM_A:
	case OBJ_DGRAM_B:
		return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds)
			       ? -errno
			       : pair_raise(world, OBJ_DGRAM_A, OBJ_DGRAM_B, fds);
	case OBJ_TCP_A:
	case OBJ_TCP_B:
		return pair_tcp(world);
	case OBJ_EVENT:
		return single_raise(world, object, eventfd(0, EFD_CLOEXEC));
	case OBJ_EVENT_SEM:
		return single_raise(world, object, eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE));
	case OBJ_EPOLL:
		return single_raise(world, object, epoll_create1(EPOLL_CLOEXEC));
	case OBJ_LISTEN_TCP:
		return listen_tcp(world);
	case OBJ_LISTEN_UNIX:
		return listen_unix(world);
	case OBJ_CLIENT_TCP0:
	case OBJ_CLIENT_TCP1:
		return single_raise(world, object, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	case OBJ_CLIENT_UNIX0:
	case OBJ_CLIENT_UNIX1:
	case OBJ_UNCONNECTED:
		return single_raise(world, object, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	default: /* the ring is made by the executor, the closed number by nobody */
		return 0;
	}
}

static void mark_ref(bool used[256], const struct ref *ref)
{
	if (ref->kind == REF_OBJ || ref->kind == REF_ADDR || ref->kind == REF_ADDRLEN)
		used[ref->a] = true;
}

static void mark_used(const struct program *program, bool used[256])
{
	for (int i = 0; i < program->nops; i++) {
		mark_ref(used, &program->ops[i].fd);
		mark_ref(used, &program->ops[i].addr);
		mark_ref(used, &program->ops[i].off);
		mark_ref(used, &program->ops[i].second_fd);
	}
	for (int i = 0; program->files && i < PROGRAM_SLOTS; i++)
		used[program->slots[i]] = true;
	for (int i = 0; i < program->nbatches; i++) {
		const struct action *action = &program->batches[i].before;

		if (action->kind == ACTION_WRITE)
			used[action->a] = true;
		if (action->kind == ACTION_FILES_UPDATE)
			used[action->b] = true;
	}
}

/* Whether the program names a file: by a path, or by a descriptor. */
static bool names_files(const struct program *program, const bool used[256])
{
	for (int i = 0; i < program->nops; i++) {
		const struct op *op = &program->ops[i];

		if (op->addr.kind == REF_PATH || op->off.kind == REF_PATH ||
		    op->third.kind == REF_PATH)
			return true;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (files[i].name && used[i])
			return true;
	return used[OBJ_PATH] || used[OBJ_DIR];
}

int world_open(struct world *world, const struct program *program, const char *scratch)
{
	bool used[256] = {false};
	int ret;

	memset(world, 0, sizeof(*world));
	world->program = program;
	for (int i = 0; i < OBJ_COUNT; i++)
		world->fd[i] = -1;
	world->fd[OBJ_CLOSED] = CLOSED_FD;
	mark_used(program, used);
	ret = tree_create(world, scratch, names_files(program, used));
	if (ret)
		return ret;
	for (int i = 0; i < OBJ_COUNT; i++) {
		if (!used[i] || world->fd[i] >= 0)
			continue;
		ret = object_open(world, i);
		if (ret)
			return ret;
	}
	return 0;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void file_print(int dir, const char *prefix, const char *name, FILE *out)
{
	static uint8_t data[1 << 17];
	struct stat st;
	ssize_t got = 0;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return;
	fprintf(out, "final %s%s: mode=%o", prefix, name, (unsigned int)st.st_mode);
	if (S_ISREG(st.st_mode)) {
		fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			got = read(fd, data, sizeof(data));
			close(fd);
		}
		fprintf(out, " size=%lld data=%016llx", (long long)st.st_size,
			(unsigned long long)hash_bytes(data, got > 0 ? (size_t)got : 0));
	}
	fputc('\n', out);
}

/* Print (if out) or remove (if not) everything below `dir`, in the order of names. */
static void tree_walk(int dir, const char *prefix, FILE *out)
{
	char *names[256];
	char below[512];
	struct dirent *entry;
	struct stat st;
	int fd, count = 0;
	DIR *stream = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	if (!stream)
		return;
	while ((entry = readdir(stream)) && count < 256)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			names[count++] = strdup(entry->d_name);
	closedir(stream);
	qsort(names, (size_t)count, sizeof(names[0]), name_compare);
	for (int i = 0; i < count; i++) {
		bool is_dir =
			!fstatat(dir, names[i], &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode);

		if (out)
			file_print(dir, prefix, names[i], out);
		fd = is_dir ? openat(dir, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
		if (fd >= 0) {
			snprintf(below, sizeof(below), "%s%s/", prefix, names[i]);
			tree_walk(fd, below, out);
			close(fd);
		}
		if (!out)
			unlinkat(dir, names[i], is_dir ? AT_REMOVEDIR : 0);
		free(names[i]);
	}
}

static void stream_print(const struct world *world, int object, FILE *out)
{
	static uint8_t data[1 << 16];
	ssize_t got;

	if (world->fd[object] < 0 || fcntl(world->fd[object], F_GETFD) < 0)
		return;
	fcntl(world->fd[object], F_SETFL, O_NONBLOCK);
	got = read(world->fd[object], data, sizeof(data));
	fprintf(out, "final %s: left=%zd data=%016llx\n", object_name((unsigned int)object),
		got < 0 ? -errno : got,
		(unsigned long long)hash_bytes(data, got > 0 ? (size_t)got : 0));
}

void world_print_streams(struct world *world, FILE *out)
{
	static const uint8_t readable[] = {OBJ_PIPE_R,  OBJ_NBPIPE_R,  OBJ_UNIX_A,   OBJ_UNIX_B,
					   OBJ_DGRAM_A, OBJ_DGRAM_B,   OBJ_TCP_A,    OBJ_TCP_B,
					   OBJ_EVENT,   OBJ_EVENT_SEM, OBJ_SPLICE_R, OBJ_OTHER_R};

	for (size_t i = 0; i < sizeof(readable); i++)
		stream_print(world, readable[i], out);
}

void world_print_files(struct world *world, FILE *out)
{
	tree_walk(world->dir_fd, "", out);
}

void world_close(struct world *world)
{
	for (int i = 0; i < OBJ_COUNT; i++)
		if (i != OBJ_RING && world->fd[i] >= 0 && world->fd[i] != CLOSED_FD)
			close(world->fd[i]);
	tree_walk(world->dir_fd, "", NULL);
	close(world->dir_fd);
	if (chdir("/") || rmdir(world->dir))
		perror("oracle: scratch directory");
}
