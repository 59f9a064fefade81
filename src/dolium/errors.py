"""Every failure that dolium raises on purpose, as one tree.

    DoliumError
    ├── Malformed            input breaks a format; carries the S3 code that says so
    ├── Denied               the caller may not do this
    ├── NotFound
    │   ├── BlobNotFound     no blob under this key in a store that is up
    │   ├── BucketNotFound
    │   ├── ObjectNotFound   (is_delete_marker tells why)
    │   ├── DatasetNotFound
    │   ├── UploadNotFound
    │   └── RecordNotFound   a tenancy, person, group or access key
    ├── Conflict
    │   ├── AlreadyExists    a bucket, tenancy, person, key of that name
    │   ├── BucketNotEmpty
    │   ├── Overtaken        a version with a higher sequence came first
    │   ├── PreconditionFailed
    │   └── VersionGone      what was being read is replaced or deleted, and its bytes with it
    ├── DatasetInvalid       an id, folder or name of a dataset that cannot be
    ├── RangeNotSatisfiable
    ├── ChecksumMismatch     the bytes are not those that the caller described
    ├── BodyTruncated        the body ended before its declared length
    ├── QuotaExceeded
    ├── Overloaded           too much is asked at once; nothing was done
    ├── StoreError
    │   ├── StoreUnavailable down or suspect: nothing is known of its blobs
    │   │   ├── StoreBusy    it does not answer in time
    │   │   └── PartlyDone   some stores of several did it, others did not
    │   ├── StoreFull
    │   ├── StoreReadOnly
    │   └── BlobCorrupt      the bytes are not those that were written
    │       └── SumsDamaged  nobody can tell: their checksums are damaged
    ├── CatalogError
    │   ├── CatalogUnavailable
    │   ├── OutcomeUnknown   a commit failed in a way that may have succeeded
    │   └── BackupError      a backup cannot be made, or is none that can be used
    ├── ConfigError          names file and line
    └── Unsupported

A caller catches a type; nobody reads messages. Faces translate types outward, each in one table.
"""

from __future__ import annotations

__all__ = [
    "AlreadyExists",
    "BackupError",
    "BlobCorrupt",
    "BlobNotFound",
    "BodyTruncated",
    "BucketNotEmpty",
    "BucketNotFound",
    "CatalogError",
    "CatalogUnavailable",
    "ChecksumMismatch",
    "ConfigError",
    "Conflict",
    "DatasetInvalid",
    "DatasetNotFound",
    "Denied",
    "DoliumError",
    "Malformed",
    "NotFound",
    "ObjectNotFound",
    "OutcomeUnknown",
    "Overloaded",
    "Overtaken",
    "PartlyDone",
    "PreconditionFailed",
    "QuotaExceeded",
    "RangeNotSatisfiable",
    "RecordNotFound",
    "StoreBusy",
    "StoreError",
    "StoreFull",
    "StoreReadOnly",
    "StoreUnavailable",
    "SumsDamaged",
    "Unsupported",
    "UploadNotFound",
    "VersionGone",
]


class DoliumError(Exception):
    """The root. `message` is fit for the person who caused it: no path, secret or traceback."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class Malformed(DoliumError):
    """Input that breaks a wire format or a limit of it.

    `code` is the S3 error code; `fields` are further elements of the error document
    (`{"ArgumentName": "max-keys"}`).
    """

    def __init__(self, code: str, message: str = "", **fields: str) -> None:
        super().__init__(message)
        self.code = code
        self.fields = fields


class Denied(DoliumError):
    """The principal may not perform the action; `message` never tells more than the caller may know."""


class NotFound(DoliumError):
    """What was asked for is not there, and that is certain."""


class BlobNotFound(NotFound):
    """No blob under this key in a store that is known to be up."""

    def __init__(self, key: str) -> None:
        super().__init__("no such blob")
        self.key = key


class BucketNotFound(NotFound):
    """No bucket of this name in the tenancy."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"The bucket {bucket} does not exist")
        self.bucket = bucket


class ObjectNotFound(NotFound):
    """No such object, version or part; `is_delete_marker` if its newest version says so."""

    def __init__(self, key: str, *, version_id: str | None = None, is_delete_marker: bool = False) -> None:
        super().__init__("The specified key does not exist.")
        self.key = key
        self.version_id = version_id
        self.is_delete_marker = is_delete_marker


class DatasetNotFound(NotFound):
    """No file of this dataset there, in stores that are up."""


