"""Documents that are none, or that would do something to whoever reads them."""

import base64
import hashlib

import pytest

from tests.s3.client import Refusal, complete_document
from tests.s3.conftest import Stage

MALFORMED = (400, "MalformedXML")
INVALID_PART = (400, "InvalidPart")


def md5(body: bytes) -> dict[str, str]:
    return {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}


def _bomb(root: str) -> bytes:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    return f'<!DOCTYPE {root} [<!ENTITY e0 "x">{entities}]><{root}><Key>&e9;</Key></{root}>'.encode()


def _documents(root: str, inner: str) -> dict[str, bytes]:
    """Ways in which a document with this root can be none; `inner` would be fine in it."""
    fine = f"<{root}>{inner}</{root}>"
    return {
        "empty": b"",
        "no XML": b"this is no document",
        "truncated": fine[:-3].encode(),
        "two roots": (fine + fine).encode(),
        "wrong root": fine.replace(root, "Other").encode(),
        "wrong namespace": fine.replace(f"<{root}>", f'<{root} xmlns="http://example.org/">').encode(),
        "unknown element": fine.replace(inner, f"{inner}<Other/>").encode(),
        "text between": fine.replace(inner, f"{inner}text").encode(),
        "DTD": f"<!DOCTYPE {root}>{fine}".encode(),
        "entity": f'<!DOCTYPE {root} [<!ENTITY a "k">]><{root}>{inner}&a;</{root}>'.encode(),
        "bomb": _bomb(root),
        "external": (
            f'<!DOCTYPE {root} [<!ENTITY a SYSTEM "file:///etc/passwd">]><{root}>{inner}&a;</{root}>'
        ).encode(),
        "external DTD": f'<!DOCTYPE {root} SYSTEM "http://127.0.0.1:1/x.dtd">{fine}'.encode(),
        "undeclared entity": f"<{root}>{inner}&a;</{root}>".encode(),
        "instruction": f"<?php echo 1 ?>{fine}".encode(),
        "stylesheet": f'<?xml-stylesheet href="x"?>{fine}'.encode(),
        "UTF-16": f'<?xml version="1.0" encoding="UTF-16"?>{fine}'.encode("utf-16"),
        "Latin-1": f'<?xml version="1.0" encoding="ISO-8859-1"?>{fine}'.encode(),
        "UTF-7": f'<?xml version="1.0" encoding="UTF-7"?>{fine}'.encode(),
        "no UTF-8": fine.encode().replace(b"</", b"\xff</", 1),
        "NUL": fine.encode() + b"\0",
        "control character": f"<{root}>\x01{inner}</{root}>".encode(),
        "deep": b"<a>" * 1_000_000,
        "deep and closed": f"<{root}>".encode()
        + b"<a>" * 100_000
        + b"</a>" * 100_000
        + f"</{root}>".encode(),
    }


DELETE = _documents("Delete", "<Object><Key>kept</Key></Object>")
COMPLETE = _documents(
    "CompleteMultipartUpload",
    "<Part><PartNumber>1</PartNumber><ETag>841a2d689ad86bd1611447453c22c6fc</ETag></Part>",
)
CREATE = _documents("CreateBucketConfiguration", "<LocationConstraint>eu</LocationConstraint>")
del CREATE["empty"]  # that is what most clients send


@pytest.mark.parametrize("document", DELETE.values(), ids=DELETE)
def test_delete_objects(stage: Stage, document: bytes) -> None:
    stage.refused(MALFORMED, "POST", stage.at(query="delete"), md5(document), document)


@pytest.mark.parametrize("document", COMPLETE.values(), ids=COMPLETE)
def test_complete(stage: Stage, document: bytes) -> None:
    stage.refused(MALFORMED, "POST", stage.at("kept", f"uploadId={stage.upload}"), body=document)


@pytest.mark.parametrize("document", CREATE.values(), ids=CREATE)
def test_create_bucket(stage: Stage, document: bytes) -> None:
    stage.refused(MALFORMED, "PUT", f"/{stage.bucket}-none", body=document)
    assert stage.client.ask("HEAD", f"/{stage.bucket}-none").status == 404


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<Quiet>true</Quiet>",
        "<Object/>",
        "<Object><Key></Key></Object>",
        "<Object><Key>kept</Key><Key>kept</Key></Object>",
        "<Object><VersionId>null</VersionId></Object>",
        "<Quiet>maybe</Quiet><Object><Key>kept</Key></Object>",
        "<Quiet>true</Quiet><Quiet>true</Quiet><Object><Key>kept</Key></Object>",
        "<Object><Key><b>kept</b></Key></Object>",
        "<Object><Key>kept</Key><Size>big</Size></Object>",
        "<Object><Key>kept</Key><LastModifiedTime>soon</LastModifiedTime></Object>",
        "<Object><Key>kept</Key></Object>" * 1001,
    ],
)
def test_delete_objects_of_another_shape(stage: Stage, inner: str) -> None:
    document = f"<Delete>{inner}</Delete>".encode()
    stage.refused(MALFORMED, "POST", stage.at(query="delete"), md5(document), document)


