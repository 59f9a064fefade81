"""s5cmd: many files at once, up, down and away."""

import pytest

from dolium.testing.server import Site
from tests.clients.documented import filled
from tests.clients.shell import Shell


@pytest.fixture
def s5cmd(shell: Shell, site: Site) -> Shell:
    shell.write(".aws/credentials", filled("~/.aws/credentials", site))
    shell.environment["S3_ENDPOINT_URL"] = site.url
    if site.ca_file:
        shell.environment["SSL_CERT_FILE"] = str(site.ca_file)
    return shell


def test_the_documented_line(s5cmd: Shell, site: Site, bucket: str) -> None:
    *settings, program, option, url, verb = filled("s5cmd", site).split()
    assert all(setting.startswith("SSL_CERT_FILE=") for setting in settings)
    assert f"s3://{bucket}" in s5cmd.run(program, option, url, verb).stdout


def test_many_files(s5cmd: Shell, bucket_name: str) -> None:
    files = {f"part-{n:03}/ü +{n}.bin": bytes([n]) * (n * 100) for n in range(60)}
    for name, content in files.items():
        s5cmd.write(f"tree/{name}", content)
    big = bytes(range(256)) * 4096 * 11
    s5cmd.write("big.bin", big)

    s5cmd.run("s5cmd", "mb", f"s3://{bucket_name}")
    s5cmd.run("s5cmd", "cp", "tree/", f"s3://{bucket_name}/tree/")
    s5cmd.run(
        "s5cmd", "cp", "--part-size", "5", "--concurrency", "3", "big.bin", f"s3://{bucket_name}/big.bin"
    )
    listed = s5cmd.run("s5cmd", "ls", f"s3://{bucket_name}/tree/*").stdout.splitlines()
    assert len(listed) == 60
    s5cmd.run("s5cmd", "cp", f"s3://{bucket_name}/tree/*", "back/")
    assert {
        str(p.relative_to(s5cmd.home / "back")): p.read_bytes() for p in s5cmd.home.glob("back/*/*")
    } == files
    s5cmd.run("s5cmd", "cp", "--part-size", "5", f"s3://{bucket_name}/big.bin", "back.bin")
    assert (s5cmd.home / "back.bin").read_bytes() == big
    assert s5cmd.run("s5cmd", "cat", f"s3://{bucket_name}/tree/part-003/ü +3.bin").stdout == "\x03" * 300
    s5cmd.run("s5cmd", "rm", f"s3://{bucket_name}/*")
    s5cmd.run("s5cmd", "rb", f"s3://{bucket_name}")
