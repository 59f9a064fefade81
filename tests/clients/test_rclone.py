"""rclone: a tree with odd names goes up and comes back, its checksums compared both ways."""

from pathlib import Path

import pytest

from dolium.testing.server import Site
from tests.clients.documented import filled
from tests.clients.shell import Shell

ODD = (
    "plain.txt",
    "a",
    "a.d/b",
    "space in name",
    " leading and trailing ",
    "plus+plus",
    "percent%2Fslash",
    "percent%",
    "question?mark#hash",
    "quotes'\"`",
    "<angle>&amp;.xml",
    "back\\slash",
    "tab\tnewline\nreturn\r",
    "control\x01\x1f\x7f",
    "..dots..",
    "...",
    ".hidden",
    "ümläut-composed",
    "u\u0308-decomposed",
    "日本語/データ",
    "😀",
    "semi;colon,comma=equals",
    "*star|pipe$",
    f"deep/{'d' * 200}/{'e' * 200}/{'f' * 200}/{'g' * 200}/end",
    "empty",
)


@pytest.fixture
def rclone(shell: Shell, site: Site) -> Shell:
    shell.write(".config/rclone/rclone.conf", filled("rclone.conf", site))
    if site.ca_file:
        shell.environment["RCLONE_CA_CERT"] = str(site.ca_file)
    return shell


def _tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_sync_of_a_tree_with_odd_names(rclone: Shell, bucket: str) -> None:
    for name in ODD:
        rclone.write(f"tree/{name}", b"" if name == "empty" else name.encode())

    rclone.run("rclone", "sync", "--checksum", "tree", f"dolium:{bucket}/tree")
    rclone.run("rclone", "check", "--checksum", "tree", f"dolium:{bucket}/tree")
    rclone.run("rclone", "sync", "--checksum", f"dolium:{bucket}/tree", "back")
    assert _tree(rclone.home / "back") == _tree(rclone.home / "tree")
    rclone.run("rclone", "check", "--download", f"dolium:{bucket}/tree", "back")

    (rclone.home / "tree/plain.txt").unlink()
    rclone.write("tree/a", "changed")
    rclone.run("rclone", "sync", "--checksum", "tree", f"dolium:{bucket}/tree")
    listed = rclone.run("rclone", "lsf", "-R", "--files-only", f"dolium:{bucket}/tree").stdout
    assert "plain.txt\n" not in listed
    assert rclone.run("rclone", "cat", f"dolium:{bucket}/tree/a").stdout == "changed"


def test_large_file_in_parts(rclone: Shell, bucket: str) -> None:
    big = bytes(range(256)) * 4096 * 12
    rclone.write("big.bin", big)
    in_parts = ("--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M")
    rclone.run("rclone", "copy", *in_parts, "big.bin", f"dolium:{bucket}")
    rclone.run("rclone", "check", "--one-way", "--include", "big.bin", ".", f"dolium:{bucket}")
    rclone.run("rclone", "copy", "--multi-thread-cutoff", "1M", f"dolium:{bucket}/big.bin", "back")
    assert (rclone.home / "back/big.bin").read_bytes() == big
    rclone.run("rclone", "moveto", f"dolium:{bucket}/big.bin", f"dolium:{bucket}/moved.bin")
    assert rclone.run("rclone", "lsf", f"dolium:{bucket}").stdout == "moved.bin\n"


def test_streams_new_buckets_times_and_links(rclone: Shell, bucket_name: str) -> None:
    rclone.run("rclone", "rcat", f"dolium:{bucket_name}/stream", stdin="piped")
    assert rclone.run("rclone", "cat", f"dolium:{bucket_name}/stream").stdout == "piped"
    rclone.run("rclone", "touch", "--timestamp", "2001-02-03T04:05:06", f"dolium:{bucket_name}/stream")
    when = rclone.run("rclone", "lsf", "--format", "t", f"dolium:{bucket_name}").stdout
    assert when.startswith("2001-02-03 04:05:06")
    assert "X-Amz-Signature" in rclone.run("rclone", "link", f"dolium:{bucket_name}/stream").stdout
    rclone.run("rclone", "purge", f"dolium:{bucket_name}")
    assert bucket_name not in rclone.run("rclone", "lsd", "dolium:").stdout
