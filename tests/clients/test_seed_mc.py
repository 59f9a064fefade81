"""The MinIO client as a centre's own page tells its users; `mc config host add` is `mc alias set` today."""

import json
import os
import pty
import select
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

from dolium.testing.server import Site
from tests.clients.documented import filled
from tests.clients.raw import fetch
from tests.clients.shell import Shell, tool

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def mc(shell: Shell, site: Site) -> Shell:
    """A shell whose `~/.mc` knows the site as `dolium`, set up with the page's own lines."""
    code, said = set_alias(shell, site, site.secret_key)
    assert code == 0, said
    return shell


def set_alias(shell: Shell, site: Site, secret: str) -> tuple[int, str]:
    """The page's own lines, with the keys typed where mc asks for them: its exit code, and what was on the screen."""
    *before, line = filled("mc alias", site).splitlines()
    assert site.secret_key not in line
    for one in before:  # the two lines that make an authority known to mc
        shell.run("sh", "-c", one)
    terminal, inner = pty.openpty()
    try:
        process = subprocess.Popen(
            [str(tool("mc")), *line.split()[1:]],
            cwd=shell.home,
            env={"HOME": str(shell.home), "PATH": os.environ["PATH"], "TERM": "dumb", **shell.environment},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        said = ""
        for prompt, typed in (("Enter Access Key: ", site.access_key), ("Enter Secret Key: ", secret)):
            said = _screen(terminal, said, prompt)
            if typed == secret:
                _await_silence(terminal)
            os.write(terminal, typed.encode() + b"\n")
        said = _screen(terminal, said, None)
        return process.wait(30), said
    finally:
        os.close(terminal)


def _await_silence(terminal: int) -> None:
    """Until it shows no longer what is typed: mc turns that off after it has asked."""
    deadline = time.monotonic() + 30
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        assert time.monotonic() < deadline, "what is typed is shown"
        time.sleep(0.01)


def _screen(terminal: int, said: str, until: str | None) -> str:
    """What is on the screen when it asks for `until`, or when all is said."""
    deadline = time.monotonic() + 30
    while until is None or until not in said:
        assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], said
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            assert until is None, said
            break
        said += data.decode()
    return said


def test_alias_is_refused_with_a_wrong_secret(shell: Shell, site: Site) -> None:
    code, said = set_alias(shell, site, "not-the-secret")
    assert code == 1
    assert "signature" in said.lower()
    assert "not-the-secret" not in said


def test_alias_from_a_file(shell: Shell, site: Site, s3: "S3Client", bucket: str) -> None:
    for line in filled("mc alias", site).splitlines()[:-1]:
        shell.run("sh", "-c", line)
    shell.write("dolium.json", filled("dolium.json for mc", site))
    shell.run("mc", "alias", "import", "dolium", "dolium.json")
    s3.put_object(Bucket=bucket, Key="k", Body=b"imported")
    assert shell.run("mc", "cat", f"dolium/{bucket}/k").stdout == "imported"


def test_every_command_of_the_page(mc: Shell, s3: "S3Client", bucket_name: str) -> None:
    other = f"{bucket_name}-other"
    s3.create_bucket(Bucket=bucket_name)
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=bucket_name, Key="object-1", Body=b"pressure", Metadata={"units": "hPa"})

    assert "object-1" in mc.run("mc", "ls", f"dolium/{bucket_name}").stdout
    mc.run("mc", "cp", f"dolium/{bucket_name}/object-1", f"dolium/{other}/")
    copied = s3.get_object(Bucket=other, Key="object-1")
    assert copied["Body"].read() == b"pressure"
    assert copied["Metadata"]["units"] == "hPa"
    assert mc.run("mc", "cat", f"dolium/{other}/object-1").stdout == "pressure"
    mc.run("mc", "rm", f"dolium/{other}/object-1")
    assert "object-1" not in mc.run("mc", "ls", f"dolium/{other}").stdout


def test_buckets_trees_and_big_files(mc: Shell, bucket_name: str) -> None:
    mc.run("mc", "mb", f"dolium/{bucket_name}")
    big = bytes(range(256)) * 4096 * 20  # 20 MiB: two parts of 16 MiB at most
    mc.write("tree/big.bin", big)
    mc.write("tree/deep/er/ü +%2F.txt", b"odd")
    mc.write("tree/empty", b"")

    mc.run("mc", "cp", "--recursive", "tree/", f"dolium/{bucket_name}/tree/")
    rows = [
        json.loads(row)
        for row in mc.run("mc", "ls", "-r", "--json", f"dolium/{bucket_name}").stdout.splitlines()
    ]
    assert {row["key"]: row["size"] for row in rows} == {
        "tree/big.bin": len(big),
        "tree/deep/er/ü +%2F.txt": 3,
        "tree/empty": 0,
    }
    mc.run("mc", "mirror", f"dolium/{bucket_name}/tree", "back")
    assert (mc.home / "back/big.bin").read_bytes() == big
    assert (mc.home / "back/deep/er/ü +%2F.txt").read_bytes() == b"odd"
    assert (mc.home / "back/empty").read_bytes() == b""
    about = json.loads(mc.run("mc", "stat", "--json", f"dolium/{bucket_name}/tree/big.bin").stdout)
    assert about["size"] == len(big)
    mc.run("mc", "stat", f"dolium/{bucket_name}")
    mc.run("mc", "rm", "--recursive", "--force", f"dolium/{bucket_name}/")
    mc.run("mc", "rb", f"dolium/{bucket_name}")
    assert bucket_name not in mc.run("mc", "ls", "dolium").stdout


def test_shared_link_downloads(mc: Shell, site: Site, s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="object-1", Body=b"shared")
    shared = json.loads(mc.run("mc", "share", "download", "--json", f"dolium/{bucket}/object-1").stdout)
    assert fetch(site, shared["share"]).body == b"shared"
