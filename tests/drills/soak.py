"""Everything at once for a long time: `make soak ARGS='--minutes 10'`.

Sixty-four connections put, read whole and in ranges, list, upload in parts, copy, and delete one and many, with odd sizes,
while a worker is killed every few seconds. One worker is spared: what it takes of memory and descriptors is compared
between the first and the last quarter of the time.
"""

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from dolium.cli.main import main as dolium
from dolium.testing.checker import check
from dolium.testing.server import LiveServer
from tests.drills.conftest import CONFIG, swept, until
from tests.drills.load import Load
from tests.drills.wire import Break

__all__ = ["Sample", "Soak"]

_SAMPLES = 0.25
_IDLE = 2.0
"""Seconds: so long a client may be busy with itself between two requests of a connection."""
_GROWTH = 1.10
_CACHES = 24 << 20
"""What a worker may grow by beside a tenth: SQLite keeps up to 32 MiB of pages for the event loop and 2 MiB for each of
some ten threads, and a short run begins before they are full. So the run of CI finds a leak of some eight kilobytes a
request, and one of ten minutes that of a few hundred bytes.
"""
_DESCRIPTORS = 4
"""As many more may be open in the end than at first, when no client is there: of threads that came late, say. The catalog
is not counted, since each thread that reads it has it open three times.
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of the worker that is spared, at one moment: bytes in memory."""

    at: float
    resident: int


@dataclass(slots=True)
class Soak:
    """`run` raises an AssertionError for whatever is not as it should be; the rest tells how it went."""

    server: LiveServer
    clients: int = 64
    kill_every: float = 3.0
    seed: int = field(default_factory=lambda: random.randrange(1 << 30))
    samples: list[Sample] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    operations: int = 0
    broken: int = 0
    descriptors: tuple[int, int] = (0, 0)

    def run(self, seconds: float) -> None:
        server = self.server
        server.start()
        spared = min(server.workers)
        at_first = len(_descriptors(spared))
        load = Load(server.http, clients=self.clients, seed=self.seed)
        try:
            self._press(load, spared, seconds)
            load.pause()
            self._judge(load)
            # Beside the service, and while nothing is asked of it.
            assert dolium(["check-data", "--read", "--data", str(server.data)]) == 0
            load.verify()
        finally:
            load.end()
        most = at_first + _DESCRIPTORS
        assert until(lambda: len(_descriptors(spared)) <= most), (
            f"more than {at_first}: {_descriptors(spared)}"
        )
        self.descriptors = (at_first, len(_descriptors(spared)))
        assert server.stop() == 0
        assert check(server.data).problems == []
        after = swept(server.data)
        assert (after.problems, after.leftovers) == ([], [])

    def _press(self, load: Load, spared: int, seconds: float) -> None:
        load.resume()
        end = time.monotonic() + seconds
        kill = time.monotonic() + self.kill_every
        while (now := time.monotonic()) < end:
            load.raise_failure()
            self.samples.append(_sample(spared))
            if now >= kill and now < end - self.kill_every / 2:
                victims = [worker for worker in self.server.workers if worker != spared]
                if victims:
                    self.kills.append(time.monotonic())
                    os.kill(random.choice(victims), signal.SIGKILL)
                kill = now + self.kill_every
            time.sleep(_SAMPLES)
        self.operations = load.steps

    def _judge(self, load: Load) -> None:
        broken = load.broken
        self.broken = len(broken)
        alone = [one for one in broken if not self._is_of_a_kill(one)]
        assert not alone, f"these broke though nobody was killed at {self.kills}: {alone}"
        first, last = self._windows
        assert len(first) > 2, "too short to compare anything"
        before, after = _median(first), _median(last)
        assert after <= before * _GROWTH + _CACHES, f"a worker grew from {before} to {after} bytes"

    @property
    def _windows(self) -> tuple[list[Sample], list[Sample]]:
        """The second eighth (the first is for warming up, and what comes up to a quarter) and the last quarter."""
        begin, end = self.samples[0].at, self.samples[-1].at
        length = end - begin
        return (
            [one for one in self.samples if length / 8 <= one.at - begin < length * 3 / 8],
            [one for one in self.samples if one.at - begin >= length * 3 / 4],
        )

    def _is_of_a_kill(self, one: Break) -> bool:
        """It was under way then, or came to a connection of the one that was killed that nobody had used since."""
        return any(one.began - _IDLE <= kill <= one.seen for kill in self.kills)

    def __str__(self) -> str:
        first, last = (_median(window) for window in self._windows)
        return (
            f"{self.operations} operations on {self.clients} connections, {len(self.kills)} workers killed, "
            f"{self.broken} connections broken then; a worker: {first >> 20} MiB at first, {last >> 20} MiB in the end, "
            f"at most {max(one.resident for one in self.samples) >> 20} MiB; {self.descriptors[0]} descriptors before, "
            f"{self.descriptors[1]} after"
        )


def _median(samples: list[Sample]) -> int:
    return int(statistics.median(one.resident for one in samples))


def _sample(pid: int) -> Sample:
    status = Path(f"/proc/{pid}/status").read_text()
    [resident] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return Sample(time.monotonic(), int(resident) << 10)


def _descriptors(pid: int) -> list[str]:
    """What a process has open, but for the catalog."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:
            continue
    return [link for link in found if "/catalog." not in link]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__, allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--kill-every", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--folder", type=Path, help="where its data goes; a temporary folder if not given")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dolium-soak-", dir=arguments.folder) as folder:
        server = LiveServer(Path(folder), config=CONFIG)
        soak = Soak(server, arguments.connections, arguments.kill_every, arguments.seed)
        print(f"seed {soak.seed}, {arguments.minutes:g} minutes")
        try:
            soak.run(arguments.minutes * 60)
        finally:
            server.kill()
            print(soak)
    return 0


if __name__ == "__main__":
    sys.exit(main())
