"""What every test may use: one live server for the whole run, and CI's rule that nothing is skipped."""

import os
import shutil
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dolium.testing.powercut import compile_library
from dolium.testing.server import LiveServer, Site
from tests.logs import leaks

pytest_plugins = ["tests.remote.emulators"]

CI = os.environ.get("DOLIUM_CI") == "1"
NOT_ON_THIS_PYTHON = "not on this Python"
"""How the reason begins of what CI cannot run either."""


@dataclass(frozen=True, slots=True)
class Sites:
    """The two addresses of one server."""

    http: Site
    https: Site


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """A live server with two workers, shared by the run. Tests keep apart by their buckets.

    `DOLIUM_TEST_ENDPOINT`, `DOLIUM_TEST_HTTPS_ENDPOINT`, `DOLIUM_TEST_CA`, `DOLIUM_TEST_ACCESS_KEY` and
    `DOLIUM_TEST_SECRET_KEY` point the same tests at a server that runs elsewhere.
    """
    if endpoint := os.environ.get("DOLIUM_TEST_ENDPOINT"):
        keys = os.environ["DOLIUM_TEST_ACCESS_KEY"], os.environ["DOLIUM_TEST_SECRET_KEY"]
        secure = os.environ["DOLIUM_TEST_HTTPS_ENDPOINT"]
        yield Sites(Site(endpoint, *keys), Site(secure, *keys, Path(os.environ["DOLIUM_TEST_CA"])))
        return
    folder = tmp_path_factory.mktemp("server")
    with LiveServer(folder, config="log_level: debug\n") as server:
        yield Sites(server.http, server.https)
    # After all that the tests of clients, of refusals and of advisories have sent.
    assert leaks(server.log(), secrets=(server.http.secret_key,), folder=str(folder)) == []


@pytest.fixture(params=["http", "https"])
def site(request: pytest.FixtureRequest, sites: Sites) -> Site:
    """The server over http, then over https: clients send other requests over each."""
    chosen: Site = getattr(sites, request.param)
    return chosen


@pytest.fixture
def bucket_name() -> str:
    """A bucket name that nobody used before."""
    return f"t-{uuid.uuid4().hex[:16]}"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is preloaded where the power is cut (`dolium.testing.powercut`)."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc) is installed")
    return compile_library(tmp_path_factory.mktemp("library"))


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI everything is installed: a test that is skipped there is a test that was lost."""
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        where = report.longrepr
        reason = where[2] if isinstance(where, tuple) else str(where)
        if NOT_ON_THIS_PYTHON in reason:
            return
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: not run, and CI runs every test. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report
