"""One client of the load: works on keys of its own, remembers what it was told, and looks after every broken answer."""

import base64
import hashlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote
from xml.sax.saxutils import escape

from dolium.testing.server import Site
from tests.clients.raw import Answer, target
from tests.drills.versions import Known, Version
from tests.drills.wire import BrokenError, DownError, Wire
from tests.s3.client import complete_document, texts

__all__ = ["BUCKET", "Worker"]

BUCKET = "drill"
_WIDE = "\x01" * 900
"""Its description, where each of these takes six bytes, does not fit into an attribute."""
_LARGE_PART = 5 << 20


@dataclass(slots=True)
class _Upload:
    """An open upload. `parts`: of each number the versions that may be there; `closing`: a Complete was cut off."""

    key: str
    id: str
    tag: Mapping[str, str]
    parts: dict[int, list[bytes]] = field(default_factory=dict)
    closing: list[int] | None = None
    ending: bool = False


class Worker:
    """`step` does one operation. Whatever is not as it should be is an AssertionError."""

    def __init__(self, number: int, site: Site, seed: int) -> None:
        self.name = f"w{number}"
        self.random = random.Random(seed)
        self.wire = Wire(site)
        self.known = Known([f"{self.name}/{n}" for n in range(6)] + [f"{self.name}/wide{_WIDE}"])
        self.scratch = f"drill-{self.name}"
        self.favoured = ""
        self._keys = list(self.known)
        self._upload: _Upload | None = None
        self._scratch_is_there: bool | None = False
        self._steps: dict[str, tuple[int, Callable[[], None]]] = {
            "small": (8, lambda: self._put(self.random.randrange(4000))),
            "file": (6, lambda: self._put(self.random.randrange(17_000, 200_000))),
            "large": (1, lambda: self._put(self.random.randrange(2_500_000, 4_000_000))),
            "wide": (2, self._put_wide),
            "upload": (10, self._work_on_upload),
            "copy": (5, self._copy),
            "delete": (3, self._delete),
            "many": (2, self._delete_many),
            "bucket": (3, self._make_or_remove_bucket),
            "read": (4, self._read),
            "range": (2, self._read_range),
            "list": (1, self._list),
        }

    def step(self) -> None:
        """One operation, chosen by chance; every second one is the favoured."""
        if self._upload is not None and (self._upload.closing is not None or self._upload.ending):
            self._end_upload(self._upload)
            return
        if self.favoured and self.random.random() < 0.5:
            name = self.favoured
        else:
            weights = [weight for weight, _ in self._steps.values()]
            [name] = self.random.choices(list(self._steps), weights)
        self._steps[name][1]()

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        may: int = 200,
    ) -> Answer:
        """Asks for what must succeed, or be answered with `may`."""
        answer = self.wire.ask(method, path, headers, body)
        assert answer.status in {200, 204, may}, (method, path, answer)
        assert b"<Error>" not in answer.body[:200] or answer.status == may, (method, path, answer)
        return answer

    def _tag(self) -> dict[str, str]:
        return {"x-amz-meta-tag": f"{self.random.getrandbits(64):x}", "content-type": "application/x-drill"}

    def _fresh(self, size: int) -> Version:
        body = self.random.randbytes(size)
        return Version(body, hashlib.md5(body).hexdigest(), self._tag())

    def _change(self, key: str, version: Version | None, act: Callable[[], object]) -> None:
        """An operation that leaves `version` under `key`. Broken off, it is looked after."""
        try:
            act()
        except BrokenError:
            self.known.doubt(key, version)
            self.look(key)
        else:
            self.known.settle(key, version)

    def look(self, key: str) -> None:
        """Read a key after a broken answer, from whoever answers now; not if nobody does."""
        for _ in range(50):
            try:
                answer = self._ask("GET", target(BUCKET, key), may=404)
            except BrokenError:
                time.sleep(0.01)
                continue
            except DownError:
                return
            self.known.see(key, answer)
            return

    # Objects ------------------------------------------------------------------------------------------------

    def _put(self, size: int) -> None:
        self._put_to(self.random.choice(self._keys[:-1]), size)

    def _put_wide(self) -> None:
        self._put_to(self._keys[-1], 20_000)

    def _put_to(self, key: str, size: int) -> None:
        version = self._fresh(size)

        def act() -> None:
            answer = self._ask("PUT", target(BUCKET, key), version.headers, version.body)
            assert answer.headers["etag"] == f'"{version.etag}"'

        self._change(key, version, act)

    def _delete(self) -> None:
        key = self.random.choice(self._keys)
        self._change(key, None, lambda: self._ask("DELETE", target(BUCKET, key)))

    def _delete_many(self) -> None:
        keys = self.random.sample(self._keys[:-1], 3)
        listed = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
        body = f"<Delete>{listed}</Delete>".encode()
        md5 = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        try:
            answer = self._ask("POST", f"/{BUCKET}?delete", md5, body)
            assert sorted(texts(answer, "Deleted/Key")) == sorted(keys)
        except BrokenError:
            for key in keys:
                self.known.doubt(key, None)
            for key in keys:
                self.look(key)
        else:
            for key in keys:
                self.known.settle(key, None)

    def _copy(self) -> None:
        source, key = self.random.choice(self._keys), self.random.choice(self._keys[:-1])
        held = self.known.present(source)
        if held is None:
            return
        headers = {"x-amz-copy-source": target(BUCKET, source)}
        version = held
        if source == key or self.random.random() < 0.5:
            version = Version(held.body, held.etag, self._tag())
            headers |= {"x-amz-metadata-directive": "REPLACE", **version.headers}
        self._change(key, version, lambda: self._ask("PUT", target(BUCKET, key), headers))

    def _read(self) -> None:
        key = self.random.choice(self._keys)
        try:
            answer = self._ask("GET", target(BUCKET, key), may=404)
        except BrokenError:
            return
        self.known.see(key, answer)

    def _read_range(self) -> None:
        key = self.random.choice(self._keys)
        held = self.known.present(key)
        if held is None or not held.body:
            return
        first = self.random.randrange(len(held.body))
        last = first + self.random.randrange(100_000)
        try:
            answer = self._ask("GET", target(BUCKET, key), {"range": f"bytes={first}-{last}"}, may=206)
        except BrokenError:
            return
        assert (answer.status, answer.body) == (206, held.body[first : last + 1]), (key, first, last)

    def _list(self) -> None:
        try:
            answer = self._ask("GET", f"/{BUCKET}?list-type=2&encoding-type=url&prefix={self.name}/")
        except BrokenError:
            return
        self.known.check_listed(listed_keys(answer))

    # Uploads ------------------------------------------------------------------------------------------------

    def _work_on_upload(self) -> None:
        upload = self._upload
        if upload is None:
            key, tag = self.random.choice(self._keys[:-1]), self._tag()
            try:
                begun = self._ask("POST", target(BUCKET, key, "uploads"), tag)
            except BrokenError:
                return  # it may be open, and nobody knows its id
            self._upload = _Upload(key, begun.field("UploadId"), tag)
        elif not upload.parts or self.random.random() < 0.6:
            self._put_part(upload)
        elif self.random.random() < 0.3:
            upload.ending = True
            self._end_upload(upload)
        else:
            self._complete(upload)

    def _put_part(self, upload: _Upload) -> None:
        large = 1 not in upload.parts and self.random.random() < 0.1
        number = 1 if large else self.random.choice((2, 3))
        body = self.random.randbytes(_LARGE_PART if large else self.random.randrange(1, 60_000))
        path = target(BUCKET, upload.key, f"partNumber={number}&uploadId={upload.id}")
        try:
            answer = self._ask("PUT", path, body=body)
        except BrokenError:
            upload.parts.setdefault(number, [b""]).append(body)
        else:
            assert answer.headers["etag"] == f'"{hashlib.md5(body).hexdigest()}"'
            upload.parts[number] = [body]

    def _complete(self, upload: _Upload) -> None:
        certain = [number for number, may in sorted(upload.parts.items()) if len(may) == 1]
        if not certain:
            return
        last = self.random.choice(certain)
        upload.closing = [number for number in certain if number == last or (number == 1 and number < last)]
        self._end_upload(upload)

    def _end_upload(self, upload: _Upload) -> None:
        """Complete or Abort; again and again until it is answered, for both may be repeated."""
        path = target(BUCKET, upload.key, f"uploadId={upload.id}")
        if upload.closing is None:
            try:
                self._ask("DELETE", path, may=404)
            except BrokenError:
                return
            self._upload = None
            return
        bodies = [upload.parts[number][0] for number in upload.closing]
        digests = [hashlib.md5(body) for body in bodies]
        whole = hashlib.md5(b"".join(digest.digest() for digest in digests)).hexdigest()
        version = Version(b"".join(bodies), f"{whole}-{len(bodies)}", upload.tag)
        etags = {number: digest.hexdigest() for number, digest in zip(upload.closing, digests, strict=True)}
        try:
            answer = self._ask("POST", path, body=complete_document(etags))
        except BrokenError:
            self.known.doubt(upload.key, version)
            self.look(upload.key)
            return
        assert answer.field("ETag").strip('"') == version.etag, answer
        self.known.settle(upload.key, version)
        self._upload = None

    # A bucket that comes and goes ---------------------------------------------------------------------------

    def _make_or_remove_bucket(self) -> None:
        there, self._scratch_is_there = self._scratch_is_there, None
        try:
            if there is False or (there is None and self.random.random() < 0.5):
                self._ask("PUT", f"/{self.scratch}")
                self._scratch_is_there = True
                begun = self._ask("POST", target(self.scratch, "left", "uploads"))
                path = target(self.scratch, "left", f"partNumber=1&uploadId={begun.field('UploadId')}")
                self._ask("PUT", path, body=b"a part of an upload that nobody ends")
            else:
                self._ask("DELETE", f"/{self.scratch}", may=404 if there is None else 204)
                self._scratch_is_there = False
        except BrokenError:
            self._scratch_is_there = self._scratch_is_there or None

    # After a start ------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """Everything that was acknowledged is there: objects, listing, parts, buckets."""
        self.wire.close()  # it may be one of a server that is gone
        for key in self.known:
            self.known.see(key, self._ask("GET", target(BUCKET, key), may=404))
        self._list()
        upload = self._upload
        if upload is not None and not upload.ending and upload.closing is None:
            answer = self._ask("GET", target(BUCKET, upload.key, f"uploadId={upload.id}"))
            numbers = map(int, texts(answer, "Part/PartNumber"))
            etags = (etag.strip('"') for etag in texts(answer, "Part/ETag"))
            listed = dict(zip(numbers, etags, strict=True))
            for number, may in upload.parts.items():
                allowed = [hashlib.md5(body).hexdigest() if body else None for body in may]
                assert listed.get(number) in allowed, (
                    f"part {number} is {listed.get(number)}, not in {allowed}"
                )
        names = texts(self._ask("GET", "/"), "Buckets/Bucket/Name")
        if self._scratch_is_there is not None:
            assert (self.scratch in names) == self._scratch_is_there


def listed_keys(answer: Answer) -> set[str]:
    """The keys of a listing that was asked for with encoding-type=url."""
    return {unquote(key) for key in texts(answer, "Contents/Key")}
