"""S3's error codes: their HTTP status and usual words, and which of our errors is which code.

Source: AWS, "Error responses" in the S3 API reference.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dolium import errors

__all__ = ["Fault", "fault_of", "status_of"]

_STATUS = {
    400: (
        "AuthorizationHeaderMalformed AuthorizationQueryParametersError BadDigest BadRequest EntityTooLarge "
        "EntityTooSmall IllegalLocationConstraintException IncompleteBody InvalidArgument InvalidBucketName "
        "InvalidChunkSizeError InvalidDigest InvalidLocationConstraint InvalidPart InvalidPartOrder "
        "InvalidRedirectLocation InvalidRequest InvalidStorageClass InvalidTag InvalidURI KeyTooLongError "
        "MalformedACLError MalformedPOSTRequest MalformedTrailerError MalformedXML MaxMessageLengthExceeded "
        "MetadataTooLarge RequestTimeout TooManyBuckets UnexpectedContent UnresolvableGrantByEmailAddress "
        "XAmzContentChecksumMismatch XAmzContentSHA256Mismatch"
    ),
    403: (
        "AccessDenied AccountProblem InvalidAccessKeyId QuotaExceeded RequestTimeTooSkewed "
        "SignatureDoesNotMatch"
    ),
    404: (
        "NoSuchBucket NoSuchBucketPolicy NoSuchCORSConfiguration NoSuchKey NoSuchLifecycleConfiguration "
        "NoSuchObjectLockConfiguration NoSuchPublicAccessBlockConfiguration NoSuchTagSet NoSuchUpload NoSuchVersion "
        "NoSuchWebsiteConfiguration ObjectLockConfigurationNotFoundError OwnershipControlsNotFoundError "
        "ReplicationConfigurationNotFoundError ServerSideEncryptionConfigurationNotFoundError"
    ),
    405: "MethodNotAllowed",
    409: (
        "BucketAlreadyExists BucketAlreadyOwnedByYou BucketNotEmpty ConditionalRequestConflict InvalidBucketState "
        "OperationAborted"
    ),
    411: "MissingContentLength",
    412: "PreconditionFailed",
    416: "InvalidRange InvalidPartNumber",
    500: "InternalError",
    501: "NotImplemented",
    503: "ServiceUnavailable SlowDown",
    507: "InsufficientStorage",
}
_STATUS_OF = {code: status for status, codes in _STATUS.items() for code in codes.split()}

_WORDS = {
    "AccessDenied": "Access Denied",
    "InternalError": "We encountered an internal error. Please try again.",
    "InvalidAccessKeyId": "The access key ID you provided does not exist in our records.",
    "NotImplemented": "A header or a query parameter you provided implies functionality that is not implemented.",
    "MethodNotAllowed": "The specified method is not allowed against this resource.",
    "MissingContentLength": "You must provide the Content-Length HTTP header.",
    "NoSuchVersion": "The specified version does not exist.",
    "SignatureDoesNotMatch": (
        "The request signature we calculated does not match the signature you provided. Check your key and signing method."
    ),
    "SlowDown": "Please reduce your request rate.",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as S3 answers it; `fields` are further elements of the document, `headers` of the answer."""

    code: str
    status: int
    message: str
    fields: dict[str, str] = field(default_factory=dict)
    headers: tuple[tuple[bytes, bytes], ...] = ()


def status_of(code: str) -> int:
    """500 for a code that is not S3's: that is our own mistake."""
    return _STATUS_OF.get(code, 500)


