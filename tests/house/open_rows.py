"""Which rows of reliability_rows.txt no test carries in its name, and whether every id that a test
carries is a row.

usage: open_rows.py ROOT           the ids in the tests are rows; exit code 1 otherwise
       open_rows.py ROOT --open    lists the rows without a test
       open_rows.py --self-test
"""
import re
import sys

import house

ROWS = "tests/house/reliability_rows.txt"
# A quoted string that begins with ids: "C1: ...", "B15, B16: ...", "D8 and D9: ..."
NAME = re.compile(r'"((?:[A-J]\d{1,2}(?:\s*(?:,|and|/)\s*)?)+): ')


def rows(tree):
    return dict(re.findall(r"^([A-Z]\d+) (.+)$", tree.files[ROWS], re.M))


def carried(tree):
    """{id: a file with a test of that name}."""
    found = {}
    for path, text in tree.matching(
        r"tests/(?!house/\w+\.py).*(\.(c|cc|h|py|sh)|CMakeLists\.txt)"
    ).items():
        for match in NAME.finditer(text):
            for row in re.findall(r"[A-J]\d+", match.group(1)):
                found.setdefault(row, path)
    return found


def check(tree):
    known = rows(tree)
    complaints = [
        f"{path}: a test names {row}, which is no row"
        for row, path in carried(tree).items()
        if row not in known
    ]
    ids = re.findall(r"^([A-Z]\d+)\b", tree.files[ROWS], re.M)
    complaints += [f"{ROWS}: {row} stands twice" for row in known if ids.count(row) > 1]
    complaints += [
        f"{ROWS}: no row: '{line}'"
        for line in tree.files[ROWS].splitlines()
        if line and not re.match(r"#|[A-J]\d+ \S", line)
    ]
    return complaints


def open_rows(tree):
    have = carried(tree)
    return [(row, text) for row, text in rows(tree).items() if row not in have]


RIGHT = {
    ROWS: "# rows\nA1 one\nA2 two\nB15 three\n",
    "tests/unit/a.cc": 'TEST_CASE("A1, B15: it holds", "[a]") { Say("C: no id"); }\n',
}
WRONG = [
    ("names A9", {"tests/unit/a.cc": 'TEST_CASE("A9: it holds")\n'}),
    ("A1 stands twice", {ROWS: "A1 one\nA1 again\n"}),
    ("no row: 'what", {ROWS: "A1 one\nB15 b\nwhat is this\n"}),
]

if __name__ == "__main__":
    if sys.argv[2:] == ["--open"]:
        tree = house.Tree.read(sys.argv[1])
        remaining = open_rows(tree)
        for row, text in remaining:
            print(f"{row:4} {text}")
        print(f"{len(remaining)} of {len(rows(tree))} rows are open")
    elif sys.argv[1:] == ["--self-test"] and open_rows(house.Tree(RIGHT)) != [("A2", "two")]:
        sys.exit("self-test: A2 should be the only open row")
    else:
        house.main("rows", check, RIGHT, WRONG)
