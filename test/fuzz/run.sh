#!/bin/bash
#
# run.sh - fuzz the three system calls for a while
#
# usage: test/fuzz/run.sh BUILD [SECONDS [TARGET...]]
#        test/fuzz/run.sh BUILD replay TARGET FILE
#
# Builds the library for libFuzzer, with AddressSanitizer and UBSan, in
# BUILD/fuzz, and runs each TARGET (default: sqe setup register) for SECONDS
# (default: 7), beginning with the inputs of test/fuzz/corpus. It runs as nobody
# in test/sandbox/run, without a network: what a request does, it does there.
#
# A finding (a report of a sanitizer, a failed assertion, an input of more than
# 25 seconds) is kept in BUILD/fuzz-findings/TARGET, and "replay" runs it alone.
# What inputs of this run reached for the first time is in BUILD/fuzz-corpus/TARGET.
#
# Exit status: 0 nothing found, 1 something, 77 no fuzzer or no sandbox here.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
root=${here%/test/fuzz}
[ $# -ge 1 ] || { sed -n '/^# usage/,/^#$/s/^# //p' "$0" >&2; exit 2; }
build=$(cd -- "$1" && pwd -P)
shift
fuzzers=$build/fuzz
targets=(sqe setup register)
failures=0

skip()
{
	echo "skip fuzz: $*"
	exit 77
}

confined()
{
	"$root/test/sandbox/run" --build "$build" --no-net "$@"
}

command -v clang >/dev/null || skip "clang is missing (Debian package: clang)"
echo 'int LLVMFuzzerTestOneInput(const char *b, long n) { return b == (char *)n; }' |
	clang -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2>/dev/null ||
	skip "clang has no libFuzzer (Debian package: libclang-rt-14-dev)"
why=$(confined -- true 2>&1) || skip "$why"

built()
{
	[ -f "$fuzzers/build.ninja" ] || CC=clang meson setup "$fuzzers" "$root" -Dfuzz=true \
		-Dtests=false -Dbench=false -Db_sanitize=address,undefined -Db_lundef=false || return
	ninja -C "$fuzzers" test/fuzz/fuzz-sqe test/fuzz/fuzz-setup test/fuzz/fuzz-register
}
if ! built >"$build/fuzz-build.log" 2>&1; then
	echo "not ok fuzz_builds: see $build/fuzz-build.log"
	exit 1
fi

# The library handles SIGSEGV and SIGBUS, and passes on what is not its own.
sanitizers=(ASAN_OPTIONS=detect_leaks=0:allow_user_segv_handler=1
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1)

# run TARGET ARGUMENT...: in the sandbox, as nobody
run()
{
	local target=$1

	shift
	timeout -k 5 "${limit:-60}" "$root/test/sandbox/run" --build "$build" --no-net \
		--bind "$build/fuzz-findings/$target" --bind "$build/fuzz-corpus/$target" -- \
		env "${sanitizers[@]}" "$fuzzers/test/fuzz/fuzz-$target" -timeout=25 \
		-rss_limit_mb=1024 -handle_xfsz=0 -print_final_stats=1 -verbosity=1 \
		-artifact_prefix="$build/fuzz-findings/$target/" "$@"
}

if [ "${1-}" = replay ]; then
	[ $# -eq 3 ] || { echo "run.sh: which target, and which file?" >&2; exit 2; }
	mkdir -p "$build/fuzz-findings/$2" "$build/fuzz-corpus/$2"
	run "$2" "$(realpath -- "$3")"
	exit
fi

seconds=${1:-7}
[ $# -le 1 ] || targets=("${@:2}")
for target in "${targets[@]}"; do
	log=$build/fuzz-$target.log
	status=0
	mkdir -p "$build/fuzz-findings/$target" "$build/fuzz-corpus/$target"
	# The time limit is for one that no longer looks at its clock.
	limit=$((seconds + 60)) run "$target" -max_total_time="$seconds" -max_len=2048 -dict="$here/dictionary" \
		"$build/fuzz-corpus/$target" "$here/corpus/$target" >"$log" 2>&1 || status=$?
	if [ "$status" -eq 0 ]; then
		echo "ok fuzz_$target"
		sed -n '/^stat::/s/^/# /p' "$log"
	else
		failures=$((failures + 1))
		echo "not ok fuzz_$target: exit status $status"
		grep -E -A 25 'ERROR|runtime error|assertion|ALARM' "$log" | head -n 40 | sed 's/^/# /' || true
		grep 'Test unit written' "$log" | sed 's/^/# /' || true
	fi
done
[ "$failures" -eq 0 ]
