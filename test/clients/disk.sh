#!/bin/bash
#
# disk.sh - files that our page cache holds, on a disk of which a part cannot be read
#
# usage: test/clients/disk.sh BUILD
#
# The disk is a file behind a loop device, cut after a file system was made in it: what lay behind
# the cut fails with EIO. Exactly those reads must fail that fail by plain calls. It wants to be
# root, and to be allowed to mount.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=test/clients/lib.sh
. "$here/lib.sh"
clients_begin "$@"
PATH=$PATH:/usr/sbin:/sbin
need fio fio
need mkfs.ext4 e2fsprogs

disk=$scratch/disk
place=$scratch/mounted
device=

end_all()
{
	umount -- "$place" 2>/dev/null || true
	[ -z "$device" ] || losetup -d "$device" 2>/dev/null || true
	rm -rf -- "$scratch"
}
trap end_all EXIT

mkdir "$place"
truncate -s 24M "$disk"
mkfs.ext4 -q -F -O ^has_journal "$disk" >"$log" 2>&1
if ! device=$(losetup -f --show "$disk" 2>/dev/null) || ! mount "$device" "$place" 2>/dev/null; then
	skip disk 'no loop device can be mounted here'
	exit 77
fi
head -c 16000000 /dev/urandom >"$place/file"
umount -- "$place"
truncate -s 12M "$disk"
mount -o ro "$device" "$place"

# read_all LOG COMMAND...: every page once; the number of errors is left in $errors
read_all()
{
	local to=$1

	shift
	"$@" fio --name=r --filename="$place/file" --size=15M --rw=randread --bs=4k \
		--ioengine="$engine" --iodepth=8 --direct=0 --thread --continue_on_error=all \
		--readonly --randseed=7 --output-format=terse --terse-version=3 \
		>"$to" 2>&1 || true
	errors=$(awk -F';' '$1 == 3 { print $(NF - 1) }' "$to")
}

engine=psync
read_all "$log"
want=$errors
umount -- "$place"
mount -o ro "$device" "$place"

engine=io_uring
export RINGSIDE_CACHE=64M
read_all "$log" under forbid
if [ "${want:-0}" -gt 0 ] && [ "$errors" = "$want" ] &&
	why=$(counters_hold cache.fills gt 0 ops.READ.errors eq "$want" \
		ops.READ.count eq 3840 2>&1); then
	ok a_disk_that_fails_in_part_fails_exactly_those_reads
else
	not_ok a_disk_that_fails_in_part_fails_exactly_those_reads \
		"$errors errors, not $want; ${why-}"
	show_log
fi

clients_end
