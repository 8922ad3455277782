"""What the built library exports, needs and asks of the loader, read with readelf.

usage: check_binary.py LIBRARY VERSION_SCRIPT | check_binary.py --self-test Not for sanitizer
and coverage builds: their run-time libraries add needs, symbols and thread storage.
"""
import pathlib
import re
import subprocess
import sys
import typing

import header
import house

NEEDED = {"libstdc++.so.6", "libgcc_s.so.1", "libc.so.6", "libm.so.6"}
LOADER = r"ld-linux[\w-]*\.so\.\d"
# (why, names that the library must not call)
NEVER_CALLED = [
    (
        "B15: parking is our own futex word",
        r"pthread_cond_\w+|_ZN?K?St18condition_variable\w*|sem_wait|sem_post",
    ),
    (
        "D8: thread storage with a destructor points into unknown order",
        r"__cxa_thread_atexit\w*|pthread_key_create",
    ),
    # pthread_sigmask is for the workers' own masks (options.task_isolation).
    ("signals belong to the program", r"signal|sigaction|sigprocmask"),
]


class Elf(typing.NamedTuple):
    """What readelf prints with -dW, -lW and --dyn-syms -W."""

    dynamic: str
    segments: str
    symbols: str

    @staticmethod
    def read(library):
        def readelf(option):
            return subprocess.run(
                ["readelf", option, "-W", library], check=True, capture_output=True, text=True
            ).stdout

        return Elf(readelf("-d"), readelf("-l"), readelf("--dyn-syms"))


def symbols(elf):
    """[(name, version or '', defined)] of the dynamic symbol table; version nodes themselves left
    out."""
    found = []
    for line in elf.symbols.splitlines():
        parts = line.split()
        if len(parts) >= 8 and parts[0].rstrip(":").isdigit():
            name, _, version = parts[7].partition("@")
            if parts[6] != "ABS" and name:
                found.append((name, version.lstrip("@"), parts[6] != "UND"))
    return found


def soname_of(node):
    """libworkpool.so.0.<minor> before 1.0, libworkpool.so.<major> from then on."""
    major, minor = re.fullmatch(r"WORKPOOL_(\d+)\.(\d+)", node).groups()
    return f"libworkpool.so.0.{minor}" if major == "0" else f"libworkpool.so.{major}"


def check(elf, version_script):
    complaints = []
    node, wanted = header.exported(version_script)
    soname = soname_of(node)
    exported = {(name, version) for name, version, defined in symbols(elf) if defined}
    for name in sorted(wanted - {name for name, _ in exported}):
        complaints.append(f"{name}: in the version script, not exported")
    for name, version in sorted(exported):
        if name not in wanted:
            complaints.append(f"{name}: exported, not in the version script")
        if not name.startswith("pool_"):
            complaints.append(f"{name}: exported, not pool_*")
        if version != node:
            complaints.append(f"{name}: exported with version '{version}', not {node}")
    for name, _, defined in symbols(elf):
        for why, pattern in NEVER_CALLED:
            if not defined and re.fullmatch(pattern, name):
                complaints.append(f"{name}: is called ({why})")
    if not any(name == "__stack_chk_fail" for name, _, _ in symbols(elf)):
        complaints.append("no function has a stack protector")

    if f"Library soname: [{soname}]" not in elf.dynamic:
        complaints.append(f"the soname is not {soname}")
    for needed in re.findall(r"Shared library: \[([^\]]+)\]", elf.dynamic):
        if needed not in NEEDED and not re.fullmatch(LOADER, needed):
            complaints.append(f"needs {needed}")
    for flag, why in [
        ("NODELETE", "D7: unloading would pull the code from under its threads"),
        ("NOW", "every symbol is bound at load, so RELRO is complete"),
    ]:
        if not re.search(rf"\(FLAGS_1\).*\b{flag}\b", elf.dynamic):
            complaints.append(f"flag {flag} is missing ({why})")
    for tag, why in [
        ("STATIC_TLS", "D9: dlopen after the program's start would fail"),
        ("TEXTREL", "code would be written at load"),
        ("RPATH", "a search path of one machine"),
        ("RUNPATH", "a search path of one machine"),
    ]:
        if re.search(rf"\b{tag}\b", elf.dynamic):
            complaints.append(f"{tag} is set ({why})")
    if "GNU_RELRO" not in elf.segments:
        complaints.append("no RELRO segment")
    stack = re.search(r"GNU_STACK.*", elf.segments)
    if stack is None or "E" in stack.group().split()[6]:
        complaints.append("the stack is executable")
    if re.search(r"LOAD.*\bRWE\b", elf.segments):
        complaints.append("a segment is writable and executable")
    return complaints


