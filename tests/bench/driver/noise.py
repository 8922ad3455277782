"""What others did on this machine while a sample was taken, and waiting until they do nothing.

Time that no process here used but the host took away (steal) counts as others' time.
"""
import os
import time

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# A sample is dropped when others used more of its wall time than this.
OTHERS_MAX = 0.05
# The kernel books whole ticks, to whoever runs when the tick comes: below this, nothing can be said.
BLUR_S = 2 * TICK_S


def busy_s():
    """Seconds that all CPUs together were not idle, since boot."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK_S


def is_noise(others_s, wall_s):
    return others_s > max(OTHERS_MAX * wall_s, BLUR_S)


def wait_for_quiet(limit_s):
    """Returns when hardly anybody ran for a moment, or limit_s is over; tells whether it is quiet."""
    end = time.monotonic() + limit_s
    while True:
        before = busy_s()
        time.sleep(0.1)
        if busy_s() - before <= TICK_S:
            return True
        if time.monotonic() >= end:
            return False
