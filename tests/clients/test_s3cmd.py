"""s3cmd beyond the page: trees, big files, metadata, links and what `info` asks."""

import pytest

from dolium.testing.server import Site
from tests.clients.documented import filled
from tests.clients.raw import fetch
from tests.clients.shell import Shell


@pytest.fixture
def s3cmd(shell: Shell, site: Site) -> Shell:
    shell.write(".s3cfg", filled("~/.s3cfg", site))
    return shell


def test_sync_of_a_tree_both_ways(s3cmd: Shell, bucket: str) -> None:
    big = bytes(range(256)) * 4096 * 16  # 16 MiB: two parts of 15 MiB at most
    s3cmd.write("tree/big.bin", big)
    s3cmd.write("tree/a/ü +%2F&.txt", b"odd")
    s3cmd.write("tree/a.txt", b"x")

    s3cmd.run("s3cmd", "sync", "tree/", f"s3://{bucket}/tree/")
    again = s3cmd.run("s3cmd", "sync", "tree/", f"s3://{bucket}/tree/").stdout
    assert "upload:" not in again  # all there already, by size and MD5
    s3cmd.run("s3cmd", "sync", f"s3://{bucket}/tree/", "back/")
    assert (s3cmd.home / "back/big.bin").read_bytes() == big
    assert (s3cmd.home / "back/a/ü +%2F&.txt").read_bytes() == b"odd"
    assert (s3cmd.home / "back/a.txt").read_bytes() == b"x"
    assert s3cmd.run("s3cmd", "du", f"s3://{bucket}").stdout.split()[:2] == [str(len(big) + 4), "3"]
    s3cmd.run("s3cmd", "del", "--recursive", f"s3://{bucket}/tree/")
    s3cmd.run("s3cmd", "rb", f"s3://{bucket}")


def test_copy_move_and_modify(s3cmd: Shell, bucket: str) -> None:
    s3cmd.write("a.txt", b"text")
    s3cmd.run("s3cmd", "put", "a.txt", f"s3://{bucket}/a.txt")
    s3cmd.run("s3cmd", "cp", f"s3://{bucket}/a.txt", f"s3://{bucket}/b.txt")
    s3cmd.run("s3cmd", "mv", f"s3://{bucket}/b.txt", f"s3://{bucket}/c.txt")
    s3cmd.run("s3cmd", "modify", "--add-header=x-amz-meta-units:hPa", f"s3://{bucket}/c.txt")
    about = s3cmd.run("s3cmd", "info", f"s3://{bucket}/c.txt").stdout
    assert "x-amz-meta-units: hPa" in about
    assert "File size: 4" in about
    names = s3cmd.run("s3cmd", "ls", f"s3://{bucket}").stdout.split()[3::4]
    assert names == [f"s3://{bucket}/a.txt", f"s3://{bucket}/c.txt"]


def test_info_of_a_bucket(s3cmd: Shell, bucket: str) -> None:
    about = s3cmd.run("s3cmd", "info", f"s3://{bucket}")
    assert "Location:" in about.stdout
    assert "ERROR" not in about.stderr


def test_signed_link(s3cmd: Shell, site: Site, bucket: str) -> None:
    s3cmd.write("a.txt", b"linked")
    s3cmd.run("s3cmd", "put", "a.txt", f"s3://{bucket}/a b.txt")
    link = s3cmd.run("s3cmd", "signurl", f"s3://{bucket}/a b.txt", "+600").stdout.strip()
    assert fetch(site, link).body == b"linked"
