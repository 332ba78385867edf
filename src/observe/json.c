/*
 * json.c - the totals as one JSON object
 *
 *	{"enters": 1, ..., "waits": {"page": 0, ...}, "pagein": {...},
 *	 "ops": {"READ": {"count": 1, "errors": 0, "p50_ns": 900, "p99_ns": 900}}}
 *
 * Keys stand in counters.def; those with a dot become a member of the object
 * named before it. Operations that were never used are left out; a latency that
 * was not measured is null. The library may write this while the program's
 * process ends, so nothing here allocates by malloc() or uses stdio streams.
 *
 * Entry:  stats_write_json()
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/pages.h"
#include "base/raw.h"
#include "observe/stats.h"

/* All counters and all operations with 20-digit numbers fit. */
#define JSON_MAX 16384

struct json {
	char text[JSON_MAX];
	size_t len;
	struct stats_totals totals;
};

static void RS_PRINTF(2, 3) json_add(struct json *json, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(json->text + json->len, JSON_MAX - json->len, format, args);
	va_end(args);
	rs_assert(len >= 0 && json->len + (size_t)len < JSON_MAX);
	json->len += (size_t)len;
}

static const char *const counter_names[COUNTER_LAST] = {
#define COUNTER(name, json, combine) [COUNTER_##name] = json,
#include "observe/counters.def"
#undef COUNTER
};

static void json_counters(struct json *json)
{
	const char *group = ""; /* the object being written, and its length */
	size_t group_len = 0;

	json_add(json, "{");
	for (u32 c = 0; c < COUNTER_LAST; c++) {
		const char *name = counter_names[c];
		const char *dot = strchr(name, '.');
		size_t len = dot ? (size_t)(dot - name) : 0;
		bool is_same = len == group_len && (len == 0 || !memcmp(name, group, len));

		if (!is_same && group_len)
			json_add(json, "\n  }");
		if (c)
			json_add(json, ",");
		if (!is_same && len)
			json_add(json, "\n  \"%.*s\": {", (int)len, name);
		json_add(json, "\n%s\"%s\": %llu", len ? "    " : "  ", dot ? dot + 1 : name,
			 (unsigned long long)json->totals.counters[c]);
		group = name;
		group_len = len;
	}
	if (group_len)
		json_add(json, "\n  }");
}

static void json_latency(struct json *json, const char *key, bool is_known, u64 ns)
{
	if (is_known)
		json_add(json, ", \"%s\": %llu", key, (unsigned long long)ns);
	else
		json_add(json, ", \"%s\": null", key);
}

static void json_ops(struct json *json)
{
	const struct stats_totals *totals = &json->totals;
	const char *separator = "";

	json_add(json, ",\n  \"ops\": {");
	for (u32 op = 0; op < IORING_OP_LAST; op++) {
		if (totals->ops[op].count == 0)
			continue;
		json_add(json, "%s\n    \"%s\": {\"count\": %llu, \"errors\": %llu", separator,
			 stats_op_name((u8)op), (unsigned long long)totals->ops[op].count,
			 (unsigned long long)totals->ops[op].errors);
		json_latency(json, "p50_ns", totals->has_latency[op], totals->p50_ns[op]);
		json_latency(json, "p99_ns", totals->has_latency[op], totals->p99_ns[op]);
		json_add(json, "}");
		separator = ",";
	}
	json_add(json, "%s}\n}\n", *separator ? "\n  " : "");
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		long written = raw_syscall3(SYS_write, fd, (long)text, (long)len);

		if (written == -EINTR)
			continue;
		if (written < 0)
			return (int)written;
		text += written;
		len -= (size_t)written;
	}
	return 0;
}

