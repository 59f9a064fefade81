"""Configurations to paste, with the address and the keys filled in: those of `docs/clients.md`.

What holds the secret goes into a file; what is typed does not hold it. A shell and Python keep what is typed in a
history, and everybody on a machine can read the arguments of a program.
"""

from __future__ import annotations

from typing import NamedTuple

from dolium.config.settings import Listen

__all__ = ["Snippet", "endpoint_of", "snippets"]


class Snippet(NamedTuple):
    """`title` says where it goes; `typed`: at a prompt, else into the file that is named first."""

    title: str
    text: str
    typed: bool = False


def endpoint_of(listen: tuple[Listen, ...]) -> Listen:
    """The address that a client on this machine uses: http before https, loopback for "all addresses"."""
    first = next((one for one in listen if one.scheme == "http"), listen[0])
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(first.host, first.host)  # noqa: S104 - read, not bound
    return Listen(first.scheme, loopback, first.port)


def snippets(url: str, access_key: str, secret_key: str, region: str) -> list[Snippet]:
    """For s3cmd, mc, rclone, aws and Python, in this order."""
    scheme, _, host = url.partition("://")
    return [
        Snippet("~/.s3cfg (s3cmd)", _s3cfg(host, access_key, secret_key, secure=scheme == "https")),
        Snippet("mc (it asks for both keys)", f"mc alias set dolium {url}", typed=True),
        Snippet("~/.config/rclone/rclone.conf", _rclone(url, access_key, secret_key)),
        Snippet("~/.aws/credentials", _aws_credentials(access_key, secret_key)),
        Snippet("~/.aws/config", f"[profile dolium]\nregion = {region}\nendpoint_url = {url}"),
        Snippet(
            "~/dolium.env, then `. ~/dolium.env` (aws cli, boto3, s5cmd)",
            _environment(url, access_key, secret_key, region),
        ),
        Snippet("Python: s3fs and xarray, with the two files of ~/.aws", _PYTHON, typed=True),
    ]


def _s3cfg(host: str, access_key: str, secret_key: str, *, secure: bool) -> str:
    return (
        f"[default]\naccess_key = {access_key}\nhost_base = {host}\nhost_bucket = {host}\n"
        f"secret_key = {secret_key}\nuse_https = {secure}\nsignature_v2 = False"
    )


def _rclone(url: str, access_key: str, secret_key: str) -> str:
    return (
        f"[dolium]\ntype = s3\nprovider = Other\naccess_key_id = {access_key}\n"
        f"secret_access_key = {secret_key}\nendpoint = {url}\nno_check_bucket = true\n"
        "list_version = 2\nlist_url_encode = true"
    )


def _aws_credentials(access_key: str, secret_key: str) -> str:
    return f"[dolium]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}"


def _environment(url: str, access_key: str, secret_key: str, region: str) -> str:
    return (
        f"export AWS_ACCESS_KEY_ID={access_key}\nexport AWS_SECRET_ACCESS_KEY={secret_key}\n"
        f"export AWS_ENDPOINT_URL={url}\nexport AWS_REGION={region}"
    )


_PYTHON = """\
import s3fs, xarray
fs = s3fs.S3FileSystem(profile="dolium")
fs.mkdir("my-bucket")
dataset.to_zarr(s3fs.S3Map("my-bucket/data.zarr", s3=fs), mode="w", consolidated=True)
xarray.open_zarr(s3fs.S3Map("my-bucket/data.zarr", s3=fs), consolidated=True)"""
