"""Names on the wire: buckets, keys, and what path and host address.

A raw path is percent-decoded exactly once, each segment by itself, and nothing is normalised: `..`, `//`
and a leading `/` are characters of the key. Whoever authorises and whoever acts use the same string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from dolium.errors import Malformed
from dolium.wire.canonical import decode

__all__ = [
    "Address",
    "CopySource",
    "Hosts",
    "check_bucket_name",
    "check_key",
    "parse_copy_source",
    "read_address",
]

_MAX_KEY_BYTES = 1024

_bucket_name = re.compile(r"(?!.*(?:\.\.|\.-|-\.))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_address_like = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}").fullmatch
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_broken_escape = re.compile(rb"%(?![0-9A-Fa-f]{2})").search


class Address(NamedTuple):
    """What a request is about; None for what it does not name. The bucket's name is not checked."""

    tenancy: str | None
    bucket: str | None
    key: str | None


class CopySource(NamedTuple):
    bucket: str
    key: str
    version_id: str | None


def check_bucket_name(name: str) -> str:
    """AWS's rules for general purpose buckets. Raises Malformed (InvalidBucketName)."""
    if (
        not _bucket_name(name)
        or _address_like(name)
        or name.startswith(_RESERVED_STARTS)
        or name.endswith(_RESERVED_ENDS)
    ):
        raise Malformed("InvalidBucketName", "The specified bucket is not valid.", BucketName=name)
    return name


def check_key(key: str) -> str:
    """Raises Malformed: KeyTooLongError over 1,024 bytes of UTF-8, InvalidArgument if empty or with NUL."""
    if len(key) > 255:
        size = len(key.encode())
        if size > _MAX_KEY_BYTES:
            raise Malformed(
                "KeyTooLongError",
                "Your key is too long",
                Size=str(size),
                MaxSizeAllowed=str(_MAX_KEY_BYTES),
            )
    if not key or "\0" in key:
        raise Malformed("InvalidArgument", "Object keys have 1 to 1,024 bytes and no NUL", ArgumentName="key")
    return key


class Hosts:
    """Which tenancy and bucket a host name stands for.

    A pattern is a host name in which a label, or a part of one, may be `{tenancy}` or `{bucket}`:
    `{tenancy}.s3.example.org`. Patterns are tried in order, then once more with a bucket before each
    that names none. An unknown host or an IP address says nothing; port and case do not count.
    Raises ValueError for a pattern that is no host name.
    """

    __slots__ = ("_known", "_patterns")

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        plain = [_compile(pattern) for pattern in patterns]
        styled = [_compile("{bucket}." + pattern) for pattern in patterns if "{bucket}" not in pattern]
        self._patterns = plain + styled
        self._known: dict[bytes, tuple[str | None, str | None]] = {}

    def read(self, host: bytes) -> tuple[str | None, str | None]:
        """(tenancy, bucket) of a Host header."""
        if not self._patterns or len(host) > 300:  # longer than any host name and port
            return None, None
        found = self._known.get(host)
        if found is None:
            found = self._match(host)
            if len(self._known) >= 4096:
                self._known.clear()
            self._known[host] = found
        return found

    def _match(self, host: bytes) -> tuple[str | None, str | None]:
        name = _without_port(host.decode("latin-1").lower()).removesuffix(".")
        for pattern in self._patterns:
            if match := pattern.fullmatch(name):
                parts = match.groupdict()
                return parts.get("tenancy"), parts.get("bucket")
        return None, None


_PLACEHOLDERS = {
    "{tenancy}": "(?P<tenancy>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)",
    "{bucket}": "(?P<bucket>[a-z0-9][a-z0-9.-]*[a-z0-9])",
}
_pattern_parts = re.compile(r"\{tenancy\}|\{bucket\}|[a-z0-9.-]+")


def _compile(pattern: str) -> re.Pattern[str]:
    pattern = pattern.lower()
    parts = _pattern_parts.findall(pattern)
    if not pattern or "".join(parts) != pattern or any(parts.count(name) > 1 for name in _PLACEHOLDERS):
        raise ValueError(f"{pattern!r} is not a host name with at most one {{tenancy}} and one {{bucket}}")
    return re.compile("".join([_PLACEHOLDERS.get(part) or re.escape(part) for part in parts]))


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and "]" not in port else host


def read_address(raw_path: bytes, host: bytes, hosts: Hosts) -> Address:
    """Split a raw path (no query) into bucket and key, as the host says.

    Raises Malformed: InvalidURI (broken escape, invalid UTF-8, no leading `/`), KeyTooLongError,
    InvalidArgument (NUL in the key).
    """
    tenancy, bucket = hosts.read(host)
    if raw_path[:1] != b"/":
        raise _invalid_uri()
    if bucket is not None:
        return Address(tenancy, bucket, check_key(_text(raw_path[1:])) if len(raw_path) > 1 else None)
    if len(raw_path) == 1:
        return Address(tenancy, None, None)
    first, _, rest = raw_path[1:].partition(b"/")
    if not first:
        raise _invalid_uri()
    return Address(tenancy, _text(first), check_key(_text(rest)) if rest else None)


def _text(raw: bytes) -> str:
    if b"%" in raw:
        if _broken_escape(raw):
            raise _invalid_uri()
        raw = decode(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise _invalid_uri() from None


def _invalid_uri() -> Malformed:
    return Malformed("InvalidURI", "Couldn't parse the specified URI.")


def parse_copy_source(value: bytes) -> CopySource:
    """`x-amz-copy-source`: `[/]bucket/key[?versionId=id]`, percent-encoded. For CopyObject and UploadPartCopy.

    Raises Malformed: InvalidArgument (no bucket, no key, empty version, invalid UTF-8), KeyTooLongError.
    """
    source, question, version = value.rpartition(b"?versionId=")
    if not question:
        source = value
    bucket, _, key = source.removeprefix(b"/").partition(b"/")
    if key:
        bucket, key = decode(bucket), decode(key)
    else:  # some clients encode the slash between them as well
        bucket, _, key = decode(bucket).removeprefix(b"/").partition(b"/")
    if not bucket or not key or (question and not version):
        raise _bad_source(value)
    try:
        names = CopySource(
            bucket.decode(), check_key(key.decode()), decode(version).decode() if question else None
        )
    except UnicodeDecodeError:
        raise _bad_source(value) from None
    return names


def _bad_source(value: bytes) -> Malformed:
    return Malformed(
        "InvalidArgument",
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        ArgumentName="x-amz-copy-source",
        ArgumentValue=value.decode("latin-1"),
    )
