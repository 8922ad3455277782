"""What the checks in this folder share: a tree of files, its code without comments, and how a check
is run and shown able to fail.

A check takes a Tree and returns its complaints. Beside it stand small wrong trees; with --self-test
each of them must raise the complaint that is written beside it, and the right tree none. So a check
that has gone blind is found out.
"""
import pathlib
import re
import sys
import typing

NOT_OURS = {".git", "build", "__pycache__", ".mypy_cache", ".cache"}


class Tree(typing.NamedTuple):
    """The text of every file by its path from the root of the project, with '/'; of a binary file
    nothing."""

    files: dict

    @staticmethod
    def read(root):
        files = {}
        for path in sorted(pathlib.Path(root).rglob("*")):
            name = path.relative_to(root)
            if not NOT_OURS.intersection(name.parts) and path.is_file():
                data = path.read_bytes()
                text = "" if b"\0" in data[:8192] else data.decode("utf-8", errors="replace")
                files[name.as_posix()] = text
        return Tree(files)

    def matching(self, pattern):
        return {path: text for path, text in self.files.items() if re.fullmatch(pattern, path)}


SOURCE = r".*\.(h|hpp|c|cc)"
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def code_of(text):
    """The text with comments and the inside of strings blanked, line numbers kept; includes
    stay."""

    def blank(match):
        token = match.group()
        line_start = text.rfind("\n", 0, match.start()) + 1
        if token[0] == '"' and re.match(r"\s*#\s*include", text[line_start : match.start()]):
            return token
        if token[0] in "\"'":
            return token[0] + token[0]
        return re.sub(r"[^\n]", " ", token)

    # A digit separator (1'000) is not the beginning of a character.
    return TOKEN.sub(blank, re.sub(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])", "", text))


INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)


def includes_of(text):
    """(line number, path as written) of every include."""
    code = code_of(text)
    return [(code.count("\n", 0, m.start()) + 1, m.group(1)) for m in INCLUDE.finditer(code)]


def finish(complaints, what):
    """Prints the complaints; the exit code of a check."""
    for complaint in complaints:
        print(complaint)
    print(f"{what}: {len(complaints)} complaint(s)")
    return 1 if complaints else 0


def self_test(check, right, wrong):
    """wrong: (a part of the complaint that must come, the changes to the right tree)."""
    failures = [f"the right tree raised: {c}" for c in check(right)]
    for expected, changes in wrong:
        complaints = check(Tree({**right.files, **changes}))
        if not any(expected in complaint for complaint in complaints):
            failures.append(f"no complaint with '{expected}' about {changes}, but: {complaints}")
    return finish(failures, "self-test")


def main(what, check, right, wrong):
    """The command line of a check: ROOT, or --self-test."""
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test(check, Tree(right), wrong))
    sys.exit(finish(check(Tree.read(sys.argv[1])), what))
