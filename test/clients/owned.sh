#!/bin/bash
#
# owned.sh - files that our page cache holds: by a lease, exclusively, and where that is refused
#
# usage: test/clients/owned.sh BUILD [SECONDS]
#
# SECONDS (default 10) is how long a reader and an outside writer work on one leased file.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=test/clients/lib.sh
. "$here/lib.sh"
seconds=${2:-10}
clients_begin "$1"
need fio fio
cd -- "$scratch"

export RINGSIDE_CACHE=64M
unset RINGSIDE_OWN
coherence=$build/test/clients/coherence
common=(--size=8M --bs=4k --ioengine=io_uring --direct=0
	--group_reporting --verify=crc32c --verify_fatal=1 --verify_state_save=0)
read_jobs=(fio --name=r --filename="$scratch/written" "${common[@]}")
cached=(cache.fills gt 0 cache.bytes gt 0 cache.lease_breaks eq 0 punts eq 0)
uncached=(cache.hits eq 0 cache.fills eq 0)

write_file()
{
	fio --name=written "${common[@]}" --ioengine=psync --rw=write --do_verify=0 \
		--filename="$1" >"$log" 2>&1
}

write_file "$scratch/written" || {
	not_ok fio_writes_by_plain_calls "exit status $?"
	show_log
	clients_end
}

case_limit=$((seconds + 60))
: >"$scratch/shared"
run_case an_outside_writer_is_never_read_stale forbid cache.hits gt 0 cache.lease_breaks gt 0 \
	punts eq 0 cache.foreign_opens eq 0 \
	-- "$coherence" read "$scratch/shared" "$seconds"
sed 's/^/# /' "$log"
case_limit=120

run_case random_reads_come_from_the_cache forbid "${cached[@]}" cache.hits gt 0 \
	ops.READ.errors eq 0 -- "${read_jobs[@]}" --rw=randread --iodepth=32 --thread \
	--norandommap --io_size=32M
run_case sequential_reads_are_read_ahead forbid "${cached[@]}" cache.readahead_pages gt 0 \
	ops.READ.errors eq 0 -- "${read_jobs[@]}" --rw=read --iodepth=4 --thread
run_case four_threads_share_the_pages forbid "${cached[@]}" \
	-- "${read_jobs[@]}" --rw=randread --iodepth=16 --thread --numjobs=4
run_case processes_have_a_cache_each forbid "${cached[@]}" \
	-- "${read_jobs[@]}" --rw=randread --iodepth=16 --numjobs=2
run_case a_submission_thread_reads_from_the_cache forbid cache.fills gt 0 \
	-- "${read_jobs[@]}" --rw=randread --iodepth=16 --thread --sqthread_poll=1
run_case registered_files_and_buffers_too forbid "${cached[@]}" \
	-- "${read_jobs[@]}" --rw=randread --iodepth=16 --thread --registerfiles=1 \
	--fixedbufs=1
run_case the_same_in_the_container sandbox cache.lease_breaks eq 0 \
	-- "${read_jobs[@]}" --rw=randread --iodepth=32 --thread
RINGSIDE_CACHE=4M run_case a_cache_smaller_than_the_file forbid "${cached[@]}" \
	cache.evictions gt 0 cache.bytes le 4194304 \
	-- "${read_jobs[@]}" --rw=randread --iodepth=32 --thread

# Refused: through the kernel's cache, silently.
exec 9>>"$scratch/written"
run_case a_file_open_for_writing_is_left_alone forbid "${uncached[@]}" \
	-- "${read_jobs[@]}" --rw=randread --iodepth=16 --thread
exec 9>&-
if mkdir /dev/shm/ringside-owned.$$ 2>/dev/null; then
	write_file /dev/shm/ringside-owned.$$/written
	run_case a_file_in_memory_is_left_alone forbid "${uncached[@]}" \
		-- fio --name=r "${common[@]}" --filename=/dev/shm/ringside-owned.$$/written \
		--rw=randread --iodepth=16 --thread
	rm -rf -- /dev/shm/ringside-owned.$$
else
	skip a_file_in_memory_is_left_alone "no /dev/shm"
fi
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	cp "$scratch/written" "$scratch/theirs"
	chmod 644 "$scratch/theirs"
	chmod 711 "$scratch"
	run_case a_file_of_somebody_else_is_left_alone forbid "${uncached[@]}" \
		-- setpriv --reuid=65534 --clear-groups \
		fio --name=r "${common[@]}" --filename="$scratch/theirs" --rw=randread \
		--iodepth=16 --thread
else
	skip a_file_of_somebody_else_is_left_alone "needs root and setpriv"
fi

# Exclusive: the program writes it as well.
export RINGSIDE_OWN="$scratch/*.own"
run_case what_the_ring_writes_is_read_back forbid punts eq 0 cache.foreign_opens eq 0 \
	-- fio --name=w "${common[@]}" --filename="$scratch/a.own" --rw=randrw --iodepth=16 \
	--thread
run_case what_is_written_in_between_is_read_back forbid cache.fills gt 0 \
	-- fio --name=w "${common[@]}" --filename="$scratch/a.own" --rw=randwrite --iodepth=16 \
	--thread --verify_backlog=64 --norandommap --io_size=32M
run_case a_pattern_that_does_not_match_owns_nothing forbid "${uncached[@]}" \
	-- fio --name=w "${common[@]}" --filename="$scratch/b.other" --rw=randrw --iodepth=16 \
	--thread

# Another process's open is told of.
write_file "$scratch/c.own"
(
	for ((i = 0; i < 40; i++)); do
		sleep 0.1
		: <"$scratch/c.own"
	done
) &
run_case a_foreign_open_is_noticed forbid cache.foreign_opens eq 1 \
	-- fio --name=r "${common[@]}" --filename="$scratch/c.own" --rw=randread --iodepth=4 \
	--thread --rate_iops=500
if grep -q 'owned exclusively, and another process' "$log"; then
	ok a_foreign_open_is_reported
else
	not_ok a_foreign_open_is_reported "nothing on stderr"
fi
wait

clients_end
