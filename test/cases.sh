# cases.sh - how a shell test says what passed; sourced, not run
#
# The test sets `scratch`, a directory of its own, before the first check(), stays
# where it was started until it has sourced this, and ends with `cases_end`. test/run
# counts the lines.
# shellcheck shell=bash

failures=0

# check NAME COMMAND...: one case, which is what the command says
check()
{
	local name=$1

	shift
	if "$@" >"$scratch/log" 2>&1; then
		echo "ok $name"
	else
		failures=$((failures + 1))
		echo "not ok $name"
		tail -n 10 "$scratch/log" | sed 's/^/# /'
	fi
}

cases_end()
{
	[ "$failures" -eq 0 ] || exit 1
	exit 0
}