class UploadNotFound(NotFound):
    """No multipart upload with this id for this key: never begun, completed or aborted."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(
            "The specified multipart upload does not exist. "
            "The upload ID might be invalid, or the multipart upload might have been aborted or completed."
        )
        self.upload_id = upload_id


class RecordNotFound(NotFound):
    """No tenancy, person, group or access key of that name; `noun` says which."""

    def __init__(self, noun: str, name: str) -> None:
        super().__init__(f"no {noun} named {name!r}")
        self.noun = noun
        self.name = name


class Conflict(DoliumError):
    """The state of things forbids the request."""


class AlreadyExists(Conflict):
    """Something of that name is there already; `own` if it belongs to the caller."""

    def __init__(self, noun: str, name: str, *, own: bool = False) -> None:
        super().__init__(f"a {noun} named {name!r} already exists")
        self.noun = noun
        self.name = name
        self.own = own


class BucketNotEmpty(Conflict):
    """Only an empty bucket can be deleted."""

    def __init__(self, bucket: str) -> None:
        super().__init__("The bucket you tried to delete is not empty")
        self.bucket = bucket


class PreconditionFailed(Conflict):
    """A conditional request whose condition does not hold; `condition` is the header's name."""

    def __init__(self, condition: str) -> None:
        super().__init__("At least one of the pre-conditions you specified did not hold")
        self.condition = condition


class Overtaken(Conflict):
    """While this version was on its way, one with a higher sequence was published: it needs a higher one too."""

    def __init__(self, key: str) -> None:
        super().__init__("The object is written too often at the same time. Please try again.")
        self.key = key


class VersionGone(Conflict):
    """The version that was found has been replaced or deleted since, and its bytes are no longer there: look again."""

    def __init__(self, key: str) -> None:
        super().__init__("The object was replaced or deleted while it was being read. Please try again.")
        self.key = key


class DatasetInvalid(DoliumError):
    """An id, folder or name that no dataset can have, or that would lie outside of its store."""


class RangeNotSatisfiable(DoliumError):
    """The range begins behind the end of the object."""

    def __init__(self, size: int) -> None:
        super().__init__("The requested range is not satisfiable")
        self.size = size


class ChecksumMismatch(DoliumError):
    """The bytes are not those that the caller described; `algorithm` as in `Checksum`, or MD5."""

    def __init__(self, algorithm: str, *, expected: str = "", computed: str = "") -> None:
        super().__init__(f"The {algorithm} you specified did not match the calculated checksum.")
        self.algorithm = algorithm
        self.expected = expected
        self.computed = computed


class BodyTruncated(DoliumError):
    """The body ended before its declared length, or its connection did."""


class QuotaExceeded(DoliumError):
    """The write would take the tenancy or the bucket over its quota."""


class Overloaded(DoliumError):
    """Too much is asked at once, by this caller or by all. Nothing was done, and later it may be."""

    def __init__(self, message: str = "Please reduce your request rate.") -> None:
        super().__init__(message)


class StoreError(DoliumError):
    """A store could not do its work."""


class StoreUnavailable(StoreError):
    """The store is down, hung or suspect: nothing can be said of its blobs. Never "not found"."""

    def __init__(self, store_id: str, message: str = "the store is unavailable") -> None:
        super().__init__(message)
        self.store_id = store_id


class StoreBusy(StoreUnavailable):
    """The store does not answer in time, or this machine has run out of what it takes to ask it."""


class PartlyDone(StoreUnavailable):
    """Some stores of several have done it, those in `left` have not: to do it again is safe."""

    def __init__(self, message: str, *, done: tuple[str, ...], left: tuple[str, ...]) -> None:
        super().__init__(left[0], f"{message}; not done in {', '.join(left)}")
        self.done = done
        self.left = left


class StoreFull(StoreError):
    """No space or inodes left, or the store's own limit reached."""


class StoreReadOnly(StoreError):
    """The store takes no writes."""


class BlobCorrupt(StoreError):
    """The bytes in the store are not those that were written."""


class SumsDamaged(BlobCorrupt):
    """The checksums beside the bytes are damaged; the bytes may be right."""


class CatalogError(DoliumError):
    """The catalog could not do its work."""


class CatalogUnavailable(CatalogError):
    """Locked for too long, unreachable, or on a disk that fails."""


class OutcomeUnknown(CatalogError):
    """A commit failed in a way that may have succeeded, and a look afterwards could not settle it."""


class BackupError(CatalogError):
    """A backup of the catalog cannot be made, or is none that can be used. Only commands raise it: it names files."""


class ConfigError(DoliumError):
    """A configuration that cannot be used; the message opens with `file:line:`."""

    def __init__(self, message: str, *, file: str = "", line: int = 0) -> None:
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(where + message)
        self.file = file
        self.line = line


class Unsupported(DoliumError):
    """Known, and not offered here."""
