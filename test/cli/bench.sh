#!/bin/bash
#
# bench.sh - `ringside bench`: its options, its results, what it leaves behind
#
# usage: test/cli/bench.sh BUILD
#
# No figure is judged here: a benchmark decides no test. Where the kernel
# refuses io_uring, the cases that compare it with itself are skipped.

set -eu

if [ $# -ne 1 ] || ! build=$(cd -- "$1" && pwd -P); then
	echo "usage: $0 BUILD-DIRECTORY" >&2
	exit 2
fi
if [ ! -x "$build/bench/ringside-workload" ]; then
	echo "skip bench: the benchmark is not built here"
	exit 77
fi

. "$(dirname -- "$0")/../cases.sh"
scratch=$(mktemp -d "$build/scratch.XXXXXX")
trap 'rm -rf -- "$scratch"' EXIT
export TMPDIR=$scratch/tmp
mkdir "$TMPDIR"

bench()
{
	timeout -k 5 100 "$build/ringside" bench "$@"
}

# fails_with STATUS TEXT ARG...: one that exits so, and says that
fails_with()
{
	local want=$1 text=$2 status=0

	shift 2
	bench "$@" 2>"$scratch/err" || status=$?
	cat "$scratch/err"
	[ $status -eq "$want" ] && grep -qF -- "$text" "$scratch/err"
}

one_line_fails_with()
{
	fails_with "$@" && [ "$(wc -l <"$scratch/err")" -eq 1 ]
}

# json FILE EXPRESSION: true of the result, as Python sees it
json()
{
	python3 -c '
import json, sys
result = json.load(open(sys.argv[1]))
cases = {case["name"]: case for case in result["cases"]}
sys.exit(0 if eval("(" + sys.argv[2] + ")") else "not so: " + json.dumps(result))' "$@"
}

null_run_has_times_and_ratio()
{
	bench --null --quick --rounds 3 --json "$scratch/null.json" nop1 nop32 &&
		json "$scratch/null.json" 'list(cases) == ["nop1", "nop32"] and all(
			case["kernel_ns"] > 0 and case["ringside_ns"] > 0 and case["ratio"] > 0
			and case["rounds"] == 3 for case in cases.values())' &&
		json "$scratch/null.json" 'result["machine"]["cpus"] >= 1 and result["setting"]["null"]'
}

rivals_are_measured()
{
	bench --null --quick --rounds 3 --dir "$scratch" --json "$scratch/direct.json" direct32 &&
		json "$scratch/direct.json" 'cases["direct32"]["state"] == "skipped" or
			cases["direct32"]["libaio_ratio"] > 0 and cases["direct32"]["libaio_ns"] > 0'
}

json_to_standard_output_follows_the_table()
{
	bench --null --quick --rounds 1 --json /dev/stdout nop1 >"$scratch/out" &&
		[ -L /dev/stdout ] && sed -n '/^{/,$p' "$scratch/out" >"$scratch/out.json" &&
		json "$scratch/out.json" '"nop1" in cases' && grep -q '^nop1 ' "$scratch/out"
}

symbolic_link_to_json_stays_a_link()
{
	echo old >"$scratch/target.json"
	ln -s target.json "$scratch/link.json"
	bench --null --quick --rounds 1 --json "$scratch/link.json" nop1 &&
		[ -L "$scratch/link.json" ] && json "$scratch/target.json" '"nop1" in cases'
}

# Interrupted while the scratch file is written or read, whichever it is by then.
interrupt_leaves_nothing_behind()
{
	local status=0 names

	echo old >"$scratch/kept.json"
	timeout -s INT 2 "$build/ringside" bench --null --rounds 1000 --json "$scratch/kept.json" \
		cold32 || status=$?
	names=$(find "$TMPDIR" "$scratch" -mindepth 1 -name '*kept.json.*' -o -name 'ringside-bench.*')
	echo "status $status, left: $names"
	[ $status -eq 124 ] && [ -z "$names" ] && [ "$(cat "$scratch/kept.json")" = old ]
}

refusing_kernel_gives_null_ratio()
{
	"$build/test/sandbox/forbid" -- timeout -k 5 100 "$build/ringside" bench --quick --rounds 3 \
		--json "$scratch/refused.json" nop1 &&
		json "$scratch/refused.json" 'cases["nop1"]["kernel_ns"] is None
			and cases["nop1"]["ratio"] is None and cases["nop1"]["ringside_ns"] > 0'
}

statistics_are_in_the_result()
{
	bench --quick --rounds 3 --dir "$scratch" --json "$scratch/cold.json" cold32 &&
		json "$scratch/cold.json" 'cases["cold32"]["state"] == "skipped" or
			isinstance(cases["cold32"]["punts"], (int, float)) and
			isinstance(cases["cold32"]["pagein_threads"], (int, float))'
}

nothing_is_left_in_the_scratch_folder()
{
	[ -z "$(ls -A "$TMPDIR")" ]
}

check wrong_option_is_one_line one_line_fails_with 2 "wrong option '--frob'" --frob
check missing_argument_is_one_line one_line_fails_with 2 "'--json' wants an argument" --json
check zero_rounds_are_refused one_line_fails_with 2 "--rounds takes a number" --rounds 0
check unknown_case_lists_the_cases fails_with 2 "trapnop32" nop33
check rival_is_no_case_of_its_own fails_with 2 "no case 'libaio32'" libaio32
check unwritable_json_fails_before_measuring one_line_fails_with 1 "No such file or directory" \
	--null --json "$scratch/none/x.json" nop1
check help_lists_the_cases eval 'bench --help | grep -q cached32'

if "$build/test/sandbox/refused" allow >"$scratch/log" 2>&1; then
	check null_run_has_times_and_ratio null_run_has_times_and_ratio
	check rivals_are_measured rivals_are_measured
	check json_to_standard_output_follows_the_table json_to_standard_output_follows_the_table
	check symbolic_link_to_json_stays_a_link symbolic_link_to_json_stays_a_link
	check interrupt_leaves_nothing_behind interrupt_leaves_nothing_behind
else
	echo "skip null_run: the kernel refuses io_uring ($(tail -n 1 "$scratch/log"))"
fi

if [ -e "$build/libringside.so" ]; then
	check refusing_kernel_gives_null_ratio refusing_kernel_gives_null_ratio
	check statistics_are_in_the_result statistics_are_in_the_result
else
	echo "skip ringside_side: libringside.so is not built"
fi
check nothing_is_left_in_the_scratch_folder nothing_is_left_in_the_scratch_folder

cases_end
