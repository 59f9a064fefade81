"""The reader of requests without a connection: bytes in, and what the connection would have been told."""

from __future__ import annotations

from typing import Any

from dolium.server.http.options import HttpOptions, Refusal
from dolium.server.http.reader import RequestReader

__all__ = ["events"]


class _Server:
    options = HttpOptions()


class _Told:
    """In place of a connection. Answers nothing: the requests lie there, as if the app were asleep."""

    def __init__(self) -> None:
        self.server = _Server()
        self.secure = self.deaf = False
        self.waiting = 0
        self.requests: list[Any] = []
        self.whole = 0
        self.refusal: Refusal | None = None

    def heard(self) -> None:
        pass

    def begun(self, exchange: Any) -> None:
        self.requests.append(exchange)

    def ended(self, exchange: Any) -> None:
        self.whole += 1
        if exchange.close:
            self.deaf = True

    def refuse(self, refusal: Refusal) -> None:
        assert self.refusal is None
        self.refusal = refusal
        self.deaf = True


def events(pieces: list[bytes]) -> tuple[object, ...]:
    """Each request with its body, how many are whole, and the status of a refusal. (Of a body that is refused in
    its middle, how much came before depends on the pieces.)
    """
    told = _Told()
    reader = RequestReader(told, ("192.0.2.7", 1), ("192.0.2.1", 80))  # type: ignore[arg-type]
    for piece in pieces:
        if told.deaf:
            break
        reader.feed(piece)
    reader.close()
    found = []
    for exchange in told.requests:
        scope = exchange.scope
        body = b"".join(exchange._pieces or ()) if told.refusal is None or exchange.complete else None
        found.append(
            (
                scope["method"],
                scope["raw_path"],
                scope["query_string"],
                tuple(scope["headers"]),
                exchange.close,
                body,
            )
        )
    return (tuple(found), told.whole, None if told.refusal is None else told.refusal.status)
