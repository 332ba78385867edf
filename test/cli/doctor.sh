#!/bin/bash
#
# doctor.sh - `ringside doctor`: says what is so, in a place made to be so
#
# usage: test/cli/doctor.sh BUILD

set -eu
export LC_ALL=C

if [ $# -ne 1 ] || ! build=$(cd -- "$1" && pwd -P); then
	echo "usage: $0 BUILD-DIRECTORY" >&2
	exit 2
fi
forbid=$build/test/sandbox/forbid
for file in "$forbid" "$build/ringside" "$build/libringside.so"; do
	if [ ! -e "$file" ]; then
		echo "skip doctor: $file is not built"
		exit 77
	fi
done

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
sandbox=$here/../sandbox/run
. "$(dirname -- "$0")/../cases.sh"
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
cd "$scratch"
unset RINGSIDE RINGSIDE_LIB LD_PRELOAD

doctor()
{
	timeout -k 5 60 "$build/ringside" doctor "$@"
}

# says STATUS PATTERN COMMAND...: exits so, and a line of its output is like that
says()
{
	local want=$1 pattern=$2 status=0

	shift 2
	"$@" >"$scratch/out" 2>"$scratch/err" || status=$?
	cat "$scratch/out" "$scratch/err"
	[ $status -eq "$want" ] && grep -qE -- "$pattern" "$scratch/out" "$scratch/err"
}

one_line()
{
	says "$@" && [ "$(wc -l <"$scratch/err")" -eq 1 ] && [ ! -s "$scratch/out" ]
}

# json EXPRESSION COMMAND...: true of what it prints, as Python sees it
json()
{
	local expression=$1

	shift
	"$@" >"$scratch/json" || [ $? -eq 1 ]
	python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(0 if eval("(" + sys.argv[2] + ")") else "not so: " + json.dumps(d))' \
		"$scratch/json" "$expression"
}

# refused_with ERRNO ARG...: where the kernel refuses io_uring with it
refused_with()
{
	local name=$1

	shift
	"$forbid" --errno "$name" -- timeout -k 5 60 "$build/ringside" doctor "$@"
}

text_and_json_agree()
{
	local working

	working=$(doctor --json | grep -c '"works": true')
	[ "$(doctor | grep -c ' yes  ')" -eq "$working" ]
}

short_enough_for_a_terminal()
{
	doctor sh >"$scratch/text"
	cat "$scratch/text"
	[ "$(wc -l <"$scratch/text")" -le 24 ] && [ "$(wc -L <"$scratch/text")" -le 100 ]
}

nothing_is_left_behind()
{
	local before after

	before=$(ls -A "$scratch")
	doctor >/dev/null
	after=$(ls -A "$scratch")
	[ "$before" = "$after" ]
}

# A scratch folder may not be writable: files are then tried elsewhere, and said so.
unwritable_folder_is_survived()
{
	mkdir -p "$scratch/tmp"
	(cd /proc && TMPDIR=$scratch/tmp says 0 "tried in $scratch/tmp" doctor)
}

static_program()
{
	file -L /sbin/ldconfig 2>/dev/null | grep -q 'static'
}

# A policy that refuses, besides io_uring, all that ringside would rather use.
cat >"$scratch/meagre.json" <<-'END'
	{"defaultAction": "SCMP_ACT_ALLOW",
	 "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []}],
	 "syscalls": [{"names": ["io_uring_setup", "io_uring_enter", "io_uring_register",
	                         "memfd_create", "io_setup", "seccomp", "epoll_pwait2"],
	               "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}
END

in_a_meagre_container()
{
	SANDBOX_POLICY=$scratch/meagre.json \
		"$sandbox" --build "$build" --bind "$scratch" -- "$@"
}

what_is_missing_is_named()
{
	json 'not d["ringside"]["memfd"]["works"] and not d["ringside"]["aio"]["works"]
		and d["ringside"]["memory"]["works"] and d["ringside"]["usable"]
		and d["ringside"]["rwf_nowait"]["works"]' \
		in_a_meagre_container "$build/ringside" doctor --json
}

programs_run_without_what_is_missing()
{
	local calls=$build/test/cli/liburing_calls

	dd if=/dev/zero of="$scratch/page" bs=4096 count=2 2>/dev/null
	in_a_meagre_container "$build/ringside" run -- "$calls" <"$scratch/page" >"$scratch/out" &&
		diff "$here/liburing_calls.expected" "$scratch/out"
}

in_the_container()
{
	"$sandbox" --build "$build" --bind "$scratch" -- "$build/ringside" doctor
}

check unknown_option_is_one_line one_line 2 "^ringside: .*--frob" doctor --frob
check two_programs_are_one_line one_line 2 "one program" doctor sh ls
check missing_program_is_one_line one_line 1 "no-such-program: No such file" doctor no-such-program
check help_is_printed says 0 "usage: ringside doctor" doctor --help
check eperm_of_a_policy_is_named says 0 "seccomp policy .* EPERM" refused_with EPERM
check enosys_of_a_policy_is_named says 0 "seccomp policy .* ENOSYS" refused_with ENOSYS
check refusal_is_in_json json 'not d["kernel"]["usable"] and d["kernel"]["errno"] == 1 and
	"seccomp" in d["kernel"]["reason"] and d["ringside"]["usable"]' refused_with EPERM --json
check another_error_is_told_as_it_is says 0 "cannot be used here" refused_with EINVAL
check trap_works_under_a_policy json 'd["ringside"]["trap"]["works"]' refused_with EPERM --json
check json_is_one_object json 'set(d) == {"kernel", "ringside"} and
	d["ringside"]["memfd"]["works"]' doctor --json
if "$build/test/sandbox/refused" allow >/dev/null 2>&1; then
	check usable_kernel_is_said json 'd["kernel"]["usable"] and d["kernel"]["reason"] is None' \
		doctor --json
else
	echo "skip usable_kernel_is_said: the kernel refuses io_uring"
fi
check text_and_json_agree text_and_json_agree
check short_enough_for_a_terminal short_enough_for_a_terminal
check nothing_is_left_behind nothing_is_left_behind
check unwritable_folder_is_survived unwritable_folder_is_survived
check shell_script_is_told_by_its_interpreter eval \
	'printf "#!/bin/sh\n" >script && chmod +x script && says 0 "run by .*sh" doctor ./script'
if [ -x "$build/test/cli/liburing_calls" ]; then
	check liburing_program_comes_by_its_functions says 0 "liburing's functions" \
		doctor "$build/test/cli/liburing_calls"
else
	echo "skip liburing_program_comes_by_its_functions: liburing is not installed"
fi
if static_program; then
	check static_program_cannot_be_covered says 1 "cannot be covered: .*static" \
		doctor /sbin/ldconfig
	check static_program_in_json json 'not d["program"]["covered"] and
		"static" in d["program"]["reason"]' doctor --json /sbin/ldconfig
else
	echo "skip static_program_cannot_be_covered: /sbin/ldconfig is not static here"
fi
if [ "$(id -u)" -eq 0 ] && cp /bin/true "$scratch/setid" && chown 65534 "$scratch/setid" &&
	chmod u+s "$scratch/setid"; then
	check set_user_id_program_cannot_be_covered says 1 "cannot be covered: .*set-user-ID" \
		doctor ./setid
else
	echo "skip set_user_id_program_cannot_be_covered: only root can make one"
fi
if in_the_container >"$scratch/log" 2>&1 || [ $? -ne 77 ]; then
	check container_policy_is_named says 0 "seccomp policy on this process answers" \
		in_the_container
	check container_lets_ringside_run says 0 "can run programs here" in_the_container
	check what_is_missing_is_named what_is_missing_is_named
	if [ -x "$build/test/cli/liburing_calls" ]; then
		check programs_run_without_what_is_missing programs_run_without_what_is_missing
	else
		echo "skip programs_run_without_what_is_missing: liburing is not installed"
	fi
else
	echo "skip container_policy_is_named: $(tail -n 1 "$scratch/log")"
fi

cases_end
