import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dolium.server.http.options import HttpOptions
from dolium.server.http.server import Finished
from dolium.server.http.stepping import App
from dolium.server.listen import tls_context
from dolium.testing.certificates import Authority, make_authority
from tests.unit.server.http.live import Live

Serve = Callable[..., Live]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server for this test: `serve(app, keep_alive=0.1)`."""
    with ExitStack() as running:

        def start(app: App, *, on_finished: Finished | None = None, tls: Any = None, **options: Any) -> Live:
            chosen = HttpOptions(**({"tick": 0.02} | options))
            return running.enter_context(Live(app, chosen, on_finished, tls))

        yield start


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(authority: Authority) -> ssl.SSLContext:
    return tls_context(authority.cert_file, authority.key_file)
