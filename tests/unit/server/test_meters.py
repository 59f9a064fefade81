import multiprocessing
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from dolium.server.meters import Meters, clear


def count_in_child(folder: Path) -> None:
    meters = Meters(folder, ["GetObject", "PutObject"])
    meters.count("GetObject", 200, 0.003, 0, 10)
    meters.close()


def value(meters: Meters, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(meters)
    return registry.get_sample_value(name, labels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "meters"
    clear(folder)
    return folder


def test_all_processes_are_added_up_also_dead_ones(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for _ in range(2):
        child = context.Process(target=count_in_child, args=(folder,))
        child.start()
        child.join()
        assert child.exitcode == 0
    meters = Meters(folder, ["GetObject", "PutObject"])
    meters.count("GetObject", 206, 0.0007, 0, 5)
    meters.count("PutObject", 507, 20.0, 100, 0)
    meters.count("GetObject", 0, 0.0, 0, 1)
    assert value(meters, "dolium_requests_total", operation="GetObject", status="2xx") == 3
    assert value(meters, "dolium_requests_total", operation="GetObject", status="none") == 1
    assert value(meters, "dolium_requests_total", operation="PutObject", status="5xx") == 1
    assert value(meters, "dolium_sent_bytes_total", operation="GetObject") == 26
    assert value(meters, "dolium_received_bytes_total", operation="PutObject") == 100
    assert value(meters, "dolium_request_seconds_bucket", operation="GetObject", le="0.001") == 2
    assert value(meters, "dolium_request_seconds_bucket", operation="GetObject", le="0.005") == 4
    assert value(meters, "dolium_request_seconds_count", operation="GetObject") == 4
    assert value(meters, "dolium_request_seconds_bucket", operation="PutObject", le="10.0") == 0
    assert value(meters, "dolium_request_seconds_sum", operation="PutObject") == 20
    meters.close()


def test_what_is_no_operation_is_counted_apart(folder: Path) -> None:
    meters = Meters(folder, ["GetObject"])
    meters.count("", 403, 0.0, 0, 0)
    meters.count("Nonsense", 403, 0.0, 0, 0)
    assert value(meters, "dolium_requests_total", operation="other", status="4xx") == 2
    meters.close()


def test_a_process_that_takes_up_a_number_again_goes_on_counting(folder: Path) -> None:
    for _ in range(2):
        meters = Meters(folder, ["GetObject"])
        meters.count("GetObject", 200, 0.0, 0, 0)
        meters.close()
    assert [file.name for file in folder.iterdir()] == [f"{os.getpid()}.meters"]
    meters = Meters(folder, ["GetObject"])
    assert value(meters, "dolium_requests_total", operation="GetObject", status="2xx") == 2
    meters.close()


def test_a_new_start_counts_from_nothing(folder: Path) -> None:
    (folder / "1.meters").write_bytes(b"x")
    (folder / "kept").touch()
    clear(folder)
    assert [file.name for file in folder.iterdir()] == ["kept"]
