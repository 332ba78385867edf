#!/bin/bash
#
# check.sh - test the sandbox, the policy compiler and the refusing launcher
#
# usage: test/sandbox/check.sh BUILD
#
# What the other tests conclude rests on these: that inside the sandbox it is
# the kernel that refuses io_uring, and that the rest of a container is there.

set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
# shellcheck source=test/clients/lib.sh
. "$here/../clients/lib.sh"
clients_begin "$@"

policy=$build/test/sandbox/policy
scratch_policy=$scratch/policy.json

rejects()
{
	local name=$1 text=$2 expected=$3 status=0

	printf '%s\n' "$text" >"$scratch_policy"
	"$policy" "$scratch_policy" "$scratch/out.bpf" >"$log" 2>&1 || status=$?
	if [ "$status" != 2 ]; then
		not_ok "$name" "exit status $status, not 2"
	elif [ "$(wc -l <"$log")" != 1 ] || ! grep -q -- "$expected" "$log"; then
		not_ok "$name" "said: $(head -n 1 "$log")"
	else
		ok "$name"
	fi
}

policy_checks()
{
	if [ ! -x "$policy" ]; then
		skip policy_rejects_bad_input "$policy is not built (libseccomp-dev, libjansson-dev)"
		return
	fi
	rejects policy_rejects_truncated_json '{ "defaultAction": "SCMP_ACT_ERRNO",' 'line '
	rejects policy_rejects_unknown_default_action \
		'{ "defaultAction": "SCMP_ACT_MAYBE", "syscalls": [] }' "'SCMP_ACT_MAYBE'"
	rejects policy_rejects_unknown_action \
		'{ "defaultAction": "SCMP_ACT_ERRNO",
		   "syscalls": [ { "names": [ "read" ], "action": "READ" } ] }' "'READ'"
	rejects policy_rejects_unknown_comparison \
		'{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [ { "names": [ "read" ],
		   "action": "SCMP_ACT_ALLOW",
		   "args": [ { "index": 0, "value": 1, "op": "SCMP_CMP_ALMOST" } ] } ] }' \
		"'SCMP_CMP_ALMOST'"
	rejects policy_rejects_a_list '[]' 'not an object'

	# The name exists nowhere, so the count proves that it was met and passed over.
	printf '%s\n' '{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [ { "names":
		[ "read", "ringside_no_such_call" ], "action": "SCMP_ACT_ALLOW" } ] }' \
		>"$scratch_policy"
	if "$policy" -v "$scratch_policy" "$scratch/out.bpf" 2>"$log" &&
		grep -q '1 names allowed, 0 refused, 1 unknown' "$log"; then
		ok policy_tolerates_and_counts_unknown_calls
	else
		not_ok policy_tolerates_and_counts_unknown_calls "$(head -n 1 "$log")"
	fi
}

# The condition of an entry decides whether one and the same call is refused.
condition()
{
	local name=$1 entry=$2 wanted=$3 said status=0

	printf '{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [ { "names": [ "io_uring_setup" ],
		"action": "SCMP_ACT_ERRNO", "errnoRet": 95, %s } ] }\n' "$entry" >"$scratch_policy"
	said=$(SANDBOX_POLICY=$scratch_policy "$sandbox" --build "$build" -- \
		"$build/test/sandbox/refused" 2>"$log") || status=$?
	# "other" is whatever this kernel says by itself: it may refuse for its own reasons.
	if [ "$wanted" = other ] && [ -n "$said" ] && [ "$said" != EOPNOTSUPP ]; then
		ok "$name"
	elif [ "$said" = "$wanted" ]; then
		ok "$name"
	else
		not_ok "$name" "io_uring_setup said '$said' (status $status), not $wanted"
	fi
}

