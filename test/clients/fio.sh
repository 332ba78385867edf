#!/bin/bash
#
# fio.sh - fio under ringside, with the kernel's rings refused
#
# usage: test/clients/fio.sh BUILD
#
# fio enters the ring by inline assembly and maps the CQ apart from the SQ, so
# it takes the way through the trap. Every block carries a crc32c and its own
# offset: data that is lost, torn or read from elsewhere fails the job.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=test/clients/lib.sh
. "$here/lib.sh"
clients_begin "$@"
need fio fio

# fio leaves files of its own in the working directory.
cd -- "$scratch"

size=4M
common=(--directory="$scratch" --size="$size" --bs=4k --ioengine=io_uring --group_reporting
	--verify=crc32c --verify_fatal=1 --verify_state_save=0)
buffered=(punts eq 0 cq_overflows eq 0)
direct=(waits.device gt 0 cq_overflows eq 0)

# fio_case NAME PLACE [KEY OP NUMBER]... -- OPTION...: a job of that name
fio_case()
{
	local name=$1 place=$2 counters=()

	shift 2
	while [ "$1" != -- ]; do
		counters+=("$1")
		shift
	done
	shift
	run_case "fio_$name" "$place" "${counters[@]}" -- fio --name="$name" "${common[@]}" "$@"
	rm -f -- "$scratch/$name".*
}

# A file written by plain system calls, for the jobs that only read.
fio --name=written "${common[@]}" --ioengine=psync --rw=write --do_verify=0 \
	--filename=written >"$log" 2>&1 || {
	not_ok fio_writes_by_plain_calls "exit status $?"
	show_log
	clients_end
}

refused='func=io_queue_init'
refused_case fio_is_refused_without_ringside forbid "$refused" \
	fio --name=refused "${common[@]}" --rw=randwrite
refused_case fio_is_refused_in_the_container sandbox "$refused" \
	fio --name=refused "${common[@]}" --rw=randwrite
rm -f -- "$scratch"/refused.*

for depth in 1 32; do
	fio_case "buffered_randread_depth_$depth" forbid "${buffered[@]}" ops.READ.count eq 1024 \
		ops.READ.errors eq 0 -- --rw=randread --iodepth="$depth" --filename=written
	fio_case "buffered_randwrite_depth_$depth" forbid "${buffered[@]}" ops.WRITE.count eq 1024 \
		ops.READ.count eq 1024 -- --rw=randwrite --iodepth="$depth"
	fio_case "buffered_readwrite_depth_$depth" forbid "${buffered[@]}" \
		-- --rw=rw --iodepth="$depth"
	fio_case "direct_randread_depth_$depth" forbid "${direct[@]}" ops.READ.count eq 1024 \
		-- --rw=randread --direct=1 --iodepth="$depth" --filename=written
	fio_case "direct_randwrite_depth_$depth" forbid "${direct[@]}" \
		-- --rw=randwrite --direct=1 --iodepth="$depth"
	fio_case "direct_readwrite_depth_$depth" forbid "${direct[@]}" \
		-- --rw=rw --direct=1 --iodepth="$depth"
done

fio_case vectored_buffered forbid "${buffered[@]}" ops.WRITEV.count gt 0 ops.READV.count gt 0 \
	-- --rw=randwrite --nonvectored=0 --iodepth=16
fio_case vectored_direct forbid "${direct[@]}" ops.WRITEV.count gt 0 ops.READV.count gt 0 \
	-- --rw=randwrite --nonvectored=0 --direct=1 --iodepth=16
fio_case registered_files forbid "${buffered[@]}" \
	-- --rw=randwrite --registerfiles=1 --iodepth=16
fio_case fixed_buffers forbid "${buffered[@]}" \
	ops.WRITE_FIXED.count eq 1024 ops.READ_FIXED.count eq 1024 \
	-- --rw=randwrite --fixedbufs=1 --iodepth=16
fio_case fixed_buffers_and_files_direct forbid "${direct[@]}" \
	ops.WRITE_FIXED.count eq 1024 ops.READ_FIXED.count eq 1024 \
	-- --rw=randwrite --fixedbufs=1 --registerfiles=1 --direct=1 --iodepth=16
fio_case batches forbid "${buffered[@]}" \
	-- --rw=randwrite --iodepth=32 --iodepth_batch=16 --iodepth_batch_complete_min=8
fio_case large_blocks forbid "${buffered[@]}" \
	-- --rw=randrw --bs=128k --iodepth=8
fio_case unaligned_blocks forbid "${buffered[@]}" \
	-- --rw=randwrite --bs=3000 --iodepth=16
fio_case forced_async forbid \
	-- --rw=randwrite --force_async=2 --iodepth=16
fio_case fsync_between_writes forbid ops.FSYNC.count gt 0 ops.FSYNC.errors eq 0 \
	-- --rw=randwrite --size=1M --fsync=64 --iodepth=16
fio_case submission_thread forbid "${buffered[@]}" \
	-- --rw=randwrite --sqthread_poll=1 --iodepth=16
fio_case submission_thread_direct forbid "${direct[@]}" \
	-- --rw=randwrite --sqthread_poll=1 --direct=1 --fixedbufs=1 --iodepth=16
# A job is a forked process that leaves by _exit(), or a thread: both are counted.
fio_case four_processes forbid "${buffered[@]}" ops.WRITE.count eq 1024 ops.READ.count eq 1024 \
	-- --rw=randwrite --numjobs=4 --size=1M --iodepth=16
fio_case four_threads forbid "${buffered[@]}" ops.WRITE.count eq 1024 ops.READ.count eq 1024 \
	-- --rw=randwrite --numjobs=4 --size=1M --iodepth=16 --thread
fio_case four_threads_direct forbid "${direct[@]}" ops.WRITE.count eq 1024 \
	-- --rw=randwrite --numjobs=4 --size=1M --iodepth=16 --thread --direct=1
fio_case two_files_in_turn forbid "${buffered[@]}" \
	-- --rw=randwrite --nrfiles=4 --openfiles=2 --iodepth=16

fio_case buffered_in_the_container sandbox "${buffered[@]}" \
	-- --rw=randwrite --iodepth=32
fio_case direct_in_the_container sandbox "${direct[@]}" \
	-- --rw=randwrite --direct=1 --iodepth=32

clients_end
