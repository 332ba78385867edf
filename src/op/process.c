/*
 * process.c - WAITID
 *
 * The child is asked after without waiting, each time. If there is nothing to tell
 * yet and the end of one process is what counts, the request waits for that process' pidfd to
 * become readable. For a group, for any child, or for a stop, no descriptor tells: the
 * call waits in the punt pool, and is interrupted to be cancelled.
 *
 * The kernel: io_uring/waitid.c, an entry in the task's queue for children
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "host/kernel.h"
#include "host/usercopy.h"
#include "op/ops.h"
#include "request/poll.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct waitid {
	u64 user_info;
	s32 which, id;
	s32 options;
	struct file *pidfd; /* what it waits for, or NULL */
};

OP_PREP(waitid)
{
	struct waitid *wait = request_data(req, struct waitid);

	*wait = (struct waitid){
		.user_info = load_relaxed(&sqe->addr2),
		.which = (s32)load_relaxed(&sqe->len),
		.id = load_relaxed(&sqe->fd),
		.options = (s32)load_relaxed(&sqe->file_index),
	};
	return load_relaxed(&sqe->addr) || load_relaxed(&sqe->buf_index) ||
			       load_relaxed(&sqe->addr3) || load_relaxed(&sqe->waitid_flags)
		       ? -EINVAL
		       : 0;
}

OP_CLEANUP(waitid)
{
	struct waitid *wait = request_data(req, struct waitid);

	if (wait->pidfd != NULL)
		file_put(wait->pidfd);
}

/* One process, and only its end: that is what a pidfd tells. */
static bool has_pidfd(const struct waitid *wait)
{
	return (wait->which == P_PID || wait->which == P_PIDFD) &&
	       !(wait->options & (WSTOPPED | WCONTINUED));
}

static int open_pidfd(struct waitid *wait)
{
	int fd, err = 0;

	if (wait->pidfd != NULL)
		return 0;
	if (wait->which == P_PIDFD) {
		wait->pidfd = file_hold(wait->id);
		return wait->pidfd ? 0 : -ENOMEM;
	}
	fd = (int)host_call(SYS_pidfd_open, wait->id, 0);
	if (fd < 0)
		return fd;
	wait->pidfd = file_adopt(fd, &err);
	return err < 0 ? err : 0;
}

static bool may_wait(const struct waitid *wait)
{
	if (wait->options & WNOHANG)
		return false;
	return wait->which != P_PIDFD || !file_is_nonblocking(wait->id);
}

/* The fields that waitid(2) sets, and no others. 0 or -EFAULT. */
static int info_give(const struct waitid *wait, const siginfo_t *info)
{
	siginfo_t *user = (siginfo_t *)wait->user_info;
	size_t head = offsetof(siginfo_t, si_code) + sizeof(info->si_code);
	size_t first = offsetof(siginfo_t, si_pid);
	size_t end = offsetof(siginfo_t, si_status) + sizeof(info->si_status);
	int err;

	if (user == NULL)
		return 0;
	err = copy_to_user(user, info, head);
	return err ? err : copy_to_user(&user->si_pid, &info->si_pid, end - first);
}

OP_ISSUE(waitid)
{
	struct waitid *wait = request_data(req, struct waitid);
	siginfo_t info;
	long err;

	memset(&info, 0, sizeof(info));
	err = host_call(SYS_waitid, wait->which,
			wait->which == P_PIDFD && wait->pidfd ? file_fd(wait->pidfd) : wait->id,
			&info, wait->options | WNOHANG, NULL);
	if (err == 0 && info.si_pid == 0 && may_wait(wait)) {
		if (!has_pidfd(wait) || open_pidfd(wait) ||
		    poll_arm_file(req, wait->pidfd, EPOLLIN))
			return ISSUE_PUNT;
		return ISSUE_WAITING;
	}
	if ((err == 0 || err == -ECHILD) && info_give(wait, &info))
		err = -EFAULT;
	return request_done(req, err);
}

OP_BLOCK(waitid)
{
	const struct waitid *wait = request_data(req, struct waitid);
	long err = punt_call(SYS_waitid, wait->which, wait->id, (long)wait->user_info,
			     wait->options, 0);

	request_set_result(req, err == -EINTR ? -ECANCELED : (s32)err);
}
