#!/bin/bash
#
# liburing.sh - our functions in place of liburing.so's: all of them, and they do the same
#
# usage: test/cli/liburing.sh BUILD
#
# LIBURING=FILE:FILE... names further libraries (newer versions) to look for
# functions in that are not replaced.

set -eu
export LC_ALL=C

if [ $# -ne 1 ] || ! build=$(cd -- "$1" && pwd -P); then
	echo "usage: $0 BUILD-DIRECTORY" >&2
	exit 2
fi
calls=$build/test/cli/liburing_calls
forbid=$build/test/sandbox/forbid
for file in "$calls" "$forbid" "$build/ringside" "$build/libringside.so"; do
	if [ ! -e "$file" ]; then
		echo "skip liburing: $file is not built"
		exit 77
	fi
done

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
. "$(dirname -- "$0")/../cases.sh"
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
unset RINGSIDE RINGSIDE_LIB LD_PRELOAD
dd if=/dev/zero of="$scratch/page" bs=4096 count=2 2>/dev/null

liburing_of_the_program()
{
	ldd "$calls" | sed -n 's/.*liburing\.so[^ ]* => \([^ ]*\).*/\1/p'
}

ours()
{
	nm -D --defined-only "$build/libringside.so" | awk '{ print $3 }' | sort
}

# no_function_is_missed LIBRARY
no_function_is_missed()
{
	local missed

	"$here/liburing_entering.py" "$1" | sort >"$scratch/entering" || return 1
	missed=$(ours | comm -13 - "$scratch/entering")
	echo "not replaced: $missed"
	[ "$(wc -l <"$scratch/entering")" -ge 40 ] && [ -z "$missed" ]
}

ours_have_no_version()
{
	! nm -D --defined-only "$build/libringside.so" | grep -E ' (__)?io_uring_.*@'
}

# With LD_DEBUG the loader tells to which file it binds each name.
every_reference_binds_to_ours()
{
	"$here/liburing_entering.py" "$(liburing_of_the_program)" >"$scratch/entering"
	LD_DEBUG=bindings LD_BIND_NOW=1 LD_DEBUG_OUTPUT=$scratch/bindings \
		timeout -k 5 60 "$build/ringside" run -- "$calls" <"$scratch/page" >/dev/null ||
		return 1
	cat "$scratch"/bindings.* | sed -nE \
		's/.*liburing_calls \[0\] to ([^ ]*) .* symbol .((__)?io_uring_\w*).*/\2 \1/p' |
		sort -u >"$scratch/bound"
	cut -d ' ' -f 1 "$scratch/bound" | comm -12 - <(sort "$scratch/entering") >"$scratch/wanted"
	join "$scratch/wanted" "$scratch/bound" >"$scratch/relevant"
	cat "$scratch/relevant"
	[ "$(wc -l <"$scratch/relevant")" -ge 30 ] &&
		! grep -v 'libringside.so$' "$scratch/relevant"
}

# same_as FILE COMMAND...: its output is that of FILE
same_as()
{
	local expected=$1 status=0

	shift
	timeout -k 5 90 "$@" <"$scratch/page" >"$scratch/out" || status=$?
	echo "exit status $status"
	diff "$expected" "$scratch/out" && [ $status -eq 0 ]
}

kernels_rings_behave_alike()
{
	"$calls" <"$scratch/page" >"$scratch/native" &&
		same_as "$scratch/native" "$build/ringside" run --engine=auto -- "$calls"
}

run_forbidden()
{
	same_as "$here/liburing_calls.expected" "$forbid" -- "$build/ringside" run "$@" -- "$calls"
}

# A call that did not go through one of our functions would be refused by the kernel.
functions_alone_are_enough()
{
	run_forbidden --trap=off --stats "$scratch/stats.json" &&
		grep -q '"traps": 0,' "$scratch/stats.json" &&
		! grep -q '"sqes": 0,' "$scratch/stats.json"
}

# liburing's archive: every call is inline assembly.
calls_of_the_archive_come_by_the_trap()
{
	same_as "$here/liburing_calls.expected" "$forbid" -- "$build/ringside" run \
		--stats "$scratch/stats.json" -- "${calls}_inline" &&
		! grep -q '"traps": 0,' "$scratch/stats.json"
}

# Both archives in one program, each with functions that the other lacks.
both_archives_link_and_work()
{
	same_as "$here/liburing_calls.expected" "$forbid" -- "$build/ringside" run -- "${calls}_both"
}

program_without_liburing_is_not_concerned()
{
	timeout -k 5 60 "$build/ringside" run -- sh -c 'cat /proc/$$/maps' >"$scratch/maps" &&
		grep -q libringside.so "$scratch/maps" && ! grep -q 'liburing\.so' "$scratch/maps"
}

for library in $(liburing_of_the_program) $(echo "${LIBURING:-}" | tr : ' '); do
	check "no_function_of_$(basename "$(readlink -f "$library")")_is_missed" \
		no_function_is_missed "$library"
done
check ours_have_no_version ours_have_no_version
check every_reference_binds_to_ours every_reference_binds_to_ours
if "$build/test/sandbox/refused" allow >/dev/null 2>&1; then
	check kernels_rings_behave_alike kernels_rings_behave_alike
else
	echo "skip kernels_rings_behave_alike: the kernel refuses io_uring"
fi
check refused_by_the_kernel_they_behave_as_written_down run_forbidden
check functions_alone_are_enough functions_alone_are_enough
if [ -x "${calls}_inline" ]; then
	check calls_of_the_archive_come_by_the_trap calls_of_the_archive_come_by_the_trap
	check both_archives_link_and_work both_archives_link_and_work
else
	echo "skip calls_of_the_archive_come_by_the_trap: liburing.a is not installed"
fi
check program_without_liburing_is_not_concerned program_without_liburing_is_not_concerned

cases_end
