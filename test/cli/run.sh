#!/bin/bash
#
# run.sh - `ringside run`: transparent to the program and to its caller
#
# usage: test/cli/run.sh BUILD

set -eu

if [ $# -ne 1 ] || ! build=$(cd -- "$1" && pwd -P); then
	echo "usage: $0 BUILD-DIRECTORY" >&2
	exit 2
fi
if [ ! -x "$build/ringside" ] || [ ! -e "$build/libringside.so" ]; then
	echo "skip run: $build/ringside and libringside.so are not built"
	exit 77
fi

ringside=$build/ringside
calls=$build/test/cli/liburing_calls
. "$(dirname -- "$0")/../cases.sh"
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
unset RINGSIDE RINGSIDE_LIB LD_PRELOAD
dd if=/dev/zero of="$scratch/page" bs=4096 count=2 2>/dev/null

# status COMMAND...: prints its exit status, as bash tells it
status()
{
	local status=0

	timeout -k 5 60 "$@" || status=$?
	echo "$status"
}

# with and without a parent that waits
both()
{
	"$@" && with_stats=1 "$@"
}

run()
{
	if [ -n "${with_stats:-}" ]; then
		"$ringside" run --stats "$scratch/stats.json" "$@"
	else
		"$ringside" run "$@"
	fi
}

run_status()
{
	local status=0

	run "$@" || status=$?
	echo "$status"
}

# refused STATUS TEXT ARG...: exits so, after one line that says that
refused()
{
	local want=$1 text=$2 status=0

	shift 2
	timeout -k 5 60 "$ringside" run "$@" 2>"$scratch/err" || status=$?
	cat "$scratch/err"
	[ "$status" -eq "$want" ] && [ "$(wc -l <"$scratch/err")" -eq 1 ] &&
		grep -q "^ringside: .*$text" "$scratch/err"
}

refused_with()
{
	local variable=$1

	shift
	export RINGSIDE=$variable
	refused "$@"
	unset RINGSIDE
}

exit_status_comes_through()
{
	local n

	for n in 0 1 2 77 125 255; do
		[ "$(run_status -- sh -c "exit $n")" = $n ] || return 1
	done
}

# What the caller's wait() sees: bash tells 128 + N of a signal, and of an exit status the same. So
# Python looks.
signal_status_comes_through()
{
	python3 - "$ringside" ${with_stats:+--stats "$scratch/stats.json"} <<-'END'
		import signal, subprocess, sys
		for name in ("TERM", "KILL", "SEGV", "ABRT", "INT", "HUP", "USR1", "PIPE"):
		    wanted = getattr(signal, "SIG" + name)
		    got = subprocess.run([sys.argv[1], "run", *sys.argv[2:], "--",
		                          "sh", "-c", "ulimit -c 0; kill -%s $$" % name]).returncode
		    assert got == -wanted, (name, got)
	END
}

input_and_output_come_through()
{
	[ "$(printf 'a\nb\n' | run -- cat)" = $'a\nb' ]
}

arguments_come_through()
{
	[ "$(run -- printf '<%s>' --stats 'a b' '' '*' --)" = '<--stats><a b><><*><-->' ] &&
		[ "$(run printf '<%s>' --verbose)" = '<--verbose>' ]
}

not_found_is_127_and_not_executable_126()
{
	[ "$(run_status -- "$scratch/none" 2>/dev/null)" = 127 ] &&
		[ "$(run_status -- no-such-program-anywhere 2>/dev/null)" = 127 ] &&
		[ "$(run_status -- "$scratch" 2>/dev/null)" = 126 ] &&
		: >"$scratch/plain" && [ "$(run_status -- "$scratch/plain" 2>/dev/null)" = 126 ]
}

library_is_put_before_what_is_preloaded()
{
	local got

	got=$(LD_PRELOAD=libm.so.6 run -- sh -c 'echo "$LD_PRELOAD"')
	[[ $got == /*/libringside.so:libm.so.6 ]]
}

children_are_covered_too()
{
	local got

	got=$(run -- sh -c 'sh -c "echo \$RINGSIDE"')
	[[ $got == engine=user* ]] && run -- sh -c 'cat /proc/self/maps' | grep -q libringside.so
}

options_reach_the_library()
{
	[[ $(run --engine=auto --trap=off --verbose -- sh -c 'echo "$RINGSIDE"' 2>/dev/null) == \
		engine=auto,trap=off,verbose* ]] &&
		[[ $(RINGSIDE=engine=auto,trap=off run --engine user -- \
			sh -c 'echo "$RINGSIDE"') == engine=user,trap=off* ]]
}

another_library_can_be_named()
{
	cp "$build/libringside.so" "$scratch/other.so"
	[ "$(RINGSIDE_LIB=$scratch/other.so run -- sh -c 'echo "$LD_PRELOAD"')" = \
		"$scratch/other.so" ]
}

missing_library_is_said()
{
	RINGSIDE_LIB=$scratch/none.so refused 125 none.so true
}

wrong_variable_ends_a_preloaded_program_at_its_start()
{
	local status=0

	LD_PRELOAD=$build/libringside.so RINGSIDE=engine=best sh -c 'echo started' \
		>"$scratch/out" 2>"$scratch/err" || status=$?
	cat "$scratch/err"
	[ $status -eq 2 ] && [ ! -s "$scratch/out" ] && grep -q "best" "$scratch/err" &&
		[ "$(wc -l <"$scratch/err")" -eq 1 ]
}

static_program_is_warned_about()
{
	command -v ldconfig >/dev/null || return 0
	local static=/sbin/ldconfig

	file -L "$static" 2>/dev/null | grep -q 'statically linked' || return 0
	run -- "$static" --version >"$scratch/out" 2>"$scratch/err"
	cat "$scratch/err"
	grep -q 'ldconfig.*static' "$scratch/err" && grep -q ldconfig "$scratch/out"
}

stats_are_valid()
{
	python3 - "$scratch/stats.json" <<-'END'
		import json, sys
		stats = json.load(open(sys.argv[1]))
		plain = ("enters traps sqes cqes inline retries punts punt_threads_peak "
		         "reactor_wakeups cq_overflows").split()
		assert all(isinstance(stats[key], int) for key in plain), stats
		assert set(stats["waits"]) == set("page device poll timer".split()), stats
		assert set(stats["pagein"]) == set("waits sweeps threads".split()), stats
		assert isinstance(stats["ops"], dict), stats
	END
}

stats_are_written_however_the_program_ends()
{
	local way

	local with_stats=1
	for way in 'exit 0' 'exit 3' 'kill -9 $$' 'kill -11 $$' 'exec true'; do
		rm -f "$scratch/stats.json"
		run_status -- sh -c "ulimit -c 0; $way" >/dev/null
		stats_are_valid || return 1
	done
	rm -f "$scratch/stats.json"
	run -- python3 -c 'import os; os._exit(0)' && stats_are_valid || return 1
	rm -f "$scratch/stats.json"
	run_status -- "$scratch/none" >/dev/null
	[ ! -e "$scratch/stats.json" ]
}

stats_by_the_variable_need_no_command()
{
	rm -f "$scratch/stats.json"
	LD_PRELOAD=$build/libringside.so RINGSIDE=stats=$scratch/stats.json python3 -c pass &&
		stats_are_valid && rm "$scratch/stats.json" &&
		RINGSIDE=stats=$scratch/stats.json run -- true && stats_are_valid
}

# counted COMMAND...: something was submitted in it
counted()
{
	rm -f "$scratch/stats.json"
	with_stats=1 run -- "$@" <"$scratch/page" >/dev/null || true
	grep '"sqes"' "$scratch/stats.json" && ! grep -q '"sqes": 0,' "$scratch/stats.json"
}

# What closes "all" descriptors before it executes a program closes ours too, if it can.
children_that_closed_everything_are_counted()
{
	counted bash -c "exec 900>&-; '$calls'" &&
		counted python3 -c 'import subprocess as s, sys; s.run(sys.argv[1])' "$calls" &&
		counted python3 -c 'import os, sys
os.closerange(3, 5000)
os.execv(sys.argv[1], [sys.argv[1]])' "$calls"
}

what_a_killed_program_did_is_counted()
{
	counted timeout -s KILL 60 sh -c "'$calls'; kill -9 \$\$" &&
		grep -q '"NOP": {"count": [1-9]' "$scratch/stats.json"
}

# The program says "ready", then "got NAME" for each signal.
cat >"$scratch/signals.py" <<-'END'
	import os, signal, sys
	got = []
	def caught(number, frame):
	    got.append(number)
	    print("got", signal.Signals(number).name, flush=True)
	    if number == signal.SIGTERM:
	        sys.exit(9)
	for name in ("TERM", "HUP", "USR1", "INT", "CONT"):
	    signal.signal(getattr(signal, "SIG" + name), caught)
	print("ready", os.getpid(), flush=True)
	while True:
	    signal.pause()
END

# wait_for TEXT: until the program has said it
wait_for()
{
	local i

	for ((i = 0; i < 1000; i++)); do
		grep -q "$1" "$scratch/said" && return 0
		sleep 0.01
	done
	echo "never said: $1"
	return 1
}

signals_are_passed_on()
{
	local pid status=0

	: >"$scratch/said"
	if [ -n "${with_stats:-}" ]; then
		setsid "$ringside" run --stats "$scratch/stats.json" -- \
			python3 "$scratch/signals.py" >"$scratch/said" &
	else
		setsid "$ringside" run -- python3 "$scratch/signals.py" >"$scratch/said" &
	fi
	pid=$!
	wait_for ready && kill -HUP $pid && wait_for 'got SIGHUP' && kill -USR1 $pid &&
		wait_for 'got SIGUSR1' && kill -INT $pid && wait_for 'got SIGINT' || {
		kill -9 $pid
		return 1
	}
	kill -TERM $pid
	wait $pid || status=$?
	[ $status -eq 9 ] && [ "$(grep -c 'got SIGHUP' "$scratch/said")" -eq 1 ]
}

# wait_state PID STATE: until the kernel says it is in it
wait_state()
{
	local i

	for ((i = 0; i < 1000; i++)); do
		[ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat")" = "$2" ] && return 0
		sleep 0.01
	done
	echo "process $1 is never in state $2"
	return 1
}

stops_and_continues_with_the_program()
{
	local pid program

	: >"$scratch/said"
	setsid "$ringside" run --stats "$scratch/stats.json" -- python3 "$scratch/signals.py" \
		>"$scratch/said" &
	pid=$!
	wait_for ready || return 1
	program=$(sed -n 's/^ready //p' "$scratch/said")
	if kill -STOP "$program" && wait_state $pid T && kill -CONT $pid &&
		wait_for 'got SIGCONT' && wait_state "$program" S; then
		kill -TERM $pid
		wait $pid || [ $? -eq 9 ]
	else
		kill -9 $pid
		return 1
	fi
}

a_killed_command_takes_the_program_along()
{
	local pid program

	: >"$scratch/said"
	setsid "$ringside" run --stats "$scratch/stats.json" -- python3 "$scratch/signals.py" \
		>"$scratch/said" &
	pid=$!
	wait_for ready || return 1
	program=$(sed -n 's/^ready //p' "$scratch/said")
	kill -9 $pid
	wait $pid || true
	for ((i = 0; i < 1000; i++)); do
		kill -0 "$program" 2>/dev/null || return 0
		sleep 0.01
	done
	return 1
}

ignored_sigchld_loses_no_status()
{
	[ "$(trap '' CHLD; run_status -- sh -c 'exit 5')" = 5 ]
}

signal_mask_and_actions_are_the_callers()
{
	python3 - "$ringside" ${with_stats:+--stats "$scratch/stats.json"} <<-'END'
		import signal, subprocess, sys
		signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
		look = ["sh", "-c", "exec grep -E '^Sig(Blk|Ign)' /proc/self/status"]
		plain = subprocess.check_output(look)
		under = subprocess.check_output([sys.argv[1], "run", *sys.argv[2:], "--"] + look)
		assert plain == under, (plain, under)
	END
}

runs_inside_itself()
{
	[ "$(run_status -- "$ringside" run --stats "$scratch/inner.json" -- sh -c 'exit 4')" = 4 ]
}

descriptors_are_not_leaked()
{
	local plain under

	plain=$(sh -c 'ls /proc/self/fd | sort -n | tr "\n" " "')
	under=$(run -- sh -c 'ls /proc/self/fd | sort -n | tr "\n" " "')
	echo "$plain / $under"
	[ "$plain" = "$under" ]
}

check wrong_engine_is_one_line refused 2 "'best'" --engine=best -- true
check wrong_trap_is_one_line refused 2 "'maybe'" --trap maybe -- true
check comma_is_no_way_to_more_options refused 2 "engine" --engine=user,verbose -- true
check cache_that_is_no_size_is_one_line refused 2 "a size such as 512M or 2G, not 'lots'" \
	--cache lots -- true
check cache_too_small_is_one_line refused 2 "4M at least" --cache 1M -- true
check cache_larger_than_memory_is_one_line refused 2 "more than the memory there is: [0-9]*M" \
	--cache 1000T -- true
check own_without_cache_is_one_line refused 2 "only if there is a cache" --own '/data/*' -- true
check own_with_two_patterns_in_one_is_one_line refused 2 "without ':'" --cache 8M --own a:b -- true
check unknown_option_is_one_line refused 2 "'--frob'" --frob -- true
check unknown_letter_is_one_line refused 2 "'-x'" -x -- true
check missing_value_is_one_line refused 2 "'--stats' wants a value" --stats
check missing_program_is_one_line refused 2 "no program" --verbose
check wrong_variable_is_one_line refused_with engine=best 2 "'best'" true
check unwritable_stats_fail_before_the_program refused 2 "No such file" \
	--stats "$scratch/none/x.json" -- touch "$scratch/ran"
check folder_is_no_stats_file refused 2 "Is a directory" --stats "$scratch" -- touch "$scratch/ran"
check program_did_not_run [ ! -e "$scratch/ran" ]
check help_names_every_option eval \
	'"$ringside" run --help | grep -c -e --engine= -e --trap= -e --stats -e --verbose |
		grep -q "^[4-9]"'
check version_is_printed eval '"$ringside" run --version | grep -q "^ringside [0-9]"'
check exit_status_comes_through both exit_status_comes_through
check signal_status_comes_through both signal_status_comes_through
check input_and_output_come_through both input_and_output_come_through
check arguments_come_through both arguments_come_through
check not_found_is_127_and_not_executable_126 both not_found_is_127_and_not_executable_126
check library_is_put_before_what_is_preloaded both library_is_put_before_what_is_preloaded
check children_are_covered_too both children_are_covered_too
check options_reach_the_library both options_reach_the_library
check another_library_can_be_named both another_library_can_be_named
check missing_library_is_said missing_library_is_said
check wrong_variable_ends_a_preloaded_program_at_its_start \
	wrong_variable_ends_a_preloaded_program_at_its_start
check static_program_is_warned_about both static_program_is_warned_about
check stats_are_written_however_the_program_ends stats_are_written_however_the_program_ends
check stats_by_the_variable_need_no_command stats_by_the_variable_need_no_command
if [ -x "$calls" ]; then
	check children_that_closed_everything_are_counted children_that_closed_everything_are_counted
	check what_a_killed_program_did_is_counted what_a_killed_program_did_is_counted
else
	echo "skip children_that_closed_everything_are_counted: liburing is not installed"
fi
check signals_are_passed_on both signals_are_passed_on
check stops_and_continues_with_the_program stops_and_continues_with_the_program
check a_killed_command_takes_the_program_along a_killed_command_takes_the_program_along
check ignored_sigchld_loses_no_status both ignored_sigchld_loses_no_status
check signal_mask_and_actions_are_the_callers both signal_mask_and_actions_are_the_callers
check runs_inside_itself both runs_inside_itself
check descriptors_are_not_leaked descriptors_are_not_leaked

cases_end
