"""Every exported function has a manual page that tells its call, its statuses and its age, and the
page says what the header says.

usage: check_manual.py HEADER VERSION_SCRIPT FOLDER | check_manual.py --self-test
"""
import pathlib
import re
import sys

import header
import house


def check(header_text, version_script, pages):
    """pages: {function or struct: text}."""
    complaints = []
    functions = {function.name: function for function in header.functions(header_text)}
    _, names = header.exported(version_script)
    wanted = names | set(header.structs(header_text)) | {"workpool"}
    complaints += [f"{name}: has no page" for name in sorted(wanted - set(pages))]
    complaints += [
        f"{name}: has a page, and is nothing public" for name in sorted(set(pages) - wanted)
    ]
    for name in sorted(names & set(pages) & set(functions)):
        page, function = pages[name], functions[name]
        prototype = re.sub(r"\s+", " ", " ".join(re.findall(r'^\.B "(.*)"$', page, re.M)))
        if prototype != function.prototype:
            complaints.append(
                f"{name}: the page shows '{prototype}', the header {function.prototype}"
            )
        since = re.search(r"Since \d+\.\d+\.", function.comment)
        if since is None or f".SH HISTORY\n{since.group()}" not in page:
            complaints.append(f"{name}: its page does not say since when")
        if ".SH RETURN VALUE\n" not in page:
            complaints.append(f"{name}: its page does not say what it returns")
        if function.prototype.startswith("pool_status_t"):
            listed = re.search(r"\bOK((?:,\s[A-Z]+(?:\s\([^()]*\))?)+)\.", function.comment)
            for status in re.findall(r",\s([A-Z]+)", listed.group(1)) if listed else []:
                if f"\n.B POOL_E_{status}\n" not in page:
                    complaints.append(f"{name}: its page does not tell POOL_E_{status}")
            if "\n.B POOL_OK\n" not in page:
                complaints.append(f"{name}: its page does not tell POOL_OK")
        if ".SH THREADS\n" not in page:
            complaints.append(f"{name}: its page does not say which threads may call it")
    return complaints


HEADER = """#define POOL_E_FULL (-6) /* full */
#define POOL_E_BADHANDLE (-2) /* bad */
/* Does it. OK, FULL. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_do(pool_t pool);
"""
SCRIPT = "WORKPOOL_0.1 { global: pool_do; local: *; };"
PAGE = """.SH SYNOPSIS
.B "pool_status_t pool_do(pool_t pool);"
.SH RETURN VALUE
.B POOL_OK
.B POOL_E_FULL
.SH THREADS
Any.
.SH HISTORY
Since 0.1.
"""
WRONG = [
    ("pool_do: has no page", {"workpool": ""}),
    ("nothing public", {"pool_do": PAGE, "workpool": "", "pool_old": ""}),
    ("the header", {"pool_do": PAGE.replace("pool_t pool", "pool_t other"), "workpool": ""}),
    ("since when", {"pool_do": PAGE.replace("Since 0.1.", ""), "workpool": ""}),
    ("what it returns", {"pool_do": PAGE.replace("RETURN", "OTHER"), "workpool": ""}),
    ("POOL_E_FULL", {"pool_do": PAGE.replace(".B POOL_E_FULL\n", ""), "workpool": ""}),
    ("POOL_OK", {"pool_do": PAGE.replace(".B POOL_OK\n", ""), "workpool": ""}),
    ("which threads", {"pool_do": PAGE.replace("THREADS", "OTHER"), "workpool": ""}),
]


def self_test():
    failures = [
        f"the right pages raised: {c}"
        for c in check(HEADER, SCRIPT, {"pool_do": PAGE, "workpool": ""})
    ]
    for expected, pages in WRONG:
        complaints = check(HEADER, SCRIPT, pages)
        if not any(expected in complaint for complaint in complaints):
            failures.append(f"no complaint with '{expected}', but: {complaints}")
    return house.finish(failures, "self-test")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    header_text, version_script = (
        pathlib.Path(path).read_text(encoding="utf-8") for path in sys.argv[1:3]
    )
    found = {
        path.stem: path.read_text(encoding="utf-8")
        for path in pathlib.Path(sys.argv[3]).glob("*.3")
    }
    sys.exit(house.finish(check(header_text, version_script, found), "manual"))
