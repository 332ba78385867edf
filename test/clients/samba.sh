#!/bin/bash
#
# samba.sh - Samba's vfs_io_uring under ringside, with the kernel's rings refused
#
# usage: test/clients/samba.sh BUILD
#
# smbd makes a process for each connection, and each of these a ring of its own, by liburing.so:
# so the rings are all made behind a fork(). Several clients copy files in and out at once, with
# requests of 8 MiB and, by an older dialect, of 64 KiB; what comes back is what went in, also as
# other programs see it, and each request went by ringside.
#
# The server listens on a port of the loopback interface, for guests, while this runs; all that it
# writes is in the scratch directory. It wants to be root.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=test/clients/lib.sh
. "$here/lib.sh"
clients_begin "$@"
# Servers are not in an ordinary user's path.
PATH=$PATH:/usr/sbin:/sbin
need smbd samba
need smbclient smbclient
module=$(smbd -b | sed -n 's/^ *MODULESDIR: //p')/vfs/io_uring.so
if [ ! -e "$module" ]; then
	skip samba 'its module io_uring is missing (Debian package: samba-vfs-modules)'
	exit 77
fi
if [ "$(id -u)" -ne 0 ]; then
	skip samba 'smbd wants to be root'
	exit 77
fi

case_limit=30 # of one server, and of one client
clients=4
server_log=$scratch/server.log
configuration=$scratch/smb.conf
server= # the job that is the server with all that was put before it
port=

mkdir "$scratch/share" "$scratch/state"

# configure PORT
configure()
{
	port=$1
	cat >"$configuration" <<-END
		[global]
		server role = standalone server
		map to guest = Bad User
		guest account = root
		interfaces = lo
		bind interfaces only = yes
		smb ports = $port
		disable netbios = yes
		disable spoolss = yes
		load printers = no
		printing = bsd
		printcap name = /dev/null
		rpc start on demand helpers = no
		private dir = $scratch/state
		lock directory = $scratch/state
		state directory = $scratch/state
		cache directory = $scratch/state
		pid directory = $scratch/state
		ncalrpc dir = $scratch/state/ncalrpc
		log file = $scratch/log.%m
		[share]
		path = $scratch/share
		guest only = yes
		read only = no
		vfs objects = io_uring
	END
}

# The process that the server itself says it is; nothing if it is not there.
server_pid()
{
	local pid

	pid=$(cat "$scratch/state/smbd.pid" 2>/dev/null) || return 1
	[ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$(command -v smbd)")" ] || return 1
	echo "$pid"
}

# Ends whatever this script started, by its number.
end_all()
{
	local pid

	if pid=$(server_pid); then
		kill "$pid" 2>/dev/null || true
	fi
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	wait || true
	rm -rf -- "$scratch"
}
trap end_all EXIT

# client OPTION... COMMANDS
client()
{
	timeout -k 5 "$case_limit" smbclient //127.0.0.1/share --configfile="$configuration" \
		--port="$port" --no-pass "${@:1:$#-1}" --command="${*: -1}"
}

# server_start LAUNCHER...: until it listens, on a port that was free, or has ended
server_start()
{
	local try

	for ((try = 0; try < 5; try++)); do
		configure $((20000 + RANDOM % 10000))
		rm -f -- "$scratch/state/smbd.pid"
		"$@" smbd --foreground --debug-stdout \
			--configfile="$configuration" >"$server_log" 2>&1 &
		server=$!
		for ((i = 0; i < 100; i++)); do
			kill -0 "$server" 2>/dev/null || break
			# It answers before a share is asked for.
			if server_pid >"$log" && client --list=127.0.0.1 '' >"$log" 2>&1; then
				return 0
			fi
			sleep 0.1
		done
		server_end || true
	done
	return 1
}

# server_end: asks it to, and waits; whether it died of that, as smbd does
server_end()
{
	local pid status=0

	if pid=$(server_pid); then
		kill "$pid" || true
	fi
	wait "$server" || status=$?
	server=
	[ "$status" -eq $((128 + 15)) ]
}

# check NAME COMMAND...: one case, which is what the command says
check()
{
	local name=$1 status=0

	shift
	"$@" >"$log" 2>&1 || status=$?
	if [ "$status" -eq 0 ]; then
		ok "$name"
	else
		not_ok "$name" "exit status $status"
		show_log
		tail -n 15 -- "$server_log" | sed 's/^/# server: /'
	fi
}

# copy CLIENT OPTION...: its own files there and back, and one that others read as well
copy()
{
	local me=$1

	shift
	client "$@" "lcd $scratch; mkdir $me; cd $me; put big; put small; put empty; put odd;
		get big big.$me; get small small.$me; get empty empty.$me; get odd odd.$me;
		cd ..; get common common.$me" >"$scratch/client.$me" 2>&1
}

copy_by_all()
{
	local me jobs=() job result=0

	for ((me = 1; me <= clients; me++)); do
		# Of every two one asks for 64 KiB at a time.
		if ((me % 2)); then
			copy "$me" &
		else
			copy "$me" --max-protocol=SMB2_02 &
		fi
		jobs+=($!)
	done
	for job in "${jobs[@]}"; do
		wait "$job" || result=1
	done
	cat "$scratch"/client.*
	return "$result"
}

copies_are_the_same()
{
	local me name result=0

	for ((me = 1; me <= clients; me++)); do
		for name in big small empty odd; do
			cmp "$scratch/$name" "$scratch/$name.$me" || result=1
			cmp "$scratch/$name" "$scratch/share/$me/$name" || result=1
		done
		cmp "$scratch/share/common" "$scratch/common.$me" || result=1
	done
	return "$result"
}

head -c 9000000 /dev/urandom >"$scratch/big"
head -c 100 /dev/urandom >"$scratch/small"
head -c 131073 /dev/urandom >"$scratch/odd"
: >"$scratch/empty"
head -c 3000000 /dev/urandom >"$scratch/share/common"

is_refused()
{
	! client ls && grep -q 'tree connect failed' "$log"
}

# Without ringside a share with that module cannot even be entered.
if [ "$native" != 1 ]; then
	if server_start refused_place forbid; then
		check samba_is_refused_without_ringside is_refused
		server_end || true
	else
		not_ok samba_is_refused_without_ringside 'it does not answer'
		show_log
	fi
fi

if ! server_start under forbid; then
	not_ok samba_starts 'it does not answer'
	show_log
	tail -n 15 -- "$server_log" | sed 's/^/# server: /'
	clients_end
fi
check samba_copies_for_several_clients copy_by_all
check samba_copies_are_the_same copies_are_the_same
check samba_is_shut_down server_end
# 64 KiB at a time by two clients, 9 MB there and 12 MB back: 138 writes and 184 reads each.
check samba_went_by_ringside counters_hold ops.READV.count gt 360 ops.WRITEV.count gt 270 \
	ops.READV.errors eq 0 ops.WRITEV.errors eq 0 cq_overflows eq 0

clients_end
