#!/bin/bash
#
# qemu.sh - qemu-img under ringside, with the kernel's rings refused
#
# usage: test/clients/qemu.sh BUILD
#
# qemu-img uses liburing.so: it submits without waiting and then polls the
# ring's descriptor together with its others, so completions have to appear,
# and make the descriptor readable, with nobody in io_uring_enter.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=test/clients/lib.sh
. "$here/lib.sh"
clients_begin "$@"
need qemu-img qemu-utils

raw=$scratch/disk.raw
mebibytes=16
# A flush blocks, and so may take a thread; a read or a write of a file never does.
buffered=(punts le ops.FSYNC.count cq_overflows eq 0)
direct=(waits.device gt 0 cq_overflows eq 0)

# Data with holes in it, so that a wrong offset or a lost cluster shows.
for start in 0 5 11; do
	dd if=/dev/urandom of="$raw" bs=1M count=2 seek="$start" conv=notrunc status=none
done
truncate -s "${mebibytes}M" "$raw"

# image FORMAT FILE [CACHE]: names an image that qemu-img shall open by io_uring
image()
{
	echo "driver=$1,file.driver=file,file.filename=$2,file.aio=io_uring${3:+,$3}"
}

# same NAME COMMAND...: an independent look at what the program left behind
same()
{
	local name=$1

	shift
	if "$@" >"$log" 2>&1; then
		ok "$name"
	else
		not_ok "$name" "exit status $?"
		show_log
	fi
}

# convert NAME PLACE CACHE [KEY OP NUMBER]...: to qcow2 and back, both ends by io_uring
convert()
{
	local name=$1 place=$2 cache=$3 there=$scratch/there.qcow2 back=$scratch/back.raw options

	shift 3
	if [ "$place" = sandbox ] && ! sandbox_is_there; then
		skip "$name" "$sandbox_reason"
		return
	fi
	options=cache.direct=off
	[ "$cache" != none ] || options=cache.direct=on
	qemu-img create -q -f qcow2 "$there" "${mebibytes}M"
	qemu-img create -q -f raw "$back" "${mebibytes}M"
	run_case "${name}_to_qcow2" "$place" "$@" ops.READV.count gt 0 ops.WRITEV.count gt 0 \
		ops.READV.errors eq 0 ops.WRITEV.errors eq 0 -- \
		qemu-img convert -n -t "$cache" -T "$cache" --image-opts --target-image-opts \
		"$(image raw "$raw" "$options")" "$(image qcow2 "$there" "$options")"
	same "${name}_to_qcow2_is_sound" qemu-img check -q -f qcow2 "$there"
	same "${name}_to_qcow2_compares" qemu-img compare -f raw -F qcow2 "$raw" "$there"
	run_case "${name}_from_qcow2" "$place" "$@" ops.READV.count gt 0 ops.WRITEV.count gt 0 \
		-- qemu-img convert -n -t "$cache" -T "$cache" --image-opts --target-image-opts \
		"$(image qcow2 "$there" "$options")" "$(image raw "$back" "$options")"
	same "${name}_from_qcow2_is_identical" cmp "$raw" "$back"
	rm -f -- "$there" "$back"
}

# bench NAME PLACE [KEY OP NUMBER]... -- OPTION...
bench()
{
	local name=$1 place=$2 counters=()

	shift 2
	while [ "$1" != -- ]; do
		counters+=("$1")
		shift
	done
	shift
	run_case "$name" "$place" "${counters[@]}" -- \
		qemu-img bench -q -i io_uring -c 1000 "$@" "$scratch/bench.raw"
}

cp -- "$raw" "$scratch/bench.raw"
refused_case qemu_is_refused_without_ringside forbid 'io_uring' \
	qemu-img bench -q -i io_uring -c 1 -f raw "$scratch/bench.raw"
refused_case qemu_is_refused_in_the_container sandbox 'io_uring' \
	qemu-img bench -q -i io_uring -c 1 -f raw "$scratch/bench.raw"

convert qemu_convert_buffered forbid writeback "${buffered[@]}"
convert qemu_convert_direct forbid none "${direct[@]}"
run_case qemu_compare forbid "${buffered[@]}" ops.READV.count gt 0 -- \
	qemu-img compare --image-opts "$(image raw "$raw")" "$(image raw "$scratch/bench.raw")"

bench qemu_bench_read forbid "${buffered[@]}" ops.READV.count eq 1000 -- -f raw -d 64
bench qemu_bench_read_direct forbid "${direct[@]}" ops.READV.count eq 1000 -- \
	-f raw -d 64 -t none -s 64k
bench qemu_bench_read_one_at_a_time forbid "${direct[@]}" -- -f raw -d 1 -t none
bench qemu_bench_write forbid "${buffered[@]}" ops.WRITEV.count eq 1000 -- \
	-f raw -w --pattern=165 -d 32
same qemu_bench_write_left_its_pattern \
	cmp -n 4096000 "$scratch/bench.raw" <(head -c 4096000 /dev/zero | tr '\0' '\245')
bench qemu_bench_write_and_flush forbid ops.FSYNC.count gt 0 ops.FSYNC.errors eq 0 -- \
	-f raw -w -d 32 -t none --pattern=90 --flush-interval=100
same qemu_bench_write_and_flush_left_its_pattern \
	cmp -n 4096000 "$scratch/bench.raw" <(head -c 4096000 /dev/zero | tr '\0' 'Z')

convert qemu_convert_in_the_container sandbox writeback "${buffered[@]}"
bench qemu_bench_in_the_container sandbox "${direct[@]}" -- -f raw -d 64 -t none

clients_end
