#!/bin/bash
#
# check.sh - what `make install` puts where, and that it works from there
#
# usage: test/install/check.sh BUILD
#
# Installs into a scratch directory, as a packager does, and uses nothing but
# what it finds there.

set -eu

if [ $# -ne 1 ] || ! build=$(cd -- "$1" && pwd -P); then
	echo "usage: $0 BUILD-DIRECTORY" >&2
	exit 2
fi
forbid=$build/test/sandbox/forbid
scratch=$(mktemp -d "$build/scratch.XXXXXX")
trap 'rm -rf -- "$scratch"' EXIT
. "$(dirname -- "$0")/../cases.sh"

option()
{
	meson introspect --buildoptions "$build" | python3 -c '
import json, sys
print([o["value"] for o in json.load(sys.stdin) if o["name"] == sys.argv[1]][0])' "$1"
}

root=$scratch/root
DESTDIR=$root meson install -C "$build" --no-rebuild --quiet
prefix=$(option prefix)
lib=$root$prefix/$(option libdir)
export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$lib/pkgconfig

all_files()
{
	local file status=0

	for file in bin/ringside include/ringside.h libexec/ringside/ringside-workload \
		libexec/ringside/ringside-workload-static share/man/man1/ringside.1 \
		share/man/man1/ringside-run.1 share/man/man1/ringside-doctor.1 \
		share/man/man1/ringside-bench.1 share/man/man3/libringside.3 \
		share/man/man3/rs_attach.3 share/man/man7/ringside.7; do
		[ -f "$root$prefix/$file" ] || { echo "no $file"; status=1; }
	done
	for file in libringside.so libringside.a pkgconfig/ringside.pc; do
		[ -f "$lib/$file" ] || { echo "no $file in $lib"; status=1; }
	done
	return $status
}

version_is_known_everywhere()
{
	local command pkg
	command=$("$root$prefix/bin/ringside" version) || return
	pkg=$(pkg-config --modversion ringside) || return
	echo "command: $command, pkg-config: $pkg"
	[ "$command" = "ringside $pkg" ]
}

# The public header must suffice, in C and, as far as a compiler is there, C++.
header_stands_alone()
{
	echo '#include <ringside.h>' >"$scratch/header.c"
	# shellcheck disable=SC2046 # flags are words
	cc -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only \
		$(pkg-config --cflags ringside) "$scratch/header.c" || return
	command -v c++ >/dev/null || return 0
	# shellcheck disable=SC2046
	c++ -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags ringside) -x c++ \
		"$scratch/header.c"
}

write_program()
{
	cat >"$scratch/program.c" <<-'END'
		#include <liburing.h>
		#include <ringside.h>
		#include <stdio.h>
		#include <string.h>

		int main(void)
		{
			struct io_uring ring;
			struct io_uring_cqe *cqe;
			int err = rs_attach(RS_ATTACH_IF_REFUSED);

			if (err >= 0)
				err = io_uring_queue_init(4, &ring, 0);
			if (!err) {
				io_uring_prep_nop(io_uring_get_sqe(&ring));
				err = io_uring_submit_and_wait(&ring, 1);
			}
			if (err == 1)
				err = io_uring_peek_cqe(&ring, &cqe);
			if (err)
				fprintf(stderr, "%s\n", strerror(-err));
			return err != 0;
		}
	END
}

linked_program_runs_where_the_kernel_refuses()
{
	write_program
	# shellcheck disable=SC2046
	cc -o "$scratch/shared" "$scratch/program.c" $(pkg-config --cflags --libs ringside) \
		-luring || return
	"$forbid" -- env LD_LIBRARY_PATH="$lib" "$scratch/shared"
}

statically_linked_library_runs_where_the_kernel_refuses()
{
	write_program
	# shellcheck disable=SC2046
	cc -o "$scratch/static" "$scratch/program.c" $(pkg-config --cflags ringside) \
		"$lib/libringside.a" -Wl,-Bstatic -luring -Wl,-Bdynamic -pthread || return
	"$forbid" -- "$scratch/static"
}

# Without the library the same program must be refused, or the two above prove nothing.
program_is_refused_without_ringside()
{
	write_program
	sed -i 's/rs_attach(RS_ATTACH_IF_REFUSED)/0/; /ringside.h/d' "$scratch/program.c"
	cc -o "$scratch/alone" "$scratch/program.c" -luring || return
	! "$forbid" -- "$scratch/alone"
}

installed_command_runs_a_program()
{
	"$forbid" -- "$root$prefix/bin/ringside" run -- "$scratch/alone"
}

check every_file_is_installed all_files
check version_is_known_everywhere version_is_known_everywhere
check header_stands_alone header_stands_alone
check linked_program_runs_where_the_kernel_refuses linked_program_runs_where_the_kernel_refuses
check statically_linked_library_runs_where_the_kernel_refuses \
	statically_linked_library_runs_where_the_kernel_refuses
check program_is_refused_without_ringside program_is_refused_without_ringside
check installed_command_runs_a_program installed_command_runs_a_program

cases_end
