/*
 * netns.c - run a program with a loopback network of its own
 *
 * usage: netns [--] program [args]
 *
 * Tests that bind fixed ports can then run side by side. The user stays who
 * they are: without the privilege for a network namespace one is made inside a
 * user namespace in which only their own ids exist.
 *
 * Exit status: the program's; 125 if there is no such network to be had, 126 or
 * 127 if the program could not be executed or found (as env(1) does).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	EXIT_NO_NETWORK = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
};

static int file_write(const char *path, const char *text)
{
	size_t length = strlen(text);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, length) != (ssize_t)length)
		ret = -errno;
	close(fd);
	return ret;
}

/* A namespace where the caller is privileged, and keeps both ids. */
static int user_namespace_enter(void)
{
	char uid_map[64], gid_map[64];
	int ret;

	snprintf(uid_map, sizeof(uid_map), "%u %u 1", geteuid(), geteuid());
	snprintf(gid_map, sizeof(gid_map), "%u %u 1", getegid(), getegid());
	if (unshare(CLONE_NEWUSER))
		return -errno;
	ret = file_write("/proc/self/uid_map", uid_map);
	if (!ret)
		ret = file_write("/proc/self/setgroups", "deny"); /* or gid_map is refused */
	if (!ret)
		ret = file_write("/proc/self/gid_map", gid_map);
	return ret;
}

static int loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFFLAGS, &request))
		ret = -errno;
	request.ifr_flags |= IFF_UP;
	if (!ret && ioctl(fd, SIOCSIFFLAGS, &request))
		ret = -errno;
	close(fd);
	return ret;
}

static int network_enter(void)
{
	int ret;

	if (!unshare(CLONE_NEWNET))
		return loopback_up();
	if (errno != EPERM)
		return -errno;
	ret = user_namespace_enter();
	if (ret)
		return ret;
	if (unshare(CLONE_NEWNET))
		return -errno;
	return loopback_up();
}

int main(int argc, char **argv)
{
	int arg = 1;
	int ret;

	if (arg < argc && !strcmp(argv[arg], "--"))
		arg++;
	if (arg >= argc) {
		fprintf(stderr, "usage: netns [--] program [args]\n");
		return EXIT_NO_NETWORK;
	}

	ret = network_enter();
	if (ret) {
		fprintf(stderr, "netns: no network of its own: %s\n", strerror(-ret));
		return EXIT_NO_NETWORK;
	}

	execvp(argv[arg], argv + arg);
	ret = errno;
	fprintf(stderr, "netns: %s: %s\n", argv[arg], strerror(ret));
	return ret == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
