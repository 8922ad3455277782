#!/bin/sh
# E8: builds the library and a program for 32-bit ARM and runs the program under qemu.
#
# usage: armhf.sh BUILD_DIR
# Needs the Debian packages g++-arm-linux-gnueabihf and qemu-user-static.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:?usage: armhf.sh BUILD_DIR}
machine=arm-linux-gnueabihf

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=armv7l \
  -DCMAKE_C_COMPILER=$machine-gcc -DCMAKE_CXX_COMPILER=$machine-g++ \
  -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="-O1 -g" \
  -DWORKPOOL_BUILD_TESTS=OFF -DWORKPOOL_BUILD_CLI=OFF >"$build.log" 2>&1 &&
  cmake --build "$build" --target workpool >>"$build.log" 2>&1 || {
  tail -n 40 "$build.log" >&2
  exit 1
}
$machine-g++ -std=c++20 -O1 -pthread -I"$root/include" -I"$root/tests/api" \
  "$root/tests/process/armhf_workers.cc" -L"$build" -lworkpool -o "$build/armhf_workers"
exec qemu-arm-static -L "/usr/$machine" -E LD_LIBRARY_PATH="$build" "$build/armhf_workers"
