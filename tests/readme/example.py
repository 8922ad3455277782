"""Takes the first example in a language out of README.md, as it stands, and compiles and runs
it."""
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


def extract(readme, language):
    """The first fenced block of the language under its heading."""
    heading = re.escape(LANGUAGES[language][0])
    section = re.search(rf"^#+ +{heading}\s*$(.*?)(?=^#+ |\Z)", hide_fenced(readme), re.M | re.S)
    if section is None:
        raise ValueError(f"README.md has no heading '{LANGUAGES[language][0]}'")
    block = re.search(
        rf"^```{language}\n(.*?)^```$", readme[section.start(1) : section.end(1)], re.M | re.S
    )
    if block is None:
        raise ValueError(f"README.md has no {language} example under its heading")
    lines = len(re.findall(r"^(?![ \t]*#[ \t]*include)[ \t]*\S", block.group(1), re.M))
    if language == "c" and lines > LINES_MAX:
        raise ValueError(f"the C example has {lines} lines, more than {LINES_MAX}")
    return block.group(1)


def hide_fenced(text):
    """The text at its length, with '#' inside fences blanked: a comment there is no heading."""
    return re.sub(r"^```.*?^```$", lambda m: m.group().replace("#", " "), text, flags=re.M | re.S)


def run_example(args, readme, language):
    _, suffix, flags = LANGUAGES[language]
    source = args.work / f"example{suffix}"
    source.write_text(extract(readme, language), encoding="utf-8")
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(args.library.parent),
        "WORKPOOL_LIBRARY": str(args.library),
        "PYTHONPATH": str(args.root / "bindings" / "python"),
    }
    command = [args.compiler, source]
    if language != "python":
        program = args.work / f"example-{language}"
        subprocess.run(
            [
                args.compiler,
                *flags,
                "-Wall",
                "-Wextra",
                "-Werror",
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
        command = [program]
    subprocess.run(command, check=True, timeout=60, env=environment)


def self_test(args):
    """Wrong examples must be noticed."""
    good = "# T\n## C\n```c\n# include <stdio.h>\nint main(void) { return 0; }\n```\n## Python\n"
    run_example(args, good, "c")
    for why, readme in [
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
        try:
            run_example(args, readme, "c")
        except (ValueError, subprocess.CalledProcessError) as error:
            if why not in str(error):
                sys.exit(f"expected '{why}', got '{error}'")
        else:
            sys.exit(f"not noticed: {why}")


def main():
    parser = argparse.ArgumentParser()
    for option in ("--readme", "--root", "--library", "--work"):
        parser.add_argument(option, required=True, type=pathlib.Path)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--flag", action="append", default=[])
    parser.add_argument("what", choices=[*LANGUAGES, "self-test"])
    args = parser.parse_args()
    if args.what == "self-test":
        args.work = args.work / "wrong"
        args.work.mkdir(exist_ok=True)
        self_test(args)
    else:
        run_example(args, args.readme.read_text(encoding="utf-8"), args.what)


if __name__ == "__main__":
    main()
