/*
 * program.c - names, printing and surgery of programs
 *
 * Entry:       program_print(), program_drop_op(), opcode_name()
 * Not here:    generation (generate.c), execution (execute.c)
 */
#include "program.h"

#include <string.h>

static const char *const opcode_names[] = {
	"NOP",
	"READV",
	"WRITEV",
	"FSYNC",
	"READ_FIXED",
	"WRITE_FIXED",
	"POLL_ADD",
	"POLL_REMOVE",
	"SYNC_FILE_RANGE",
	"SENDMSG",
	"RECVMSG",
	"TIMEOUT",
	"TIMEOUT_REMOVE",
	"ACCEPT",
	"ASYNC_CANCEL",
	"LINK_TIMEOUT",
	"CONNECT",
	"FALLOCATE",
	"OPENAT",
	"CLOSE",
	"FILES_UPDATE",
	"STATX",
	"READ",
	"WRITE",
	"FADVISE",
	"MADVISE",
	"SEND",
	"RECV",
	"OPENAT2",
	"EPOLL_CTL",
	"SPLICE",
	"PROVIDE_BUFFERS",
	"REMOVE_BUFFERS",
	"TEE",
	"SHUTDOWN",
	"RENAMEAT",
	"UNLINKAT",
	"MKDIRAT",
	"SYMLINKAT",
	"LINKAT",
	"MSG_RING",
	"FSETXATTR",
	"SETXATTR",
	"FGETXATTR",
	"GETXATTR",
	"SOCKET",
	"URING_CMD",
	"SEND_ZC",
	"SENDMSG_ZC",
	"READ_MULTISHOT",
	"WAITID",
	"FUTEX_WAIT",
	"FUTEX_WAKE",
	"FUTEX_WAITV",
	"FIXED_FD_INSTALL",
	"FTRUNCATE",
	"BIND",
	"LISTEN",
	"RECV_ZC",
	"EPOLL_WAIT",
	"READV_FIXED",
	"WRITEV_FIXED",
	"PIPE",
	"NOP128",
	"URING_CMD128",
};

static const char *const object_names[OBJ_COUNT + 1] = {
	"file_rw",      "file_ro",      "file_wo",     "file_append", "file_direct",
	"file_empty",   "dir",          "o_path",      "pipe_r",      "pipe_w",
	"nbpipe_r",     "nbpipe_w",     "unix_a",      "unix_b",      "dgram_a",
	"dgram_b",      "tcp_a",        "tcp_b",       "eventfd",     "eventfd_sem",
	"epoll",        "listen_tcp",   "listen_unix", "client_tcp0", "client_tcp1",
	"client_unix0", "client_unix1", "unconnected", "ring",        "closed_number",
	"splice_r",     "splice_w",     "other_r",     "other_w",     "sparse",
};

static const char *const path_names[PATH_COUNT] = {
	"f0",  "f1",   "f2",   "f3",       "f4",      "f5",      "a",       "b",
	"sub", "full", "link", "f0/below", "no/such", "(empty)", "(300 x)",
};

const char *opcode_name(unsigned int opcode)
{
	static char other[4][16];
	static unsigned int turn;

	if (opcode < sizeof(opcode_names) / sizeof(opcode_names[0]))
		return opcode_names[opcode];
	turn = (turn + 1) % 4;
	snprintf(other[turn], sizeof(other[turn]), "OP_%u", opcode);
	return other[turn];
}

const char *object_name(unsigned int object)
{
	return object <= OBJ_COUNT ? object_names[object] : "?";
}

