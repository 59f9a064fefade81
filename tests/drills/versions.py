"""What a client knows of its keys: for each the versions that may be there now.

An operation that was answered leaves one. One that was cut off leaves two, until it is seen, or another is answered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.clients.raw import Answer

__all__ = ["Known", "Version"]

_SEEN = ("x-amz-meta-tag", "content-type")


@dataclass(frozen=True, slots=True)
class Version:
    """An object as it must be read."""

    body: bytes = field(repr=False)
    etag: str
    headers: Mapping[str, str]

    def is_in(self, answer: Answer) -> bool:
        """Whether a GET has answered this object, whole."""
        return (
            answer.status == 200
            and answer.body == self.body
            and answer.headers["etag"] == f'"{self.etag}"'
            and {name: answer.headers.get(name) for name in _SEEN} == dict(self.headers)
        )


class Known:
    """Of each key the versions that may be there, the oldest first; None: no object."""

    def __init__(self, keys: list[str]) -> None:
        self._may: dict[str, list[Version | None]] = {key: [None] for key in keys}
        self._past: dict[str, list[Version]] = {key: [] for key in keys}

    def settle(self, key: str, version: Version | None) -> None:
        """An operation was answered: this is there."""
        self._may[key] = [version]
        if version is not None:
            self._past[key].append(version)

    def doubt(self, key: str, version: Version | None) -> None:
        """An operation was cut off: this may be there, now or after the next start."""
        self._may[key].append(version)

    def past(self, key: str) -> list[Version]:
        """Every version that was ever there for certain."""
        return self._past[key]

    def certain(self, key: str) -> bool:
        return len(self._may[key]) == 1

    def present(self, key: str) -> Version | None:
        """The version, if it is known for certain that there is one."""
        return self._may[key][0] if self.certain(key) else None

    def see(self, key: str, answer: Answer) -> None:
        """Compare what was read. Seeing the newest settles it; seeing an older one does not, since a commit that was
        cut off at its very end may come to light when the catalog is opened again.
        """
        for version in reversed(self._may[key]):
            if version.is_in(answer) if version is not None else answer.status == 404:
                if version is self._may[key][-1]:
                    self.settle(key, version)
                return
        seen = answer.status, len(answer.body), dict(answer.headers)
        raise AssertionError(f"{key!r} is {seen}, and should be one of {self._may[key]}")

    def check_listed(self, listed: set[str]) -> None:
        """Compare a listing: what is there for certain is in it, and nothing that is not."""
        for key, may in self._may.items():
            if key not in listed:
                assert None in may, f"{key!r} is not listed, and should be one of {may}"
            else:
                assert may != [None], f"{key!r} is listed, and was deleted"
        assert listed <= self._may.keys(), f"nobody put {listed - self._may.keys()}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._may)
