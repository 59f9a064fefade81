"""The AWS command line, set up by its own configuration files."""

import json

import pytest

from dolium.testing.server import Site
from tests.clients.documented import filled
from tests.clients.raw import fetch
from tests.clients.shell import Shell


@pytest.fixture
def aws(shell: Shell, site: Site) -> Shell:
    shell.write(".aws/config", filled("~/.aws/config", site))
    shell.write(".aws/credentials", filled("~/.aws/credentials", site))
    return shell


def test_files_trees_and_buckets(aws: Shell, bucket_name: str) -> None:
    big = bytes(range(256)) * 4096 * 9  # 9 MiB: two parts
    aws.write("tree/big.bin", big)
    aws.write("tree/a/ü +%2F.txt", b"odd")
    aws.write("tree/a.txt", b"x")

    aws.run("aws", "s3", "mb", f"s3://{bucket_name}")
    assert bucket_name in aws.run("aws", "s3", "ls").stdout
    aws.run("aws", "s3", "sync", "tree", f"s3://{bucket_name}/tree")
    aws.run("aws", "s3", "mv", f"s3://{bucket_name}/tree/big.bin", f"s3://{bucket_name}/moved.bin")
    listed = aws.run("aws", "s3", "ls", "--recursive", f"s3://{bucket_name}/").stdout.splitlines()
    assert [line.split(maxsplit=3)[2:] for line in listed] == [
        [str(len(big)), "moved.bin"],
        ["1", "tree/a.txt"],
        ["3", "tree/a/ü +%2F.txt"],
    ]
    aws.run("aws", "s3", "cp", f"s3://{bucket_name}/moved.bin", "back.bin")
    assert (aws.home / "back.bin").read_bytes() == big
    aws.run("aws", "s3", "sync", f"s3://{bucket_name}/tree", "back")
    assert (aws.home / "back/a/ü +%2F.txt").read_bytes() == b"odd"
    aws.run("aws", "s3", "rb", "--force", f"s3://{bucket_name}")
    assert bucket_name not in aws.run("aws", "s3", "ls").stdout


def test_s3api_and_presign(aws: Shell, site: Site, bucket: str) -> None:
    aws.write("body", b"hello")
    put = aws.run("aws", "s3api", "put-object", "--bucket", bucket, "--key", "k", "--body", "body")
    assert json.loads(put.stdout)["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    url = aws.run("aws", "s3", "presign", f"s3://{bucket}/k").stdout.strip()
    assert fetch(site, url).body == b"hello"
    copied = aws.run(
        *("aws", "s3api", "copy-object", "--bucket", bucket, "--key", "copy", "--copy-source", f"{bucket}/k")
    )
    assert json.loads(copied.stdout)["CopyObjectResult"]["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    missing = aws.run("aws", "s3api", "get-object", "--bucket", bucket, "--key", "none", "x", expect=None)
    assert missing.returncode != 0
    assert "NoSuchKey" in missing.stderr
