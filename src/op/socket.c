/*
 * socket.c - SOCKET, BIND, LISTEN, and URING_CMD, which is answered for sockets only
 *
 * None of them waits. A command for a device would need its driver: -EOPNOTSUPP, as of a file
 * that knows no commands.
 *
 * The kernel: io_uring/net.c, io_uring/cmd_net.c
 */
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/net.h"
#include "op/ops.h"
#include "request/ring.h"

#define TYPE_MASK 0xf /* of socket(2)'s type: the rest are flags */

struct socket {
	u32 domain, type, protocol;
	u32 file_slot; /* sqe->file_index */
};

OP_PREP(socket)
{
	struct socket *sock = request_data(req, struct socket);
	u32 flags;

	if (load_relaxed(&sqe->addr) || load_relaxed(&sqe->rw_flags) ||
	    load_relaxed(&sqe->buf_index))
		return -EINVAL;
	*sock = (struct socket){
		.domain = (u32)load_relaxed(&sqe->fd),
		.type = (u32)load_relaxed(&sqe->off),
		.protocol = load_relaxed(&sqe->len),
		.file_slot = load_relaxed(&sqe->file_index),
	};
	flags = sock->type & ~(u32)TYPE_MASK;
	if (sock->file_slot && flags & SOCK_CLOEXEC)
		return -EINVAL; /* a fixed file is in no descriptor table */
	if (flags & ~(u32)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	if (sock->file_slot)
		sock->type |= SOCK_CLOEXEC; /* for the moment until it is private */
	return 0;
}

OP_ISSUE(socket)
{
	const struct socket *sock = request_data(req, struct socket);
	long fd = host_call(SYS_socket, sock->domain, sock->type, sock->protocol);

	if (fd < 0)
		return request_done(req, fd);
	if (sock->file_slot)
		return request_done(req,
				    resource_install_file(req->ring, (int)fd, sock->file_slot));
	file_forget((int)fd);
	return request_done(req, fd);
}

struct bind {
	struct sockaddr_storage *address; /* ring_alloc()ed */
	u32 len;
};

OP_PREP(bind)
{
	struct bind *bind = request_data(req, struct bind);
	u64 len = load_relaxed(&sqe->addr2);

	*bind = (struct bind){.len = (u32)len};
	if (load_relaxed(&sqe->len) || load_relaxed(&sqe->buf_index) ||
	    load_relaxed(&sqe->rw_flags) || load_relaxed(&sqe->splice_fd_in))
		return -EINVAL;
	if (bind->len > sizeof(*bind->address))
		return -EINVAL;
	bind->address = ring_alloc(req->ring, sizeof(*bind->address));
	if (bind->address == NULL)
		return -ENOMEM;
	if (bind->len == 0)
		return 0; /* wherever it is */
	return copy_from_user(bind->address, (void *)load_relaxed(&sqe->addr), bind->len);
}

OP_ISSUE(bind)
{
	const struct bind *bind = request_data(req, struct bind);

	return request_done(req, host_call(SYS_bind, request_fd(req), bind->address, bind->len));
}

OP_CLEANUP(bind)
{
	struct bind *bind = request_data(req, struct bind);

	ring_free(req->ring, bind->address, sizeof(*bind->address));
}

OP_PREP(listen)
{
	if (load_relaxed(&sqe->addr) || load_relaxed(&sqe->buf_index) ||
	    load_relaxed(&sqe->rw_flags) || load_relaxed(&sqe->splice_fd_in) ||
	    load_relaxed(&sqe->addr2))
		return -EINVAL;
	*request_data(req, u32) = load_relaxed(&sqe->len);
	return 0;
}

OP_ISSUE(listen)
{
	return request_done(req, host_call(SYS_listen, request_fd(req), *request_data(req, u32)));
}

struct command {
	u32 op;
	u32 level, name;
	u32 len;
	u64 value;
	u64 address;   /* GETSOCKNAME: where the other commands have level and name */
	bool has_more; /* a field is set that GETSOCKNAME does not know */
};

OP_PREP(uring_cmd)
{
	struct command *command = request_data(req, struct command);
	u32 flags = load_relaxed(&sqe->uring_cmd_flags);

	if (load_relaxed(&sqe->pad1) || flags & ~IORING_URING_CMD_MASK)
		return -EINVAL;
	if (flags == IORING_URING_CMD_MASK)
		return -EINVAL; /* fixed buffers and selected ones exclude each other */
	if (!(flags & IORING_URING_CMD_MULTISHOT) != !(req->flags & IOSQE_BUFFER_SELECT))
		return -EINVAL;
	*command = (struct command){
		.op = load_relaxed(&sqe->cmd_op),
		.level = load_relaxed(&sqe->level),
		.name = load_relaxed(&sqe->optname),
		.len = load_relaxed(&sqe->optlen),
		.value = load_relaxed(&sqe->optval),
		.address = load_relaxed(&sqe->addr),
		.has_more = load_relaxed(&sqe->len) || flags,
	};
	return 0;
}

/* Only families whose protocols have an ioctl of their own know the lengths of their queues. */
static long queue_length(int fd, unsigned long which)
{
	int domain = 0, length = 0;
	socklen_t size = sizeof(domain);
	long err = host_call(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);

	if (err)
		return err;
	if (domain != AF_INET && domain != AF_INET6)
		return -EOPNOTSUPP;
	err = host_call(SYS_ioctl, fd, which, &length);
	return err ? err : length;
}

static long get_option(int fd, const struct command *command)
{
	socklen_t len = command->len;
	long err;

	if (command->level != SOL_SOCKET)
		return -EOPNOTSUPP;
	err = host_call(SYS_getsockopt, fd, SOL_SOCKET, command->name, command->value, &len);
	return err ? err : (long)len;
}

/* The socket's own name, or with 1 as the "length" its peer's. */
static long get_name(int fd, const struct command *command)
{
	if (command->has_more || command->len > 1)
		return -EINVAL;
	return host_call(command->len ? SYS_getpeername : SYS_getsockname, fd, command->address,
			 command->value);
}

OP_ISSUE(uring_cmd)
{
	const struct command *command = request_data(req, struct command);
	int fd = request_fd(req), err = net_check_socket(fd);

	if (err)
		return request_done(req, err == -ENOTSOCK ? -EOPNOTSUPP : err);
	switch (command->op) {
	case SOCKET_URING_OP_SIOCINQ:
		return request_done(req, queue_length(fd, SIOCINQ));
	case SOCKET_URING_OP_SIOCOUTQ:
		return request_done(req, queue_length(fd, SIOCOUTQ));
	case SOCKET_URING_OP_GETSOCKOPT:
		return request_done(req, get_option(fd, command));
	case SOCKET_URING_OP_SETSOCKOPT:
		return request_done(req, host_call(SYS_setsockopt, fd, command->level,
						   command->name, command->value, command->len));
	case SOCKET_URING_OP_GETSOCKNAME:
		return request_done(req, get_name(fd, command));
	default:
		return request_done(req, -EOPNOTSUPP);
	}
}
