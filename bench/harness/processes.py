"""Child processes that never outlive the benchmark, and what /proc says about them."""

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess

PR_SET_PDEATHSIG = 1
STOP_PATIENCE_S = 5

_libc = ctypes.CDLL(None, use_errno=True)
_running = []


def spawn(argv, cpus=None, **options):
    """Popen, pinned to `cpus`; the child is told to end when this process dies, however it dies."""

    def in_child():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if cpus:
            os.sched_setaffinity(0, cpus)

    process = subprocess.Popen(argv, preexec_fn=in_child, **options)
    _running.append(process)
    return process


def stop(process):
    """SIGTERM, then SIGKILL for what does not listen."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            for pid in family(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()
    if process in _running:
        _running.remove(process)


def stop_all():
    for process in list(_running):
        stop(process)


def family(pid):
    """The process and all its descendants: nginx works in children of its master."""
    pids = [pid]
    for parent in pids:
        for children in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            pids += [int(child) for child in children.read_text().split()]
    return pids


def pin(pid, cpus):
    """Moves every thread of the family to these CPUs."""
    for member in family(pid):
        for task in os.listdir(f"/proc/{member}/task"):
            os.sched_setaffinity(int(task), cpus)


def cpu_ns(pid):
    """Time on a CPU so far, of every thread of the family, in nanoseconds (schedstat's first field).
    User and kernel time together, and the loopback work done in softirqs on their behalf, because
    this is where the kernel books it. Nanoseconds, not the 4 ms ticks of /proc/PID/stat."""
    total = 0
    for member in family(pid):
        for stat in pathlib.Path(f"/proc/{member}/task").glob("*/schedstat"):
            total += int(stat.read_text().split()[0])
    return total


def resident_bytes(pid):
    """Pss of the family: private pages whole, shared ones divided among those who share them."""
    total = 0
    for member in family(pid):
        for line in pathlib.Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total