def test_delete_objects_without_a_digest(stage: Stage) -> None:
    document = b"<Delete><Object><Key>kept</Key></Object></Delete>"
    refusal = (400, "InvalidRequest")
    stage.refused(refusal, "POST", stage.at(query="delete"), body=document)
    # Nor do headers count that only sound like one.
    for headers in ({"x-amz-checksum-mode": "ENABLED"}, {"x-amz-checksum-algorithm": "CRC32"}):
        stage.refused(refusal, "POST", stage.at(query="delete"), headers, document)


@pytest.mark.parametrize("route", ["delete", "complete", "create"])
def test_a_document_above_4_mib(stage: Stage, route: str) -> None:
    document = b" " * (4 * 2**20 + 1)
    refusal = (400, "MaxMessageLengthExceeded")
    match route:
        case "delete":
            stage.refused(refusal, "POST", stage.at(query="delete"), md5(document), document)
        case "complete":
            stage.refused(refusal, "POST", stage.at("kept", f"uploadId={stage.upload}"), body=document)
        case _:
            stage.refused(refusal, "PUT", f"/{stage.bucket}-none", body=document)


@pytest.mark.parametrize(
    ("inner", "refusal"),
    [
        ("", MALFORMED),
        ("<Part/>", MALFORMED),
        ("<Part><PartNumber>1</PartNumber></Part>", MALFORMED),
        ("<Part><ETag>x</ETag></Part>", MALFORMED),
        ("<Part><PartNumber>-1</PartNumber><ETag>x</ETag></Part>", MALFORMED),
        ("<Part><PartNumber>one</PartNumber><ETag>x</ETag></Part>", MALFORMED),
        ("<Part><PartNumber>0</PartNumber><ETag>x</ETag></Part>", INVALID_PART),
        ("<Part><PartNumber>7</PartNumber><ETag>x</ETag></Part>", INVALID_PART),
        ("<Part><PartNumber>10001</PartNumber><ETag>x</ETag></Part>", INVALID_PART),
        ("<Part><PartNumber>1</PartNumber><ETag>0123456789abcdef</ETag></Part>", INVALID_PART),
    ],
)
def test_complete_with_parts_that_are_not_there(stage: Stage, inner: str, refusal: Refusal) -> None:
    document = f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()
    stage.refused(refusal, "POST", stage.at("kept", f"uploadId={stage.upload}"), body=document)


def test_complete_with_a_checksum_that_the_part_has_not(stage: Stage) -> None:
    document = complete_document({1: stage.part}).replace(
        b"</Part>", b"<ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"
    )
    stage.refused(INVALID_PART, "POST", stage.at("kept", f"uploadId={stage.upload}"), body=document)


def test_complete_in_the_wrong_order(stage: Stage) -> None:
    upload = stage.client.begin(stage.bucket, "kept")
    parts = {n: stage.client.put_part(stage.bucket, "kept", upload, n, b"x") for n in (1, 2)}
    path = stage.at("kept", f"uploadId={upload}")
    backwards = complete_document({2: parts[2], 1: parts[1]})
    stage.refused((400, "InvalidPartOrder"), "POST", path, body=backwards)
    stage.client.done("DELETE", path)


@pytest.mark.parametrize("upload", ["unknown", "", "%00", "..%2F..%2F", "' OR 1=1 --".replace(" ", "%20")])
def test_an_unknown_upload(stage: Stage, upload: str) -> None:
    refusal = (404, "NoSuchUpload")
    path = stage.at("kept", f"uploadId={upload}")
    stage.refused(refusal, "POST", path, body=complete_document({1: stage.part}))
    stage.refused(refusal, "DELETE", path)
    stage.refused(refusal, "GET", path)
    stage.refused(refusal, "PUT", f"{path}&partNumber=1", body=b"part")


def test_an_upload_of_another_key(stage: Stage) -> None:
    path = stage.at("other", f"uploadId={stage.upload}")
    stage.refused((404, "NoSuchUpload"), "POST", path, body=complete_document({1: stage.part}))
    stage.refused((404, "NoSuchUpload"), "DELETE", path)
