"""Includes go only downwards: a floor of src/ includes itself and the floors below it, nothing
else."""
import house

FLOORS = ["base", "stats", "queue", "park", "task", "dispatch", "worker", "scaling", "pool"]
PUBLIC = "workpool"  # include/workpool
OUTSIDE = {"absl", "spdlog", "fmt"}  # libraries whose headers are used inside
ABSL_HEADER_ONLY = (
    "absl/base/",
    "absl/container/inlined_vector.h",
    "absl/container/btree_",
    "absl/container/fixed_array.h",
    "absl/functional/",
    "absl/types/",
)

# What a folder outside the floors may see. tests/ may look at everything.
MAY_SEE = {
    "capi": {"capi", "pool", "base", PUBLIC},
    "include": {PUBLIC},
    "bindings": {PUBLIC},
    "src/cli": {"cli", PUBLIC},
}


def visible_from(path):
    """The first parts of includes that a file may name; None: its folder is no floor."""
    top, *rest = path.split("/")
    if top != "src":
        return MAY_SEE[top]
    folder = rest[0]
    if f"src/{folder}" in MAY_SEE:
        return MAY_SEE[f"src/{folder}"]
    if folder not in FLOORS:
        return None
    seen = {PUBLIC, *FLOORS[: FLOORS.index(folder) + 1]}
    # base is where the schedule explorer puts its own atomics in the place of the machine's.
    return seen | {"model"} if folder == "base" else seen


def check(tree):
    complaints = []
    ours = {*FLOORS, PUBLIC, "capi", "cli", "model", "src", "include", "bindings", "tests"}
    for path, text in tree.matching(r"(src|capi|include|bindings)/" + house.SOURCE).items():
        seen = visible_from(path)
        if seen is None:
            complaints.append(f"{path}: its folder is no floor; the floors are {', '.join(FLOORS)}")
            continue
        inside = not path.startswith(("src/cli/", "bindings/"))
        for line, name in house.includes_of(text):
            where = f"{path}:{line}: includes {name}"
            first = name.split("/")[0]
            beside = "/".join([*path.split("/")[:-1], name])
            if inside and ".." in name.split("/"):
                complaints.append(f"{where}: an include is named from the root of its floor")
            elif "/" not in name and beside in tree.files:
                if inside:
                    complaints.append(f"{where}: name the floor too")
            elif first in ours and first not in seen:
                complaints.append(f"{where}: that is not below it")
            elif inside and first == "absl" and not name.startswith(ABSL_HEADER_ONLY):
                complaints.append(
                    f"{where}: only the header-only parts of Abseil may be used inside"
                )
    return complaints


RIGHT = {
    "src/base/a.h": "#pragma once\n",
    "src/pool/p.cc": '#include "base/a.h"\n#include "worker/w.h"\n#include <vector>\n',
    "capi/c.cc": '#include "capi/guard.h"\n#include "pool/p.h"\n#include "workpool/workpool.h"\n',
    "bindings/cpp/b.hpp": "#include <workpool/workpool.h>\n",
    "src/cli/main.cc": '#include "cli/demo.h"\n// #include "pool/p.h"\n',
}
WRONG = [
    ("not below", {"src/base/a.h": '#include "stats/s.h"\n'}),
    ("src/queue/q.cc:2", {"src/queue/q.cc": '\n#include "park/parker.h"\n'}),
    ("not below", {"src/park/p.h": "#include <pool/pool.h>\n"}),
    ("not below", {"capi/c.cc": '#include "worker/worker.h"\n'}),
    ("not below", {"bindings/cpp/b.hpp": '#include "pool/pool.h"\n'}),
    ("not below", {"src/cli/main.cc": '#include "base/clock.h"\n'}),
    ("not below", {"src/task/t.cc": '#include "capi/guard.h"\n'}),
    ("not below", {"src/worker/w.cc": '#include "model/atomic.h"\n'}),
    ("from the root", {"src/task/t.cc": '#include "../pool/pool.h"\n'}),
    ("no floor", {"src/util/u.h": ""}),
    ("name the floor", {"src/base/b.cc": '#include "a.h"\n'}),
    ("header-only", {"src/task/t.cc": '#include "absl/strings/str_cat.h"\n'}),
]

if __name__ == "__main__":
    house.main("floors", check, RIGHT, WRONG)
