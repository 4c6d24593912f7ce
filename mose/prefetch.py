"""Decoding beside the model: the next frames of a video are read in threads of their own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from mose.video import Video


class _Ahead:
    """A frame source that reads the ``ahead`` frames after the one that is asked for.

    It holds at most ``ahead`` frames and the one in use, in whatever order frames are asked for.
    """

    def __init__(self, video: Video, pool: ThreadPoolExecutor, ahead: int):
        self._video, self._pool, self._ahead = video, pool, ahead
        self._coming: dict[int, Future[np.ndarray]] = {}
        _ = video.height  # found once, before several threads ask for it

    def __len__(self) -> int:
        return len(self._video)

    def __getitem__(self, index: int) -> np.ndarray:
        wanted = range(index, min(index + self._ahead + 1, len(self)))
        for known in set(self._coming) - set(wanted):
            self._coming.pop(known).cancel()
        for number in wanted:
            if number not in self._coming:
                self._coming[number] = self._pool.submit(self._video.__getitem__, number)
        return self._coming.pop(index).result()


@contextmanager
def prefetched(video: Video, ahead: int = 4, threads: int = 2) -> Iterator[Video]:
    """The video with its next ``ahead`` frames decoded in ``threads`` threads.

    JPEG decoding releases Python's lock, so it runs beside a model on a GPU. An error is raised
    when the frame is asked for, as without threads.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        yield video.over(_Ahead(video, pool, ahead))
        pool.shutdown(cancel_futures=True)
