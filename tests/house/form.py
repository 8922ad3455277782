"""Form: no file of the library is too long to hold in the head (the C header is one document, and
long), and a header says what it is."""
import re

import house

LINES_MAX = 400


def check(tree):
    complaints = []
    for path, text in tree.matching(r"(src|capi|include|bindings)/" + house.SOURCE).items():
        if not path.startswith("include/") and text.count("\n") > LINES_MAX:
            complaints.append(f"{path}: {text.count(chr(10))} lines, more than {LINES_MAX}")
        if not path.endswith((".h", ".hpp")):
            continue
        if not text.startswith(("//", "/*")):
            complaints.append(f"{path}: does not begin with a comment that says what it is")
        # Public headers are for every compiler, so they have an include guard instead; a header
        # that only forwards to another one needs neither.
        public = path.startswith(("include/", "bindings/"))
        guard = r"^#ifndef WORKPOOL_\w+_H(PP)?_$" if public else r"^#pragma once$"
        forwards = not house.INCLUDE.sub("", house.code_of(text)).strip()
        if not re.search(guard, text, re.M) and not forwards:
            complaints.append(f"{path}: nothing keeps it from being included twice")
    return complaints


RIGHT = {
    "src/base/a.h": "// A is a thing.\n#pragma once\n",
    "src/base/a.cc": "int a;\n" * LINES_MAX,
    "include/workpool/workpool.h": "/* C. */\n#ifndef WORKPOOL_WORKPOOL_H_\n",
    "bindings/cpp/workpool/workpool.hpp": '// Forwards.\n#include "../workpool.hpp"\n',
}
WRONG = [
    ("lines", {"src/base/a.cc": "int a;\n" * (LINES_MAX + 1)}),
    ("lines", {"capi/a.cc": "int a;\n" * (LINES_MAX + 1)}),
    ("lines", {"bindings/cpp/workpool/a.hpp": "// A.\n" * (LINES_MAX + 1)}),
    ("begin with a comment", {"src/base/a.h": "#pragma once\n// late\n"}),
    ("included twice", {"src/base/a.h": "// A.\nint a;\n"}),
    ("included twice", {"include/workpool/workpool.h": "/* C. */\n#pragma once\nint a;\n"}),
]

if __name__ == "__main__":
    house.main("form", check, RIGHT, WRONG)
