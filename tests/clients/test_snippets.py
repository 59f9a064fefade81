"""What `dolium serve` prints at its first start runs as it is printed, and nothing that is typed holds the secret."""

import sys
from pathlib import Path

import pytest

from dolium.server.snippets import Snippet, snippets
from dolium.testing.server import Site
from tests.clients.shell import Shell
from tests.conftest import Sites


@pytest.fixture
def printed(sites: Sites) -> dict[str, Snippet]:
    """By the first word of their titles."""
    site = sites.http
    found = snippets(site.url, site.access_key, site.secret_key, site.region)
    return {snippet.title.split()[0].rstrip(","): snippet for snippet in found}


@pytest.fixture
def files(printed: dict[str, Snippet], shell: Shell) -> Shell:
    """A home in which all that goes into files is in its file."""
    for name, snippet in printed.items():
        if not snippet.typed:
            assert name.startswith("~/")
            shell.write(name[2:], snippet.text + "\n")
    return shell


def test_what_is_typed_holds_no_secret(printed: dict[str, Snippet], sites: Sites) -> None:
    typed = [snippet.text for snippet in printed.values() if snippet.typed]
    assert len(typed) == 2
    assert all(sites.http.secret_key not in text for text in typed)
    assert sum(sites.http.secret_key in snippet.text for snippet in printed.values()) == 4


def test_the_files_are_what_their_clients_read(files: Shell, bucket_name: str, sites: Sites) -> None:
    files.run("s3cmd", "mb", f"s3://{bucket_name}")
    files.write("here.txt", "printed")
    files.run("rclone", "copy", "here.txt", f"dolium:{bucket_name}")
    assert files.run("rclone", "cat", f"dolium:{bucket_name}/here.txt").stdout == "printed"
    listed = files.run("aws", "--profile", "dolium", "s3", "ls", f"s3://{bucket_name}").stdout
    assert "here.txt" in listed
    aws = Path(sys.executable).parent / "aws"
    assert "here.txt" in files.run("sh", "-c", f". ~/dolium.env && {aws} s3 ls s3://{bucket_name}").stdout


def test_python_finds_the_keys_by_itself(
    printed: dict[str, Snippet], files: Shell, bucket_name: str, sites: Sites
) -> None:
    """As it stands in the title: with the two files of aws."""
    code = printed["Python:"].text.replace("my-bucket", bucket_name)
    dataset = 'import xarray\ndataset = xarray.Dataset({"t": ("x", [1.0, 2.0])})\n'
    script = files.write("script.py", f"{dataset}{code}\nprint(fs.ls('{bucket_name}'))\n")
    assert f"{bucket_name}/data.zarr" in files.run(Path(sys.executable).name, script).stdout


def test_an_address_with_tls(sites: Sites) -> None:
    site: Site = sites.https
    texts = [text for _, text, _ in snippets(site.url, "A", "S", "r")]
    assert "use_https = True" in texts[0]
    assert all("http://" not in text for text in texts)
