"""Reading a 207 Multi-Status (RFC 4918 §13): what lies in a folder of a WebDAV server. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

__all__ = ["Entry", "read_listing"]

_DAV = "DAV:|"
_FIELDS = frozenset(
    ("href", "getcontentlength", "getlastmodified", "getetag", "quota-used-bytes", "quota-available-bytes")
)
_LONGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder; `path` without slashes around it. `used`, `available`: bytes of a folder, where the server
    tells (RFC 4331); Nextcloud has numbers below 0 for what it does not know.
    """

    path: str
    is_folder: bool
    size: int
    modified_ns: int
    mark: str
    used: int | None = None
    available: int | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class _Reading:
    """What has been seen of one response."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._text: list[str] = []
        self._found: dict[str, str] = {}
        self._is_folder = False

    def start(self, name: str, _attributes: object) -> None:
        self._text = []
        if name == f"{_DAV}response":
            self._found, self._is_folder = {}, False
        elif name == f"{_DAV}collection":
            self._is_folder = True

    def text(self, data: str) -> None:
        self._text.append(data)

    def end(self, name: str) -> None:
        field = name.removeprefix(_DAV)
        if field in _FIELDS:
            self._found.setdefault(field, "".join(self._text).strip())
        elif field == "response":
            self.entries.append(self._entry())

    def _entry(self) -> Entry:
        found = self._found
        modified = found.get("getlastmodified")
        return Entry(
            path=unquote(urlsplit(found["href"]).path, errors="strict").strip("/"),
            is_folder=self._is_folder,
            size=int(found.get("getcontentlength") or 0),
            modified_ns=int(parsedate_to_datetime(modified).timestamp()) * 10**9 if modified else 0,
            mark=found.get("getetag", "").strip('"'),
            used=_bytes(found.get("quota-used-bytes")),
            available=_bytes(found.get("quota-available-bytes")),
        )


def read_listing(text: bytes) -> tuple[Entry, ...]:
    """In the order in which they come. Raises ValueError for what is no such document, or one with a DTD."""
    if len(text) > _LONGEST:
        raise ValueError("the listing is too long")
    reading = _Reading()
    parser = expat.ParserCreate(namespace_separator="|")
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, KeyError) as error:
        raise ValueError("no multistatus") from error
    return tuple(reading.entries)


def _bytes(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _refuse(*_: object) -> None:
    raise ValueError("a document type is not taken")
