"""What a member loses beside busy processes, with threads that wait passively and that spin.

    python -m benchmarks.contention [--busy 2] [--frames 12]

With P processes that want all cores, a member's share is 1 / (P + 1) of them: a slowdown of up to
P + 1 is fair, and anything above is lost to threads that spin while they wait for each other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

WORK = """
import sys, time
import adapters
from mose import Video
from mose.synthetic import iter_frames
frames = list(iter_frames(0, int(sys.argv[1]), 240, 320, 3))
video = Video.from_arrays([f.image for f in frames], {0: frames[0].labels})
segmenter = adapters.load("xmem", weights="demo-xmem")
times = []
last = time.perf_counter()
for frame in segmenter.segment(video):
    frame.labels(240, 320)
    now = time.perf_counter()
    times.append(now - last)
    last = now
print(sorted(times)[len(times) // 2])
"""


def seconds_per_frame(policy: str, frames: int) -> float:
    """The median over the frames, in a process of its own with that OMP_WAIT_POLICY."""
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    environment.pop("OMP_NUM_THREADS", None)
    command = [sys.executable, "-c", WORK, str(frames)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(answer.stdout)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """``count`` processes that do nothing, as fast as they can."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.contention", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("--busy", type=int, default=2, help="processes (%(default)s)")
    p.add_argument("--frames", type=int, default=12)
    a = p.parse_args()
    for policy in ("PASSIVE", "ACTIVE"):
        alone = seconds_per_frame(policy, a.frames)
        with busy(a.busy):
            beside = seconds_per_frame(policy, a.frames)
        print(
            f"{policy:<8} alone {1000 * alone:5.0f} ms, beside {a.busy} busy processes"
            f" {1000 * beside:5.0f} ms a frame: {beside / alone:.1f} times"
        )


if __name__ == "__main__":
    main()