static void print_ref(FILE *out, const char *field, const struct ref *ref)
{
	static const char *const formats[] = {
		[REF_GUARD] = "guard_page",
		[REF_IOV] = "iov",
		[REF_TS] = "&ts",
		[REF_TS_ABS] = "&ts_from_now",
		[REF_HOW] = "&how",
		[REF_MSG] = "&msg",
		[REF_ADDR_OUT] = "&addr_out",
		[REF_ADDRLEN_OUT] = "&addrlen_out",
		[REF_EVENT] = "&epoll_event",
		[REF_STATX] = "&statx",
		[REF_WAITV] = "waitv",
		[REF_USER_DATA] = "user_data",
	};

	switch (ref->kind) {
	case REF_RAW:
		if (ref->v)
			fprintf(out, ", .%s = %#llx", field, (unsigned long long)ref->v);
		break;
	case REF_OBJ:
		fprintf(out, ", .%s = %s", field, object_name(ref->a));
		break;
	case REF_BUF:
		fprintf(out, ", .%s = buf + %llu", field, (unsigned long long)ref->v);
		break;
	case REF_FIXED:
		fprintf(out, ", .%s = fixed[%u] + %llu", field, ref->a, (unsigned long long)ref->v);
		break;
	case REF_MAP:
		fprintf(out, ", .%s = map + %llu", field, (unsigned long long)ref->v);
		break;
	case REF_PATH:
		fprintf(out, ", .%s = \"%s\"", field, path_names[ref->a]);
		break;
	case REF_NAME:
		fprintf(out, ", .%s = attribute[%u]", field, ref->a);
		break;
	case REF_ADDR:
		fprintf(out, ", .%s = &address_of(%s)", field, object_name(ref->a));
		break;
	case REF_ADDRLEN:
		fprintf(out, ", .%s = sizeof(address_of(%s))", field, object_name(ref->a));
		break;
	default:
		fprintf(out, ", .%s = %s", field, formats[ref->kind]);
	}
}

static void print_flags(FILE *out, unsigned int flags)
{
	static const char *const names[] = {"FIXED_FILE",       "IO_DRAIN",   "IO_LINK",
					    "IO_HARDLINK",      "ASYNC",      "BUFFER_SELECT",
					    "CQE_SKIP_SUCCESS", "UNKNOWN_BIT"};
	const char *before = ", .flags = ";

	for (int bit = 0; bit < 8; bit++) {
		if (!(flags & (1U << bit)))
			continue;
		fprintf(out, "%s%s", before, names[bit]);
		before = " | ";
	}
}

static void print_op(FILE *out, const struct program *program, int index)
{
	const struct op *op = &program->ops[index];
	const struct io_uring_sqe *sqe = &op->sqe;

	fprintf(out, "  #%-2d chain %-2u { .opcode = %s", index, op->chain,
		opcode_name(sqe->opcode));
	print_flags(out, sqe->flags);
	print_ref(out, "fd", &op->fd);
	print_ref(out, "addr", &op->addr);
	print_ref(out, "off", &op->off);
	print_ref(out, "addr3", &op->third);
	print_ref(out, "splice_fd_in", &op->second_fd);
	if (sqe->len)
		fprintf(out, ", .len = %#x", sqe->len);
	if (sqe->rw_flags)
		fprintf(out, ", .op_flags = %#x", (unsigned int)sqe->rw_flags);
	if (sqe->ioprio)
		fprintf(out, ", .ioprio = %#x", sqe->ioprio);
	if (sqe->buf_index)
		fprintf(out, ", .buf_index = %u", sqe->buf_index);
	if (sqe->personality)
		fprintf(out, ", .personality = %u", sqe->personality);
	if (sqe->file_index)
		fprintf(out, ", .file_index = %#x", sqe->file_index);
	if (sqe->addr3)
		fprintf(out, ", .addr3 = %#llx", (unsigned long long)sqe->addr3);
	if (sqe->__pad2[0])
		fprintf(out, ", .pad2 = %#llx", (unsigned long long)sqe->__pad2[0]);
	fputs(" }", out);
	for (int i = 0; i < op->niov; i++) {
		fprintf(out, "\n        iov[%d] = { .iov_len = %#llx", i,
			(unsigned long long)op->iov[i].len);
		print_ref(out, "iov_base", &op->iov[i].base);
		fputs(" }", out);
	}
	if (op->addr.kind == REF_TS || op->addr.kind == REF_TS_ABS || op->off.kind == REF_TS)
		fprintf(out, " ts = { %lld, %lld }", (long long)op->ts_sec, (long long)op->ts_nsec);
	if (op->off.kind == REF_HOW)
		fprintf(out, " how = { %#llx, %#llo, %#llx }", (unsigned long long)op->how_flags,
			(unsigned long long)op->how_mode, (unsigned long long)op->how_resolve);
	if (op->value)
		fprintf(out, " u64 at buf = %llu", (unsigned long long)op->value);
	for (int b = 0; b < program->nbatches; b++)
		if (op->due[b])
			fprintf(out, " due[%d]=%u", b, op->due[b]);
	fputc('\n', out);
}

