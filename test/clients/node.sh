#!/bin/bash
#
# node.sh - Node.js under ringside, with the kernel's rings refused
#
# usage: test/clients/node.sh BUILD
#
# libuv enters its rings by libc's syscall(): one with a submission thread for
# files, whose descriptor it watches by epoll, and one for batches of epoll_ctl.
# Where it gets no ring it uses threads and says nothing, so fs.js says whether
# there is one, and its output with io_uring is compared with that without.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=test/clients/lib.sh
. "$here/lib.sh"
clients_begin "$@"
need node nodejs

work=$scratch/work
output=$scratch/output

# The first libuv that can be asked for io_uring; Debian 12's own is 1.44.
uv=$(node -p process.versions.uv)
if [ "$(printf '%s\n' 1.46 "$uv" | sort -V | head -n 1)" != 1.46 ]; then
	skip node "node $(node -v) has libuv $uv, which has no io_uring (1.46 and later have)"
	exit 77
fi

# fs_js NAME PLACE MODE [KEY OP NUMBER]...
fs_js()
{
	local name=$1 place=$2 mode=$3

	shift 3
	if [ "$place" = sandbox ] && ! sandbox_is_there; then
		skip "$name" "$sandbox_reason"
		return
	fi
	rm -rf -- "$work" && mkdir -- "$work"
	if ! UV_USE_IO_URING=0 node "$here/fs.js" "$work" "$mode" >"$output.expected" 2>"$log"; then
		not_ok "$name" "it fails without io_uring too"
		show_log
		return
	fi
	rm -rf -- "$work" && mkdir -- "$work"
	: >"$output.answered"
	# shellcheck disable=SC2016  # expanded by the shell inside
	run_case "$name" "$place" "$@" -- env UV_USE_IO_URING=1 \
		sh -c 'out=$1; shift; exec "$@" >"$out"' sh "$output.answered" \
		node "$here/fs.js" "$work" "$mode"
	if cmp "$output.expected" "$output.answered" >>"$log" 2>&1; then
		ok "${name}_sees_the_same"
	else
		not_ok "${name}_sees_the_same" 'the output differs'
		diff "$output.expected" "$output.answered" | head -n 5 | sed 's/^/# /'
	fi
}

# refused NAME PLACE: fs.js works there by threads, and finds no ring
refused()
{
	local name=$1 place=$2

	if [ "$place" = sandbox ] && ! sandbox_is_there; then
		skip "$name" "$sandbox_reason"
		return
	fi
	rm -rf -- "$work" && mkdir -- "$work"
	if refused_place "$place" env UV_USE_IO_URING=1 node "$here/fs.js" "$work" \
		>/dev/null 2>"$log" && grep -q "^ring: none of the kernel's" "$log"; then
		ok "$name"
	else
		not_ok "$name" "there is a ring of the kernel"
		show_log
	fi
}

refused node_is_refused_without_ringside forbid
refused node_is_refused_in_the_container sandbox

used=(ops.OPENAT.count gt 0 ops.STATX.count gt 0 ops.CLOSE.count gt 0 ops.READV.count gt 0
	ops.WRITEV.count gt 0 ops.FSYNC.count gt 0 ops.EPOLL_CTL.count gt 0)
fs_js node_files forbid '' "${used[@]}"
fs_js node_links forbid links
fs_js node_files_in_the_container sandbox '' "${used[@]}"

clients_end
