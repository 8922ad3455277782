"""The public header as the other checks read it: functions with their comments, structs, the
version script."""
import re
import typing


class Function(typing.NamedTuple):
    name: str
    prototype: str
    comment: str  # the comment above it, or above the functions directly before it


def plain(comment):
    """A comment's text without its stars."""
    lines = (
        re.sub(r"^\s*(/\*+|\*/|\*(?!/))?\s?", "", line).rstrip() for line in comment.splitlines()
    )
    return re.sub(r"\s*\*/$", "", "\n".join(lines)).strip()


def functions(header):
    found, comment, fresh = [], "", False
    piece = re.compile(r"(/\*.*?\*/)|^POOL_API\s+([^;]+);|(\n[ \t]*\n)|([^\s/][^\n]*)", re.S | re.M)
    for match in piece.finditer(header):
        text, prototype, gap, other = match.groups()
        if text:
            comment, fresh = plain(text), True
        elif prototype:
            prototype = re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", prototype, flags=re.S)) + ";"
            name = re.search(r"(\w+)\s*\(", prototype).group(1)
            found.append(Function(name, prototype, comment))
            fresh = False
        elif other or (gap and not fresh):
            comment, fresh = "", False
    return found


def structs(header):
    """{type: {field: its type}} of every struct whose fields the header shows."""
    found = {}
    for match in re.finditer(r"typedef struct \w+ \{(.*?)\} (\w+);", header, re.S):
        fields = {}
        for declaration in re.sub(r"/\*.*?\*/", "", match.group(1), flags=re.S).split(";"):
            field = re.fullmatch(r"\s*(.*?)(\w+)\s*(\[\w+\]|:\s*\d+)?\s*", declaration, re.S)
            if field:
                fields[field.group(2)] = (field.group(1) + (field.group(3) or "")).strip()
        found[match.group(2)] = fields
    return found


def exported(version_script):
    """(version node, names) of a version script with one node."""
    text = re.sub(r"/\*.*?\*/|#[^\n]*", "", version_script, flags=re.S)
    node, body = re.fullmatch(r"\s*(\w[\w.]*)\s*\{(.*)\}\s*;\s*", text, re.S).groups()
    names = re.search(r"global:(.*?)(local:|$)", body, re.S).group(1)
    return node, {name.strip() for name in names.split(";") if name.strip()}
