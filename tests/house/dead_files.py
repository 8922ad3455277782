"""No file is dead: every source is compiled, every header is included by something compiled, every
script and document is named by something that is read or run.

usage: dead_files.py ROOT COMPILE_COMMANDS | dead_files.py --self-test
"""
import json
import pathlib
import posixpath
import re
import sys

import house

# Where an include in quotes or brackets is looked for, besides the folder of the file that has it.
SEARCHED = ["src", ".", "include", "bindings/cpp", "tests"]
# Read by tools that look for these names.
KNOWN = (
    r"(.*/)?(CMakeLists\.txt|README\.md|\..*|__init__\.py|pyproject\.toml|py\.typed|conftest\.py)"
    r"|run|\.ci/.*|CMakePresets\.json|LICENSE|CHANGELOG\.md"
)


def resolve(tree, path, name):
    for folder in [posixpath.dirname(path), *SEARCHED]:
        candidate = posixpath.normpath(posixpath.join(folder, name))
        if candidate in tree.files:
            return candidate
    return None


def reached(tree, roots):
    """The roots and every file that they include, directly or not."""
    seen, waiting = set(), [root for root in roots if root in tree.files]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for _, name in house.includes_of(tree.files[path]):
            target = resolve(tree, path, name)
            if target is not None:
                waiting.append(target)
    return seen


def named(tree, path):
    """Does a list, script or document name this file, from its own folder or another one?"""
    name = posixpath.basename(path)
    stem = re.escape(posixpath.splitext(name)[0])
    lists = tree.matching(r"(.*/)?(CMakeLists\.txt|run|.*\.(cmake|py|sh|md|toml|in))|\.ci/.*")
    by_name = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])")
    by_import = re.compile(
        rf"^\s*(import|from)\s+\.*(\w+\.)*{stem}\b|^\s*from\s+\S+\s+import\b[^#\n]*\b{stem}\b", re.M
    )
    for other, text in lists.items():
        if other == path:
            continue
        if by_name.search(text) or (
            path.endswith(".py") and other.endswith(".py") and by_import.search(text)
        ):
            return True
    # A list that takes a whole kind of file names all of them in its folder; one that builds names
    # from words, test_${name}.py, those for which it has the word.
    near = tree.files.get(posixpath.dirname(path) + "/CMakeLists.txt", "")
    if f"*{posixpath.splitext(name)[1]}" in near:
        return True
    for built in re.findall(r"[\w.-]*\$\{\w+\}[\w.-]*", near):
        match = re.fullmatch(re.sub(r"\\\$\\\{\w+\\\}", r"([\\w-]+)", re.escape(built)), name)
        if match and all(re.search(rf"\b{word}\b", near) for word in match.groups()):
            return True
    return False


def check(tree, compiled):
    complaints = []
    live = reached(tree, compiled)
    for path in tree.files:
        if re.fullmatch(KNOWN, path) or path in live:
            continue
        if re.fullmatch(r"(src/(?!cli/)|capi/).*\.cc", path):
            complaints.append(f"{path}: is not compiled")
        elif re.fullmatch(r"(src/(?!cli/)|capi/).*\.(h|hpp)", path):
            complaints.append(f"{path}: nothing compiled includes it")
        elif path.endswith((".h", ".hpp")):
            # A header outside the library is alive when a program or a test has it, built here or
            # elsewhere.
            users = reached(tree, tree.matching(r"(tests|bindings|src/cli)/.*\.(c|cc)"))
            if path not in users and not named(tree, path):
                complaints.append(f"{path}: nothing includes it")
        elif not named(tree, path):
            complaints.append(f"{path}: nothing names it")
    return complaints


RIGHT = house.Tree(
    {
        "src/base/a.h": "#pragma once\n",
        "src/base/a.cc": '#include "base/a.h"\n',
        "tests/unit/CMakeLists.txt": "add_executable(t t.cc)\nadd_test(NAME s COMMAND x.py)\n",
        "tests/unit/t.cc": '#include "near.h"\n',
        "tests/unit/near.h": "",
        "tests/unit/x.py": "import part\n",
        "tests/unit/part.py": "",
        "tests/install/CMakeLists.txt": "consumer.c",
        "tests/all/CMakeLists.txt": "file(GLOB all *.cc)",
        "tests/all/some.cc": "",
        "tests/words/CMakeLists.txt": "set(names alpha)\ntest(${name} ${here}/test_${name}.py)",
        "tests/words/test_alpha.py": "",
        "CMakeLists.txt": "file(GLOB_RECURSE sources src/*.cc)",
        "tests/install/consumer.c": "#include <workpool/workpool.h>\n",
        "include/workpool/workpool.h": "",
        "README.md": "See docs/design.md.\n",
        "docs/design.md": "",
    }
)
COMPILED = ["src/base/a.cc", "tests/unit/t.cc"]
WRONG = [
    ("src/base/b.cc: is not compiled", {"src/base/b.cc": ""}),
    ("src/base/b.h: nothing compiled", {"src/base/b.h": ""}),
    ("src/base/a.h", {"src/base/a.cc": '// #include "base/a.h"\n'}),
    ("tests/unit/y.cc: nothing names", {"tests/unit/y.cc": ""}),
    ("tests/unit/far.h: nothing includes", {"tests/unit/far.h": ""}),
    ("tests/words/test_beta.py", {"tests/words/test_beta.py": ""}),
    ("tests/unit/part.py", {"tests/unit/x.py": ""}),
    ("docs/old.md", {"docs/old.md": ""}),
    ("workpool.h", {"tests/install/consumer.c": ""}),
]


def compiled_in(root, commands):
    root = pathlib.Path(root).resolve()
    paths = (
        pathlib.Path(c["directory"], c["file"]).resolve()
        for c in json.loads(pathlib.Path(commands).read_text())
    )
    return [p.relative_to(root).as_posix() for p in paths if p.is_relative_to(root)]


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(house.self_test(lambda tree: check(tree, COMPILED), RIGHT, WRONG))
    sys.exit(
        house.finish(check(house.Tree.read(sys.argv[1]), compiled_in(*sys.argv[1:3])), "dead files")
    )