static int write_in_place(const char *path, const struct json *json)
{
	long fd = raw_syscall4(SYS_openat, AT_FDCWD, (long)path,
			       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	int err;

	if (fd < 0)
		return (int)fd;
	err = write_all((int)fd, json->text, json->len);
	raw_syscall1(SYS_close, fd);
	return err;
}

/* A reader sees the old file or the whole new one. */
static int write_by_rename(const char *path, const struct json *json)
{
	char temporary[PATH_MAX];
	int len = snprintf(temporary, sizeof(temporary), "%s.%ld.tmp", path,
			   raw_syscall0(SYS_getpid));
	long fd;
	int err;

	if (len < 0 || (size_t)len >= sizeof(temporary))
		return -ENAMETOOLONG;
	fd = raw_syscall4(SYS_openat, AT_FDCWD, (long)temporary,
			  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return (int)fd;
	err = write_all((int)fd, json->text, json->len);
	raw_syscall1(SYS_close, fd);
	if (!err)
		err = (int)raw_syscall5(SYS_renameat2, AT_FDCWD, (long)temporary, AT_FDCWD,
					(long)path, 0);
	if (err)
		raw_syscall3(SYS_unlinkat, AT_FDCWD, (long)temporary, 0);
	return err;
}

/*
 * Only a plain file, or none yet, may be replaced: not a device, not where a symbolic link stands.
 */
static bool path_is_replaceable(const char *path)
{
	struct statx found;
	long err = raw_syscall5(SYS_statx, AT_FDCWD, (long)path, AT_SYMLINK_NOFOLLOW, STATX_TYPE,
				(long)&found);

	return err == -ENOENT || (!err && S_ISREG(found.stx_mode));
}

int stats_write_json(const char *path)
{
	struct json *json = pages_alloc(sizeof(*json));
	int err = -EACCES;

	if (json == NULL)
		return -ENOMEM;
	stats_totals(&json->totals);
	json_counters(json);
	json_ops(json);
	if (path_is_replaceable(path))
		err = write_by_rename(path, json);
	/* A folder that takes no new file may still have one that can be written. */
	if (err == -EACCES || err == -EROFS || err == -EEXIST || err == -ENAMETOOLONG)
		err = write_in_place(path, json);
	pages_free(json, sizeof(*json));
	return err;
}

#define OP(name) [IORING_OP_##name] = #name

static const char *const op_names[IORING_OP_LAST] = {
	OP(NOP),
	OP(READV),
	OP(WRITEV),
	OP(FSYNC),
	OP(READ_FIXED),
	OP(WRITE_FIXED),
	OP(POLL_ADD),
	OP(POLL_REMOVE),
	OP(SYNC_FILE_RANGE),
	OP(SENDMSG),
	OP(RECVMSG),
	OP(TIMEOUT),
	OP(TIMEOUT_REMOVE),
	OP(ACCEPT),
	OP(ASYNC_CANCEL),
	OP(LINK_TIMEOUT),
	OP(CONNECT),
	OP(FALLOCATE),
	OP(OPENAT),
	OP(CLOSE),
	OP(FILES_UPDATE),
	OP(STATX),
	OP(READ),
	OP(WRITE),
	OP(FADVISE),
	OP(MADVISE),
	OP(SEND),
	OP(RECV),
	OP(OPENAT2),
	OP(EPOLL_CTL),
	OP(SPLICE),
	OP(PROVIDE_BUFFERS),
	OP(REMOVE_BUFFERS),
	OP(TEE),
	OP(SHUTDOWN),
	OP(RENAMEAT),
	OP(UNLINKAT),
	OP(MKDIRAT),
	OP(SYMLINKAT),
	OP(LINKAT),
	OP(MSG_RING),
	OP(FSETXATTR),
	OP(SETXATTR),
	OP(FGETXATTR),
	OP(GETXATTR),
	OP(SOCKET),
	OP(URING_CMD),
	OP(SEND_ZC),
	OP(SENDMSG_ZC),
	OP(READ_MULTISHOT),
	OP(WAITID),
	OP(FUTEX_WAIT),
	OP(FUTEX_WAKE),
	OP(FUTEX_WAITV),
	OP(FIXED_FD_INSTALL),
	OP(FTRUNCATE),
	OP(BIND),
	OP(LISTEN),
	OP(RECV_ZC),
	OP(EPOLL_WAIT),
	OP(READV_FIXED),
	OP(WRITEV_FIXED),
	OP(PIPE),
	OP(NOP128),
	OP(URING_CMD128),
};

const char *stats_op_name(u8 opcode)
{
	return opcode < IORING_OP_LAST ? op_names[opcode] : "?";
}
