import pytest

from dolium.movers.pace import Pace, Stopped


def test_it_rests_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    rested: list[float] = []

    def rest(seconds: float) -> bool:
        rested.append(seconds)
        now[0] += seconds
        return False

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pace = Pace(1_000_000, rest)
    for _ in range(100):
        pace.spend(100_000)
        now[0] += 0.01  # the work itself
    # Ten seconds for ten megabytes, the second of work among them.
    assert 10.0 <= now[0] - 100.0 < 10.2
    assert 8.9 < sum(rested) < 9.2
    now[0] += 3600
    before = now[0]
    for _ in range(20):
        pace.spend(100_000)
    assert now[0] - before > 1.9, "an hour without work is no credit"
    rested.clear()
    pace.spend(10)
    assert rested == [0.0], "what is tiny is added up"


def test_without_a_rate_it_only_asks_whether_to_stop() -> None:
    asked: list[float] = []

    def rest(seconds: float) -> bool:
        asked.append(seconds)
        return len(asked) > 1

    pace = Pace(0, rest)
    pace.spend(1 << 40)
    with pytest.raises(Stopped):
        pace.spend(1)
    assert asked == [0.0, 0.0]
