"""Documents that clients send: read right, or refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolium.errors import Malformed
from dolium.values import Checksum, ChecksumAlgorithm
from dolium.wire.documents import (
    CompletePart,
    DeleteKey,
    DeleteRequest,
    read_complete,
    read_delete,
    read_location,
)
from dolium.wire.render.text import escape

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def delete(content: str, root: str = f"Delete {NAMESPACE}") -> bytes:
    return f"<{root}>{content}</{root.split(maxsplit=1)[0]}>".encode()


def complete(content: str) -> bytes:
    return f"<CompleteMultipartUpload {NAMESPACE}>{content}</CompleteMultipartUpload>".encode()


def test_delete() -> None:
    content = """
      <Quiet>true</Quiet>
      <Object><Key>a</Key></Object>
      <Object><Key> b &amp; &lt;c&gt;\t</Key><VersionId>v</VersionId><ETag>"e"</ETag>
        <LastModifiedTime>2026-01-02T03:04:05Z</LastModifiedTime><Size>7</Size></Object>
      <!-- not a key -->
      <Object><VersionId/><Key><![CDATA[../<d>]]></Key>
        <LastModifiedTime>Fri, 02 Jan 2026 03:04:05 GMT</LastModifiedTime></Object>"""
    expected = DeleteRequest(
        [
            DeleteKey("a"),
            DeleteKey(" b & <c>\t", "v", '"e"', 1_767_323_045, 7),
            DeleteKey("../<d>", modified=1_767_323_045),
        ],
        quiet=True,
    )
    assert read_delete(delete(content)) == expected
    assert read_delete(delete(content, "Delete")) == expected
    assert read_delete(b'<?xml version="1.0" encoding="UTF-8"?>\n' + delete(content)) == expected
    assert read_delete(b"\xef\xbb\xbf" + delete(content)) == expected
    prefixed = f'<s:Delete xmlns:s="{NAMESPACE[7:-1]}"><s:Object><s:Key>a</s:Key></s:Object></s:Delete>'
    assert read_delete(prefixed.encode()) == DeleteRequest([DeleteKey("a")], quiet=False)


def test_a_thousand_keys() -> None:
    body = "".join(f"<Object><Key>{number}</Key></Object>" for number in range(1000))
    request = read_delete(delete(body))
    assert (len(request.keys), request.quiet) == (1000, False)
    with pytest.raises(Malformed):
        read_delete(delete(body + "<Object><Key>x</Key></Object>"))


@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff", min_codepoint=32),
        min_size=1,
    )
)
def test_any_key_comes_through(key: str) -> None:
    assert read_delete(delete(f"<Object><Key>{escape(key)}</Key></Object>")).keys == [DeleteKey(key)]


OBJECT = "<Object><Key>a</Key></Object>"
BOMB = '<!DOCTYPE Delete [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "no XML": b"key=a",
    "truncated": delete(OBJECT)[:-3],
    "two roots": delete(OBJECT) * 2,
    "text behind": delete(OBJECT) + b"x",
    "wrong root": delete(OBJECT, "Remove"),
    "another namespace": delete(OBJECT, 'Delete xmlns="http://example.org/"'),
    "entity bomb": (BOMB + "<Delete><Object><Key>&b;</Key></Object></Delete>").encode(),
    "external entity": b'<!DOCTYPE Delete [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + delete(OBJECT),
    "external DTD": b'<!DOCTYPE Delete SYSTEM "http://example.org/x.dtd">' + delete(OBJECT),
    "empty DTD": b"<!DOCTYPE Delete>" + delete(OBJECT),
    "undefined entity": delete("<Object><Key>&x;</Key></Object>"),
    "processing instruction": b"<?php echo 1 ?>" + delete(OBJECT),
    "UTF-16": delete(OBJECT).decode().encode("utf-16"),
    "UTF-16 without a mark": delete(OBJECT).decode().encode("utf-16-be"),
    "UTF-32": delete(OBJECT).decode().encode("utf-32"),
    "declared UTF-16": b'<?xml version="1.0" encoding="UTF-16"?>' + delete(OBJECT),
    "declared Latin-1": b'<?xml version="1.0" encoding="ISO-8859-1"?>' + delete(OBJECT),
    "invalid UTF-8": delete("<Object><Key>X</Key></Object>").replace(b"X", b"\xff"),
    "NUL": delete("<Object><Key>&#0;</Key></Object>"),
    "control character": delete("<Object><Key>&#1;</Key></Object>"),
    "depth": delete("<Object>" * 20 + "</Object>" * 20),
    "a million deep": b"<Delete>" + b"<a>" * 500_000,
    "no keys": delete(""),
    "no key": delete("<Object></Object>"),
    "empty key": delete("<Object><Key></Key></Object>"),
    "two keys in one": delete("<Object><Key>a</Key><Key>b</Key></Object>"),
    "element in key": delete("<Object><Key>a<b/></Key></Object>"),
    "unknown element": delete(OBJECT + "<Loud>true</Loud>"),
    "unknown element in object": delete("<Object><Key>a</Key><Name>b</Name></Object>"),
    "two Quiet": delete("<Quiet>true</Quiet><Quiet>true</Quiet>" + OBJECT),
    "Quiet neither": delete("<Quiet>maybe</Quiet>" + OBJECT),
    "text between": delete("x" + OBJECT),
    "a size that is none": delete("<Object><Key>a</Key><Size>big</Size></Object>"),
    "a negative size": delete("<Object><Key>a</Key><Size>-1</Size></Object>"),
    "a time that is none": delete("<Object><Key>a</Key><LastModifiedTime>now</LastModifiedTime></Object>"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_delete(name: str) -> None:
    with pytest.raises(Malformed) as refusal:
        read_delete(MALFORMED[name])
    assert refusal.value.code == "MalformedXML"


@pytest.mark.parametrize("read", [read_delete, read_complete, read_location])
def test_a_document_that_is_too_large(read: Callable[[bytes], object]) -> None:
    with pytest.raises(Malformed) as refusal:
        read(b"<Delete>" + b" " * (4 << 20))
    assert refusal.value.code == "MaxMessageLengthExceeded"


def test_complete() -> None:
    parts = read_complete(
        complete(
            "<Part><PartNumber>1</PartNumber><ETag>&quot;e1&quot;</ETag></Part>"
            "<Part><ETag> e2 </ETag><PartNumber> 2 </PartNumber><ChecksumCRC32>y/Q5Jg==</ChecksumCRC32></Part>"
            "<Part><ETag>e3</ETag><PartNumber>2</PartNumber><ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME></Part>"
        )
    )
    assert parts == [
        CompletePart(1, "e1", None),
        CompletePart(2, "e2", Checksum(ChecksumAlgorithm.CRC32, "y/Q5Jg==")),
        CompletePart(2, "e3", Checksum(ChecksumAlgorithm.CRC64NVME, "rosUhgp5mIg=")),
    ]


TWO_CHECKSUMS = "<ChecksumCRC32>y/Q5Jg==</ChecksumCRC32><ChecksumCRC32C>4waSgw==</ChecksumCRC32C>"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "MalformedXML"),
        ("<Part><ETag>e</ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber></Part>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber><ETag></ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>one</PartNumber><ETag>e</ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>-1</PartNumber><ETag>e</ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber><PartNumber>2</PartNumber><ETag>e</ETag></Part>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>5</Size></Part>", "MalformedXML"),
        ("<Thing/>", "MalformedXML"),
        ("<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>" * 10_001, "MalformedXML"),
        (
            "<Part><PartNumber>1</PartNumber><ETag>e</ETag><ChecksumCRC32>x</ChecksumCRC32></Part>",
            "InvalidRequest",
        ),
        ("<Part><PartNumber>1</PartNumber><ETag>e</ETag>" + TWO_CHECKSUMS + "</Part>", "MalformedXML"),
    ],
)
def test_malformed_complete(content: str, code: str) -> None:
    with pytest.raises(Malformed) as refusal:
        read_complete(complete(content))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("content", "location"),
    [
        ("", None),
        ("<LocationConstraint>eu-west-1</LocationConstraint>", "eu-west-1"),
        ("<LocationConstraint></LocationConstraint>", None),
        ("<Location><Name>x</Name><Type>y</Type></Location><Bucket><Type>z</Type></Bucket>", None),
        ("<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>", None),
    ],
)
def test_location(content: str, location: str | None) -> None:
    body = f"<CreateBucketConfiguration {NAMESPACE}>{content}</CreateBucketConfiguration>"
    assert read_location(body.encode()) == location


def test_no_location_at_all() -> None:
    assert read_location(b" \n") is None


@pytest.mark.parametrize(
    "body",
    [
        b"<LocationConstraint>x</LocationConstraint>",
        b"<CreateBucketConfiguration><X/></CreateBucketConfiguration>",
    ],
)
def test_malformed_location(body: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        read_location(body)
    assert refusal.value.code == "MalformedXML"
