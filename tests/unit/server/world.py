"""A data folder that is written to, backed up, and loses its catalog: in one process, without HTTP."""

import atexit
import hashlib
from dataclasses import replace
from pathlib import Path

from dolium.catalog import backups, buckets
from dolium.catalog.backups import About
from dolium.catalog.buckets import Bucket
from dolium.catalog.objects import ObjectRow
from dolium.catalog.sqlite import SqliteDatabase
from dolium.catalog.uploads import Upload
from dolium.config.settings import Settings
from dolium.identity.credentials import Credentials
from dolium.objects import copy, delete, get, multipart
from dolium.objects.copy import CopyRequest
from dolium.objects.get import ObjectReader
from dolium.objects.multipart import ChosenPart, PartIntake
from dolium.objects.put import Intake, PutRequest
from dolium.objects.rebuild import Plan
from dolium.objects.receive import Digests
from dolium.objects.service import ObjectService
from dolium.objects.sweep import sweep
from dolium.server.first_run import arrive
from dolium.server.rebuilding import Rebuilt, rebuild
from dolium.server.wiring import open_service
from dolium.values import ChecksumAlgorithm, ChecksumType, Secret

FILE = b"larger than what lies in the catalog " * 600
KEY = Credentials("FIRSTKEY", Secret("first-secret"))


class World:
    """Open from the start; `lose` and `rebuild` close it, `open` opens it again."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.settings = replace(
            Settings(data=folder / "data", min_free=0, garbage_grace=0, backup_hold=0, request_log="off"),
            **settings,  # type: ignore[arg-type]
        )
        self.data = self.settings.data
        self.at = (1, "cmip")  # tenancy and bucket
        arrive(self.settings, KEY)
        self.open()
        self.service.limits = replace(self.service.limits, part_bytes=1000)
        self.service.database.write(lambda tx: buckets.create(tx, 1, "cmip", 1))

    def open(self) -> None:
        self.database = SqliteDatabase(self.data)
        self.service: ObjectService = open_service(self.database, self.settings)[0]
        atexit.register(self.service.close)  # where a test fails; once more is fine

    @property
    def bucket(self) -> Bucket:
        return self.service.bucket(*self.at)

    def put(self, key: str, body: bytes) -> ObjectRow:
        request = PutRequest(key, 1, '[["content-type","text/plain"]]', len(body))
        intake = Intake(self.service, self.bucket, request)
        intake.write(body)
        return intake.finish().result()

    def copy(self, source: str, key: str) -> ObjectRow:
        row = get.find(self.service, self.bucket, source, with_body=False)
        return copy.copy(self.service, self.bucket, row, self.bucket, CopyRequest(key, 1, "[]"))

    def delete(self, key: str) -> None:
        delete.delete(self.service, self.bucket, key).result()

    def begin(self, key: str, algorithm: ChecksumAlgorithm | None = None) -> Upload:
        kind = ChecksumType.COMPOSITE if algorithm else None
        return multipart.begin(
            self.service, self.bucket, key, owner_id=1, initiator="AK", headers="[]", algorithm=algorithm, kind=kind
        ).result()  # fmt: skip

    def part(self, upload: Upload, number: int, body: bytes) -> ChosenPart:
        algorithm = ChecksumAlgorithm(upload.algorithm) if upload.algorithm else None
        intake = PartIntake(
            self.service, upload, number, size=len(body), digests=Digests(algorithm=algorithm)
        )
        intake.write(body)
        return ChosenPart(number, intake.finish().result().etag)

    def complete(self, upload: Upload, parts: list[ChosenPart]) -> None:
        multipart.complete(self.service, self.bucket, upload, parts)

    def upload(self, key: str, *bodies: bytes) -> None:
        upload = self.begin(key)
        self.complete(upload, [self.part(upload, number, body) for number, body in enumerate(bodies, 1)])

    def read(self, key: str) -> bytes:
        row = get.find(self.service, self.bucket, key, with_body=False)
        reader = ObjectReader(self.service, row, 0, row.size)
        pieces = list(iter(lambda: reader.read(1 << 20), b""))
        reader.close()
        body = b"".join(pieces)
        if "-" not in row.etag:
            assert hashlib.md5(body).hexdigest() == row.etag
        return body

    def keys(self) -> dict[str, bytes]:
        rows = self.database.all("SELECT key FROM objects WHERE bucket_id = $1 ORDER BY key", self.bucket.id)
        return {key: self.read(key) for [key] in rows}

    def back_up(self) -> About:
        self.settings.backups.mkdir(exist_ok=True)
        number = len(list(self.settings.backups.iterdir()))
        target = self.settings.backups / f"catalog-00000000-20260101T0000{number:02d}.000Z.sqlite"
        hold_ms = self.settings.backup_hold * 1000
        return backups.backup(self.database, self.data, target, hold_ms=hold_ms)

    def sweep(self) -> int:
        return sweep(self.service)

    def lose(self, *, witness: bool = False, backup: bool = False, all_of_it: bool = False) -> None:
        """The catalog is gone; also the folder's witness, the backups, or everything but the store."""
        self.service.close()
        for path in self.data.glob("catalog.sqlite*"):
            path.unlink()
        if witness or all_of_it:
            (self.data / "catalog.shared").unlink()
        if backup or all_of_it:
            for path in self.settings.backups.glob("*"):
                path.unlink()
        if all_of_it:
            (self.data / "master.key").unlink()

    def rebuild(self, *, apply: bool = True, even_deleted: bool = False) -> Rebuilt:
        """And open again, if something was done."""
        done = rebuild(self.settings, None, apply=apply, even_deleted=even_deleted, given=KEY)
        if apply:
            self.open()
        return done


def told(plan: Plan | None) -> list[tuple[str, str | None]]:
    """What becomes of what, sorted."""
    assert plan is not None
    return sorted((str(entry.what), entry.key) for entry in plan.entries)
