"""A process group to test, as a program: its arguments are a Python expression of ServeOptions, and a mode."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from dolium.asgi.messages import Receive, Scope, Send
from dolium.config.settings import parse_listen
from dolium.errors import ConfigError, DoliumError
from dolium.server.run import ServeOptions, serve


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Group:
    """`/pid` tells who answers, `/slow` takes a second, `/die` kills its worker, `/ready` is readiness."""

    finished = None

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._draining = False
        self._again = Path("started").exists()
        Path("started").touch()

    async def startup(self) -> None:
        if self._mode == "refuses":
            raise ConfigError("the data folder is somebody else's")
        if self._mode == "breaks":
            raise LookupError("unforeseen")
        if self._mode == "exits":
            os._exit(7)
        if self._mode == "flaky" and self._again:
            os._exit(7)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"]
        if path == b"/die":
            os._exit(9)
        if path == b"/slow":
            await asyncio.sleep(1)
        body = b"draining" if path == b"/ready" and self._draining else b"%d" % os.getpid()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def drain(self) -> None:
        self._draining = True
        tell("drain", os.getpid())

    def reload(self) -> None:
        tell("reload", os.getpid())

    async def shutdown(self) -> None:
        tell("shutdown", os.getpid())


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="log %(message)s", stream=sys.stdout)
    options = eval(sys.argv[1], {"ServeOptions": ServeOptions, "parse": parse_listen, "Path": Path})
    mode = sys.argv[2]
    try:
        return serve(
            lambda: Group(mode),
            options,
            ready=lambda listens: tell("ready", *listens),
        )
    except DoliumError as error:
        tell(f"{type(error).__name__}: {error.message}")
        return 5


if __name__ == "__main__":
    sys.exit(main())
