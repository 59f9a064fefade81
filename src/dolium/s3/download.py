"""The bytes of a version on their way to a client; and what to do when it is replaced while they are looked for."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Self

from dolium.asgi.bridge import Strand
from dolium.asgi.messages import FileBody, Pieces, Response
from dolium.errors import BlobCorrupt, VersionGone
from dolium.objects import get
from dolium.objects.ahead import OpenAhead
from dolium.objects.damage import Guard
from dolium.objects.get import OpenFile, Segment
from dolium.s3.call import Site
from dolium.stores.contract import BlobReader

__all__ = ["download", "until_it_stays"]

_PIECE = 256 << 10
_LOOKS = 16


async def until_it_stays(look: Callable[[], Awaitable[Response]]) -> Response:
    """The answer of `look`. Where what it found was replaced and swept before it could be opened, it looks again.

    Raises what `look` raises; VersionGone after many looks.
    """
    for _ in range(_LOOKS - 1):
        try:
            return await look()
        except VersionGone:
            continue
    return await look()


async def download(site: Site, segments: list[Segment]) -> bytes | Pieces:
    """The body of an answer, with its first segments open and its first bytes checked: until then it can be an error, or
    be begun anew with another copy.

    Raises VersionGone, StoreError.
    """
    members = site.service.members
    for _ in range(max((len(members.get(segment.store_id, ())) for segment in segments), default=0) - 1):
        try:
            return await _begun(site, segments)
        except BlobCorrupt:
            continue  # that copy is not read again, if there is another
    return await _begun(site, segments)


async def _begun(site: Site, segments: list[Segment]) -> bytes | Pieces:
    body = _Download(site, segments)
    try:
        await body.begin()
        if body.begun is not None and len(body.begun) == sum(segment.length for segment in segments):
            await body.aclose()
            return body.begun
    except BaseException:
        await body.aclose()
        raise
    return body


class _Download:
    """The segments one after the other, those to come held open. Whatever goes wrong in it breaks the connection, for
    the length is said already.
    """

    def __init__(self, site: Site, segments: list[Segment]) -> None:
        self._opened = OpenAhead(site.service, segments)
        stores = dict.fromkeys(segment.store_id for segment in segments)
        far = [store_id for store_id in stores if not site.service.store(store_id).local]
        self._local = not far
        store_id = far[0] if far else segments[0].store_id
        self._strand = Strand(site.bridge, lambda: store_id, self._release)
        self._current: OpenFile | BlobReader | None = None
        self.begun: bytes | None = None

    async def begin(self) -> None:
        """Open, and read the first bytes if there is something to check them against."""
        if self._local:
            self._opened.fill()
        else:
            await self._strand.run(self._opened.fill)
        current = await self._next()
        if isinstance(current, OpenFile) and current.guard is not None:
            self.begun = get.read_start(current, current.guard, cached=True)
            if self.begun is None:
                self.begun = await self._strand.run(_read_start, current, current.guard)
            self._current = current.rest(len(self.begun))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes | FileBody:
        begun, self.begun = self.begun, None
        if begun:
            return begun
        while True:
            current = self._current if self._current is not None else await self._next()
            if current is None:
                raise StopAsyncIteration
            if isinstance(current, OpenFile):
                self._current = None
                if current.length:
                    return FileBody(current.descriptor, current.offset, current.length, current.guard)
                os.close(current.descriptor)  # all of it was read before the head
                continue
            if data := await self._strand.run(current.read, _PIECE):
                return data
            await self._strand.run(self._close_current)

    async def _next(self) -> OpenFile | BlobReader | None:
        if self._local:
            self._advance()
        else:
            await self._strand.run(self._advance)
        return self._current

    def _advance(self) -> None:
        """Kept here by the thread itself, so that what was given up is closed with the rest."""
        self._current = self._opened.next()

    async def aclose(self) -> None:
        if self._local and not self._strand.abandoned:
            self._release()
        else:
            await self._strand.close()

    def _release(self) -> None:
        self._opened.close()
        self._close_current()

    def _close_current(self) -> None:
        current, self._current = self._current, None
        if isinstance(current, OpenFile):
            os.close(current.descriptor)
        elif current is not None:
            current.close()


def _read_start(opened: OpenFile, guard: Guard) -> bytes:
    return get.read_start(opened, guard, cached=False) or b""
