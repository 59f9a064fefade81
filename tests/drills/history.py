"""Clients that all work on the same few keys, and write down what they asked and what they were told."""

import base64
import hashlib
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from dolium.testing.linearizability import Demand, Operation
from dolium.testing.server import Site
from tests.clients.raw import Answer, target
from tests.drills.wire import BrokenError, DownError, Wire
from tests.s3.client import complete_document, texts

__all__ = ["Historians", "Ledger"]

BUCKET = "history"
_ALL = {200, 204, 206}


@dataclass(slots=True)
class Ledger:
    """What was done, and every body that anybody has tried to write. Threads append to it."""

    operations: list[Operation] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)

    def fresh(self, chance: random.Random, size: int) -> tuple[str, bytes]:
        """A body that nobody has written before, and its ETag."""
        body = chance.randbytes(size)
        etag = hashlib.md5(body).hexdigest()
        self.bodies[etag] = body
        return etag, body


class _Historian:
    """One client. Whatever cannot be put down to a cut connection is an AssertionError."""

    def __init__(self, name: str, site: Site, ledger: Ledger, keys: list[str], seed: int) -> None:
        self.name = name
        self.wire = Wire(site)
        self._ledger = ledger
        self._keys = keys
        self._chance = random.Random(seed)
        self._seen: dict[str, str] = {}  # the ETag that this client has seen last
        self._steps: dict[Callable[[], None], int] = {
            self._read: 30, self._read_range: 6, self._head: 8, self._list: 8, self._put: 20, self._put_if: 14,
            self._delete: 6, self._delete_if: 4, self._delete_many: 3, self._copy: 6, self._upload: 4,
        }  # fmt: skip

    def step(self) -> None:
        if self._chance.random() < 0.1:
            self.wire.close()  # the next connection may be another worker's
        [act] = self._chance.choices(list(self._steps), list(self._steps.values()))
        # The connection broke: what was asked is noted as unknown.
        with suppress(BrokenError):
            act()

    def _note(self, begun: int, ended: int | None, key: str, value: str | None, **more: object) -> None:
        operation = Operation(key, begun, ended, value, note=self.name, **more)  # type: ignore[arg-type]
        self._ledger.operations.append(operation)
        if ended is not None and value is not None:
            self._seen[key] = value

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[Answer, int, int]:
        begun = time.perf_counter_ns()
        answer = self.wire.ask(method, path, headers, body)
        ended = time.perf_counter_ns()
        assert answer.status in _ALL | {404, 412}, (method, path, headers, answer)
        return answer, begun, ended

    # Reads --------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        key = self._chance.choice(self._keys)
        answer, begun, ended = self._ask("GET", target(BUCKET, key))
        etag = _etag(answer)
        if etag is not None:
            assert answer.body == self._ledger.bodies.get(etag), f"{key} {etag}: not the bytes of this ETag"
            assert answer.headers["x-amz-meta-size"] == str(len(answer.body)), (
                f"{key} {etag}: another's metadata"
            )
        self._note(begun, ended, key, etag, reads=True)

    def _read_range(self) -> None:
        key, start = self._chance.choice(self._keys), self._chance.randrange(200)
        answer, begun, ended = self._ask("GET", target(BUCKET, key), {"range": f"bytes={start}-{start + 99}"})
        etag = _etag(answer)
        if etag is not None:
            expected = self._ledger.bodies.get(etag, b"")[start : start + 100]
            assert answer.body == expected, f"{key} {etag}: not the bytes of this ETag"
        self._note(begun, ended, key, etag, reads=True)

    def _head(self) -> None:
        key = self._chance.choice(self._keys)
        answer, begun, ended = self._ask("HEAD", target(BUCKET, key))
        self._note(begun, ended, key, _etag(answer), reads=True)

    def _list(self) -> None:
        """A page is a read of every key: it is there with this ETag, or it is not."""
        answer, begun, ended = self._ask("GET", f"/{BUCKET}?list-type=2")
        etags = (etag.strip('"') for etag in texts(answer, "Contents/ETag"))
        listed = dict(zip(texts(answer, "Contents/Key"), etags, strict=True))
        assert listed.keys() <= set(self._keys)
        for key in self._keys:
            self._note(begun, ended, key, listed.get(key), reads=True)

    # Writes -------------------------------------------------------------------------------------------------

    def _write(
        self, key: str, value: str | None, demand: str | Demand, ask: Callable[[], tuple[Answer, int, int]]
    ) -> None:
        """Note what comes of it; a refusal says that the demand does not hold, a 404 that nothing is there."""
        begun = time.perf_counter_ns()
        try:
            answer, begun, ended = ask()
        except BrokenError:
            self._note(begun, None, key, value, demand=demand)
            raise
        if answer.status in _ALL:
            self._note(begun, ended, key, value, demand=demand)
            return
        assert demand is not Demand.NOTHING, answer
        if answer.status == 404:
            self._note(begun, ended, key, None, reads=True)
        else:
            self._note(begun, ended, key, value, demand=demand, refused=True)

    def _size(self) -> int:
        """Some lie in the catalog, some in files."""
        return self._chance.choice(
            (self._chance.randrange(300, 4000), self._chance.randrange(17_000, 90_000))
        )

    def _put(self) -> None:
        self._put_to(self._chance.choice(self._keys), Demand.NOTHING)

    def _put_if(self) -> None:
        key = self._chance.choice(self._keys)
        self._put_to(key, self._chance.choice((Demand.ABSENCE, self._seen.get(key, Demand.ABSENCE))))

    def _put_to(self, key: str, demand: str | Demand) -> None:
        etag, body = self._ledger.fresh(self._chance, self._size())
        headers = {"x-amz-meta-size": str(len(body)), **_condition(demand)}
        self._write(key, etag, demand, lambda: self._ask("PUT", target(BUCKET, key), headers, body))

    def _delete(self) -> None:
        key = self._chance.choice(self._keys)
        self._write(key, None, Demand.NOTHING, lambda: self._ask("DELETE", target(BUCKET, key)))

    def _delete_if(self) -> None:
        key = self._chance.choice(self._keys)
        etag = self._seen.get(key)
        if etag is not None:
            headers = {"if-match": f'"{etag}"'}
            self._write(key, None, etag, lambda: self._ask("DELETE", target(BUCKET, key), headers))

    def _delete_many(self) -> None:
        keys = self._chance.sample(self._keys, 2)
        listed = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
        body = f"<Delete>{listed}</Delete>".encode()
        md5 = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        begun, ended = time.perf_counter_ns(), None
        try:
            answer, begun, ended = self._ask("POST", f"/{BUCKET}?delete", md5, body)
            assert sorted(texts(answer, "Deleted/Key")) == sorted(keys), answer
        finally:
            for key in keys:
                self._note(begun, ended, key, None)

    def _copy(self) -> None:
        """Reads one key and writes another. What it read is known beforehand, or the copy is refused."""
        source, key = self._chance.sample(self._keys, 2)
        etag = self._seen.get(source)
        if etag is None:
            return
        headers = {"x-amz-copy-source": target(BUCKET, source), "x-amz-copy-source-if-match": f'"{etag}"'}
        begun = time.perf_counter_ns()
        try:
            answer, begun, ended = self._ask("PUT", target(BUCKET, key), headers)
        except BrokenError:
            self._note(begun, None, key, etag)
            raise
        if answer.status == 404:
            self._note(begun, ended, source, None, reads=True)
        elif answer.status == 412:
            self._note(begun, ended, source, None, demand=etag, refused=True)
        else:
            assert answer.field("ETag").strip('"') == etag, answer
            self._note(begun, ended, source, etag, reads=True)
            self._note(begun, ended, key, etag)

    def _upload(self) -> None:
        key = self._chance.choice(self._keys)
        _, body = self._ledger.fresh(self._chance, self._size())
        whole = f"{hashlib.md5(hashlib.md5(body).digest()).hexdigest()}-1"
        self._ledger.bodies[whole] = body
        begun, _, _ = self._ask("POST", target(BUCKET, key, "uploads"), {"x-amz-meta-size": str(len(body))})
        upload = begun.field("UploadId")
        part, _, _ = self._ask("PUT", target(BUCKET, key, f"partNumber=1&uploadId={upload}"), body=body)
        assert part.status == 200, part
        document = complete_document({1: part.headers["etag"].strip('"')})
        demand = self._chance.choice((Demand.NOTHING, Demand.ABSENCE))
        path = target(BUCKET, key, f"uploadId={upload}")
        self._write(key, whole, demand, lambda: self._ask("POST", path, _condition(demand), document))


