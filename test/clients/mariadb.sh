#!/bin/bash
#
# mariadb.sh - MariaDB under ringside, with the kernel's rings refused
#
# usage: [SECONDS_OF_LOAD=20] test/clients/mariadb.sh BUILD
#
# InnoDB uses liburing.so: one thread waits for completions while others submit
# reads ahead and writes of pages, on files that it opened with O_DIRECT. The
# buffer pool is smaller than the tables, so pages come and go all the time.
#
# What must not be lost is known outside of the database. Transfers between
# accounts leave the sum as it is; a writer notes each row that was committed,
# once the server has said so. Both hold after a load of SECONDS_OF_LOAD
# (default 120), and after the server was killed under that load and has recovered.
#
# The server listens on a socket in the scratch directory and nowhere else.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=test/clients/lib.sh
. "$here/lib.sh"
clients_begin "$@"
# Servers are not in an ordinary user's path.
PATH=$PATH:/usr/sbin:/sbin
need mariadbd mariadb-server-core
need mariadb-slap mariadb-client

load_seconds=${SECONDS_OF_LOAD:-120}
case_limit=$((load_seconds + 240)) # of one server: a start, loads, a shutdown
data=$scratch/data
# A socket's path has room for 107 bytes, which a build directory may exceed.
sockets=$(mktemp -d)
socket=$sockets/s
server_log=$scratch/server.log
accounts=8000
writers=2
server=    # the job that is the server with all that was put before it
load_jobs=()

user=()
[ "$(id -u)" -ne 0 ] || user=(--user=root)
options=(--no-defaults --datadir="$data" --skip-networking --socket="$socket"
	--pid-file="$scratch/pid" "${user[@]}" --tmpdir="$scratch"
	--innodb-use-native-aio=1 --innodb-flush-method=O_DIRECT
	--innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=6M
	--innodb-log-file-size=16M --innodb-io-capacity=2000 --innodb-read-ahead-threshold=8
	--innodb-buffer-pool-dump-at-shutdown=0 --innodb-buffer-pool-load-at-startup=0)

# The process that the server itself says it is; nothing if it is not there.
server_pid()
{
	local pid

	pid=$(cat "$scratch/pid" 2>/dev/null) || return 1
	[ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$(command -v mariadbd)")" ] || return 1
	echo "$pid"
}

# Ends whatever this script started, by its number.
end_all()
{
	local pid

	for pid in "${load_jobs[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	if pid=$(server_pid); then
		kill -KILL "$pid" 2>/dev/null || true
	fi
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	wait || true
	rm -rf -- "$scratch" "$sockets"
}
trap end_all EXIT

sql()
{
	mariadb --no-defaults --socket="$socket" "${user[@]}" -N -B "$@"
}

# Until it answers, or has ended.
server_start()
{
	rm -f -- "$scratch/pid"
	: >"$server_log"
	under forbid mariadbd "${options[@]}" >"$server_log" 2>&1 &
	server=$!
	for ((i = 0; i < 600; i++)); do
		if mariadb-admin --no-defaults --socket="$socket" "${user[@]}" ping \
			>"$log" 2>&1; then
			return 0
		fi
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	cp -- "$server_log" "$log"
	return 1
}

