"""Compares the interface of a built library with that of the last release, when one with the same
soname has been described in tests/house/released (docs/abi.md tells how). New functions and fields
at the end of a struct are allowed, nothing else is. The library must be built with -g.

usage: compare_release.py ROOT LIBRARY | compare_release.py --self-test
"""
import pathlib
import re
import subprocess
import sys

APPENDED = re.compile(
    r"type size changed from \d+ to \d+ \(in bits\)\n\s*\d+ data member insertions?:\n"
    r"(?:\s*'.*', at offset .*\n?)+"
)
CHANGED = re.compile(r"changed from|data member|was (?:added|removed|replaced)|name changed")


def only_appended(report):
    """Does abidiff's report tell of nothing but fields at the end of structs?"""
    return CHANGED.search(APPENDED.sub("", report)) is None


def last_release(folder, soname):
    """The description with the same soname and the highest version."""
    same = [
        p
        for p in folder.glob("workpool-*.abi")
        if f"soname='{soname}'" in p.read_text(errors="replace")[:2000]
    ]
    return max(same, key=lambda p: [int(n) for n in re.findall(r"\d+", p.stem)], default=None)


def compare(root, library):
    dynamic = subprocess.run(
        ["readelf", "-dW", library], check=True, capture_output=True, text=True
    ).stdout
    soname = re.search(r"soname: \[(.*)\]", dynamic).group(1)
    released = last_release(pathlib.Path(root) / "tests/house/released", soname)
    if released is None:
        return f"no release with the soname {soname} yet: nothing to compare with", 0
    done = subprocess.run(
        ["abidiff", "--no-added-syms", released, library], capture_output=True, text=True
    )
    # The exit code is a set of bits: 1 error, 2 usage, 4 a change, 8 an incompatible change.
    good = done.returncode == 0 or (done.returncode == 4 and only_appended(done.stdout))
    verdict = "keeps" if good else "breaks"
    return (
        f"{done.stdout}{done.stderr}{library} {verdict} the interface of {released.name}",
        0 if good else 1,
    )


def self_test():
    appended = (
        "underlying type 'struct pool_task' changed:\n  type size changed from 128 to 192 (in bits)\n"
        "  1 data member insertion:\n    'uint64_t more', at offset 128 (in bits) at workpool.h:4:1\n"
    )
    moved = (
        "  type size changed from 128 to 192 (in bits)\n  1 data member change:\n"
        "    'uint32_t reserved' offset changed from 32 to 128 (in bits) (by +96 bits)\n"
    )
    parameter = "    parameter 2 of type 'typedef int32_t' was added\n"
    wider = "    type size changed from 32 to 64 (in bits)\n"
    blind = [text for text in (moved, parameter, wider, appended + moved) if only_appended(text)]
    return (
        f"self-test: {len(blind)} changes unnoticed",
        0 if not blind and only_appended(appended) else 1,
    )


if __name__ == "__main__":
    text, code = self_test() if sys.argv[1:] == ["--self-test"] else compare(*sys.argv[1:3])
    print(text)
    sys.exit(code)