SCRIPT = "WORKPOOL_0.1 {\n  global:\n    pool_a;\n  local:\n    *;\n};\n"
RIGHT = Elf(
    """ 0x1 (NEEDED)   Shared library: [libstdc++.so.6]
 0x1 (NEEDED)   Shared library: [libc.so.6]
 0xe (SONAME)   Library soname: [libworkpool.so.0.1]
 0x1e (FLAGS)   BIND_NOW
 0x6ffffffb (FLAGS_1)   Flags: NOW NODELETE
""",
    """  GNU_STACK      0x000000 0x0000000000000000 0x0000000000000000 0x000000 0x000000 RW  0x10
  GNU_RELRO      0x02bd50 0x000000000002cd50 0x000000000002cd50 0x0012b0 0x0012b0 R   0x1
""",
    """   Num:    Value          Size Type    Bind   Vis      Ndx Name
     1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND __stack_chk_fail@GLIBC_2.4 (5)
     2: 0000000000006c50    25 FUNC    GLOBAL DEFAULT   15 pool_a@@WORKPOOL_0.1
     3: 0000000000000000     0 OBJECT  GLOBAL DEFAULT  ABS WORKPOOL_0.1
""",
)


def with_symbol(line):
    return RIGHT._replace(symbols=RIGHT.symbols + f"     9: {line}\n")


UNDEFINED = "0000000000000000     0 FUNC    GLOBAL DEFAULT  UND "
WRONG = [
    (
        "not in the version script",
        with_symbol("0000000000006c50 25 FUNC GLOBAL DEFAULT 15 pool_b@@WORKPOOL_0.1"),
    ),
    (
        "not pool_*",
        with_symbol("0000000000006c50 25 OBJECT WEAK DEFAULT 15 _ZTISt9exception@@WORKPOOL_0.1"),
    ),
    ("not WORKPOOL_0.1", RIGHT._replace(symbols=RIGHT.symbols.replace("@@WORKPOOL_0.1", ""))),
    ("not exported", RIGHT._replace(symbols=RIGHT.symbols.replace(" pool_a@", " pool_c@"))),
    ("B15", with_symbol(UNDEFINED + "pthread_cond_wait@GLIBC_2.3.2 (4)")),
    ("B15", with_symbol(UNDEFINED + "_ZNSt18condition_variable10notify_oneEv@GLIBCXX_3.4.11 (2)")),
    ("D8", with_symbol(UNDEFINED + "__cxa_thread_atexit@CXXABI_1.3.7 (2)")),
    ("D8", with_symbol(UNDEFINED + "pthread_key_create@GLIBC_2.34 (2)")),
    ("sigaction: is called", with_symbol(UNDEFINED + "sigaction@GLIBC_2.2.5 (2)")),
    ("stack protector", RIGHT._replace(symbols=RIGHT.symbols.replace("__stack_chk_fail", "other"))),
    ("soname", RIGHT._replace(dynamic=RIGHT.dynamic.replace("so.0.1", "so.0"))),
    (
        "needs libtbb",
        RIGHT._replace(dynamic=RIGHT.dynamic + "(NEEDED) Shared library: [libtbb.so.12]\n"),
    ),
    ("NODELETE", RIGHT._replace(dynamic=RIGHT.dynamic.replace("NODELETE", ""))),
    ("flag NOW", RIGHT._replace(dynamic=RIGHT.dynamic.replace("NOW NODELETE", "NODELETE"))),
    ("D9", RIGHT._replace(dynamic=RIGHT.dynamic.replace("BIND_NOW", "BIND_NOW STATIC_TLS"))),
    ("TEXTREL", RIGHT._replace(dynamic=RIGHT.dynamic + "(TEXTREL) 0x0\n")),
    ("RUNPATH", RIGHT._replace(dynamic=RIGHT.dynamic + "(RUNPATH) Library runpath: [/usr/x]\n")),
    ("RELRO", RIGHT._replace(segments=RIGHT.segments.replace("GNU_RELRO", "NOTE"))),
    ("the stack is", RIGHT._replace(segments=RIGHT.segments.replace("RW  0x10", "RWE 0x10"))),
    (
        "writable and",
        RIGHT._replace(segments=RIGHT.segments + "  LOAD 0x0 0x0 0x0 0x1 0x1 RWE 0x1000\n"),
    ),
]


def self_test():
    failures = [
        f"the right library raised: {c}" for c in check(RIGHT, SCRIPT)
    ]
    for expected, elf in WRONG:
        complaints = check(elf, SCRIPT)
        if not any(expected in complaint for complaint in complaints):
            failures.append(f"no complaint with '{expected}', but: {complaints}")
    return house.finish(failures, "self-test")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    library, version_script = sys.argv[1:3]
    complaints = check(Elf.read(library), pathlib.Path(version_script).read_text())
    sys.exit(house.finish(complaints, library))