# server_end: waits for it; its exit status
server_end()
{
	local status=0

	wait "$server" || status=$?
	server=
	return "$status"
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

# CHECK TABLE says more than "OK" of a table that is damaged.
tables_are_sound()
{
	local table result=0

	for table in accounts ledger; do
		sql -e "CHECK TABLE $table EXTENDED" bank | tee "$scratch/check"
		[ "$(cut -f 4 "$scratch/check")" = OK ] || result=1
	done
	return "$result"
}

sum_is_kept()
{
	local found

	found=$(sql -e 'SELECT COUNT(*), SUM(balance) FROM accounts' bank)
	echo "$found"
	[ "$found" = "$(printf '%d\t%d' "$accounts" "$((accounts * 100))")" ]
}

# Every row of which the server said that it is committed, whole, and at most
# one more: that which was on its way when nobody could be told.
committed_rows_are_there()
{
	local writer told found result=0

	for ((writer = 1; writer <= writers; writer++)); do
		told=$(tail -n 1 "$scratch/told.$writer")
		found=$(sql -e "SELECT COUNT(*), MAX(n), COALESCE(SUM(BINARY MD5(body) <> BINARY digest), 0)
			FROM ledger WHERE writer = $writer" bank)
		echo "writer $writer: told $told, found $found"
		[ "${told:-0}" -gt 0 ] || result=1
		[ "$found" = "$(printf '%d\t%d\t0' "$told" "$told")" ] ||
			[ "$found" = "$(printf '%d\t%d\t0' "$((told + 1))" "$((told + 1))")" ] || result=1
	done
	return "$result"
}

# write_ledger WRITER UNTIL: a row a transaction; its number is printed once it is committed
write_ledger()
{
	local writer=$1 until=$2 n

	n=$(sql -e "SELECT COALESCE(MAX(n), 0) FROM ledger WHERE writer = $writer" bank)
	while [ "$EPOCHSECONDS" -lt "$until" ]; do
		n=$((n + 1))
		printf 'SET @b = REPEAT(MD5(RAND()), 1 + %d);\n' $((n % 60))
		printf 'INSERT INTO ledger VALUES (%d, %d, @b, MD5(@b)); SELECT %d;\n' \
			"$writer" "$n" "$n"
		# No further ahead of the server than the pipe is long.
	done 2>/dev/null | sql --unbuffered bank >>"$scratch/told.$writer"
}

# slap UNTIL OPTION...: mariadb-slap again and again
slap()
{
	local until=$1

	shift
	while [ "$EPOCHSECONDS" -lt "$until" ]; do
		mariadb-slap --no-defaults --socket="$socket" "${user[@]}" --silent "$@" || return
	done
}

# load SECONDS: starts it, in $load_jobs
load_start()
{
	local until=$((EPOCHSECONDS + $1)) writer

	load_jobs=()
	for ((writer = 1; writer <= writers; writer++)); do
		write_ledger "$writer" "$until" 2>"$scratch/load.$writer" &
		load_jobs+=($!)
	done
	slap "$until" --create-schema=bank --no-drop --concurrency=6 --number-of-queries=600 \
		--delimiter=';' --query='CALL transfer(); CALL look(); CALL transfer()' \
		>"$scratch/load.bank" 2>&1 &
	load_jobs+=($!)
	slap "$until" --create-schema=slap --auto-generate-sql \
		--auto-generate-sql-load-type=mixed --auto-generate-sql-add-autoincrement \
		--auto-generate-sql-execute-number=100 --number-char-cols=4 --concurrency=4 \
		>"$scratch/load.slap" 2>&1 &
	load_jobs+=($!)
}

# Waits for it: whether every part of it went well.
load_end()
{
	local job result=0

	for job in "${load_jobs[@]}"; do
		wait "$job" || result=1
	done
	load_jobs=()
	tail -n 5 "$scratch"/load.*
	return "$result"
}

fill()
{
	sql <<-END
		CREATE DATABASE bank;
		USE bank;
		CREATE TABLE accounts (id INT PRIMARY KEY, balance INT NOT NULL,
			filler VARCHAR(2000), KEY (balance)) ENGINE=InnoDB;
		CREATE TABLE ledger (writer INT, n INT, body TEXT, digest CHAR(32),
			PRIMARY KEY (writer, n)) ENGINE=InnoDB;
		INSERT INTO accounts SELECT seq, 100, REPEAT(MD5(seq), 50)
			FROM seq_1_to_$accounts;
		DELIMITER //
		CREATE PROCEDURE transfer()
		BEGIN
			DECLARE a INT DEFAULT 1 + FLOOR(RAND() * $accounts);
			DECLARE b INT DEFAULT 1 + FLOOR(RAND() * $accounts);
			DECLARE amount INT DEFAULT FLOOR(RAND() * 20);
			START TRANSACTION;
			-- In one order, so that no two of them wait for each other.
			UPDATE accounts SET balance = balance - amount,
				filler = REPEAT(MD5(RAND()), 50) WHERE id = LEAST(a, b);
			UPDATE accounts SET balance = balance + amount WHERE id = GREATEST(a, b);
			COMMIT;
		END//
		CREATE PROCEDURE look()
			SELECT COUNT(*), MAX(filler) INTO @n, @f FROM accounts
				WHERE id BETWEEN FLOOR(RAND() * $accounts) AND 200 + FLOOR(RAND() * $accounts)//
	END
}

is_told_to_use_io_uring()
{
	grep -E 'InnoDB: Using (io_uring|liburing)' "$server_log"
}

if ! mariadb-install-db "${options[@]}" --auth-root-authentication-method=normal --skip-test-db \
	>"$log" 2>&1; then
	not_ok mariadb_makes_its_tables 'mariadb-install-db failed'
	show_log
	clients_end
fi

# Without ringside it starts all the same, and says that it found no ring.
if [ "$native" != 1 ]; then
	refused_place forbid mariadbd "${options[@]}" --bootstrap </dev/null >"$log" 2>&1 || true
	if grep -q 'io_uring_queue_init() failed' "$log"; then
		ok mariadb_is_refused_without_ringside
	else
		not_ok mariadb_is_refused_without_ringside 'it does not say so'
		show_log
	fi
fi

used=(ops.READV.count gt 0 ops.WRITEV.count gt 0 ops.READV.errors eq 0 ops.WRITEV.errors eq 0
	waits.device gt 0 cq_overflows eq 0)

if ! server_start; then
	not_ok mariadb_starts 'it does not answer'
	show_log
	clients_end
fi
check mariadb_uses_io_uring is_told_to_use_io_uring
check mariadb_fills_its_tables fill
load_start "$load_seconds"
check mariadb_works_under_a_mixed_load load_end
check mariadb_tables_are_sound_after_it tables_are_sound
check mariadb_keeps_the_sum sum_is_kept
check mariadb_has_every_committed_row committed_rows_are_there
sql -e SHUTDOWN
check mariadb_shuts_down server_end
check mariadb_went_by_ringside counters_hold "${used[@]}"

# The files, as another program reads them.
check mariadb_files_have_right_checksums innochecksum "$data"/bank/*.ibd

if ! server_start; then
	not_ok mariadb_starts_again 'it does not answer'
	show_log
	clients_end
fi
load_start $((load_seconds < 20 ? load_seconds : 20))
# Until the load has committed rows of this run, and a while more: then kill -9.
told=$(cat "$scratch"/told.* | wc -l)
for ((i = 0; i < 100 && $(cat "$scratch"/told.* | wc -l) < told + 50; i++)); do
	sleep 0.1
done
sleep $((load_seconds < 20 ? load_seconds / 4 : 5))
if pid=$(server_pid) && kill -KILL "$pid"; then
	ok mariadb_is_killed_under_load
else
	not_ok mariadb_is_killed_under_load 'there is no server'
fi
server_end || true
load_end >"$scratch/load" 2>&1 || true
check mariadb_went_by_ringside_until_killed counters_hold "${used[@]}"

if ! server_start; then
	not_ok mariadb_recovers 'it does not answer'
	show_log
	clients_end
fi
check mariadb_recovers grep -E 'Starting crash recovery|crash recovery' "$server_log"
check mariadb_tables_are_sound_after_the_kill tables_are_sound
check mariadb_keeps_the_sum_after_the_kill sum_is_kept
check mariadb_has_every_committed_row_after_the_kill committed_rows_are_there
load_start 2
check mariadb_works_on_after_the_kill load_end
check mariadb_has_every_committed_row_in_the_end committed_rows_are_there
sql -e SHUTDOWN
check mariadb_shuts_down_after_the_kill server_end
check mariadb_recovered_by_ringside counters_hold "${used[@]}"

clients_end
