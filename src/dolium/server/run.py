"""The process group: a parent that holds the addresses, and workers that serve them.

    serve(factory, ServeOptions(listen=(parse_listen("127.0.0.1:9000"),), workers=2))

The parent binds, forks, and from then on only watches: it never builds a service, so no database connection, thread
or event loop crosses a fork. A worker that dies is started again, more slowly each time. SIGTERM or SIGINT drains
and ends all; a second one cuts off what still goes on. SIGHUP goes to every worker, after a process that ends again
has prepared what the new configuration needs once.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import ssl
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from dolium.config.settings import Listen
from dolium.errors import CatalogUnavailable, ConfigError, DoliumError
from dolium.server.http.accept import Balance
from dolium.server.listen import bind, tls_context
from dolium.server.worker import Factory, ServeOptions, Service, Worker

__all__ = ["Reloads", "ServeOptions", "Service", "serve"]

_log = logging.getLogger("dolium.server")

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_STEADY_SECONDS = 10.0  # a worker that lived so long had started well
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 30.0
_GIVE_UP = 8
_KILL_AFTER = 10.0  # beyond the drain
_KILL_AFTER_SECOND = 3.0
_PREPARED_WITHIN = 120  # seconds
# The failures of a worker's start that keep their type on the way to the caller.
_KINDS: dict[str, Callable[[str], DoliumError]] = {
    "ConfigError": ConfigError,
    "CatalogUnavailable": CatalogUnavailable,
}


class Reloads(Protocol):
    """What SIGHUP does beside telling the workers."""

    def prepare(self) -> None:
        """In a process of its own. A DoliumError says that the new configuration cannot be used."""

    def adopt(self) -> None:
        """In the parent, when `prepare` has come to its end: for workers that are started later."""


def serve(
    factory: Factory,
    options: ServeOptions,
    *,
    ready: Callable[[tuple[Listen, ...]], None] | None = None,
    reloads: Reloads | None = None,
) -> int:
    """Serve until a signal ends it; 0. Must be called in the main thread, before any other is started.

    `ready` is called once, in the parent, when every worker takes connections; it gets the addresses with the
    ports that they really have. Raises ConfigError for an address or certificate that cannot be used, and the
    DoliumError of a worker that could not start.
    """
    context: ssl.SSLContext | None = None
    if options.tls_cert is not None and options.tls_key is not None:
        context = tls_context(options.tls_cert, options.tls_key)
    elif any(one.scheme == "https" for one in options.listen):
        raise ConfigError("to listen on https, give a certificate and its key")
    bound = bind(options.listen)
    balance = Balance(options.workers)
    worker = Worker(factory, options, bound, context, balance)
    listens = tuple(dict.fromkeys(one.listen for one in bound))
    parent = _Parent(worker, options, [one.socket for one in bound], balance, reloads)
    return parent.run(lambda: ready(listens) if ready is not None else None)


@dataclass(slots=True)
class _Place:
    """Where one worker is, or is to be. `said` is what it told of its start."""

    index: int
    pid: int = 0
    since: float = 0.0
    status: int = -1
    said: bytes = b""
    up: bool = False
    failures: int = 0
    next_start: float = 0.0


class _Parent:
    def __init__(
        self,
        worker: Worker,
        options: ServeOptions,
        sockets: list[socket.socket],
        balance: Balance,
        reloads: Reloads | None,
    ) -> None:
        self._worker = worker
        self._options = options
        self._sockets = sockets
        self._balance = balance
        self._reloads = reloads
        self._preparing = 0  # the process that does
        self._once_more = False  # SIGHUP came meanwhile
        self._places = [_Place(index) for index in range(options.workers)]
        self._selector = selectors.DefaultSelector()
        self._life_end, self._life = os.pipe()
        self._signals, self._signals_in = socket.socketpair()
        self._ready = False
        self._stopping = False
        self._kill_at = float("inf")
        self._failure: DoliumError | None = None

    def run(self, ready: Callable[[], None]) -> int:
        for end in (self._signals, self._signals_in):
            end.setblocking(False)
        before = {number: signal.signal(number, _wake_only) for number in _HANDLED}
        wakeup = signal.set_wakeup_fd(self._signals_in.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._signals, selectors.EVENT_READ)
        try:
            self._watch(ready)
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._kill_all()
            self._close()
        if self._failure is not None:
            raise self._failure
        return 0

    def _watch(self, ready: Callable[[], None]) -> None:
        for place in self._places:
            self._start(place)
        while not self._stopping or any(place.pid for place in self._places):
            for key, _ in self._selector.select(self._patience()):
                if key.data is None:
                    for number in self._signals.recv(64):
                        self._on_signal(number)
                else:
                    self._listen_to(key.data)
            self._reap()
            if not self._ready and not self._stopping and all(place.up for place in self._places):
                self._ready = True
                ready()
            now = time.monotonic()
            if now >= self._kill_at:
                self._kill_all()
            if not self._stopping:
                for place in self._places:
                    if not place.pid and now >= place.next_start:
                        self._start(place)

    def _patience(self) -> float | None:
        """Seconds until something must be done unasked."""
        times = [self._kill_at]
        if not self._stopping:
            times += [place.next_start for place in self._places if not place.pid]
        soonest = min(times)
        return None if soonest == float("inf") else max(0.0, soonest - time.monotonic())

    # --- workers -------------------------------------------------------------------------------------------

    def _start(self, place: _Place) -> None:
        status, tell = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # Blocked: a signal that reached the child before it has its own handlers would wake the parent.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(status)
                code = self._be_worker(place.index, tell)
            finally:
                os._exit(code)  # whatever waits to run at the parent's exit is the parent's
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        os.close(tell)
        place.pid, place.status, place.since = pid, status, time.monotonic()
        place.said, place.up = b"", False
        self._selector.register(status, selectors.EVENT_READ, place)

    def _be_worker(self, index: int, tell: int) -> int:
        _forget_signals()
        os.close(self._life)
        self._selector.close()
        self._signals.close()
        self._signals_in.close()
        for other in self._places:
            if other.status >= 0:
                os.close(other.status)
        try:
            self._worker.run(index, self._life_end, lambda: _tell(tell, {"up": True}))
        except DoliumError as error:
            _tell(tell, {"error": type(error).__name__, "message": error.message})
            return 1
        except BaseException as error:  # noqa: BLE001 - the end of a process
            traceback.print_exc()
            _tell(tell, {"error": "", "message": f"{type(error).__name__}: {error}"})
            return 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        return 0

    def _listen_to(self, place: _Place) -> None:
        text = os.read(place.status, 65536)
        if not text:
            self._deafen(place)
            return
        place.said += text
        if b'"up"' in text:
            place.up = True

    def _deafen(self, place: _Place) -> None:
        if place.status >= 0:
            self._selector.unregister(place.status)
            os.close(place.status)
            place.status = -1

    # --- SIGHUP --------------------------------------------------------------------------------------------

    def _reload(self) -> None:
        if self._reloads is None:
            self._send(signal.SIGHUP)
        elif self._preparing:
            self._once_more = True
        else:
            self._prepare(self._reloads)

    def _prepare(self, reloads: Reloads) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _forget_signals()
                signal.alarm(_PREPARED_WITHIN)  # a store that hangs must not hold up the next time
                reloads.prepare()
                code = 0
            except DoliumError as error:
                _log.error("the configuration cannot be used: %s", error.message)
            except BaseException:  # noqa: BLE001 - the end of a process
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        self._preparing = pid

    def _prepared(self) -> None:
        """Look whether it has ended."""
        if not self._preparing or self._reloads is None:
            return
        pid, wait_status = os.waitpid(self._preparing, os.WNOHANG)
        if not pid:
            return
        self._preparing = 0
        if os.waitstatus_to_exitcode(wait_status) == 0:
            try:
                self._reloads.adopt()
            except DoliumError as error:
                _log.error("the configuration cannot be used: %s", error.message)
        self._send(signal.SIGHUP)  # in any case: certificates are read again
        if self._once_more and not self._stopping:
            self._once_more = False
            self._prepare(self._reloads)

    def _reap(self) -> None:
        self._prepared()
        for place in self._places:
            if not place.pid:
                continue
            pid, wait_status = os.waitpid(place.pid, os.WNOHANG)
            if not pid:
                continue
            if place.status >= 0:
                self._listen_to(place)
                self._deafen(place)
            self._balance.absent(place.index)
            place.pid = 0
            if not self._stopping:
                self._died(place, _in_words(wait_status))

    def _died(self, place: _Place, how: str) -> None:
        failure = _failure(place.said, how)
        if not self._ready:
            self._fail(failure)
            return
        lived = time.monotonic() - place.since
        place.failures = 1 if lived >= _STEADY_SECONDS else place.failures + 1
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** (place.failures - 1))
        place.next_start = time.monotonic() + delay
        _log.error("worker %d %s after %.1f s; it is started again in %.1f s", place.index, how, lived, delay)
        if all(not other.up or not other.pid for other in self._places) and place.failures >= _GIVE_UP:
            self._fail(DoliumError(f"the workers keep ending, the last one: {failure.message}"))

    def _fail(self, failure: DoliumError) -> None:
        if self._failure is None:
            self._failure = failure
        self._stop()

    # --- the end -------------------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP and not self._stopping:
            self._reload()

    def _stop(self) -> None:
        wait = (
            _KILL_AFTER_SECOND if self._stopping else self._options.settle + self._options.drain + _KILL_AFTER
        )
        self._stopping = True
        self._kill_at = time.monotonic() + wait
        for sock in self._sockets:
            sock.close()
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for place in self._places:
            if place.pid:
                os.kill(place.pid, number)

    def _kill_all(self) -> None:
        self._kill_at = float("inf")
        if self._preparing:
            os.kill(self._preparing, signal.SIGKILL)
            os.waitpid(self._preparing, 0)
            self._preparing = 0
        self._send(signal.SIGKILL)
        for place in self._places:
            if place.pid:
                os.waitpid(place.pid, 0)
                place.pid = 0

    def _close(self) -> None:
        for place in self._places:
            self._deafen(place)
        self._selector.close()
        self._signals.close()
        self._signals_in.close()
        os.close(self._life)
        os.close(self._life_end)
        for sock in self._sockets:
            sock.close()


def _forget_signals() -> None:
    """In a child."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent passes it on
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)


def _wake_only(number: int, frame: FrameType | None) -> None:
    """The wake-up descriptor tells the parent; this is here so that the signal does nothing else."""


def _tell(pipe: int, what: dict[str, object]) -> None:
    os.write(pipe, json.dumps(what).encode() + b"\n")


def _failure(said: bytes, how: str) -> DoliumError:
    for line in said.splitlines():
        told = json.loads(line)
        if "error" in told:
            return _KINDS.get(told["error"], DoliumError)(told["message"])
    return DoliumError(f"a worker {how}")


def _in_words(wait_status: int) -> str:
    code = os.waitstatus_to_exitcode(wait_status)
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
