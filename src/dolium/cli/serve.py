"""`dolium serve`: the service itself."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from dolium.cli.options import Commands, command, listen, settings_of
from dolium.config.settings import LOG_LEVELS, Listen, Settings, override, require_sound
from dolium.errors import ConfigError
from dolium.identity.credentials import from_environment

__all__ = ["add"]

_MORE = """\
With no arguments: data in ./dolium-data, S3 on http://127.0.0.1:9000, one worker per core. The first start
makes a site admin, a tenancy `main` and a key, and prints them once; DOLIUM_ACCESS_KEY_ID and
DOLIUM_SECRET_ACCESS_KEY set that first key instead.

SIGHUP: the certificate and the stores of the configuration are read again (docs/stores.md).

SIGTERM or SIGINT: no new connections, requests that are under way end, then exit 0."""


def add(commands: Commands) -> None:
    parser = command(commands, "serve", "Serve S3 from a data folder.", _run, more=_MORE)
    parser.add_argument(
        "--listen",
        type=listen,
        action="append",
        metavar="[http[s]://]HOST:PORT",
        help="address to listen on; may be given many times",
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain for https, PEM")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key, PEM")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")
    parser.add_argument("--log-level", choices=LOG_LEVELS)


def _settings(args: argparse.Namespace) -> Settings:
    flags = {
        "listen": tuple(args.listen) if args.listen else None,
        "tls_cert": args.tls_cert,
        "tls_key": args.tls_key,
        "workers": args.workers,
        "log_level": args.log_level,
    }
    settings = override(settings_of(args), flags)
    if not 0 <= settings.workers <= 512:
        raise ConfigError("--workers takes a number from 0 (one per core) to 512")
    require_sound(settings)
    return settings


def _run(args: argparse.Namespace) -> int:
    # Here and not above: every other command starts in half the time without the server.
    from dolium.server import meters, telemetry  # noqa: PLC0415
    from dolium.server.claim import claim  # noqa: PLC0415
    from dolium.server.first_run import arrive, welcome  # noqa: PLC0415
    from dolium.server.reload import Configuration  # noqa: PLC0415
    from dolium.server.run import serve  # noqa: PLC0415
    from dolium.server.wiring import build, meters_folder, serve_options  # noqa: PLC0415

    settings = _settings(args)
    for notice in settings.notices:
        print(f"dolium: {notice}", file=sys.stderr)
    telemetry.configure(settings.log_level)
    # Held by the workers too, so that nobody serves the folder while one of them still ends.
    held = claim(settings.data, patience=settings.drain + 15.0)
    try:
        arrival = arrive(settings, from_environment(os.environ))
        if arrival is not None:
            print(welcome(arrival, settings), flush=True)
        meters.clear(meters_folder(settings))
        current = Configuration(settings, lambda: _settings(args))
        return serve(
            lambda: build(current.settings, read_again=current.read),
            serve_options(settings),
            ready=lambda bound: _tell(bound, settings),
            reloads=current,
        )
    finally:
        os.close(held)


def _tell(bound: tuple[Listen, ...], settings: Settings) -> None:
    addresses = ", ".join(map(str, bound))
    print(
        f"dolium serves S3 on {addresses} from {settings.data}, {settings.worker_count} worker(s)", flush=True
    )
