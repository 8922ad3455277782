"""The rules of docs/abi.md that can be read off the header, the version script and layout.c."""
import re

import header
import house

HEADER = "include/workpool/workpool.h"
MAP = "capi/workpool.map"
LAYOUT = "tests/house/layout.c"
NEVER = [
    ("bool", r"\b_?[Bb]ool\b|stdbool"),
    ("long", r"\blong\b"),
    ("an enum", r"\benum\b"),
    ("a union", r"\bunion\b"),
    ("a bit-field", r"^\s*u?int\w*\s+\w+\s*:\s*\d"),
    ("varargs", r"\.\.\.|va_list"),
    ("a plain int", r"\b(unsigned|short)\b|\bint\b"),
]


def macro(text, name):
    return re.search(rf"#define {name} (\d+)", text).group(1)


def check(tree):
    text = tree.files[HEADER]
    code = house.code_of(text)
    complaints = []
    for what, pattern in NEVER:
        for match in re.finditer(pattern, code, re.M):
            complaints.append(
                f"{HEADER}:{code.count(chr(10), 0, match.start()) + 1}: {what} in the ABI"
            )

    shapes = header.structs(text)
    functions = header.functions(text)
    for function in functions:
        # A struct passed or returned by value: its name without a star behind it.
        for shape in shapes:
            if re.search(rf"\b{shape}\b(?!\s*\*)", function.prototype):
                complaints.append(f"{function.name}: {shape} by value in the ABI")
        if not re.search(r"\bSince \d+\.\d+\.", function.comment):
            complaints.append(f"{function.name}: its comment does not say since which version")
        if not re.search(r"\[any-thread\]|pool_ctx_t", function.comment + function.prototype):
            complaints.append(
                f"{function.name}: its comment does not say which threads may call it"
            )
    for shape, fields in shapes.items():
        # pool_fork_t is opaque memory of a frozen size, so it carries none.
        if shape != "pool_fork_t" and list(fields.items())[0] != ("struct_size", "uint32_t"):
            complaints.append(f"{shape}: does not begin with uint32_t struct_size")

    node, names = header.exported(tree.files[MAP])
    declared = {function.name for function in functions}
    complaints += [f"{name}: declared, not in {MAP}" for name in sorted(declared - names)]
    complaints += [f"{name}: in {MAP}, not declared" for name in sorted(names - declared)]
    version = [macro(text, f"POOL_VERSION_{part}") for part in ("MAJOR", "MINOR", "PATCH")]
    expected = f"WORKPOOL_{version[0]}.{version[1] if version[0] == '0' else '0'}"
    if node != expected:
        complaints.append(f"{MAP}: node {node}, not {expected}")
    if f"VERSION {'.'.join(version)} " not in tree.files["CMakeLists.txt"]:
        complaints.append(f"CMakeLists.txt: its version is not the header's {'.'.join(version)}")

    layout = tree.files[LAYOUT]
    for shape, fields in shapes.items():
        wanted = [f"SIZE({shape}, ", *(f"FIELD({shape}, {field}, " for field in fields)]
        complaints += [f"{LAYOUT}: {line}...) is missing" for line in wanted if line not in layout]
    for name in re.findall(r"^#define (POOL_\w+) \S", text, re.M):
        if name != "POOL_API" and "VERSION" not in name and f"VALUE({name}, " not in layout:
            complaints.append(f"{LAYOUT}: VALUE({name}, ...) is missing")
    return complaints


RIGHT = {
    HEADER: """#define POOL_VERSION_MAJOR 0
#define POOL_VERSION_MINOR 1
#define POOL_VERSION_PATCH 0
#define POOL_OK 0
/* A long comment, of an int ... */
typedef struct pool_task {
  uint32_t struct_size; /* long */
  const char *name;
  char text[8];
} pool_task_t;
/* Does it. [any-thread] Since 0.1. */
POOL_API pool_status_t pool_do(pool_t pool,
                               const pool_task_t *task);
POOL_API pool_status_t pool_undo(pool_t pool);
/* Looks. Since 0.1. */
POOL_API int32_t pool_ctx_look(pool_ctx_t *ctx);
""",
    MAP: "# names\nWORKPOOL_0.1 {\n  global:\n    pool_do; pool_undo; pool_ctx_look;\n  local: *;\n};\n",
    LAYOUT: "SIZE(pool_task_t, 24); FIELD(pool_task_t, struct_size, 0, 4);"
    "FIELD(pool_task_t, name, 8, 8); FIELD(pool_task_t, text, 16, 8); VALUE(POOL_OK, 0);",
    "CMakeLists.txt": "project(workpool VERSION 0.1.0 LANGUAGES C)",
}


def changed(path, old, new):
    assert old in RIGHT[path]
    return {path: RIGHT[path].replace(old, new)}


WRONG = [
    ("a plain int", changed(HEADER, "int32_t pool_ctx_look", "int pool_ctx_look")),
    ("long in the ABI", changed(HEADER, "uint32_t struct_size;", "uint32_t struct_size; long x;")),
    ("bool in the ABI", changed(HEADER, "const char *name;", "bool x;")),
    ("an enum", changed(HEADER, "#define POOL_OK 0", "enum { POOL_OK };")),
    ("bit-field", changed(HEADER, "const char *name;", "uint32_t a : 3;")),
    ("varargs", changed(HEADER, "(pool_t pool);", "(pool_t pool, ...);")),
    ("pool_task_t by value", changed(HEADER, "const pool_task_t *task", "pool_task_t task")),
    (
        "pool_undo: its comment",
        changed(HEADER, "POOL_API pool_status_t pool_undo", "\nPOOL_API pool_status_t pool_undo"),
    ),
    ("since which", changed(HEADER, "Since 0.1. */\nPOOL_API int32_t", "*/\nPOOL_API int32_t")),
    ("which threads", changed(HEADER, "[any-thread]", "")),
    ("begin with uint32_t", changed(HEADER, "  uint32_t struct_size; /* long */\n", "")),
    ("not in capi", changed(MAP, "pool_undo;", "")),
    ("not declared", changed(MAP, "pool_undo;", "pool_undo; pool_more;")),
    ("not WORKPOOL_0.1", changed(MAP, "WORKPOOL_0.1", "WORKPOOL_0.2")),
    ("CMakeLists.txt", changed("CMakeLists.txt", "0.1.0", "0.1.1")),
    (
        "FIELD(pool_task_t, more",
        changed(HEADER, "const char *name;", "const char *name; uint64_t more;"),
    ),
    (
        "VALUE(POOL_NEW",
        changed(HEADER, "#define POOL_OK 0", "#define POOL_OK 0\n#define POOL_NEW 7"),
    ),
]

if __name__ == "__main__":
    house.main("abi rules", check, RIGHT, WRONG)
