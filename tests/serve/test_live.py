"""The program as people start it: real processes, real ports, the command line beside it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from dolium.testing.server import LiveServer, free_ports

PLAIN = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("DOLIUM_")}


def s3(url: str, access_key: str, secret_key: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=PLAIN,
    )


def dolium(data: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dolium", *arguments, "--data", str(data)],
        capture_output=True, text=True, input=given, env=ENVIRONMENT, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("live")) as server:
        yield server


def test_people_come_and_go_while_it_serves(server: LiveServer) -> None:
    assert (
        dolium(
            server.data, "user", "add", "ada", "--canonical-id", "adaid", "--display-name", "Ada"
        ).returncode
        == 0
    )
    assert dolium(server.data, "tenancy", "member", "add", "main", "ada").returncode == 0
    key = json.loads(dolium(server.data, "key", "issue", "--person", "ada", "--json").stdout)
    client = s3(server.http.url, key["access_key"], key["secret_key"])
    client.create_bucket(Bucket="adas-bucket")
    client.put_object(Bucket="adas-bucket", Key="key", Body=b"hers")
    assert client.list_buckets()["Owner"] == {"ID": "adaid", "DisplayName": "Ada"}
    [bucket] = [
        json.loads(line)
        for line in dolium(server.data, "bucket", "list", "--json").stdout.splitlines()
        if "adas-bucket" in line
    ]
    assert (bucket["owner"], bucket["objects"], bucket["bytes"]) == ("ada", 1, 4)
    assert dolium(server.data, "user", "suspend", "ada").returncode == 0
    # Every connection may be another worker's: none of them still lets her in.
    for _ in range(8):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3(server.http.url, key["access_key"], key["secret_key"]).list_buckets()
    assert dolium(server.data, "user", "resume", "ada").returncode == 0
    assert client.get_object(Bucket="adas-bucket", Key="key")["Body"].read() == b"hers"
    assert dolium(server.data, "key", "revoke", key["access_key"]).returncode == 0
    for _ in range(8):
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            s3(server.http.url, key["access_key"], key["secret_key"]).list_buckets()


def test_keys_that_people_have_are_taken_in(server: LiveServer) -> None:
    secret = "h7GhxuBLTrlhVUyxSPUKUV8r/2EI4ngqJxD7iBdBYLhwluN30JaT3Q=="
    taken = dolium(server.data, "key", "import", "--service", given=f"0555b35654ad1656d804\n{secret}\n")
    assert taken.returncode == 0
    client = s3(server.http.url, "0555b35654ad1656d804", secret)
    client.create_bucket(Bucket="the-tenancys-own")
    assert "the-tenancys-own" in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]


def test_a_scope_holds(server: LiveServer) -> None:
    admin = s3(server.http.url, server.http.access_key, server.http.secret_key)
    for name in ("open-bucket", "closed-bucket"):
        admin.create_bucket(Bucket=name)
        for key in ("in/a", "out/a"):
            admin.put_object(Bucket=name, Key=key, Body=b"x")
    scope = ["--read-only", "--bucket", "open-bucket", "--prefix", "in/"]
    key = json.loads(dolium(server.data, "key", "issue", "--service", *scope, "--json").stdout)
    client = s3(server.http.url, key["access_key"], key["secret_key"])
    assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["open-bucket"]
    assert client.get_object(Bucket="open-bucket", Key="in/a")["Body"].read() == b"x"
    assert client.list_objects_v2(Bucket="open-bucket", Prefix="in/")["KeyCount"] == 1
    refusals: list[Callable[[], object]] = [
        lambda: client.list_objects_v2(Bucket="open-bucket"),
        lambda: client.get_object(Bucket="open-bucket", Key="out/a"),
        lambda: client.get_object(Bucket="closed-bucket", Key="in/a"),
        lambda: client.put_object(Bucket="open-bucket", Key="in/b", Body=b""),
        lambda: client.delete_object(Bucket="open-bucket", Key="in/a"),
    ]
    for refused in refusals:
        with pytest.raises(ClientError, match="AccessDenied"):
            refused()
    batch = client.delete_objects(
        Bucket="open-bucket", Delete={"Objects": [{"Key": "in/a"}, {"Key": "out/a"}]}
    )
    assert {error["Code"] for error in batch["Errors"]} == {"AccessDenied"}
    assert admin.list_objects_v2(Bucket="open-bucket")["KeyCount"] == 2


def test_the_folder_is_served_once(server: LiveServer) -> None:
    [port] = free_ports(1)
    second = dolium(server.data, "serve", "--listen", f"127.0.0.1:{port}")
    assert second.returncode == 4
    assert second.stderr == f"dolium: {server.data} is being served already, by process {server.pid}\n"


def test_all_workers_are_counted_together(server: LiveServer) -> None:
    def heads() -> float:
        with urllib.request.urlopen(f"{server.http.url}/_metrics") as answer:
            found = re.search(
                r'dolium_requests_total\{operation="HeadBucket",status="4xx"\} (\S+)', answer.read().decode()
            )
        return float(found[1]) if found else 0.0

    before = heads()
    for _ in range(10):
        with pytest.raises(ClientError):
            s3(server.http.url, server.http.access_key, server.http.secret_key).head_bucket(
                Bucket="absent-bucket"
            )
    deadline = time.monotonic() + 5
    while heads() < before + 10 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert heads() == before + 10


def test_no_secret_is_in_the_log(server: LiveServer) -> None:
    url = s3(server.http.url, server.http.access_key, server.http.secret_key).generate_presigned_url(
        "get_object", Params={"Bucket": "no-such-bucket", "Key": "no-such-key"}
    )
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url)
    deadline = time.monotonic() + 5
    while "no-such-key" not in server.log() and time.monotonic() < deadline:
        time.sleep(0.05)
    text = server.log()
    assert "no-such-key" in text
    assert server.http.secret_key not in text
    assert "Signature=" not in text


def test_the_first_start_prints_a_key_that_works_and_sigterm_ends_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dolium", "serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--workers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if line.startswith("dolium serves"):
                break
        address = re.search(r"dolium serves S3 on (http://\S+) from", text)
        access_key, secret_key = (re.search(rf"  {noun} key  (\S+)", text) for noun in ("access", "secret"))
        assert address
        assert access_key
        assert secret_key
        assert s3(address[1], access_key[1], secret_key[1]).list_buckets()["Buckets"] == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_what_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "dolium.yml").write_text("lisen: 127.0.0.1:1\n")
    for words, arguments in [
        (
            "dolium.yml:1: unknown key 'lisen'; did you mean listen?",
            ["--config", str(tmp_path / "dolium.yml")],
        ),
        ("give a certificate and its key", ["--listen", "https://127.0.0.1:1"]),
        ("cannot listen on http://192.0.2.1:9", ["--listen", "192.0.2.1:9"]),
    ]:
        ran = dolium(tmp_path / "data", "serve", "--workers", "1", *arguments)
        assert ran.returncode == 5
        assert words in ran.stderr
        assert ran.stderr.count("\n") == 1
