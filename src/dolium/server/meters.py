"""What every worker counts, where every worker can read it: one mapped file per process.

Counting is adding to words of memory, so it costs a request less than a microsecond. Whichever worker is
asked for `/_metrics` adds up the files of all, also of those that have died: sums never go back. The folder
is emptied when the service starts.
"""

from __future__ import annotations

import mmap
import os
import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

__all__ = ["Meters", "clear"]

# Upper bounds of the buckets of the latency histogram, in seconds.
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")  # of status; none: the peer went before an answer
_COUNT, _MICROSECONDS, _RECEIVED, _SENT, _BUCKETS = 0, 1, 2, 3, 4
_WORDS = _BUCKETS + len(_BOUNDS) + 1
_NOTES = ("verified", "unverified", "corrupt")
_OTHER = "other"  # what is no operation: requests that were refused before they had one


def clear(folder: Path) -> None:
    """Begin anew. Before there are workers."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in folder.glob("*.meters"):
        file.unlink()


class Meters:
    """Requests are counted from one thread (the event loop), notes from any; both are read from any process."""

    def __init__(self, folder: Path, operations: Sequence[str]) -> None:
        self._folder = folder
        self._names = (*operations, _OTHER)
        self._cells = {name: at * len(_CLASSES) for at, name in enumerate(self._names)}
        self._other = self._cells[_OTHER]
        first = len(self._names) * len(_CLASSES) * _WORDS
        self._notes = {name: first + at for at, name in enumerate(_NOTES)}
        self._noting = threading.Lock()  # copies are read in threads: guards the words of the notes
        self._size = (first + len(_NOTES)) * 8
        fd = os.open(folder / f"{os.getpid()}.meters", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Not a hole: a word that is written into one on a full disk ends the process.
            os.posix_fallocate(fd, 0, self._size)
            self._map = mmap.mmap(fd, self._size)
        except OSError:
            self._map = mmap.mmap(-1, self._size)  # full already: it counts for itself
        finally:
            os.close(fd)
        self._words = memoryview(self._map).cast("Q")

    def count(self, operation: str, status: int, seconds: float, received: int, sent: int) -> None:
        """One request. `status` 0: it had no answer."""
        words = self._words
        at = (self._cells.get(operation, self._other) + status // 100) * _WORDS
        words[at] += 1
        words[at + _MICROSECONDS] += int(seconds * 1e6)
        if received:
            words[at + _RECEIVED] += received
        words[at + _SENT] += sent
        words[at + _BUCKETS + bisect_left(_BOUNDS, seconds)] += 1

    def note(self, name: str) -> None:
        """A body was opened to be sent, `verified` or `unverified`, or was found `corrupt`. From any thread."""
        with self._noting:
            self._words[self._notes[name]] += 1

    def collect(self) -> Iterable[Metric]:
        """The sums of all processes, as prometheus_client wants them."""
        sums = self._sums()
        requests = CounterMetricFamily("dolium_requests", "Requests", labels=("operation", "status"))
        received = CounterMetricFamily(
            "dolium_received_bytes", "Bytes of request bodies", labels=("operation",)
        )
        sent = CounterMetricFamily("dolium_sent_bytes", "Bytes of response bodies", labels=("operation",))
        seconds = HistogramMetricFamily(
            "dolium_request_seconds",
            "Time from the head of a request to the end of its answer",
            labels=("operation",),
        )
        for name in self._names:
            first = self._cells[name] * _WORDS
            total = [0] * _WORDS
            for at, status in enumerate(_CLASSES):
                cell = sums[first + at * _WORDS : first + (at + 1) * _WORDS]
                if cell[_COUNT]:
                    requests.add_metric((name, status), cell[_COUNT])
                    total = [sum(pair) for pair in zip(total, cell, strict=True)]
            if total[_COUNT]:
                received.add_metric((name,), total[_RECEIVED])
                sent.add_metric((name,), total[_SENT])
                seconds.add_metric((name,), _cumulative(total[_BUCKETS:]), total[_MICROSECONDS] / 1e6)
        reads = CounterMetricFamily(
            "dolium_reads",
            "Bodies that were opened to be sent, by whether what they hold can be checked; corrupt: was found wrong",
            labels=("checked",),
        )
        for name, at in self._notes.items():
            reads.add_metric((name,), sums[at])
        return (requests, received, sent, seconds, reads)

    def _sums(self) -> list[int]:
        total = list(self._words)
        own = f"{os.getpid()}.meters"
        for file in self._folder.glob("*.meters"):
            if file.name != own:
                data = file.read_bytes()
                if len(data) == self._size:
                    total = [a + b for a, b in zip(total, memoryview(data).cast("Q"), strict=True)]
        return total

    def close(self) -> None:
        self._words.release()
        self._map.close()


def _cumulative(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Prometheus' buckets hold everything up to their bound."""
    found, below = [], 0
    for bound, count in zip([*map(str, _BOUNDS), "+Inf"], counts, strict=True):
        below += count
        found.append((bound, float(below)))
    return found
