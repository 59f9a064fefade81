"""The XML documents that clients send, read strictly.

Whatever is not a plain document of the expected shape is MalformedXML: another encoding than UTF-8, a DTD
(so no entity can be declared), processing instructions, depth, an unknown root or element, an element twice.
The namespace may be S3's or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.parsers import expat

from dolium.errors import Malformed
from dolium.values import Checksum, ChecksumAlgorithm
from dolium.wire.checksums import parse_value
from dolium.wire.dates import parse_http_date, parse_iso
from dolium.wire.render.text import NAMESPACE

__all__ = ["CompletePart", "DeleteKey", "DeleteRequest", "read_complete", "read_delete", "read_location"]

_MAX_BYTES: Final = 4 << 20
_MAX_KEYS: Final = 1000
_MAX_PARTS: Final = 10_000
_MAX_DEPTH: Final = 8

_CHECKSUMS = {f"Checksum{algorithm}": algorithm for algorithm in ChecksumAlgorithm}


@dataclass(frozen=True, slots=True)
class DeleteKey:
    """One object to delete. `etag`, `modified` (seconds) and `size`: delete only if they are so."""

    key: str
    version_id: str | None = None
    etag: str | None = None
    modified: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """`quiet`: tell only of failures."""

    keys: list[DeleteKey]
    quiet: bool


@dataclass(frozen=True, slots=True)
class CompletePart:
    """`etag` is bare."""

    number: int
    etag: str
    checksum: Checksum | None


class _Element:
    """Name, text and children of an element; attributes mean nothing in these documents."""

    __slots__ = ("children", "name", "pieces")

    def __init__(self, name: str) -> None:
        self.name = name
        self.pieces: list[str] = []
        self.children: list[_Element] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def _malformed(
    message: str = "The XML you provided was not well-formed or did not validate against our published schema",
) -> Malformed:
    return Malformed("MalformedXML", message)


class _Builder:
    """Expat's handlers. What they raise comes out of `Parse`."""

    def __init__(self) -> None:
        self.root: _Element | None = None
        self._open: list[_Element] = []

    def start(self, name: str, _attributes: Mapping[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if namespace not in ("", NAMESPACE) or len(self._open) >= _MAX_DEPTH:
            raise _malformed()
        element = _Element(local)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].pieces.append(data)

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.upper() not in ("UTF-8", "US-ASCII"):
            raise _malformed()

    def refuse(self, *_: object) -> None:
        raise _malformed()


def _parse(data: bytes, root: str) -> _Element:
    """The root element, which must have this name. Raises Malformed (MalformedXML)."""
    if len(data) > _MAX_BYTES:
        raise Malformed(
            "MaxMessageLengthExceeded", "Your request was too big.", MaxMessageLengthBytes=str(_MAX_BYTES)
        )
    if b"\0" in data:  # UTF-16 and UTF-32, whose byte order mark expat would heed
        raise _malformed()
    builder = _Builder()
    parser = expat.ParserCreate("UTF-8", " ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.XmlDeclHandler = builder.declaration
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.ProcessingInstructionHandler = builder.refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        raise _malformed() from None
    if builder.root is None or builder.root.name != root:
        raise _malformed()
    return builder.root


def _fields(
    element: _Element, *, once: frozenset[str], many: frozenset[str] = frozenset()
) -> dict[str, _Element]:
    """The children that may be there once, by name. Raises for any other, and for text between them."""
    if element.text.strip():
        raise _malformed()
    found: dict[str, _Element] = {}
    for child in element.children:
        name = child.name
        if name in many:
            continue
        if name not in once or name in found:
            raise _malformed()
        found[name] = child
    return found


def _text(element: _Element | None) -> str | None:
    if element is None:
        return None
    if element.children:
        raise _malformed()
    return element.text


def _number(element: _Element | None, most: int) -> int:
    text = (_text(element) or "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) > most:
        raise _malformed()
    return int(text)


_DELETE = frozenset({"Quiet"})
_DELETE_MANY = frozenset({"Object"})
_DELETE_KEY = frozenset({"Key", "VersionId", "ETag", "LastModifiedTime", "Size"})


def read_delete(data: bytes) -> DeleteRequest:
    """The `Delete` of DeleteObjects: 1 to 1,000 keys. Raises Malformed (MalformedXML).

    Lengths of keys are not checked: no object has a key that is too long, so it is gone already.
    """
    root = _parse(data, "Delete")
    fields = _fields(root, once=_DELETE, many=_DELETE_MANY)
    quiet = (_text(fields.get("Quiet")) or "false").strip().lower()
    if quiet not in ("true", "false"):
        raise _malformed()
    keys = [_delete_key(child) for child in root.children if child.name == "Object"]
    if not 1 <= len(keys) <= _MAX_KEYS:
        raise _malformed()
    return DeleteRequest(keys, quiet == "true")


def _delete_key(element: _Element) -> DeleteKey:
    fields = _fields(element, once=_DELETE_KEY)
    key = _text(fields.get("Key"))
    if not key:
        raise _malformed()
    modified = None
    if "LastModifiedTime" in fields:
        text = (_text(fields["LastModifiedTime"]) or "").strip()
        modified = parse_iso(text)
        if modified is None:
            modified = parse_http_date(text)
        if modified is None:
            raise _malformed()
    return DeleteKey(
        key,
        _text(fields.get("VersionId")) or None,
        _text(fields.get("ETag")) or None,
        modified,
        _number(fields["Size"], 1 << 53) if "Size" in fields else None,
    )


_COMPLETE_MANY = frozenset({"Part"})
_PART = frozenset({"PartNumber", "ETag", *_CHECKSUMS})


def read_complete(data: bytes) -> list[CompletePart]:
    """The parts that CompleteMultipartUpload names, in its order: at least one.

    Raises Malformed: MalformedXML, InvalidRequest (a checksum that is none).
    """
    root = _parse(data, "CompleteMultipartUpload")
    _fields(root, once=frozenset(), many=_COMPLETE_MANY)
    if not 1 <= len(root.children) <= _MAX_PARTS:
        raise _malformed()
    return [_complete_part(child) for child in root.children]


def _complete_part(element: _Element) -> CompletePart:
    fields = _fields(element, once=_PART)
    number = _number(fields.get("PartNumber"), 999_999_999)
    etag = (_text(fields.get("ETag")) or "").strip().removeprefix('"').removesuffix('"')
    if not etag:
        raise _malformed()
    checksum = None
    for name, field in fields.items():
        algorithm = _CHECKSUMS.get(name)
        if algorithm is not None:
            if checksum is not None:
                raise _malformed()
            checksum = Checksum(algorithm, parse_value(algorithm, _text(field) or ""))
    return CompletePart(number, etag, checksum)


_CONFIGURATION = frozenset({"LocationConstraint", "Location", "Bucket", "Tags"})


def read_location(data: bytes) -> str | None:
    """The `LocationConstraint` of CreateBucket, None if it has none. Other parts are taken and not heeded.

    Raises Malformed (MalformedXML).
    """
    if not data.strip():
        return None
    fields = _fields(_parse(data, "CreateBucketConfiguration"), once=_CONFIGURATION)
    return (_text(fields.get("LocationConstraint")) or "").strip() or None
