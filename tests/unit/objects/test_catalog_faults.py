"""Every call that a use case makes to the disk of the catalog fails, at each place where it is made: what was told is
true, also after a restart, and no blob that a row names is swept.
"""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from dolium.errors import CatalogUnavailable, DoliumError, ObjectNotFound, OutcomeUnknown
from dolium.testing.catalog_faults import CATALOG_CALLS, Faults, faulty_catalogs
from dolium.testing.checker import check
from tests.unit.objects.cases import (
    Case,
    Complete,
    Copy,
    Delete,
    Fresh,
    Overwrite,
    PartOfUpload,
    Stage,
    staged,
)


@pytest.fixture
def faults() -> Iterator[Faults]:
    with faulty_catalogs() as faults:
        yield faults


class Inline(Fresh):
    """Its bytes are in the transaction."""

    def __init__(self, stage: Stage, key: str) -> None:
        super().__init__(stage, key)
        self.new = self.new[:500]


class Removal(Case):
    def prepare(self) -> None:
        self.stage.put(self.key, self.new)

    def run(self) -> None:
        self.stage.delete(self.key)

    def done(self) -> None:
        self.stage.told.pop(self.key, None)


CASES: list[type[Case]] = [Inline, Fresh, Overwrite, PartOfUpload, Complete, Copy, Delete, Removal]


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for-good"])
@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError], ids=["io", "full"])
@pytest.mark.parametrize("case", CASES)
def test_what_was_told_is_true(
    tmp_path: Path, faults: Faults, case: type[Case], error: type[apsw.Error], *, for_good: bool
) -> None:
    unknown = 0
    with staged(tmp_path) as stage:
        stage.put("near", b"stays" * 400)
        for nth in range(1, 100):
            at_work = case(stage, f"k{nth}")
            at_work.prepare()
            failure: DoliumError | None = None
            with faults.failing(*CATALOG_CALLS, error=error, nth=nth, for_good=for_good) as calls:
                try:
                    at_work.run()
                except DoliumError as caught:
                    failure = caught
            if not calls.failed:
                assert nth > 1
                assert failure is None
                break
            assert failure is None or isinstance(failure, CatalogUnavailable | OutcomeUnknown)
            assert for_good or not isinstance(failure, OutcomeUnknown)
            if failure is None or (isinstance(failure, OutcomeUnknown) and _is_done(at_work)):
                at_work.done()
            unknown += isinstance(failure, OutcomeUnknown)
            stage.check()
        else:
            raise AssertionError("it makes fewer calls")
        told = stage.told
    with staged(tmp_path) as stage:
        stage.told = told if calls.failed else _with_last(at_work, told)
        stage.check()
        stage.sweep()
        stage.check()
        assert check(tmp_path, tmp_path / "store").leftovers == []
    assert (unknown > 0) == for_good


def _is_done(case: Case) -> bool:
    """Whether an outcome that nobody knew was done, as can be seen now."""
    try:
        found: bytes | None = case.stage.read(case.key)
    except ObjectNotFound:
        found = None
    return (found is None) if isinstance(case, Removal) else found == case.new


def _with_last(case: Case, told: dict[str, bytes]) -> dict[str, bytes]:
    case.stage.told = told
    case.done()
    return told
