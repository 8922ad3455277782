# SPDX-License-Identifier: Apache-2.0
"""A wheel with the library inside (workpool/libworkpool.so.0.1) is for one platform, any other is not.
It is for every Python 3 in both cases: nothing is compiled against the interpreter."""

from pathlib import Path

from setuptools import Distribution, setup
from wheel.bdist_wheel import bdist_wheel


class WithLibrary(Distribution):
    def has_ext_modules(self):
        return any((Path(__file__).resolve().parent / "workpool").glob("libworkpool.so*"))


class Wheel(bdist_wheel):
    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


setup(distclass=WithLibrary, cmdclass={"bdist_wheel": Wheel})
