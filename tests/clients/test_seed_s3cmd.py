"""s3cmd as a centre's own page tells its users: the configuration, then each command of that page."""

import pytest

from dolium.testing.server import Site
from tests.clients.documented import filled
from tests.clients.shell import Shell


@pytest.fixture
def s3cmd(shell: Shell, site: Site) -> Shell:
    shell.write(".s3cfg", filled("~/.s3cfg", site))
    return shell


def test_help(s3cmd: Shell) -> None:
    assert "put" in s3cmd.run("s3cmd", "-h").stdout


def test_every_command_of_the_page(s3cmd: Shell, bucket_name: str) -> None:
    s3cmd.write("file.nc", b"temperature" * 1000)

    made = s3cmd.run("s3cmd", "mb", f"s3://{bucket_name}")
    assert "created" in made.stdout
    assert f"s3://{bucket_name}" in s3cmd.run("s3cmd", "ls").stdout.split()
    s3cmd.run("s3cmd", "put", "file.nc", f"s3://{bucket_name}")
    listed = s3cmd.run("s3cmd", "ls", f"s3://{bucket_name}").stdout.split()
    assert listed[-2:] == ["11000", f"s3://{bucket_name}/file.nc"]
    s3cmd.run("s3cmd", "get", f"s3://{bucket_name}/file.nc", "back.nc")
    assert (s3cmd.home / "back.nc").read_bytes() == b"temperature" * 1000


def test_wrong_secret_is_said(s3cmd: Shell, site: Site) -> None:
    s3cmd.write(".s3cfg", filled("~/.s3cfg", site).replace(site.secret_key, "not-the-secret"))
    refused = s3cmd.run("s3cmd", "ls", expect=None)
    assert refused.returncode != 0
    assert "SignatureDoesNotMatch" in refused.stderr
