"""Every kind of bad input has a test: a table of what is sent, what is answered, and the test that says so.

The answers are those of AWS where it has one. What is not built has its row with it.
"""

import re
from pathlib import Path

ROWS: tuple[tuple[str, str, str], ...] = (
    # Digests and bodies
    ("Content-MD5 that is no base64, of a wrong length, empty, or of other bytes", "InvalidDigest, BadDigest", "test_content_md5"),
    ("x-amz-content-sha256 that is garbage", "InvalidArgument", "test_content_sha256_garbage"),
    ("x-amz-content-sha256 of other bytes", "XAmzContentSHA256Mismatch", "test_content_sha256_of_another_body"),
    ("x-amz-content-sha256 missing in a signed header", "InvalidRequest", "test_content_sha256_missing"),
    ("x-amz-checksum-* of other bytes", "BadDigest", "test_checksum_of_another_body"),
    ("x-amz-checksum-* that cannot be, two of them, an algorithm without a value", "InvalidRequest",
     "test_checksum_headers_that_cannot_be"),
    ("a body shorter than it says", "IncompleteBody, nothing stored", "test_a_body_that_is_cut_short"),
    ("lies about the length, over the wire, inline and in files and parts", "nothing half is stored", "test_nothing_half_is_stored"),
    ("no length", "MissingContentLength", "test_no_length_at_all"),
    ("a length that is none", "400", "test_a_length_that_is_none"),
    ("more than one PUT may have", "EntityTooLarge, before the body", "test_more_than_one_put_may_have"),
    ("a part that is too small", "EntityTooSmall", "test_a_part_that_is_too_small"),
    ("part numbers 0, 10001, -1, words", "InvalidArgument", "test_part_numbers"),
    ("a part that the object has not", "InvalidPartNumber", "test_a_part_that_the_object_has_not"),
    ("Complete: an empty list, XML that is none", "MalformedXML", "test_complete"),
    ("Complete: in the wrong order", "InvalidPartOrder", "test_complete_in_the_wrong_order"),
    ("Complete: parts that are not there", "InvalidPart", "test_complete_with_parts_that_are_not_there"),
    ("an upload that is not there", "NoSuchUpload", "test_an_unknown_upload"),
    # Who asks
    ("no authorization, an empty one", "AccessDenied", "test_no_authorization"),
    ("an Authorization header that is garbage or lacks pieces, or of an algorithm that is not known",
     "InvalidArgument, AuthorizationHeaderMalformed, InvalidRequest", "test_authorization_garbage"),
    ("a key that is not known, revoked, expired", "InvalidAccessKeyId", "test_an_unknown_key"),
    ("a wrong secret", "SignatureDoesNotMatch", "test_a_wrong_secret"),
    ("a path, query, header or method that was changed", "SignatureDoesNotMatch", "test_a_changed_request"),
    ("a link that was changed", "SignatureDoesNotMatch", "test_a_changed_presigned_url"),
    ("a wrong service, date or end of the scope", "AuthorizationHeaderMalformed", "test_a_wrong_scope"),
    ("no date, or none that can be read", "AccessDenied", "test_no_date_or_none_that_can_be_read"),
    ("a clock more than 15 minutes off, either way", "RequestTimeTooSkewed", "test_a_clock_that_is_wrong"),
    ("x-amz-* or content-md5 that is not signed", "AccessDenied", "test_a_header_that_is_not_signed"),
    ("a link that has expired", "AccessDenied", "test_a_presigned_url_that_has_expired"),
    ("a life of a link below 0, above 7 days, in words", "AuthorizationQueryParametersError", "test_a_life_that_cannot_be"),
    ("header and link at once", "InvalidArgument", "test_both_kinds_of_authorization"),
    ("a link used twice", "allowed; once where it is signed with If-None-Match", "test_a_link_that_works_once"),
    ("response-* without a signature", "AccessDenied", "test_overrides_are_for_whoever_signs"),
    ("every operation, signed in every way, with every payload", "what is not expected is refused", "test_table"),
    ("the service's own pages, signed in every way", "read, and nothing else", "test_own_pages"),
    # Chunks
    ("aws-chunked framing that does not add up", "InvalidRequest, IncompleteBody", "test_framing_that_does_not_add_up"),
    ("a chunk below 8 KiB that is not the last", "InvalidChunkSizeError", "test_a_chunk_below_8_kib_that_is_not_the_last"),
    ("a chunk with a wrong signature", "SignatureDoesNotMatch", "test_a_chunk_with_a_wrong_signature"),
    ("chunks swapped, repeated", "SignatureDoesNotMatch", "test_chunks_swapped_and_repeated"),
    ("chunks of another request", "SignatureDoesNotMatch", "test_chunks_of_another_request"),
    ("no final chunk", "IncompleteBody", "test_the_final_chunk_missing"),
    ("x-amz-decoded-content-length missing or wrong", "MissingContentLength, IncompleteBody", "test_the_decoded_length"),
    ("trailers: missing, malformed, two, wrong", "MalformedTrailerError, InvalidRequest, BadDigest", "test_trailers"),
    ("a trailer that was not announced", "MalformedTrailerError", "test_a_trailer_that_is_not_announced"),
    ("a trailer with a wrong signature", "SignatureDoesNotMatch", "test_a_trailer_with_a_wrong_signature"),
    ("an unsigned trailer on every route that writes", "403, or InvalidRequest where no body is taken",
     "test_advisory_cve_2026_40344_unsigned_trailers_need_a_signature"),
    ("a form, a policy in a form", "NotImplemented", "test_a_form_is_not_taken"),
    # Names
    ("keys with dots, slashes, escapes, in paths", "just names", "test_advisory_cve_2026_54917_dots_in_a_path_stay_in_the_bucket"),
    ("the same in the document of DeleteObjects", "just names", "test_advisory_cve_2026_58372_dots_in_a_batch_stay_in_the_bucket"),
    ("the same in a copy source", "just names", "test_advisory_versitygw_d6d6cc8_a_copy_source_is_read_once"),
    ("a key of more than 1,024 bytes", "KeyTooLongError", "test_a_key_of_more_than_1024_bytes"),
    ("NUL, bytes that are no UTF-8", "InvalidURI, InvalidArgument", "test_a_key_that_is_no_text"),
    ("keys like our own files", "just names", "test_advisory_rustfs_ghsa_pq29_no_name_of_a_client_becomes_a_path"),
    ("a bucket name that cannot be", "InvalidBucketName", "test_a_bucket_name_that_cannot_be"),
    ("headers above the limit", "RequestHeaderSectionTooLarge", "test_headers_above_the_limit"),
    ("metadata above 2 KiB", "MetadataTooLarge", "test_metadata_above_2_kib"),
    ("line breaks in metadata", "400, never split", "test_line_breaks_in_metadata"),
    # Documents
    ("DeleteObjects: DTD, entities, nesting, encodings, wrong elements", "MalformedXML", "test_delete_objects"),
    ("CreateBucket: the same", "MalformedXML", "test_create_bucket"),
    ("a document above 4 MiB", "MaxMessageLengthExceeded", "test_a_document_above_4_mib"),
    ("DeleteObjects: more than 1,000 keys, or of another shape", "MalformedXML", "test_delete_objects_of_another_shape"),
    ("DeleteObjects: no digest", "InvalidRequest", "test_delete_objects_without_a_digest"),
    # Queries, ranges, conditions
    ("max-keys -1, words", "InvalidArgument", "test_limits_of_listings"),
    ("a continuation token of somebody else's making", "InvalidArgument", "test_continuation_tokens"),
    ("a range that is none", "not heeded", "test_ranges_that_are_none_are_not_heeded"),
    ("a range behind the end, or of nothing", "InvalidRange", "test_ranges_that_hold_nothing"),
    ("a thousand ranges", "the whole", "test_a_thousand_ranges"),
    ("a range and a part number", "InvalidRequest", "test_a_range_and_a_part"),
    ("conditions that do not hold", "PreconditionFailed, NoSuchKey", "test_conditions_that_do_not_hold"),
    ("a copy source that is empty or none", "InvalidArgument", "test_copy_sources_that_are_none"),
    ("a copy onto itself that changes nothing", "InvalidRequest", "test_a_copy_onto_itself_that_changes_nothing"),
    ("a sub-resource that is not built", "NotImplemented", "test_a_subresource_that_is_not_built"),
    ("a query that is mistyped", "NotImplemented", "test_a_query_that_is_mistyped"),
    ("a wrong verb", "MethodNotAllowed with Allow", "test_a_wrong_verb"),
    ("a refused body", "never the next request", "test_a_refused_body_is_not_the_next_request"),
    # Network and load
    ("a peer that resets, or ends early", "nothing is left", "test_a_peer_that_resets_leaves_nothing"),
    ("a client that stops reading", "dropped, its file closed",
     "test_advisory_cve_2016_0738_a_client_that_stops_reading_frees_its_file"),
    ("a head that does not come", "408 after the deadline", "test_a_slow_head_meets_its_deadline"),
    ("a body that drips or stops", "408 below the minimum rate", "test_a_body_that_drips_is_a_timeout"),
    ("500 slow connections", "others work on", "test_500_slow_connections_hurt_nobody"),
    ("many slow uploads", "memory has an end", "test_many_slow_uploads_do_not_fill_the_memory"),
    ("many listings that nobody reads", "memory has an end", "test_many_listings_that_nobody_reads_do_not_fill_the_memory"),
    ("one address that takes all connections", "503, and others are served", "test_one_address_leaves_room_for_others"),
    ("one person who takes all places", "SlowDown, and others are served", "test_one_person_leaves_places_for_others"),
    ("Expect: 100-continue that will be refused", "refused before the body", "test_no_body_is_asked_for_in_vain"),
    ("requests that two parsers read differently", "400, and the connection ends", "test_refused_and_closed"),
    ("forwarded addresses", "not believed", "test_advisory_cve_2026_21862_forwarded_addresses_are_not_believed"),
    ("SIGTERM with requests under way", "they are finished", "test_sigterm_finishes_what_is_begun"),
)  # fmt: skip
FLOOR = 88

_TESTS = Path(__file__).parents[1]
_name = re.compile(r"^def (test_\w+)\(", re.MULTILINE)


def _known() -> set[str]:
    return {name for path in _TESTS.rglob("test_*.py") for name in _name.findall(path.read_text())}


def test_every_row_has_its_test() -> None:
    known = _known()
    assert [test for _, _, test in ROWS if test not in known] == []


def test_no_row_is_lost() -> None:
    assert len({sent for sent, _, _ in ROWS}) == len(ROWS) >= FLOOR


def test_the_tests_that_the_pages_name_are_there() -> None:
    """`docs/security.md` and `docs/durability.md` promise nothing that no test holds."""
    known = _known()
    for page in ("security.md", "durability.md"):
        named = set(re.findall(r"`(test_[a-z0-9_]+)`", (_TESTS.parent / "docs" / page).read_text()))
        assert named - known == set(), page
