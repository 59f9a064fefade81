"""Pages of keys: every page size, prefix and delimiter against a listing made by hand."""

from dataclasses import dataclass
from urllib.parse import quote, unquote

import pytest

from tests.s3.client import Answer, Client, target, texts
from tests.s3.inside import Inside

KEYS = sorted(
    [
        "a",
        "a/",
        "a/1",
        "a/2",
        "a/b/1",
        "a/b/2",
        "a0",
        "aa/1",
        "b//1",
        "b//2",
        "b/1",
        "c",
        "d--1",
        "d--2",
        "d-1",
        "e\x01",
        "e\x02/1",
        "f é/1",
        "f é/2",
        "g\U0001f980/1",
        "g\U0001f980/2",
        "g\uffff/1",
        "h<&>/1",
        "z/",
        "z/y/x/w",
    ],
    key=str.encode,
)


@dataclass(frozen=True, slots=True)
class Listed:
    keys: list[str]
    prefixes: list[str]


def by_hand(prefix: str, delimiter: str, after: str = "") -> Listed:
    """All in one page."""
    keys, prefixes = [], []
    for key in KEYS:
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            keys.append(key)
        elif (found := key[: cut + len(delimiter)]) not in prefixes:
            prefixes.append(found)
    return Listed(keys, prefixes)


@pytest.fixture(scope="module")
def bucket(inside: Inside) -> str:
    inside.admin.make_bucket("the-listed-one")
    for key in KEYS:
        inside.admin.put("the-listed-one", key, key.encode())
    return "the-listed-one"


def read(answer: Answer) -> Listed:
    """A page that was asked for with encoding-type=url."""
    return Listed(
        [unquote(key) for key in texts(answer, "Contents/Key")],
        [unquote(prefix) for prefix in texts(answer, "CommonPrefixes/Prefix")],
    )


def query(**parameters: str | int) -> str:
    named = {name.replace("_", "-"): str(value) for name, value in parameters.items() if value != ""}
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in named.items())


PLACES = [
    ("", ""),
    ("", "/"),
    ("a", "/"),
    ("a/", "/"),
    ("a/b", "/"),
    ("a/b/", "/"),
    ("b/", "/"),
    ("b//", "/"),
    ("", "//"),
    ("", "-"),
    ("d-", "-"),
    ("", "--"),
    ("", "1"),
    ("f ", " "),
    ("", "é"),
    ("g", "\U0001f980"),
    ("z/", "/"),
    ("none", "/"),
    ("", "a"),
    ("e", "\x01"),
    ("\U0010ffff", "/"),
]


@pytest.mark.parametrize(("prefix", "delimiter"), PLACES)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_version_2(admin: Client, bucket: str, prefix: str, delimiter: str, size: int) -> None:
    found, token = Listed([], []), ""
    for _ in range(len(KEYS) + 1):
        answer = admin.done("GET", f"/{bucket}?" + query(
            list_type=2, prefix=prefix, delimiter=delimiter, max_keys=size, continuation_token=token, encoding_type="url"
        ))  # fmt: skip
        page = read(answer)
        assert int(answer.field("KeyCount")) == len(page.keys) + len(page.prefixes) <= size
        found.keys.extend(page.keys)
        found.prefixes.extend(page.prefixes)
        token = answer.field("NextContinuationToken")
        assert answer.field("IsTruncated") == str(bool(token)).lower()
        if not token:
            break
    assert found == by_hand(prefix, delimiter)


@pytest.mark.parametrize(("prefix", "delimiter"), PLACES)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_version_1(admin: Client, bucket: str, prefix: str, delimiter: str, size: int) -> None:
    found, marker = Listed([], []), ""
    for _ in range(len(KEYS) + 1):
        answer = admin.done("GET", f"/{bucket}?" + query(
            prefix=prefix, delimiter=delimiter, max_keys=size, marker=marker, encoding_type="url"
        ))  # fmt: skip
        page = read(answer)
        found.keys.extend(page.keys)
        found.prefixes.extend(page.prefixes)
        if answer.field("IsTruncated") == "false":
            break
        # Without a delimiter AWS gives no NextMarker: the last key is where to go on.
        marker = unquote(answer.field("NextMarker")) or page.keys[-1]
    assert found == by_hand(prefix, delimiter)