def _etag(answer: Answer) -> str | None:
    return None if answer.status == 404 else answer.headers["etag"].strip('"')


def _condition(demand: str | Demand) -> dict[str, str]:
    if demand is Demand.NOTHING:
        return {}
    return {"if-none-match": "*"} if demand is Demand.ABSENCE else {"if-match": f'"{demand}"'}


class Historians:
    """Clients at work, each on a thread of its own, from the start to `end`."""

    def __init__(self, site: Site, *, clients: int, keys: int, seed: int) -> None:
        self.ledger = Ledger()
        self._keys = [f"key-{number}" for number in range(keys)]
        self._ends = threading.Event()
        self._failures: list[BaseException] = []
        self._seed = seed
        first = Wire(site)
        assert first.ask("PUT", f"/{BUCKET}").status == 200
        first.close()
        names = [f"client {number}" for number in range(clients)]
        self._clients = [
            _Historian(name, site, self.ledger, self._keys, seed + at) for at, name in enumerate(names)
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(client,), name=client.name, daemon=True)
            for client in self._clients
        ]
        for thread in self._threads:
            thread.start()

    def work(self, seconds: float) -> None:
        """Let them work. Raises what one of them found wrong."""
        deadline = time.monotonic() + seconds
        while not self._failures and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
        self._raise_failure()

    def end(self) -> list[Operation]:
        """Stop them; all that was noted. Raises what one of them found wrong."""
        self._ends.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a client hangs"
        for client in self._clients:
            client.wire.close()
        self._raise_failure()
        return self.ledger.operations

    def _raise_failure(self) -> None:
        if self._failures:
            self._failures[0].add_note(f"seed: {self._seed}")
            raise self._failures[0]

    def _run(self, client: _Historian) -> None:
        while not self._ends.is_set():
            try:
                client.step()
            except DownError:
                self._ends.wait(0.01)
            except BaseException as failure:  # noqa: BLE001 - raised where the drill waits
                self._failures.append(failure)
                return
