"""One request for each operation of `s3.route.OPERATIONS`, on a stage that has what it needs."""

import base64
import hashlib
from dataclasses import dataclass, field

from dolium.s3.route import Operation, Target
from tests.s3.client import Client, complete_document, target, texts
from tests.s3.inside import Inside

STAGE, EMPTY, FRESH = "the-stage", "the-empty-one", "the-fresh-one"
_BODY = b"what was there before"
_DELETE = b"<Delete><Object><Key>kept</Key></Object></Delete>"
_CREATE = (
    b"<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint></CreateBucketConfiguration>"
)


@dataclass(frozen=True, slots=True)
class Request:
    """To be signed."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Scene:
    """Two buckets, an object, and an open upload with a part; `set` puts it back as it was."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.client: Client = inside.admin
        self.upload = self.part = ""
        self.set()

    def set(self) -> None:
        """Whatever was done to it. Twice leaves one upload, as once does."""
        client = self.client
        for bucket in (STAGE, EMPTY):
            client.make_bucket(bucket)
        client.ask("DELETE", f"/{FRESH}")
        for key in client.keys(STAGE):
            if key != "kept":
                client.done("DELETE", target(STAGE, key))
        open_uploads = client.done("GET", f"/{STAGE}?uploads")
        found = zip(texts(open_uploads, "Upload/Key"), texts(open_uploads, "Upload/UploadId"), strict=True)
        for key, upload in found:
            client.done("DELETE", target(STAGE, key, f"uploadId={upload}"))
        client.put(STAGE, "kept", _BODY)
        self.upload = client.begin(STAGE, "kept")
        self.part = client.put_part(STAGE, "kept", self.upload, 1, b"part")
        self.inside.sweep(after_ms=10_000_000)
        self.before = self.inside.dump()

    def request(self, operation: Operation) -> Request:
        """A request for it that nothing is wrong with."""
        if ":" in operation.name:
            path = target(STAGE, "kept" if operation.target is Target.OBJECT else "", operation.subresource)
            return Request(operation.method, path)
        parts, copy = f"uploadId={self.upload}", {"x-amz-copy-source": f"/{STAGE}/kept"}
        match operation.name:
            case "ListBuckets":
                return Request("GET", "/")
            case "CreateBucket":
                return Request("PUT", f"/{FRESH}", body=_CREATE)
            case "DeleteBucket":
                return Request("DELETE", f"/{EMPTY}")
            case "DeleteObjects":
                md5 = base64.b64encode(hashlib.md5(_DELETE).digest()).decode()
                return Request("POST", f"/{STAGE}?delete", {"content-md5": md5}, _DELETE)
            case "ListObjectsV2":
                return Request("GET", f"/{STAGE}?list-type=2")
            case "GetObjectAttributes":
                return Request("GET", f"/{STAGE}/kept?attributes", {"x-amz-object-attributes": "ETag"})
            case "PutObject":
                return Request("PUT", f"/{STAGE}/new", body=b"new" * 10)
            case "CopyObject":
                return Request("PUT", f"/{STAGE}/copied", copy)
            case "CreateMultipartUpload":
                return Request("POST", f"/{STAGE}/new?uploads")
            case "UploadPart":
                return Request("PUT", f"/{STAGE}/kept?partNumber=2&{parts}", body=b"second part")
            case "UploadPartCopy":
                return Request("PUT", f"/{STAGE}/kept?partNumber=2&{parts}", copy)
            case "CompleteMultipartUpload":
                return Request("POST", f"/{STAGE}/kept?{parts}", body=complete_document({1: self.part}))
            case "AbortMultipartUpload" | "ListParts":
                return Request(operation.method, f"/{STAGE}/kept?{parts}")
        key = "kept" if operation.target is Target.OBJECT else ""
        return Request(operation.method, target(STAGE, key, operation.subresource))
