"""Text of XML documents: escaping, names of keys, the elements that many documents share.

A character that XML 1.0 cannot hold is written as a numeric reference, as AWS does (`&#x1;`): never raw.
Clients that have such keys ask for `encoding-type=url`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from dolium.wire.canonical import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dolium.values import Checksum

__all__ = [
    "DECLARATION",
    "NAMESPACE",
    "Owner",
    "checksum_elements",
    "document",
    "escape",
    "escape_all",
    "legible",
    "owner_elements",
    "speakable",
    "url_encode",
    "url_encode_all",
]

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"

_special = re.compile('[&<>"\x00-\x1f\ufffe\uffff]')
_control = re.compile("[\x00-\x1f\ufffe\uffff]")
_REFERENCES: Final = {char: f"&#x{char:X};" for char in (*range(0x20), 0xFFFE, 0xFFFF)}
_PLAIN: Final = bytes(byte for byte in range(0x20, 0x100) if byte not in b'&<>"')
_UNRESERVED: Final = bytes(byte for byte in range(0x7F) if chr(byte).isalnum() or byte in b"-._~/")


class Owner(Protocol):
    """Who owns a bucket, object or upload."""

    @property
    def canonical_id(self) -> str: ...
    @property
    def display_name(self) -> str: ...


def escape(text: str) -> str:
    """For the text of an element."""
    if _special.search(text) is None:
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return text if _control.search(text) is None else text.translate(_REFERENCES)


_unspeakable = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def speakable(text: str) -> bool:
    """Whether XML 1.0 can carry the text at all."""
    return _unspeakable.search(text) is None


def legible(text: str) -> str:
    """The text with U+FFFD for every character that XML 1.0 cannot carry."""
    return _unspeakable.sub("\ufffd", text)


def url_encode(text: str) -> str:
    """As `encoding-type=url` has it: `/` and unreserved characters stay, a space is %20."""
    return encode(text.encode(), slash=True).decode("ascii")


def escape_all(texts: Sequence[str]) -> Sequence[str]:
    """`escape` for each. One pass over all of them finds out that most pages need it for none."""
    whole = "".join(texts)
    if whole.encode().translate(None, _PLAIN) or "\ufffe" in whole or "\uffff" in whole:
        return [escape(text) for text in texts]
    return texts


def url_encode_all(texts: Sequence[str]) -> Sequence[str]:
    """`url_encode` for each, as `escape_all`."""
    if "".join(texts).encode().translate(None, _UNRESERVED):
        return [url_encode(text) for text in texts]
    return texts


def document(root: str, *content: str) -> bytes:
    """A whole document whose root is in S3's namespace. Many pieces are joined once, for pages are large."""
    return "".join([DECLARATION, f'<{root} xmlns="{NAMESPACE}">', *content, f"</{root}>"]).encode()


def owner_elements(owner: Owner, element: str = "Owner") -> str:
    """`<Owner><ID>…</ID><DisplayName>…</DisplayName></Owner>`."""
    return (
        f"<{element}><ID>{escape(owner.canonical_id)}</ID>"
        f"<DisplayName>{escape(owner.display_name)}</DisplayName></{element}>"
    )


def checksum_elements(checksum: Checksum | None, *, with_type: bool = False) -> str:
    """`<ChecksumCRC32>…</ChecksumCRC32>` and, if wanted, its type. Nothing for None."""
    if checksum is None:
        return ""
    name = f"Checksum{checksum.algorithm}"
    kind = f"<ChecksumType>{checksum.type}</ChecksumType>" if with_type else ""
    return f"<{name}>{checksum.value}</{name}>{kind}"
