#!/bin/bash
#
# check.sh - the page cache's protocol and its mutants, under spin
#
# usage: check.sh [BUILD]                       every scenario, every mutant
#        check.sh --show SCENARIO [MUTANT]      one, and the shortest way to what goes wrong
#
# BUILD is not used: a model needs nothing that was built. README.md tells what is
# checked and how to read what --show prints.
#
# Exit status: 0 all well, 1 the protocol is broken or a mutant survived (--show: something goes
# wrong), 2 wrong usage, 77 spin or a compiler is missing.

set -eu
export LC_ALL=C

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# The longest first, so that no processor is left with it at the end.
scenarios=(frames keep lose evict copy wait write fail cancel)
# A search that needs more than this is a model that has grown too large.
limits=(-DMEMLIM=2000 -DVECTORSZ=2048)
depth=400000

# build DIRECTORY VERDICT SCENARIO MUTANT OPTIMISATION: makes DIRECTORY/pan
build()
{
	local search=-DSAFETY mutant=${4^^}

	[ "$2" != endless ] || search=-DNP
	mkdir -p "$1"
	cd "$1"
	spin -a ${mutant:+"-DMUTANT_$mutant"} "$here/$3.pml" >spin.log 2>&1 || return
	gcc "$5" -w "$search" -DCOLLAPSE "${limits[@]}" -o pan pan.c 2>&1
}

# search DIRECTORY VERDICT [OPTION...]
search()
{
	local dir=$1 verdict=$2

	shift 2
	cd "$dir"
	[ "$verdict" != endless ] || set -- -l "$@"
	# It says itself what it found; the exit status is that of an error of its own.
	./pan "$@" "-m$depth" -w22 >pan.log 2>&1
}

# is_complete LOG: nothing was found, and nothing was left out
is_complete()
{
	grep -q 'errors: 0$' "$1" &&
		! grep -qE 'max search depth too small|Search not completed|out of memory' "$1"
}

message_of()
{
	case $1 in
	stuck) echo 'pan:1: invalid end state' ;;
	wrong) echo 'pan:1: assertion violated' ;;
	endless) echo 'pan:1: non-progress cycle' ;;
	esac
}

# verdict_on VERDICT SCENARIO [MUTANT]: one case, said in one write
verdict_on()
{
	local verdict=$1 scenario=$2 mutant=${3-} name is_good=no
	local dir=$scratch/$scenario.$verdict.$mutant

	if [ -n "$mutant" ]; then
		name=mutant_${mutant}_is_found_in_$scenario
		# Most of the time of a mutant is its compilation.
		build "$dir" "$verdict" "$scenario" "$mutant" -O0 >"$dir.log" 2>&1 &&
			search "$dir" "$verdict" &&
			grep -q "^$(message_of "$verdict")" "$dir/pan.log" && is_good=yes
	else
		name=nothing_is_wrong_and_nobody_stuck_in_$scenario
		[ "$verdict" != endless ] || name=nobody_runs_for_ever_in_$scenario
		build "$dir" "$verdict" "$scenario" "" -O1 >"$dir.log" 2>&1 &&
			search "$dir" "$verdict" && is_complete "$dir/pan.log" && is_good=yes
	fi
	if [ $is_good = yes ]; then
		echo "ok $name"
	else
		printf 'not ok %s\n%s\n' "$name" \
			"$(cat "$dir.log" "$dir"/*.log 2>/dev/null | grep -v '^$' | head -n 12 | sed 's/^/# /')"
	fi
	rm -rf -- "$dir" "$dir.log"
}

# The table's lines, as SCENARIO and MUTANT follow VERDICT
mutants()
{
	sed -n '/^[a-z]/p' "$here/mutants" | while read -r mutant scenario verdict; do
		echo "$verdict $scenario $mutant"
	done
}

# What the model, the table and the README say of mutants is of the same mutants.
table_is_complete()
{
	local of_model of_table mutant missing=0

	of_model=$(grep -oh 'MUTANT_[A-Z][A-Z_]*' "$here"/*.pml | sed 's/^MUTANT_//' | sort -u)
	of_table=$(mutants | awk '{ print toupper($3) }' | sort -u)
	if [ "$of_model" != "$of_table" ]; then
		diff <(echo "$of_model") <(echo "$of_table") | sed -n 's/^[<>]/#&/p'
		missing=1
	fi
	for mutant in $(mutants | awk '{ print $3 }'); do
		grep -q "\`$mutant\`" "$here/README.md" || { echo "# README: $mutant"; missing=1; }
	done
	return $missing
}

show()
{
	local scenario=$1 mutant=${2-} verdict=stuck trail

	[ -f "$here/$scenario.pml" ] || { echo "check.sh: no scenario '$scenario'" >&2; exit 2; }
	if [ -n "$mutant" ]; then
		verdict=$(mutants | awk -v m="$mutant" '$3 == m { print $1 }')
		[ -n "$verdict" ] || { echo "check.sh: no mutant '$mutant'" >&2; exit 2; }
	fi
	if [ "$verdict" = endless ]; then
		build "$scratch" endless "$scenario" "$mutant" -O1
		search "$scratch" endless
	else
		limits+=(-DBFS)
		build "$scratch" "$verdict" "$scenario" "$mutant" -O1
		search "$scratch" "$verdict"
	fi
	cd "$scratch"
	if ! grep '^pan:1:' pan.log; then
		grep -E '^pan:|errors:' pan.log
		return 0
	fi
	mutant=${mutant^^}
	trail=$scenario.pml.trail
	# Of a cycle spin would go round and round.
	spin -k "$trail" "-u$(wc -l <"$trail")" ${mutant:+"-DMUTANT_$mutant"} -p -g \
		"$here/$scenario.pml"
	return 1
}

if ! command -v spin >/dev/null || ! command -v gcc >/dev/null; then
	echo "skip model: spin or gcc is not installed"
	exit 77
fi

if [ "${1-}" = --case ]; then
	scratch=$2
	shift 2
	verdict_on "$@"
	exit
fi

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

if [ "${1-}" = --show ]; then
	[ $# -eq 2 ] || [ $# -eq 3 ] || { sed -n '/^# usage/,/^#$/s/^# //p' "$0" >&2; exit 2; }
	shift
	show "$@"
	exit
fi

{
	if table_is_complete; then
		echo "ok every_mutant_is_run_and_explained"
	else
		echo "not ok every_mutant_is_run_and_explained"
	fi
	{
		printf 'endless %s\n' "${scenarios[@]}"
		printf 'stuck %s\n' "${scenarios[@]}"
		mutants
	} | xargs -P "$(nproc)" -L 1 "$0" --case "$scratch"
} | tee "$scratch/cases"
! grep -q '^not ok' "$scratch/cases"
