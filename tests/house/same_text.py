"""A document is what a program prints.

usage: same_text.py DOCUMENT PROGRAM
"""
import pathlib
import subprocess
import sys

if __name__ == "__main__":
    document, program = sys.argv[1:]
    printed = subprocess.run([program], stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    if pathlib.Path(document).read_text(encoding="utf-8") != printed:
        sys.exit(f"{document}: is not what the library says; {program} > {document}")
