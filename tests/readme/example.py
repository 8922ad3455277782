"""Takes examples out of a document, as they stand, and compiles and runs them: the first one in a
language under its heading, or every one in C, where the first is what each of the others begins
with."""
import argparse
import os
import pathlib
import re
import subprocess
import sys

# Of the C example, without includes and blank lines: what fits a reader's first look.
LINES_MAX = 15
# language: (heading, suffix, flags)
LANGUAGES = {
    "c": ("C", ".c", ["-std=c99"]),
    "cpp": ("C++", ".cc", ["-std=c++17"]),
    "python": ("Python", ".py", []),
}
# Not every example needs all that they begin with.
EVERY_FLAGS = ["-std=c11", "-Wno-unused-function"]


def extract(readme, language):
    """The first fenced block of the language under its heading."""
    heading = re.escape(LANGUAGES[language][0])
    section = re.search(rf"^#+ +{heading}\s*$(.*?)(?=^#+ |\Z)", hide_fenced(readme), re.M | re.S)
    if section is None:
        raise ValueError(f"there is no heading '{LANGUAGES[language][0]}'")
    block = re.search(
        rf"^```{language}\n(.*?)^```$", readme[section.start(1) : section.end(1)], re.M | re.S
    )
    if block is None:
        raise ValueError(f"there is no {language} example under its heading")
    lines = len(re.findall(r"^(?![ \t]*#[ \t]*include)[ \t]*\S", block.group(1), re.M))
    if language == "c" and lines > LINES_MAX:
        raise ValueError(f"the C example has {lines} lines, more than {LINES_MAX}")
    return block.group(1)


def hide_fenced(text):
    """The text at its length, with '#' inside fences blanked: a comment there is no heading."""
    return re.sub(r"^```.*?^```$", lambda m: m.group().replace("#", " "), text, flags=re.M | re.S)


def every(document):
    """(heading, program) of each C example; every section of the third level has one, or is about
    another language."""
    found = []
    beginning = None
    for section in re.finditer(
        r"^(#+) +(.+?)$(.*?)(?=^#+ |\Z)", hide_fenced(document), re.M | re.S
    ):
        heading = section.group(2)
        text = document[section.start(3) : section.end(3)]
        blocks = re.findall(r"^```c\n(.*?)^```$", text, re.M | re.S)
        other = re.search(r"^```\w+\n", text, re.M)
        if section.group(1) == "###" and len(blocks) != 1 and not (other and not blocks):
            raise ValueError(f"'{heading}' has {len(blocks)} examples, not 1")
        for block in blocks:
            if beginning is None:
                beginning = block
            else:
                found.append((heading, beginning + block))
    if not found:
        raise ValueError("there is no example")
    return found


def build_and_run(args, source, flags):
    program = source.with_suffix("")
    subprocess.run(
        [
            args.compiler,
            "-Wall",
            "-Wextra",
            "-Werror",
            *flags,
            *args.flag,
            f"-I{args.root / 'include'}",
            f"-I{args.root / 'bindings' / 'cpp'}",
            source,
            "-o",
            program,
            f"-L{args.library.parent}",
            "-lworkpool",
            "-lpthread",
        ],
        check=True,
        timeout=120,
    )
    run([program], args)


def run(command, args):
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(args.library.parent),
        "WORKPOOL_LIBRARY": str(args.library),
        "PYTHONPATH": str(args.root / "bindings" / "python"),
    }
    subprocess.run(command, check=True, timeout=60, env=environment)


def run_example(args, document, language):
    _, suffix, flags = LANGUAGES[language]
    source = args.work / f"example-{language}{suffix}"
    source.write_text(extract(document, language), encoding="utf-8")
    if language == "python":
        run([args.compiler, source], args)
    else:
        build_and_run(args, source, flags)


def run_every(args, document):
    for number, (heading, program) in enumerate(every(document)):
        print(heading, flush=True)
        source = args.work / f"every-{number}.c"
        source.write_text(program, encoding="utf-8")
        build_and_run(args, source, EVERY_FLAGS)


def self_test(args):
    """Wrong examples must be noticed."""
    good = "# T\n## C\n```c\n# include <stdio.h>\nint main(void) { return 0; }\n```\n## Python\n"
    run_example(args, good, "c")
    for why, document in [
        ("heading", good.replace("## C\n", "")),
        ("example", good.replace("```c\n", "```\n")),
        (
            "lines",
            good.replace(
                "int main", "\n".join(f"extern int a{n};" for n in range(15)) + "\nint main"
            ),
        ),
        ("non-zero", good.replace("return 0", "return 3")),
        ("non-zero", good.replace("return 0", "return nothing")),
    ]:
        must_fail(why, lambda document=document: run_example(args, document, "c"))
    good = (
        "# T\n## First\n```c\nstatic inline int yes(void) { return 0; }\n```\n"
        "### One\n```c\nint main(void) { return yes(); }\n```\n"
        "### Two\n```c\n# include <stdio.h>\nint main(void) { return yes(); }\n```\n### C++\n```cpp\n```\n"
    )
    run_every(args, good)
    for why, document in [
        ("no example", "# T\n## First\n```c\nint a;\n```\n"),
        ("'Two' has 0 examples", good.replace("```c\n# include", "```\n# include")),
        ("'Three' has 0 examples", good + "### Three\nNothing.\n"),
        (
            "non-zero",
            good.replace(
                "<stdio.h>\nint main(void) { return yes()", "<stdio.h>\nint main(void) { return 3"
            ),
        ),
        ("non-zero", good.replace("int yes(void)", "int no(void)")),
    ]:
        must_fail(why, lambda document=document: run_every(args, document))


def must_fail(why, body):
    try:
        body()
    except (ValueError, subprocess.CalledProcessError) as error:
        if why not in str(error):
            sys.exit(f"expected '{why}', got '{error}'")
    else:
        sys.exit(f"not noticed: {why}")


def main():
    parser = argparse.ArgumentParser()
    for option in ("--document", "--root", "--library", "--work"):
        parser.add_argument(option, required=True, type=pathlib.Path)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--flag", action="append", default=[])
    parser.add_argument("what", choices=[*LANGUAGES, "every", "self-test"])
    args = parser.parse_args()
    if args.what == "self-test":
        args.work = args.work / "wrong"
        args.work.mkdir(exist_ok=True)
        self_test(args)
    elif args.what == "every":
        run_every(args, args.document.read_text(encoding="utf-8"))
    else:
        run_example(args, args.document.read_text(encoding="utf-8"), args.what)


if __name__ == "__main__":
    main()