# By type, the most special first; the first that fits is taken.
_CODES: tuple[tuple[type[errors.DoliumError], str], ...] = (
    (errors.Denied, "AccessDenied"),
    (errors.BucketNotFound, "NoSuchBucket"),
    (errors.ObjectNotFound, "NoSuchKey"),
    (errors.UploadNotFound, "NoSuchUpload"),
    (errors.BucketNotEmpty, "BucketNotEmpty"),
    (errors.PreconditionFailed, "PreconditionFailed"),
    (errors.Overtaken, "SlowDown"),  # both after many tries: it changes faster than it can be read or written
    (errors.VersionGone, "SlowDown"),
    (errors.RangeNotSatisfiable, "InvalidRange"),
    (errors.BodyTruncated, "IncompleteBody"),
    (errors.QuotaExceeded, "QuotaExceeded"),
    (errors.Overloaded, "SlowDown"),
    (errors.StoreFull, "InsufficientStorage"),
    (errors.StoreReadOnly, "MethodNotAllowed"),
    (errors.StoreBusy, "SlowDown"),
    (errors.StoreUnavailable, "ServiceUnavailable"),
    (errors.BlobCorrupt, "InternalError"),
    (errors.CatalogError, "ServiceUnavailable"),
    (errors.Unsupported, "NotImplemented"),
)
# What a client is told of trouble inside: nothing of where and why, which is in the log.
_GENERIC = {
    "SlowDown": _WORDS["SlowDown"],
    "ServiceUnavailable": "The service cannot reach the data for the moment. Please try again.",
    "MethodNotAllowed": "The store takes no writes now. What is in it can be read and deleted.",
    "InternalError": (
        "The stored bytes of this object are damaged or lost, so they are not sent. Please tell who runs this service."
    ),
    "InsufficientStorage": "The store has no space left. Deleting still works; please tell who runs this service.",
}


def fault_of(error: BaseException) -> Fault:
    """The answer for whatever went wrong. What is not one of ours is an InternalError."""
    if isinstance(error, errors.Malformed):
        message = error.message or _WORDS.get(error.code, error.code)
        headers: tuple[tuple[bytes, bytes], ...] = ()
        if error.code == "MethodNotAllowed":  # RFC 9110 §15.5.6
            headers = ((b"allow", error.fields["AllowedMethods"].encode("ascii")),)
        return Fault(error.code, status_of(error.code), message, dict(error.fields), headers)
    if isinstance(error, errors.ChecksumMismatch):
        return _mismatch(error)
    if isinstance(error, errors.AlreadyExists) and error.noun == "bucket":
        return _bucket_exists(error)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return _fault(error, code)
    return Fault("InternalError", 500, _WORDS["InternalError"])


def _fault(error: errors.DoliumError, code: str) -> Fault:
    status = status_of(code)
    fields: dict[str, str] = {}
    headers: tuple[tuple[bytes, bytes], ...] = ()
    match error:
        case errors.BucketNotFound():
            fields = {"BucketName": error.bucket}
        case errors.ObjectNotFound():
            fields = {"Key": error.key}
        case errors.UploadNotFound():
            fields = {"UploadId": error.upload_id}
        case errors.BucketNotEmpty():
            fields = {"BucketName": error.bucket}
        case errors.PreconditionFailed():
            fields = {"Condition": error.condition}
        case errors.StoreReadOnly():
            headers = ((b"allow", b"GET, HEAD, DELETE"),)
        case errors.RangeNotSatisfiable():
            fields = {"ActualObjectSize": str(error.size)}
            headers = ((b"content-range", b"bytes */%d" % error.size),)
        case _:
            pass
    if status == 503:
        headers = ((b"retry-after", b"2"),)
    message = _GENERIC.get(code) or error.message or _WORDS.get(code, code)
    return Fault(code, status, message, fields, headers)


def _mismatch(error: errors.ChecksumMismatch) -> Fault:
    if error.algorithm == "x-amz-content-sha256":
        return Fault(
            "XAmzContentSHA256Mismatch",
            400,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            {"ClientComputedContentSHA256": error.expected, "S3ComputedContentSHA256": error.computed},
        )
    return Fault("BadDigest", 400, error.message)


def _bucket_exists(error: errors.AlreadyExists) -> Fault:
    if error.own:
        return Fault(
            "BucketAlreadyOwnedByYou", 409, "You already own this bucket.", {"BucketName": error.name}
        )
    return Fault(
        "BucketAlreadyExists",
        409,
        "The requested bucket name is not available: another member of the tenancy has it. Please choose another name.",
        {"BucketName": error.name},
    )