condition_checks()
{
	condition policy_applies_an_entry_without_conditions '"includes": {}' EOPNOTSUPP
	condition policy_applies_what_includes_an_older_kernel \
		'"includes": { "minKernel": "4.8" }' EOPNOTSUPP
	condition policy_passes_over_what_needs_a_newer_kernel \
		'"includes": { "minKernel": "99.0" }' other
	condition policy_passes_over_what_needs_a_capability \
		'"includes": { "caps": [ "CAP_SYS_ADMIN" ] }' other
	condition policy_applies_what_excludes_a_missing_capability \
		'"excludes": { "caps": [ "CAP_SYS_ADMIN" ] }' EOPNOTSUPP
	condition policy_passes_over_what_excludes_a_default_capability \
		'"excludes": { "caps": [ "CAP_KILL" ] }' other
	condition policy_passes_over_other_architectures \
		'"includes": { "arches": [ "s390x" ] }' other
	condition policy_compares_an_argument \
		'"args": [ { "index": 0, "value": 1, "op": "SCMP_CMP_EQ" } ]' EOPNOTSUPP
	condition policy_compares_an_argument_that_differs \
		'"args": [ { "index": 0, "value": 1, "op": "SCMP_CMP_NE" } ]' other
	condition policy_takes_any_of_two_comparisons_of_one_argument \
		'"args": [ { "index": 0, "value": 1, "op": "SCMP_CMP_EQ" },
			   { "index": 0, "value": 2, "op": "SCMP_CMP_EQ" } ]' EOPNOTSUPP
	condition policy_masks_an_argument \
		'"args": [ { "index": 0, "value": 3, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ" } ]' \
		EOPNOTSUPP
}

# inside NAME EXPECTED COMMAND...: what a command in the sandbox prints
inside()
{
	local name=$1 expected=$2 said status=0

	shift 2
	said=$("$sandbox" --build "$build" --bind "$scratch" -- "$@" 2>&1) || status=$?
	if [ "$said, $status" = "$expected" ]; then
		ok "$name"
	else
		not_ok "$name" "said '$said, $status', not '$expected'"
	fi
}

sandbox_checks()
{
	local refusal

	# Podman's policy says ENOSYS, Docker's EPERM; which of them is installed is not ours.
	refusal=$("$sandbox" --build "$build" -- "$build/test/sandbox/refused") || true
	case $refusal in
	EPERM | ENOSYS) ok sandbox_refuses_io_uring ;;
	*) not_ok sandbox_refuses_io_uring "io_uring_setup said '$refusal'" ;;
	esac
	# shellcheck disable=SC2016  # expanded by the shell inside
	inside sandbox_is_an_ordinary_user '1000 0000000000000000, 0' \
		sh -c 'echo "$(id -u) $(sed -n "s/^CapEff:.//p" /proc/self/status)"'
	inside sandbox_root_is_read_only 'no, 0' \
		sh -c 'if touch /usr/ringside 2>/dev/null; then echo yes; else echo no; fi'
	inside sandbox_writes_where_it_is_told 'written, 0' sh -c 'echo written >here && cat here'
	inside sandbox_passes_the_exit_status ', 41' sh -c 'exit 41'
	# shellcheck disable=SC2016
	inside sandbox_passes_a_signal ', 143' sh -c 'kill -TERM $$'
	# shellcheck disable=SC2016
	inside sandbox_has_its_own_processes 'yes, 0' \
		sh -c 'if [ $$ -lt 10 ]; then echo yes; fi'
}

forbid_checks()
{
	local error said

	for error in EPERM ENOSYS; do
		said=$("$forbid" --errno "$error" -- "$build/test/sandbox/refused") || true
		if [ "$said" = "$error" ]; then
			ok "forbid_refuses_with_$error"
		else
			not_ok "forbid_refuses_with_$error" "io_uring_setup said '$said'"
		fi
	done
}

policy_checks
forbid_checks
if sandbox_is_there; then
	condition_checks
	sandbox_checks
else
	skip sandbox "$sandbox_reason"
fi
clients_end
