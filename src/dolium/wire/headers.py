"""The request headers that are kept with an object and given back with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dolium.errors import Malformed
from dolium.wire.canonical import Headers

__all__ = [
    "DEFAULT_CONTENT_TYPE",
    "STORAGE_CLASSES",
    "ObjectHeaders",
    "decode_value",
    "encode_value",
    "object_header_lines",
    "read_object_headers",
    "response_overrides",
]

DEFAULT_CONTENT_TYPE: Final = "binary/octet-stream"
_MAX_METADATA_BYTES: Final = 2048

STORAGE_CLASSES: Final = frozenset(
    {
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
        "EXPRESS_ONEZONE",
        "OUTPOSTS",
        "SNOW",
    }
)

_STORED: Final = {
    b"cache-control": "cache-control",
    b"content-disposition": "content-disposition",
    b"content-encoding": "content-encoding",
    b"content-language": "content-language",
    b"content-type": "content-type",
    b"expires": "expires",
    b"x-amz-website-redirect-location": "x-amz-website-redirect-location",
}
_OVERRIDES: Final = {
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
    "response-content-language": "content-language",
    "response-content-type": "content-type",
    "response-expires": "expires",
}
_META: Final = b"x-amz-meta-"

_forbidden = re.compile(r"[\r\n\0]").search
_HIDDEN: Final = 0xF700  # a byte b that is not UTF-8 is kept as the private character U+F700 + b
_hidden = re.compile("[\uf780-\uf7ff]").search


@dataclass(frozen=True, slots=True)
class ObjectHeaders:
    """`system`: by lower-case header name; `user`: by lower-case name without `x-amz-meta-`."""

    system: Mapping[str, str] = field(default_factory=dict)
    user: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "STANDARD"


def decode_value(value: bytes) -> str:
    """A header value as text that `encode_value` turns into the very same bytes.

    UTF-8 where it is that. Else (Latin-1, mostly) ASCII, and each other byte as a private character.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if (text or not value) and (text.isascii() or not _hidden(text)):
        return text
    return "".join([chr(byte) if byte < 0x80 else chr(_HIDDEN + byte) for byte in value])


def encode_value(text: str) -> bytes:
    """The inverse of `decode_value`."""
    if not text.isascii() and _hidden(text):
        return bytes([ord(char) & 0xFF for char in text])
    return text.encode()


def read_object_headers(
    headers: Headers, *, storage_classes: frozenset[str] = STORAGE_CLASSES
) -> ObjectHeaders:
    """What a put, a copy with REPLACE or a new upload says of its object.

    Names of user metadata in lower case, values verbatim, repeated ones joined by commas. Raises Malformed:
    MetadataTooLarge, InvalidStorageClass, InvalidRedirectLocation, InvalidArgument.
    """
    system: dict[str, str] = {}
    user: dict[str, str] = {}
    storage_class = "STANDARD"
    for name, value in headers:
        stored = _STORED.get(name)
        if stored is not None:
            text = _checked(name, value)
            if stored == "content-encoding":
                text = _without_chunked(text)
            if text:
                system[stored] = text
        elif name[:11] == _META:
            key = decode_value(name[11:])
            if not key:
                raise Malformed("InvalidArgument", "A metadata name is empty", ArgumentName="x-amz-meta-")
            text = _checked(name, value)
            user[key] = f"{user[key]},{text}" if key in user else text
        elif name == b"x-amz-storage-class":
            storage_class = value.decode("latin-1")
            if storage_class not in storage_classes:
                raise Malformed(
                    "InvalidStorageClass",
                    "The storage class you specified is not valid",
                    StorageClassRequested=storage_class,
                )
    if user:
        _check_size(user)
    redirect = system.get("x-amz-website-redirect-location")
    if redirect is not None and not redirect.startswith(("/", "http://", "https://")):
        raise Malformed(
            "InvalidRedirectLocation",
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
        )
    return ObjectHeaders(system, user, storage_class)


def _checked(name: bytes, value: bytes) -> str:
    text = decode_value(value)
    if _forbidden(text):
        raise Malformed(
            "InvalidArgument", "Header values have no line breaks", ArgumentName=name.decode("latin-1")
        )
    return text


def _without_chunked(text: str) -> str:
    """`aws-chunked` describes the request, not the object."""
    if "aws-chunked" not in text.lower():
        return text
    tokens = [token.strip() for token in text.split(",")]
    return ",".join([token for token in tokens if token and token.lower() != "aws-chunked"])


def _check_size(user: dict[str, str]) -> None:
    size = sum(len(encode_value(name)) + len(encode_value(value)) for name, value in user.items())
    if size > _MAX_METADATA_BYTES:
        raise Malformed(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            Size=str(size),
            MaxSizeAllowed=str(_MAX_METADATA_BYTES),
        )


def object_header_lines(headers: ObjectHeaders) -> list[tuple[bytes, bytes]]:
    """The answer's headers; Content-Type always, the storage class unless it is STANDARD, as AWS."""
    lines = [(name.encode(), encode_value(value)) for name, value in headers.system.items()]
    if "content-type" not in headers.system:
        lines.append((b"content-type", DEFAULT_CONTENT_TYPE.encode()))
    for name, value in headers.user.items():
        lines.append((_META + encode_value(name), encode_value(value)))
    if headers.storage_class != "STANDARD":
        lines.append((b"x-amz-storage-class", headers.storage_class.encode()))
    return lines


def response_overrides(query: Mapping[str, str]) -> dict[str, str]:
    """The `response-*` parameters of a read, by the header that each replaces. Raises Malformed."""
    found = {}
    for name, header in _OVERRIDES.items():
        value = query.get(name)
        if value is not None:
            if _forbidden(value):
                raise Malformed("InvalidArgument", "Header values have no line breaks", ArgumentName=name)
            found[header] = value
    return found
