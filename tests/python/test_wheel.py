# SPDX-License-Identifier: Apache-2.0
"""The wheel: what is inside, for which platform it is, and that it works where it is unpacked."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import unittest
import zipfile
from pathlib import Path

import workpool
from helper import run_program
from workpool import _abi

SOURCE = Path(workpool.__file__).resolve().parent.parent
FILES = ["README.md", "pyproject.toml", "setup.py", "workpool"]


class Wheel(unittest.TestCase):
    def build(self, folder, with_library):
        source = Path(folder) / "source"
        source.mkdir()
        for name in FILES:
            if (SOURCE / name).is_dir():
                shutil.copytree(SOURCE / name, source / name,
                                ignore=shutil.ignore_patterns("__pycache__", "libworkpool*"))
            else:
                shutil.copy(SOURCE / name, source / name)
        if with_library:
            shutil.copy(_abi.lib._name, source / "workpool" / _abi.SONAME)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        ended = subprocess.run([sys.executable, "setup.py", "-q", "bdist_wheel", "-d", folder],
                               cwd=source, env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, universal_newlines=True)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        (wheel,) = Path(folder).glob("*.whl")
        return wheel

    def test_with_library(self):
        """with the library beside its files the wheel is for this platform and works alone"""
        with tempfile.TemporaryDirectory() as folder:
            wheel = self.build(folder, True)
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            self.assertEqual(wheel.name, f"workpool-{workpool.version()}-py3-none-{platform}.whl")
            place = Path(folder) / "installed"
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(place)
            self.assertTrue((place / "workpool" / "py.typed").exists())
            ended = run_program(
                "import workpool\n"
                "with workpool.Executor(2) as executor:\n"
                "    print(sum(executor.map(int, '12345', chunksize=2)))\n"
                "print(workpool._abi.lib._name)\n",
                env={"PYTHONPATH": str(place), "WORKPOOL_LIBRARY": ""})
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            self.assertEqual(ended.stdout.split(),
                             ["15", str(place.resolve() / "workpool" / _abi.SONAME)])

    def test_without_library(self):
        """without it the wheel is for every platform, and has all files of the package"""
        with tempfile.TemporaryDirectory() as folder:
            wheel = self.build(folder, False)
            self.assertEqual(wheel.name, f"workpool-{workpool.version()}-py3-none-any.whl")
            with zipfile.ZipFile(wheel) as archive:
                inside = {name for name in archive.namelist() if name.startswith("workpool/")}
            files = [file for file in (SOURCE / "workpool").iterdir()
                     if file.suffix == ".py" or file.name == "py.typed"]
            self.assertEqual(inside, {f"workpool/{file.name}" for file in files})


if __name__ == "__main__":
    unittest.main()
