"""What a key may be: the pattern beside the words of decision 6."""

import timeit
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolium.stores.keys import check_key, is_segment


def _may_be_a_segment(name: str) -> bool:
    """The rule, word for word."""
    if name in {"", ".", ".."} or name.startswith(".dolium") or "/" in name:
        return False
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        return False
    return len(name.encode()) <= 255


@given(st.text(st.sampled_from("a. /é\0\x7f\x85\xa0\ud83d\udc00\U0001f9ec") | st.characters(), max_size=20))
def test_a_key_is_made_of_segments(key: str) -> None:
    segments = key.split("/")
    assert [is_segment(name) for name in segments] == [_may_be_a_segment(name) for name in segments]
    if all(map(_may_be_a_segment, segments)):
        check_key(key)
    else:
        with pytest.raises(ValueError, match="key"):
            check_key(key)


@pytest.mark.parametrize("letter", ["a", "é", "☃", "\U0001f9ec"])
def test_lengths_count_bytes(letter: str) -> None:
    width = len(letter.encode())
    longest = letter * (255 // width)
    assert is_segment(longest)
    assert not is_segment(longest + letter)
    check_key(longest)
    half = letter * (128 // width)
    whole = "/".join([half] * 7) + "/" + "x" * (1024 - 7 * (len(half.encode()) + 1))
    assert len(whole.encode()) == 1024
    check_key(whole)
    with pytest.raises(ValueError, match="key"):
        check_key(whole + "x")


def test_every_control_character_is_refused_and_no_other_character_is() -> None:
    for number in range(0x110000):
        character = chr(number)
        allowed = unicodedata.category(character) not in {"Cc", "Cs"} and character not in "./"
        assert is_segment(character) == allowed, hex(number)


def test_a_check_costs_little() -> None:
    key = "ab/cd/0193a7c2f1b27c3e8d4b0123456789ab"
    assert min(timeit.repeat(lambda: check_key(key), number=1000, repeat=20)) / 1000 < 5e-6
