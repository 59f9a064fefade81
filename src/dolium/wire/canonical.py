"""Percent-encoding as AWS signs it, and the canonical path, query and header values.

Unreserved are `A-Z a-z 0-9 - . _ ~`; every other byte is `%XX` in upper case (`/` stays in paths). Most
of what clients send is canonical already, which one regular expression finds out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = [
    "Headers",
    "canonical_path",
    "canonical_query",
    "decode",
    "decode_plus",
    "encode",
    "fields_of",
    "fold",
    "header_lines",
    "join_parts",
    "query_parts",
]

Headers = Sequence[tuple[bytes, bytes]]
"""Lower-case names and values as they came, in order: the headers of an ASGI scope."""

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_ENCODED = [bytes([byte]) if byte in _UNRESERVED else b"%%%02X" % byte for byte in range(256)]
_ENCODED_IN_PATH = [b"/" if byte == 0x2F else _ENCODED[byte] for byte in range(256)]
_reserved = re.compile(rb"[^A-Za-z0-9._~-]").search
_reserved_in_path = re.compile(rb"[^A-Za-z0-9._~/-]").search

# An escape in upper case that stands for a byte which is not unreserved; in a path, not for a slash either.
_NEEDED_IN_PATH = rb"%(?:[0189A-F][0-9A-F]|2[0-9A-C]|3[A-F]|40|5[B-E]|60|7[BCDF])"
_NEEDED = _NEEDED_IN_PATH.replace(b"2[0-9A-C]", b"2[0-9A-CF]")
_TEXT = rb"[A-Za-z0-9._~-]*(?:" + _NEEDED + rb"[A-Za-z0-9._~-]*)*"
_canonical_path = re.compile(rb"[A-Za-z0-9._~/-]*(?:" + _NEEDED_IN_PATH + rb"[A-Za-z0-9._~/-]*)*").fullmatch
_canonical_query = re.compile(_TEXT + b"=" + _TEXT + b"(?:&" + _TEXT + b"=" + _TEXT + b")*").fullmatch
_substitute_escapes = re.compile(rb"%([0-9A-Fa-f]{2})").sub
_collapse = re.compile(rb"  +").sub
_BYTE = {b"%02x" % byte: bytes([byte]) for byte in range(256)}


def decode(data: bytes) -> bytes:
    """Undo percent-encoding once. A `%` without two hex digits stays as it is."""
    if b"%" not in data:
        return data
    return _substitute_escapes(lambda match: _BYTE[match[1].lower()], data)


def decode_plus(data: bytes) -> bytes:
    """`decode` for parts of a query, where `+` is a space."""
    return decode(data.replace(b"+", b" "))


def encode(data: bytes, *, slash: bool = False) -> bytes:
    """Percent-encode; `slash` keeps `/`."""
    if (_reserved_in_path if slash else _reserved)(data) is None:
        return data
    # By a table: a call for each escape would make a page of hostile keys cost a fifth of a second.
    table = _ENCODED_IN_PATH if slash else _ENCODED
    return b"".join([table[byte] for byte in data])


def canonical_path(raw_path: bytes) -> bytes:
    """Decoded once and encoded again; never normalised: `..`, `.` and `//` are just characters of keys."""
    if _canonical_path(raw_path):
        return raw_path or b"/"
    return encode(decode(raw_path), slash=True)


def query_parts(raw_query: bytes) -> list[bytes]:
    """`name=value` with both canonically encoded, in the order of the query. Empty parts are dropped."""
    if _canonical_query(raw_query):
        return raw_query.split(b"&")
    return [
        encode(decode_plus(name)) + b"=" + encode(decode_plus(value))
        for name, _, value in [part.partition(b"=") for part in raw_query.split(b"&") if part]
    ]


def join_parts(parts: list[bytes]) -> bytes:
    """The canonical query of encoded parts: sorted by name, then value.

    `!` is less than every character of an encoded part and takes the place of `=` while sorting: `a=` comes
    before `a-b=`, though `-` is less than `=`.
    """
    parts = b"&".join(parts).replace(b"=", b"!").split(b"&")
    parts.sort()
    return b"&".join(parts).replace(b"!", b"=")


def canonical_query(raw_query: bytes) -> bytes:
    """Sorted by name, then value, each with its `=`."""
    return join_parts(query_parts(raw_query)) if raw_query else b""


def fold(value: bytes) -> bytes:
    """A header value without blanks at its ends, runs of spaces inside made one."""
    value = value.strip(b" \t")
    return _collapse(b" ", value) if b"  " in value else value


def fields_of(headers: Headers) -> dict[bytes, bytes]:
    """Name to value; the values of a repeated name are folded and joined by commas, in order."""
    fields = dict(headers)
    if len(fields) != len(headers):
        fields.clear()
        for name, value in headers:
            fields[name] = fields[name] + b"," + fold(value) if name in fields else fold(value)
    return fields


def header_lines(names: Sequence[bytes], fields: dict[bytes, bytes]) -> bytes:
    """The canonical headers: `name:value` lines in the order of `names`; an absent one is empty."""
    try:
        lines = b"".join([name + b":" + fields[name] + b"\n" for name in names])
    except KeyError:
        pass
    else:
        if not (b"  " in lines or b": " in lines or b" \n" in lines or b"\t" in lines):
            return lines
    return b"".join([name + b":" + fold(fields.get(name, b"")) + b"\n" for name in names])
