"""Writes the manual pages (section 3) from include/workpool/workpool.h, which is the documentation
of record: one page for every function, for every public struct, and workpool(3) for the rules that
hold for all.

usage: man.py HEADER FOLDER
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "house"))
import header as api  # noqa: E402  (the reader of the header, shared with its tests)

TAGS = {
    "any-thread": "May be called from any thread, tasks and callbacks included.",
    "may-block": "May wait for another thread.",
    "not-in-task": "Returns POOL_E_DEADLOCK from a task of the same pool.",
    "runs-user-code": "May run tasks, done, drop or hook functions on the calling thread.",
    "fork-child-ok": "Works in a forked child on inherited handles.",
}
TAG = re.compile(
    r"\s*\[(" + "|".join(TAGS) + r")\](?:\s*\(([^()]*)\))?"
)  # with its condition, if any


def roff(text):
    """Text as troff prints it: backslashes doubled, no line taken for a request, paragraphs
    kept."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.splitlines())
    return re.sub(r"\n\s*\n", "\n.PP\n", text)


def statuses_of(text, meanings):
    """The statuses that a comment lists, in its order. A list is a sentence that begins with a
    status: "OK, TIMEOUT, INVALID (mode)." or "ALREADY: it runs.". After "As pool_submit, and" one
    may follow.
    """
    sentences = re.split(
        r"(?<=\.)\s+", re.sub(r"\([^()]*\)", "", TAG.sub("", text)).replace("\n", " ")
    )
    found = []
    for sentence in sentences:
        sentence = re.sub(r"^(Returns |As pool_\w+,? (and |; )?)", "", sentence.strip())
        word = re.match(r"([A-Z]{2,})\b(.?)", sentence)
        if word and (word.group(1) == "OK" or word.group(1) in meanings):
            listed = (
                [word.group(1)] if word.group(2) == ":" else re.findall(r"\b[A-Z]{2,}\b", sentence)
            )
            found += [name for name in listed if name == "OK" or name in meanings]
        elif word is None and "INVALID also for" in sentence:
            found.append("INVALID")
    return list(dict.fromkeys(found))


def status_section(function, meanings):
    if not function.prototype.startswith("pool_status_t "):
        return "The value described above."
    listed = statuses_of(function.comment, meanings)
    takes_handle = re.search(
        r"\(pool_(t|ticket_t|group_t) (?!\*)|const pool_ticket_t", function.prototype
    )
    lines = [".TP\n.B POOL_OK\nSuccess."]
    named = [name for name in listed if name != "OK"]
    if takes_handle:
        named += [
            name
            for name in ("BADHANDLE", "FORKED")
            if name not in named
            and not (name == "FORKED" and "[fork-child-ok]" in function.comment)
        ]
    lines += [
        f".TP\n.B POOL_E_{name}\n{roff(meanings[name][:1].upper() + meanings[name][1:])}."
        for name in named
    ]
    as_other = re.search(r"\b(?:As|as in) (pool_\w+)", function.comment)
    if as_other:
        lines.append(f".PP\nAnd every status of\n.BR {as_other.group(1)} (3).")
    return "\n".join(lines)


def page(name, summary, version, body):
    return (
        f'.TH {name.upper()} 3 "" "libworkpool {version}" "Library Functions"\n'
        f".SH NAME\n{name} \\- {roff(summary)}\n{body}\n"
    )


def summary_of(function):
    """The first clause of the comment; where that is a status or a text, the words of the name."""
    text = re.sub(r"\s+", " ", re.sub(r"\s*\([^()]*\)", "", TAG.sub("", function.comment)))
    clause = re.split(r"\s*(?<!\.)[.:;](?=\s|$)", text, maxsplit=1)[0].strip()
    return function.name[len("pool_") :].replace("_", " ") if re.match(r"OK|\"", clause) else clause


def synopsis(prototype, width=76):
    """The prototype in lines that fit, broken after commas and indented to the parenthesis."""
    lines, indent = [""], " " * (prototype.index("(") + 1)
    for part in re.findall(r"[^,]+,?\s*", prototype):
        if len(lines[-1]) + len(part.rstrip()) > width and lines[-1].strip():
            lines.append(indent)
        lines[-1] += part
    return "\n".join(f'.B "{roff(line.rstrip())}"' for line in lines)


def function_page(function, functions, meanings, version):
    since = re.search(r"Since (\d+\.\d+)\.", function.comment).group(1)
    prose = re.sub(r"\s*Since \d+\.\d+\.", "", TAG.sub("", function.comment))
    tags = [
        TAGS[tag] + (f" ({condition})" if condition else "")
        for tag, condition in TAG.findall(function.comment)
    ]
    if not tags:
        tags = [
            "Called by the running task, on its own thread, with the context that it was given."
        ]
    mentioned = [
        other.name
        for other in functions
        if other.name != function.name and re.search(rf"\b{other.name}\b", function.comment)
    ]
    see = ", ".join(f"\\fB{name}\\fR(3)" for name in [*mentioned, "workpool"])
    return page(
        function.name,
        summary_of(function),
        version,
        "\n".join(
            [
                ".SH LIBRARY\nWorker pool library\n.RI ( libworkpool ,\n.IR \\-lworkpool )",
                ".SH SYNOPSIS\n.nf\n.B #include <workpool/workpool.h>\n.PP\n"
                + synopsis(function.prototype)
                + "\n.fi",
                ".SH DESCRIPTION\n" + roff(prose),
                ".SH RETURN VALUE\n" + status_section(function, meanings),
                ".SH THREADS\n" + "\n.br\n".join(roff(tag) for tag in tags),
                f".SH HISTORY\nSince {since}.",
                ".SH SEE ALSO\n" + see,
            ]
        ),
    )


def struct_page(name, source, functions, version):
    users = [
        function.name for function in functions if re.search(rf"\b{name}\b", function.prototype)
    ]
    see = ", ".join(f"\\fB{user}\\fR(3)" for user in [*users, "workpool"])
    return page(
        name,
        "a struct of libworkpool",
        version,
        "\n".join(
            [
                ".SH SYNOPSIS\n.nf\n.B #include <workpool/workpool.h>\n.PP\n"
                + roff(source)
                + "\n.fi",
                ".SH SEE ALSO\n" + see,
            ]
        ),
    )


def main():
    header = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.3"):
        old.unlink()
    version = ".".join(re.findall(r"#define POOL_VERSION_\w+ (\d+)", header))
    meanings = {
        name: re.sub(r"\s+", " ", text).strip()
        for name, text in re.findall(r"#define POOL_E_(\w+) \(-\d+\)\s*/\*(.*?)\*/", header, re.S)
    }
    functions = api.functions(header)
    pages = {
        function.name: function_page(function, functions, meanings, version)
        for function in functions
    }
    for source, name in re.findall(r"(typedef struct \w+ \{.*?\} (\w+);)", header, re.S):
        pages[name] = struct_page(name, source, functions, version)
    overview = api.plain(re.search(r"/\*\n \* workpool\.h.*?\*/", header, re.S).group())
    listed = "\n".join(f".BR {function.name} (3)\n.br" for function in functions)
    pages["workpool"] = page(
        "workpool",
        "an elastic work-stealing worker pool with a C interface",
        version,
        ".SH SYNOPSIS\n.B #include <workpool/workpool.h>\n.SH DESCRIPTION\n.nf\n"
        + roff(overview)
        + "\n.fi\n.SH FUNCTIONS\n"
        + listed,
    )
    for name, text in pages.items():
        (folder / f"{name}.3").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
