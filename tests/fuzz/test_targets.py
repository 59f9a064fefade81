"""The targets of the fuzzer in CI: what was found once, and what Hypothesis makes of the seeds."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS

FOUND = Path(__file__).parent / "found"
EXAMPLES = int(os.environ.get("DOLIUM_FUZZ_EXAMPLES", "150"))


@pytest.mark.parametrize(
    "path", sorted(FOUND.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_what_was_found_once(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_its_seeds() -> None:
    assert SEEDS.keys() == TARGETS.keys()
    for name, seeds in SEEDS.items():
        for seed in seeds:
            TARGETS[name](seed)


def _mutations(name: str) -> st.SearchStrategy[bytes]:
    """Pieces of the seeds, cut anywhere and put together again, with noise between them."""
    whole = st.sampled_from(SEEDS[name])
    cut = st.tuples(whole, st.integers(0, 300), st.integers(1, 300)).map(
        lambda it: it[0][it[1] : it[1] + it[2]]
    )
    piece = whole | cut | st.binary(max_size=6)
    return st.lists(piece, max_size=6).map(b"".join) | st.binary(max_size=300)


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_is_sent(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_mutations(name))
    def run(data: bytes) -> None:
        target(data)

    run()