@pytest.mark.parametrize("after", ["", "a", "a/", "a/b/1", "a/zzz", "b//1", "zz", "\x00", "d--", "é"])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_starting_after(admin: Client, bucket: str, after: str, delimiter: str) -> None:
    answer = admin.done("GET", f"/{bucket}?" + query(
        list_type=2, start_after=after, delimiter=delimiter, encoding_type="url"
    ))  # fmt: skip
    expected = by_hand("", delimiter, after)
    if delimiter and delimiter in after:
        # A common prefix that lies before `after` as a whole is not shown again.
        folded = after[: after.index(delimiter) + 1]
        expected = Listed(expected.keys, [one for one in expected.prefixes if one != folded])
    assert read(answer) == expected
    assert answer.field("StartAfter") == quote(after, safe="/")


def test_no_keys(admin: Client, bucket: str) -> None:
    for version in ("list-type=2&", ""):
        answer = admin.done("GET", f"/{bucket}?{version}max-keys=0")
        assert texts(answer, "Contents/Key") == []
        assert answer.field("IsTruncated") == "false"
        assert answer.field("MaxKeys") == "0"
        clamped = admin.done("GET", f"/{bucket}?{version}max-keys=2147483647&encoding-type=url")
        assert read(clamped).keys == KEYS
        assert clamped.field("MaxKeys") == "1000"


def test_entries(admin: Client, own: str) -> None:
    etag = admin.put(own, "k", b"body").headers["etag"]
    for version, owner in (
        ("list-type=2", 0),
        ("list-type=2&fetch-owner=true", 1),
        ("", 1),
        ("list-type=2&fetch-owner=false", 0),
    ):
        answer = admin.done("GET", f"/{own}?{version}")
        assert texts(answer, "Contents/ETag") == [etag]
        assert texts(answer, "Contents/Size") == ["4"]
        assert texts(answer, "Contents/StorageClass") == ["STANDARD"]
        assert len(texts(answer, "Contents/Owner/ID")) == owner


def test_a_token_is_not_tied_to_a_page(admin: Client, bucket: str) -> None:
    """It says where to go on; what it goes on with may change, and it wins over start-after."""
    first = admin.done("GET", f"/{bucket}?" + query(list_type=2, max_keys=3, encoding_type="url"))
    token = first.field("NextContinuationToken")
    rest = admin.done("GET", f"/{bucket}?" + query(
        list_type=2, continuation_token=token, start_after="z", encoding_type="url"
    ))  # fmt: skip
    assert read(first).keys + read(rest).keys == KEYS
    assert rest.field("ContinuationToken") == token


def test_names_that_xml_cannot_carry(admin: Client, bucket: str) -> None:
    """Never raw; clients that have such keys ask for encoding-type=url."""
    answer = admin.done("GET", f"/{bucket}?list-type=2&prefix=e")
    assert b"\x01" not in answer.body
    assert b"&#x1;" in answer.body
    assert b"e%01" in admin.done("GET", f"/{bucket}?list-type=2&prefix=e&encoding-type=url").body


def test_keys_that_come_and_go_between_pages(admin: Client, own: str) -> None:
    for number in range(10):
        admin.put(own, f"k{number}", b"x")
    first = admin.done("GET", f"/{own}?list-type=2&max-keys=4")
    assert texts(first, "Contents/Key") == ["k0", "k1", "k2", "k3"]
    for key in ("k3", "k5"):  # the one that the token names, and one behind it
        admin.done("DELETE", target(own, key))
    admin.put(own, "k3a", b"x")
    token = quote(first.field("NextContinuationToken"), safe="")
    rest = admin.done("GET", f"/{own}?list-type=2&continuation-token={token}")
    assert texts(rest, "Contents/Key") == ["k3a", "k4", "k6", "k7", "k8", "k9"]


def test_a_page_of_folded_thousands(inside: Inside, own: str) -> None:
    """What a delimiter folds away is skipped, not read: a few pages' worth is found at once."""
    for folder in range(3):
        for number in range(40):
            inside.admin.put(own, f"{folder}/{number:03}", b"")
    answer = inside.admin.done("GET", f"/{own}?list-type=2&delimiter=/&max-keys=2")
    assert read(answer) == Listed([], ["0/", "1/"])
    token = quote(answer.field("NextContinuationToken"), safe="")
    rest = inside.admin.done("GET", f"/{own}?list-type=2&delimiter=/&continuation-token={token}")
    assert read(rest) == Listed([], ["2/"])
