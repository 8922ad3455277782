"""docs/options.md is what the library prints of its options, and these are the numbers of pool_options_t.

usage: options_doc.py ROOT LIST_PROGRAM | options_doc.py --self-test
"""
import re
import subprocess
import sys

import header
import house

HEADER = "include/workpool/workpool.h"
DOC = "docs/options.md"
NO_OPTION = {"budget_floor", "budget_weight", "struct_size", "reserved"}


def check(tree, printed, program):
    complaints = []
    if tree.files.get(DOC) != printed:
        complaints.append(f"{DOC}: is not what the library says; {program} > {DOC}")
    fields = header.structs(tree.files[HEADER])["pool_options_t"]
    numbers = {
        re.sub(r"_ns$", "_ms", field)
        for field, kind in fields.items()
        if re.fullmatch(r"u?int\d+_t", kind) and field not in NO_OPTION
    }
    listed = re.findall(r"^\| `(\w+)` \| (?:number|time in ms|choice) \|", printed, re.M)
    complaints += [f"{HEADER}: {name} is no option" for name in sorted(numbers - set(listed))]
    complaints += [f"{name}: an option without a field" for name in sorted(set(listed) - numbers)]
    complaints += [f"{name}: twice" for name in sorted(set(listed)) if listed.count(name) > 1]
    return complaints


PRINTED = "| option | kind |\n| `lanes` | number | 3 |\n| `aging_ms` | time in ms | 100 |\n"
RIGHT = house.Tree(
    {
        DOC: PRINTED,
        HEADER: "typedef struct pool_options {\n  uint32_t struct_size;\n  uint32_t lanes;\n"
        "  int64_t aging_ns;\n  const char *name;\n  pool_drop_fn drop;\n  uint32_t reserved;\n"
        "} pool_options_t;\n",
    }
)
WRONG = [
    ("list > docs/options.md", {DOC: PRINTED + "more\n"}),
    ("spin is no option", {HEADER: RIGHT.files[HEADER].replace("uint32_t lanes", "uint32_t spin")}),
    (
        "aging_ms: an option without",
        {HEADER: RIGHT.files[HEADER].replace("int64_t aging_ns", "double aging_ns")},
    ),
]

if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(house.self_test(lambda tree: check(tree, PRINTED, "list"), RIGHT, WRONG))
    output = subprocess.run([sys.argv[2]], stdout=subprocess.PIPE, check=True, encoding="utf-8")
    sys.exit(
        house.finish(check(house.Tree.read(sys.argv[1]), output.stdout, sys.argv[2]), "options doc")
    )
