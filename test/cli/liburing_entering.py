#!/usr/bin/env python3
"""Prints the exported functions of a liburing.so that can enter the kernel's io_uring.

usage: liburing_entering.py LIBRARY

A function enters if its code, or that of a function it calls or jumps to, loads
one of the numbers 425 to 427 and has a system call instruction. Reads the
disassembly of objdump(1), x86-64 and aarch64; a stripped library too, where
code between exported functions belongs to functions without a name.
"""

import bisect
import re
import subprocess
import sys

NUMBERS = {425, 426, 427}

BRANCH = re.compile(r"\t(?:bnd )?(?:call|j[a-z]+|bl|b|b\.[a-z]+|cbn?z|tbn?z)\s"
                    r".*?\b([0-9a-f]+) <([^>]*)>")
SYSTEM_CALL = re.compile(r"\t(?:syscall|svc)\b")
CONSTANT = re.compile(r"\tmov\w*\s+(?:\$0x([0-9a-f]+),%[er]ax|[wx]8, #0x([0-9a-f]+))")


def lines(*command):
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return output.splitlines()


class Function:
    def __init__(self, name):
        self.name = name  # None: not exported
        self.has_number = False
        self.has_call = False
        self.targets = set()  # addresses it branches to, or names by way of the PLT


def exported(library):
    """Functions by address: the exported ones, and the gaps between them."""
    functions = {}
    for line in lines("nm", "-D", "-S", "--defined-only", library):
        fields = line.split()
        if len(fields) == 4 and fields[2] in "TtWi":
            start, size = int(fields[0], 16), int(fields[1], 16)
            functions[start] = Function(fields[3].split("@")[0])
            functions.setdefault(start + size, Function(None))
    return functions


def disassemble(library):
    functions = exported(library)
    starts = []
    for line in lines("objdump", "-d", "--no-show-raw-insn", library):
        head = re.match(r"([0-9a-f]+) <.*>:$", line)
        if head:  # a local symbol, where there are any, or a section's start
            functions.setdefault(int(head.group(1), 16), Function(None))
    starts = sorted(functions)

    def at(address):
        return functions[starts[max(bisect.bisect_right(starts, address) - 1, 0)]]

    for line in lines("objdump", "-d", "--no-show-raw-insn", library):
        place = re.match(r"\s+([0-9a-f]+):\t", line)
        if not place:
            continue
        function = at(int(place.group(1), 16))
        branch = BRANCH.search(line)
        if branch:
            address, name = branch.groups()
            by_name = re.match(r"(\w+)(?:@.*)?@plt$", name)
            function.targets.add(by_name.group(1) if by_name else int(address, 16))
        function.has_call |= bool(SYSTEM_CALL.search(line))
        constant = CONSTANT.search(line)
        if constant and int(constant.group(1) or constant.group(2), 16) in NUMBERS:
            function.has_number = True
    named = {f.name: f for f in functions.values() if f.name}
    for function in functions.values():
        function.targets = {named.get(t) if isinstance(t, str) else at(t) for t in function.targets}
        function.targets -= {function, None}
    return set(functions.values())


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    functions = disassemble(sys.argv[1])
    entering = {f for f in functions if f.has_number and f.has_call}
    while True:
        more = {f for f in functions if f.targets & entering} - entering
        if not more:
            break
        entering |= more
    names = sorted(f.name for f in entering if f.name)
    if not names:
        sys.exit("no function of %s enters: the disassembly was not understood" % sys.argv[1])
    print("\n".join(names))


main()