static void print_tables(FILE *out, const struct program *program)
{
	if (program->files) {
		fputs("  fixed files:", out);
		for (int i = 0; i < PROGRAM_SLOTS; i++)
			fprintf(out, " %s", object_name(program->slots[i]));
		fputc('\n', out);
	}
	if (program->buffers) {
		fputs("  fixed buffers:", out);
		for (int i = 0; i < PROGRAM_BUFFERS; i++)
			fprintf(out, " %d",
				program->buffer_slots[i] == 255 ? -1 : program->buffer_slots[i]);
		fputc('\n', out);
	}
	for (int i = 0; i < program->nprobes; i++) {
		const struct probe *probe = &program->probes[i];
		const char *kind = probe->kind == ACTION_SETUP      ? "setup"
				   : probe->kind == ACTION_REGISTER ? "register"
								    : "enter";

		fprintf(out,
			"  probe %d: %s variant=%u arg=%u flags=%#x extra=%#x ring_flags=%#x%s\n",
			i, kind, probe->variant, probe->opcode, probe->flags, probe->extra,
			probe->ring_flags, probe->fresh ? " (new ring)" : "");
	}
}

void program_print(FILE *out, const struct program *program)
{
	int op = 0;

	fprintf(out, "program %llu: entries=%u setup_flags=%#x cq_entries=%u%s%s%s%s\n",
		(unsigned long long)program->seed, program->entries, program->setup_flags,
		program->cq_entries, program->enable_later ? " then enable" : "",
		program->eventfd ? " with an eventfd" : "",
		program->map_cq_apart ? " cq mapped apart" : "",
		program->on_disk ? " on disk" : "");
	print_tables(out, program);
	for (int b = 0; b < program->nbatches; b++) {
		const struct batch *batch = &program->batches[b];

		if (batch->before.kind == ACTION_WRITE)
			fprintf(out, " host writes %llu bytes to %s\n",
				(unsigned long long)batch->before.v, object_name(batch->before.a));
		else if (batch->before.kind == ACTION_FILES_UPDATE)
			fprintf(out, " fixed file %u = %s\n", batch->before.a,
				object_name(batch->before.b));
		else if (batch->before.kind == ACTION_BUFFERS_UPDATE)
			fprintf(out, " fixed buffer %u = %d\n", batch->before.a,
				batch->before.b == 255 ? -1 : batch->before.b);
		fprintf(out, " batch %d%s%s\n", b,
			batch->wait_in_submit ? " (submit and wait)" : "",
			batch->leave ? " (CQEs are left)" : "");
		for (; op < program->nops && program->ops[op].batch == b; op++)
			print_op(out, program, op);
	}
}

void program_drop_op(struct program *program, int index)
{
	struct op *op = &program->ops[index];
	bool linked = op->sqe.flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK);

	/* The last of a chain goes: the one before becomes the last. */
	if (!linked && index > 0 && op[-1].chain == op->chain && op[-1].batch == op->batch)
		op[-1].sqe.flags &= (uint8_t) ~(IOSQE_IO_LINK | IOSQE_IO_HARDLINK);
	memmove(op, op + 1, (size_t)(program->nops - index - 1) * sizeof(*op));
	program->nops--;
}
