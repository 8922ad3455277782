"""The project speaks of itself, never of the place or the way in which it was written."""
import re

import house

# Spelt in parts, so that this file needs no exception from its own rule.
FORBIDDEN = [
    (
        "a path of one machine",
        r"(?<![\w.<>{}$])/" + r"(work|root|home/\w+|tmp/brief|old_root)/" + r"(?!\$)",
    ),
    ("a way out of the project", r"\.\./" + "shared"),
    ("a neighbour of the project", r"(?<!\w)\.lib" + r"rary\b"),
    # (A session of measuring or of a terminal is another thing.)
    ("how it was written", r"\b(this|my|our|coding|chat|previous|earlier) ses" + r"sion\b"),
    (
        "who wrote it",
        r"\b(sub-?)?age" + r"nts?\b|\bchat" + r"bot\b|\bAI-gen" + r"erated\b|\bL" + r"LMs?\b",
    ),
    ("notes to nobody", r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b"),
    ("a registry host", r"\b(index-" + r"url|trusted-" + r"host|arti" + r"factory|nexus\.)\b"),
]


def check(tree):
    complaints = []
    for path, text in tree.files.items():
        if path == "LICENSE":
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for what, pattern in FORBIDDEN:
                match = re.search(pattern, line)
                if match:
                    complaints.append(f"{path}:{number}: {what} ('{match.group()}')")
    return complaints


RIGHT = {
    "docs/design.md": "A worker takes work/steals; see src/work/a.h and /proc/self/task, /tmp/x.\n"
}
WRONG = [
    ("docs/design.md:2: a path of one", {"docs/design.md": "\nSee /wo" + "rk/main.\n"}),
    ("a path of one", {"a.cc": "// /ro" + "ot/x\n"}),
    ("a way out", {"a.cc": "// ../sha" + "red/API.md\n"}),
    ("a neighbour", {"a.cc": "// .libr" + "ary/x\n"}),
    ("how it was", {"a.md": "In this ses" + "sion we\n"}),
    ("who wrote it", {"a.md": "A helper age" + "nt did it\n"}),
    ("notes to nobody", {"a.cc": "// TO" + "DO: later\n"}),
    ("a registry", {"run": "pip --index" + "-url x\n"}),
]

if __name__ == "__main__":
    house.main("words", check, RIGHT, WRONG)
