#!/bin/bash
#
# examples.sh - the programs of liburing's examples/, and an echo server, under ringside
#
# usage: test/clients/examples.sh BUILD
#
# Where the kernel refuses io_uring, every example does what it is for: copies
# are compared, and what is sent over the network is checked byte by byte by a
# program that has no io_uring. Each is built in two ways: `dynamic` reaches
# ringside by liburing's symbols, `static` by the trap.
#
# The examples are those of Debian's liburing source package, which
# test/liburing/fetch gets; where it cannot, only they are skipped.
#
# Not here: Samba's vfs_io_uring. Debian's smbd is in a package that makes it a
# service of the machine, and is for root.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=test/clients/lib.sh
. "$here/lib.sh"
clients_begin "$@"
need gcc gcc
need python3 python3

load=$build/test/clients/echo_load
server= # a job that waits for somebody
case_limit=60

end_all()
{
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	wait || true
	rm -rf -- "$scratch"
}
trap end_all EXIT

# Until a server's output says where it listens; prints the port.
port_of()
{
	local port

	for ((i = 0; i < 200; i++)); do
		port=$(sed -n 's/.*port bound to \([0-9]*\).*/\1/p' "$1")
		if [ -n "$port" ]; then
			echo "$port"
			return
		fi
		kill -0 "$server" 2>/dev/null || return 1
		sleep 0.05
	done
	return 1
}

# server_start NAME COMMAND...: in the place that refuses, with ringside; sets $port
server_start()
{
	local name=$1

	shift
	: >"$scratch/server.log"
	under forbid "$@" >"$scratch/server.log" 2>&1 &
	server=$!
	if ! port=$(port_of "$scratch/server.log"); then
		not_ok "$name" 'the server does not listen'
		sed 's/^/# /' "$scratch/server.log"
		return 1
	fi
}

# echo_case NAME CONNECTIONS BYTES COMMAND... [-- KEY OP NUMBER...]
echo_case()
{
	local name=$1 connections=$2 bytes=$3 program=$4 status=0 why

	shift 4
	server_start "$name" "$program" "$connections" || return 0
	if ! timeout -k 5 "$case_limit" "$load" tcp "$port" "$connections" "$bytes" >"$log" 2>&1; then
		not_ok "$name" 'not every byte came back'
		show_log
		kill "$server" 2>/dev/null || true
		wait "$server" || true
		server=
		return 0
	fi
	wait "$server" || status=$?
	server=
	if [ "$status" -ne 0 ] || ! grep -q "served $connections" "$scratch/server.log"; then
		not_ok "$name" "the server ended with $status"
		sed 's/^/# /' "$scratch/server.log"
	elif ! why=$(counters_hold sqes gt 0 "$@" 2>&1); then
		not_ok "$name" "$why"
	else
		ok "$name"
	fi
}

for way in echo_server echo_server_static; do
	if [ ! -x "$build/test/clients/$way" ]; then
		skip "${way}_1000_connections" "$way is not built (Debian package: liburing-dev)"
		continue
	fi
	if [ "$native" != 1 ] && refused_place forbid "$build/test/clients/$way" 1 >"$log" 2>&1; then
		not_ok "${way}_is_refused_without_ringside" 'it works'
	fi
	# One accept of many, and a recv of many for each connection.
	echo_case "${way}_1000_connections" 1000 60000 "$build/test/clients/$way" \
		ops.ACCEPT.count lt 10 ops.SEND.errors eq 0 waits.poll gt 1000
	echo_case "${way}_one_connection" 1 2000000 "$build/test/clients/$way" ops.SEND.errors eq 0
done

suite=$build/test/liburing/suite
mkdir -p -- "$suite"
status=0
"${here%/clients}/liburing/fetch" "$suite" >"$suite/fetch.log" 2>&1 || status=$?
if [ "$status" -ne 0 ]; then
	skip examples "$(tail -n 1 "$suite/fetch.log")"
	clients_end
fi
tree=$suite/liburing

# example WAY NAME: builds it, as the tree's own make does
example()
{
	local link=(-luring)

	[ "$1" = dynamic ] || link=("$tree/src/liburing.a")
	mkdir -p "$scratch/$1"
	gcc -D_GNU_SOURCE -g -O2 -w -I"$tree/src/include" -o "$scratch/$1/$2" \
		"$tree/examples/$2.c" "${link[@]}" >"$log" 2>&1
}

# Not a multiple of anybody's block, and once one of O_DIRECT's.
head -c 3000001 /dev/urandom >"$scratch/odd"
head -c 1048576 /dev/urandom >"$scratch/even"

