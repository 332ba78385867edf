# lib.sh - what the tests of real programs share (read by bash, not run)
#
# A test script reads this file and calls
#
#   clients_begin BUILD     the build directory under test; makes $scratch
#   need PROGRAM PACKAGE    the whole script skips if the program is missing
#   run_case ...            any number of cases, or ok, not_ok, skip by hand
#   clients_end             exits 0, or 1 if a case failed
#
# Each case prints one line: "ok NAME", "not ok NAME: REASON" or
# "skip NAME: REASON"; after a failure the end of the program's output follows
# on lines that start with "# ".
#
# With RINGSIDE_NATIVE=1 the programs run on the kernel's own io_uring, without
# ringside: it shows that a script asks nothing which the real thing fails.
# Nothing is then known of ringside, so the counters are not looked at.
#
# shellcheck shell=bash

case_limit=120 # seconds, for a program that hangs

clients_begin()
{
	if [ $# -ne 1 ] || ! build=$(cd -- "$1" && pwd -P); then
		echo "usage: $0 BUILD-DIRECTORY" >&2
		exit 2
	fi
	local lib
	lib=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
	forbid=$build/test/sandbox/forbid
	sandbox=${lib%/clients}/sandbox/run
	stats_tool=$lib/stats
	ringside=$build/ringside
	native=${RINGSIDE_NATIVE:-0}
	failures=0
	sandbox_reason=unknown

	# In the build tree: /tmp is often a tmpfs, where nothing is ever at the device.
	scratch=$(mktemp -d "$build/scratch.XXXXXX")
	trap 'rm -rf -- "$scratch"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	log=$scratch/log
	stats=$scratch/stats.json
}

ok()
{
	echo "ok $1"
}

not_ok()
{
	failures=$((failures + 1))
	echo "not ok $1: $2"
}

skip()
{
	echo "skip $1: $2"
}

clients_end()
{
	[ "$failures" -eq 0 ] || exit 1
	exit 0
}

# need PROGRAM PACKAGE
need()
{
	if [ "$native" != 1 ] && [ ! -x "$ringside" ]; then
		not_ok "$(basename -- "$0" .sh)" "$ringside is not built"
		exit 1
	fi
	if ! command -v "$1" >/dev/null; then
		skip "$(basename -- "$0" .sh)" "$1 is missing (Debian package: $2)"
		exit 77
	fi
}

sandbox_is_there()
{
	local status=0

	if [ "$sandbox_reason" = unknown ]; then
		sandbox_reason=$("$sandbox" --build "$build" -- true 2>&1) || status=$?
		sandbox_reason=${sandbox_reason:-${status#0}}
	fi
	[ -z "$sandbox_reason" ]
}

# refused_place PLACE COMMAND...: where the kernel refuses io_uring, without ringside
refused_place()
{
	local place=$1

	shift
	case $place in
	forbid) timeout -k 5 "$case_limit" "$forbid" -- "$@" ;;
	sandbox) timeout -k 5 "$case_limit" "$sandbox" --build "$build" --bind "$scratch" -- "$@" ;;
	esac
}

# under PLACE COMMAND...: the same place, with ringside
under()
{
	local place=$1

	shift
	rm -f -- "$stats"
	if [ "$native" = 1 ]; then
		timeout -k 5 "$case_limit" "$@"
	else
		# A sanitizer's runtime comes first, in the program and nowhere else.
		refused_place "$place" \
			${RINGSIDE_TEST_PRELOAD:+env "LD_PRELOAD=$RINGSIDE_TEST_PRELOAD"} \
			"$ringside" run --stats "$stats" -- "$@"
	fi
}

show_log()
{
	tail -n 15 -- "$log" | sed 's/^/# /'
}

# counters_hold KEY OP NUMBER|KEY...; says which one does not
counters_hold()
{
	[ "$native" = 1 ] || "$stats_tool" check "$stats" "$@"
}

# run_case NAME PLACE [KEY OP NUMBER|KEY]... -- COMMAND...
#
# The program must exit 0, requests must have gone through ringside, and the
# counters named must compare as they say (test/clients/stats).
run_case()
{
	local name=$1 place=$2 counters=(sqes gt 0) status=0 why

	shift 2
	while [ "$1" != -- ]; do
		counters+=("$1")
		shift
	done
	shift
	if [ "$place" = sandbox ] && ! sandbox_is_there; then
		skip "$name" "$sandbox_reason"
		return
	fi
	under "$place" "$@" >"$log" 2>&1 || status=$?
	if [ "$status" -ne 0 ]; then
		not_ok "$name" "exit status $status"
		show_log
	elif ! why=$(counters_hold "${counters[@]}" 2>&1); then
		not_ok "$name" "$why"
	else
		ok "$name"
	fi
}

# refused_case NAME PLACE PATTERN COMMAND...
#
# Without ringside the program must fail in that place, and say why: else the
# other cases would prove nothing.
refused_case()
{
	local name=$1 place=$2 pattern=$3 status=0

	shift 3
	if [ "$place" = sandbox ] && ! sandbox_is_there; then
		skip "$name" "$sandbox_reason"
		return
	fi
	refused_place "$place" "$@" >"$log" 2>&1 || status=$?
	if [ "$status" -eq 0 ] || ! grep -q -- "$pattern" "$log"; then
		not_ok "$name" "exit status $status, and no '$pattern' in what it said"
		show_log
	else
		ok "$name"
	fi
}
