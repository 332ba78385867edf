#!/bin/bash
#
# plocate.sh - plocate under ringside, with the kernel's rings refused
#
# usage: test/clients/plocate.sh BUILD
#
# plocate uses liburing.so, asks the ring for a probe, and reads its database
# by READV; with -e it asks by STATX whether each file is still there. It does
# without io_uring where it must, so that it answers proves little: that it
# answers the same, and that the ring was used, is what is checked.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=test/clients/lib.sh
. "$here/lib.sh"
clients_begin "$@"
need plocate plocate
need updatedb plocate

tree=$scratch/tree
db=$scratch/plocate.db
expected=$scratch/expected
answered=$scratch/answered

for dir in alpha beta gamma; do
	mkdir -p -- "$tree/$dir"
	for i in $(seq 200); do
		: >"$tree/$dir/needle-$i.$dir"
		: >"$tree/$dir/straw-$i"
	done
done
updatedb -l 0 -U "$tree" -o "$db" --prunepaths '' --prunefs '' --prunenames '' \
	--prune-bind-mounts no
# Known to the database and gone: only -e leaves these out.
rm -f -- "$tree"/beta/needle-1*

# query NAME PLACE COUNT [KEY OP NUMBER]... -- ARGUMENT...
query()
{
	local name=$1 place=$2 count=$3 counters=()

	shift 3
	while [ "$1" != -- ]; do
		counters+=("$1")
		shift
	done
	shift
	if [ "$place" = sandbox ] && ! sandbox_is_there; then
		skip "$name" "$sandbox_reason"
		return
	fi
	if ! plocate -d "$db" "$@" >"$expected" 2>"$log"; then
		not_ok "$name" "plocate alone fails: $(head -n 1 "$log")"
		return
	fi
	: >"$answered"
	# shellcheck disable=SC2016  # expanded by the shell inside
	run_case "$name" "$place" "${counters[@]}" -- \
		sh -c 'out=$1; shift; exec plocate "$@" >"$out"' sh "$answered" -d "$db" "$@"
	if [ "$(wc -l <"$answered")" = "$count" ] && cmp "$expected" "$answered" >"$log" 2>&1; then
		ok "${name}_answers_the_same"
	else
		not_ok "${name}_answers_the_same" "$(wc -l <"$answered") lines, not $count"
		show_log
	fi
}

quiet=(punts eq 0 cq_overflows eq 0 ops.READV.count gt 0 ops.READV.errors eq 0)

query plocate_finds_all forbid 600 "${quiet[@]}" -- needle
query plocate_finds_one forbid 1 "${quiet[@]}" -- needle-77.gamma
query plocate_ignores_case forbid 600 "${quiet[@]}" -- -i NEEDLE
query plocate_leaves_out_what_is_gone forbid 489 ops.STATX.count gt 0 -- -e needle
query plocate_in_the_container sandbox 489 ops.STATX.count gt 0 -- -e needle

clients_end