copy_case()
{
	local name=$1 way=$2 program=$3 from=$4

	rm -f -- "$scratch/copy"
	run_case "$name" forbid ops.READV.count ge 0 -- "$scratch/$way/$program" "$from" "$scratch/copy"
	if cmp "$from" "$scratch/copy" >"$log" 2>&1; then
		ok "${name}_compares"
	else
		not_ok "${name}_compares" 'the copy differs'
		show_log
	fi
}

# What a sender sends until it ends: its pattern, again from the start with each send. A send may
# be short, here as by the kernel, and the example does not mind. Prints how much came.
sink()
{
	python3 -c '
import re, socket
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
listener.settimeout(30)
print("port bound to", listener.getsockname()[1], flush=True)
peer, _ = listener.accept()
peer.settimeout(30)
# A run of letters in their order, which begins with an a behind every break.
alphabet = bytes(range(97, 123))
wrong = re.compile(b"|".join(
    bytes([c, 91]) + b"^a" + (b"" if c == 122 else bytes([c + 1])) + b"]" for c in alphabet))
total, last = 0, b""
while True:
    data = peer.recv(1048576)
    if not data:
        break
    if wrong.search(last + data) or data.strip(alphabet):
        raise SystemExit(f"a byte after {total} is wrong")
    total, last = total + len(data), data[-1:]
print("MB", total >> 20)'
}

# send_case NAME WAY SIZE OPTION...: one send at a time, for several may overtake each other
send_case()
{
	local name=$1 way=$2 size=$3

	shift 3
	: >"$scratch/server.log"
	sink >"$scratch/server.log" 2>&1 &
	server=$!
	if ! port=$(port_of "$scratch/server.log"); then
		not_ok "$name" 'nobody listens'
		return
	fi
	run_case "$name" forbid -- "$scratch/$way/send-zerocopy" -4 -D 127.0.0.1 -p "$port" \
		-t 1 -n 1 -s "$size" "$@" tcp
	if wait "$server" && [ "$(sed -n 's/^MB //p' "$scratch/server.log")" = \
		"$(sed -n 's/.*(MB=\([0-9]*\)),.*/\1/p' "$log")" ]; then
		ok "${name}_has_every_byte"
	else
		not_ok "${name}_has_every_byte" "$(tail -n 1 "$scratch/server.log")"
	fi
	server=
}

for way in dynamic static; do
	for program in io_uring-cp link-cp ucontext-cp io_uring-test poll-bench io_uring-udp \
		send-zerocopy; do
		if [ ! -f "$tree/examples/$program.c" ]; then
			skip "${program}_$way" 'this version of liburing has none'
			continue
		fi
		if ! example "$way" "$program"; then
			not_ok "${program}_$way" 'it does not build'
			show_log
			continue
		fi
		case $program in
		io_uring-cp | link-cp)
			copy_case "${program}_$way" "$way" "$program" "$scratch/odd"
			copy_case "${program}_even_$way" "$way" "$program" "$scratch/even"
			;;
		ucontext-cp)
			# It takes pairs of files and copies them at once, a KiB of each in a second.
			head -c 3000 "$scratch/odd" >"$scratch/one"
			head -c 2048 "$scratch/even" >"$scratch/other"
			run_case "${program}_$way" forbid -- "$scratch/$way/$program" \
				"$scratch/one" "$scratch/copy1" "$scratch/other" "$scratch/copy2"
			if cmp "$scratch/one" "$scratch/copy1" && cmp "$scratch/other" "$scratch/copy2"; then
				ok "${program}_${way}_compares"
			else
				not_ok "${program}_${way}_compares" 'a copy differs'
			fi
			;;
		io_uring-test)
			run_case "${program}_$way" forbid ops.READV.errors eq 0 -- \
				sh -c '"$@" | grep "completed=4, bytes=16384"' sh \
				"$scratch/$way/$program" "$scratch/even"
			;;
		poll-bench)
			# It fills a pipe and empties it again before it waits for those who poll it.
			skip "${program}_$way" 'what was ready for a moment is not seen (README.md, Limits)'
			;;
		io_uring-udp)
			server_start "${program}_$way" "$scratch/$way/$program" -p 0 -b 11 || continue
			if timeout -k 5 "$case_limit" "$load" udp "$port" 32 200000 >"$log" 2>&1; then
				ok "${program}_${way}_has_every_byte"
			else
				not_ok "${program}_${way}_has_every_byte" 'not every byte came back'
				show_log
			fi
			# It serves for ever: the signal goes to timeout, and on to it.
			kill "$server" 2>/dev/null || true
			wait "$server" || true
			server=
			;;
		send-zerocopy)
			send_case "${program}_$way" "$way" 1400
			send_case "${program}_large_$way" "$way" 60000
			send_case "${program}_ordinary_$way" "$way" 1400 -z 0
			send_case "${program}_ordinary_buffers_$way" "$way" 8000 -b 0
			;;
		esac
	done
done

clients_end
