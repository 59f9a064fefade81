"""Concurrent clients over one server: run, pause while it is down, and tell what went wrong."""

import threading
import time

from dolium.testing.server import Site
from tests.drills.wire import Break, DownError, Wire
from tests.drills.worker import BUCKET, Worker

__all__ = ["Load"]

_PARKED_WITHIN = 40.0


class Load:
    """Paused at first. `favour` makes one kind of operation frequent."""

    def __init__(self, site: Site, *, clients: int, seed: int) -> None:
        self.workers = [Worker(number, site, seed + number) for number in range(clients)]
        self._changed = threading.Condition()  # guards the three below
        self._going = False
        self._ends = False
        self._resting: set[str] = set()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(worker,), name=worker.name, daemon=True)
            for worker in self.workers
        ]
        self._seed = seed
        self._steps = 0  # about; nobody guards it
        first = Wire(site)
        assert first.ask("PUT", f"/{BUCKET}").status == 200
        first.close()
        for thread in self._threads:
            thread.start()

    def favour(self, operation: str) -> None:
        for worker in self.workers:
            worker.favoured = operation

    @property
    def broken(self) -> list[Break]:
        """The connections that broke."""
        return [one for worker in self.workers for one in worker.wire.broken]

    @property
    def steps(self) -> int:
        """Operations that were done, about."""
        return self._steps

    def resume(self) -> None:
        with self._changed:
            self._going = True
            self._changed.notify_all()

    def work(self, steps: int) -> None:
        """Let so many operations be done."""
        until = self._steps + steps
        deadline = time.monotonic() + _PARKED_WITHIN
        while self._steps < until:
            self.raise_failure()
            assert time.monotonic() < deadline, "the clients get nothing done"
            time.sleep(0.005)

    def pause(self) -> None:
        """Returns when no request is under way. Raises what a client found wrong."""
        with self._changed:
            self._going = False
            calm = self._changed.wait_for(lambda: len(self._resting) == len(self._threads), _PARKED_WITHIN)
        self.raise_failure()
        assert calm, "a client hangs"

    def raise_failure(self) -> None:
        if self._failures:
            self._failures[0].add_note(f"seed of the load: {self._seed}")
            raise self._failures[0]

    def verify(self) -> None:
        """While paused: all that was acknowledged is there."""
        for worker in self.workers:
            worker.verify()

    def end(self) -> None:
        """Stop for good; may be called in any state."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_PARKED_WITHIN)
        for worker in self.workers:
            worker.wire.close()

    def _run(self, worker: Worker) -> None:
        while self._may_go(worker):
            try:
                worker.step()
                self._steps += 1
            except DownError:
                time.sleep(0.01)
            except BaseException as failure:  # noqa: BLE001 - raised where the drill waits
                self._failures.append(failure)
                with self._changed:
                    self._resting.add(worker.name)
                    self._changed.notify_all()
                return

    def _may_go(self, worker: Worker) -> bool:
        with self._changed:
            if not self._going:
                self._resting.add(worker.name)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._going or self._ends)
                self._resting.discard(worker.name)
            return not self._ends
