"""ObjectSuite: what every engine of the catalog must do with buckets, objects, uploads and garbage.

class TestSqliteObjects(ObjectSuite):
    @pytest.fixture
    def database(self, tmp_path): ...
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dolium.catalog import blobs, buckets, listing, objects, tenancies, uploads
from dolium.catalog.buckets import Bucket
from dolium.catalog.database import Database, Pending, Refused, Transaction, Write
from dolium.catalog.objects import Body, NewObject, ObjectRow, Part
from dolium.catalog.uploads import Upload
from dolium.errors import (
    AlreadyExists,
    BucketNotEmpty,
    BucketNotFound,
    Denied,
    Overtaken,
    PreconditionFailed,
    QuotaExceeded,
    UploadNotFound,
)

__all__ = ["ObjectSuite", "put"]

GRACE_MS = 1000


def new_object(
    key: str, data: bytes = b"x", *, body: Body | None = None, sequence: int | None = None
) -> NewObject:
    """A version with made-up facts."""
    return NewObject(key, len(data), "e" * 32, "", None, "[]", body or Body(data=data), sequence)


def put(database: Database, bucket: Bucket, key: str, data: bytes = b"x") -> ObjectRow:
    """Publish an inline object."""
    return database.write(lambda tx: objects.publish(tx, bucket, new_object(key, data), grace_ms=GRACE_MS))


def put_blob(
    database: Database, bucket: Bucket, key: str, blob: str, sequence: int | None = None
) -> ObjectRow:
    """Publish an object whose bytes lie in store 1."""
    new = new_object(key, body=Body(store_id=1, blob_key=blob), sequence=sequence)
    return database.write(lambda tx: objects.publish(tx, bucket, new, grace_ms=GRACE_MS))


def garbage(database: Database) -> list[str]:
    """Blob keys that wait for their deletion, whenever it is due."""
    return sorted(item.blob_key for item in blobs.due(database, 1 << 60, 100))


def begin(database: Database, bucket: Bucket, key: str, upload_id: str = "u1") -> Upload:
    upload = Upload(0, upload_id, bucket.id, key, None, "AK", "", "", "[]", 0, None)
    return database.write(lambda tx: uploads.begin(tx, bucket, upload))


def part(number: int, blob: str) -> Part:
    return Part(number, 5, "p" * 32, "", 1, blob, 0)


class ObjectSuite:
    """Inherit, and give a fixture `database`: an empty catalog of the engine."""

    @pytest.fixture
    def database(self) -> Iterator[Database]:
        raise TypeError("an ObjectSuite gives its own fixture `database`")

    @pytest.fixture
    def bucket(self, database: Database) -> Bucket:
        tenancy = database.write(lambda tx: tenancies.add(tx, "climate"))
        return database.write(lambda tx: buckets.create(tx, tenancy.id, "cmip", None))

    def keys(self, database: Database, bucket: Bucket, **how: str | int) -> list[str]:
        """All keys and prefixes of a listing, page after page, merged in order."""
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            with database.reading() as read:
                page = listing.list_objects(read, bucket.id, **{"limit": 3, "after": after, **how})  # type: ignore[arg-type]
            found += sorted([entry.key for entry in page.entries] + page.prefixes, key=str.encode)
            assert len(page.entries) + len(page.prefixes) <= 3
            after = page.next_after
        return found

    # Buckets.

    def test_a_bucket_is_created_once(self, database: Database, bucket: Bucket) -> None:
        with pytest.raises(AlreadyExists) as caught:
            database.write(lambda tx: buckets.create(tx, bucket.tenancy_id, bucket.name, None))
        assert caught.value.own
        assert buckets.find(database, bucket.tenancy_id, bucket.name) == bucket

    def test_only_an_empty_bucket_is_deleted(self, database: Database, bucket: Bucket) -> None:
        put(database, bucket, "a")
        with pytest.raises(BucketNotEmpty):
            database.write(lambda tx: buckets.delete(tx, bucket))
        database.write(lambda tx: objects.remove(tx, bucket, "a", grace_ms=0))
        database.write(lambda tx: buckets.delete(tx, bucket))
        with pytest.raises(BucketNotFound):
            database.write(lambda tx: buckets.delete(tx, bucket))

    def test_a_put_into_a_deleted_bucket_is_refused(self, database: Database, bucket: Bucket) -> None:
        database.write(lambda tx: buckets.delete(tx, bucket))
        with pytest.raises(BucketNotFound):
            put(database, bucket, "a")

    def test_buckets_say_that_something_changed(self, database: Database, bucket: Bucket) -> None:
        before = database.generation()
        put(database, bucket, "a")
        assert database.generation() == before
        database.write(lambda tx: buckets.set_owner(tx, bucket, None))
        assert database.generation() != before

    # Objects.

    def test_an_object_is_found_with_its_bytes(self, database: Database, bucket: Bucket) -> None:
        assert objects.find(database, bucket.id, "a") is None
        put(database, bucket, "a", b"hello")
        row = objects.find(database, bucket.id, "a", with_body=True)
        assert row is not None
        assert (row.key, row.size, row.data, row.version) == ("a", 5, b"hello", "null")
        assert objects.body_of(database, row.sequence) == b"hello"

    def test_an_overwrite_leaves_one_row_and_garbage(self, database: Database, bucket: Bucket) -> None:
        first = put_blob(database, bucket, "a", "b1")
        second = put_blob(database, bucket, "a", "b2")
        assert second.sequence > first.sequence
        assert second.modified_ms >= first.modified_ms
        assert garbage(database) == ["b1"]
        assert buckets.usage(database, bucket.id) == buckets.Usage(1, 1)

    def test_a_version_that_was_overtaken_is_not_published(self, database: Database, bucket: Bucket) -> None:
        early, late = database.reserve_sequence(), database.reserve_sequence()
        put_blob(database, bucket, "a", "late", late)
        with pytest.raises(Overtaken):
            put_blob(database, bucket, "a", "early", early)
        row = objects.find(database, bucket.id, "a")
        assert row is not None
        assert row.blob_key == "late"
        assert garbage(database) == []
        assert buckets.usage(database, bucket.id) == buckets.Usage(1, 1)

    def test_a_check_decides_inside_the_transaction(self, database: Database, bucket: Bucket) -> None:
        def absent(current: ObjectRow | None) -> None:
            if current is not None:
                raise PreconditionFailed("If-None-Match")

        def attempt(data: bytes) -> ObjectRow:
            new = new_object("a", data)
            return database.write(lambda tx: objects.publish(tx, bucket, new, grace_ms=0, check=absent))

        attempt(b"1")
        with pytest.raises(PreconditionFailed):
            attempt(b"22")
        assert buckets.usage(database, bucket.id).bytes == 1

    def test_a_quota_counts_what_is_replaced(self, database: Database, bucket: Bucket) -> None:
        def attempt(key: str, size: int) -> None:
            new = new_object(key, b"x" * size)
            database.write(lambda tx: objects.publish(tx, bucket, new, grace_ms=0, quota=10))

        attempt("a", 8)
        attempt("a", 10)
        with pytest.raises(QuotaExceeded):
            attempt("b", 1)
        attempt("a", 9)
        attempt("b", 1)
        database.write(lambda tx: objects.remove(tx, bucket, "a", grace_ms=0))
        assert buckets.usage(database, bucket.id) == buckets.Usage(1, 1)

    def test_a_shared_blob_outlives_all_but_its_last_row(self, database: Database, bucket: Bucket) -> None:
        put_blob(database, bucket, "a", "b1")

        def share(tx: Transaction) -> None:
            blobs.share(tx, 1, "b1")
            new = new_object("b", body=Body(store_id=1, blob_key="b1", manifest="m1"))
            objects.publish(tx, bucket, new, grace_ms=0)

        database.write(share)
        database.write(lambda tx: objects.remove(tx, bucket, "a", grace_ms=0))
        assert garbage(database) == []
        database.write(lambda tx: objects.remove(tx, bucket, "b", grace_ms=0))
        assert garbage(database) == ["b1", "m1"]

    def test_garbage_is_due_after_its_grace_and_forgotten(self, database: Database) -> None:
        database.write(lambda tx: blobs.discard(tx, 1, "b1", grace_ms=10_000_000))
        assert blobs.due(database, 0, 10) == []
        found = blobs.due(database, 1 << 60, 10)
        database.write(lambda tx: blobs.forget(tx, found))
        assert garbage(database) == []

    # Transactions.

    def test_what_a_write_raises_undoes_it_alone(self, database: Database, bucket: Bucket) -> None:
        def bad(tx: Transaction) -> ObjectRow | None:
            objects.publish(tx, bucket, new_object("bad"), grace_ms=0)
            raise Denied("no")

        outcomes: list[Pending[ObjectRow | None]] = [
            database.submit(bad if n % 3 == 1 else self._good(bucket, f"k{n}")) for n in range(30)
        ]
        for n, outcome in enumerate(outcomes):
            if n % 3 == 1:
                with pytest.raises(Denied):
                    outcome.result()
            else:
                outcome.result()
        assert self.keys(database, bucket) == sorted(f"k{n}" for n in range(30) if n % 3 != 1)
        assert buckets.usage(database, bucket.id) == buckets.Usage(20, 20)

    def _good(self, bucket: Bucket, key: str) -> Write[ObjectRow | None]:
        return lambda tx: objects.publish(tx, bucket, new_object(key), grace_ms=0)

    def test_a_refused_write_keeps_what_it_did(self, database: Database) -> None:
        def refuse(tx: Transaction) -> Refused:
            blobs.discard(tx, 1, "b1", 0)
            return Refused(Denied("no"))

        with pytest.raises(Denied):
            database.write(refuse)
        assert garbage(database) == ["b1"]

    def test_sequences_only_grow(self, database: Database, bucket: Bucket) -> None:
        seen = [database.reserve_sequence(), put(database, bucket, "a").sequence, database.reserve_sequence()]
        assert seen == sorted(set(seen))

    # Listing.

    def test_keys_come_in_the_order_of_their_bytes(self, database: Database, bucket: Bucket) -> None:
        wanted = ["a", "a/b", "a/b/c", "a0", "b", "\x01", "..", "//", "ü", "z" * 1024, "\U0001f600", "\uffff"]
        for key in wanted:
            put(database, bucket, key)
        assert self.keys(database, bucket) == sorted(wanted, key=str.encode)

    def test_prefixes_fold_and_are_skipped(self, database: Database, bucket: Bucket) -> None:
        for folder in "abc":
            for n in range(40):
                put(database, bucket, f"{folder}/{n:03}/x")
        put(database, bucket, "a")
        put(database, bucket, "b!")
        assert self.keys(database, bucket, delimiter="/") == ["a", "a/", "b!", "b/", "c/"]
        assert self.keys(database, bucket, delimiter="/", prefix="b/")[:2] == ["b/000/", "b/001/"]
        assert self.keys(database, bucket, delimiter="0", prefix="c/") == ["c/0"]
        assert self.keys(database, bucket, delimiter="/", after="a/") == ["b!", "b/", "c/"]
        assert self.keys(database, bucket, delimiter="/", after="a/010/x") == ["b!", "b/", "c/"]
        assert self.keys(database, bucket, prefix="nothing") == []
        assert self.keys(database, bucket, prefix="c/", after="zzz") == []

    # Uploads.

    def add_part(self, database: Database, upload: Upload, new: Part) -> None:
        database.write(lambda tx: uploads.put_part(tx, upload, new, grace_ms=0))

    def test_an_upload_becomes_an_object(self, database: Database, bucket: Bucket) -> None:
        upload = begin(database, bucket, "big")
        for number, blob in ((1, "p1"), (2, "p2"), (1, "p1b"), (3, "p3")):
            self.add_part(database, upload, part(number, blob))
        assert garbage(database) == ["p1"]
        chosen = [found for found in uploads.list_parts(database, upload.id) if found.number < 3]
        assert [found.blob_key for found in chosen] == ["p1b", "p2"]

        def complete(tx: Transaction) -> None:
            uploads.complete(tx, upload, chosen, "{}", grace_ms=0)
            body = Body(store_id=1, blob_key="manifest", upload=upload.id)
            objects.publish(tx, bucket, new_object("big", b"x" * 10, body=body), grace_ms=0)

        database.write(complete)
        assert garbage(database) == ["p1", "p3"]
        with pytest.raises(UploadNotFound):
            uploads.find(database, bucket.id, "big", "u1")
        assert uploads.find(database, bucket.id, "big", "u1", completed=True).completed == "{}"
        with pytest.raises(UploadNotFound):
            database.write(complete)
        database.write(lambda tx: objects.remove(tx, bucket, "big", grace_ms=0))
        assert garbage(database) == ["manifest", "p1", "p1b", "p2", "p3"]
        with pytest.raises(UploadNotFound):
            uploads.find(database, bucket.id, "big", "u1", completed=True)

    def test_parts_are_shared_by_copies(self, database: Database, bucket: Bucket) -> None:
        upload = begin(database, bucket, "big")
        database.write(lambda tx: uploads.put_part(tx, upload, part(1, "p1"), grace_ms=0))

        def complete(tx: Transaction) -> None:
            uploads.complete(tx, upload, uploads.list_parts(tx, upload.id), "{}", grace_ms=0)
            body = Body(store_id=1, blob_key="m", upload=upload.id)
            objects.publish(tx, bucket, new_object("big", body=body), grace_ms=0)

        def copy(tx: Transaction) -> None:
            blobs.share(tx, 1, "m")
            uploads.share(tx, upload.id)
            body = Body(store_id=1, blob_key="m", upload=upload.id, manifest="m2")
            objects.publish(tx, bucket, new_object("copy", body=body), grace_ms=0)

        database.write(complete)
        database.write(copy)
        database.write(lambda tx: objects.remove(tx, bucket, "big", grace_ms=0))
        assert garbage(database) == []
        database.write(lambda tx: objects.remove(tx, bucket, "copy", grace_ms=0))
        assert garbage(database) == ["m", "m2", "p1"]

    def test_an_aborted_upload_leaves_garbage_only(self, database: Database, bucket: Bucket) -> None:
        upload = begin(database, bucket, "big")
        database.write(lambda tx: uploads.put_part(tx, upload, part(1, "p1"), grace_ms=0))
        database.write(lambda tx: uploads.abort(tx, upload, grace_ms=0))
        assert garbage(database) == ["p1"]
        with pytest.raises(UploadNotFound):
            database.write(lambda tx: uploads.put_part(tx, upload, part(2, "p2"), grace_ms=0))
        with pytest.raises(UploadNotFound):
            database.write(lambda tx: uploads.abort(tx, upload, grace_ms=0))

    def test_uploads_are_listed_by_key_then_id(self, database: Database, bucket: Bucket) -> None:
        names = [("a", "1"), ("a", "2"), ("b/x", "3"), ("b/y", "4"), ("c", "5")]
        for key, upload_id in reversed(names):
            begin(database, bucket, key, upload_id)
        seen: list[tuple[str, str]] = []
        after: tuple[str, str] | None = ("", "")
        while after is not None:
            with database.reading() as read:
                page = uploads.list_uploads(read, bucket.id, after=after, limit=2)
            seen += [(upload.key, upload.upload_id) for upload in page.uploads]
            after = page.next_after
        assert seen == names
        with database.reading() as read:
            page = uploads.list_uploads(read, bucket.id, delimiter="/")
        assert page.prefixes == ["b/"]
        assert [upload.key for upload in page.uploads] == ["a", "a", "c"]
