"""The tests that Galaxy's package carries, run on our store. Nothing of them is kept: they come from the registry.

Those that ask for an account of AWS's or Google's S3 get one of our service, to which a proxy leads. Each that does not
pass is named here with its reason, and in docs/galaxy.md; one that begins to pass, or to fail, is an error. Those that
ask for an account of Azure, or for the client of iRODS, are skipped by their own conditions.
"""

import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

from dolium.datasets.startup import HOOK
from dolium.testing.server import LiveServer, Site
from tests.galaxy.conftest import Proxy

DOCS = Path(__file__).parents[2] / "docs"

ATTRIBUTES = "reads attributes of Galaxy's own classes of remote stores, which are not of its interface"
FAILING = {
    "test_objectstore.py::test_config_parse_pithos": "Pithos has no store here: refused in plain words",
    **dict.fromkeys(
        (
            f"test_objectstore.py::test_config_parse_{name}"
            for name in (
                "s3", "s3_with_default_cache", "boto3", "boto3_custom_connection", "boto3_merged_transfer_options",
                "boto3_separated_transfer_options", "cloud", "cloud_noauth_for_aws", "cloud_no_cache_for_aws",
                "azure", "azure_no_cache",
            )
        ),
        ATTRIBUTES,
    ),
    "test_objectstore.py::test_gcp_via_s3_interop_and_boto3_with_legacy_params": "two keys of its file are none",
}  # fmt: skip
SKIPPED = re.compile(r"real_azure|test_irods")


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory, server: LiveServer, proxy: Proxy, boto_2: Path
) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("galaxy")
    release = f"galaxy-objectstore=={version('galaxy-objectstore')}"
    fetch = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        "galaxy-objectstore",
    ]
    subprocess.run([*fetch, "-d", str(folder), release], check=True, timeout=300)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    root = next(one for one in folder.iterdir() if one.is_dir())
    run = [sys.executable, "-m", "pytest", "tests/objectstore", "-v", "--tb=line", "-p", "no:cacheprovider"]
    environ = {key: value for key, value in proxy.environment().items() if not key.startswith("PYTEST")}
    environ |= {"PYTHONPATH": f"{HOOK}{os.pathsep}{boto_2}", **accounts(server.https)}
    done = subprocess.run(
        [*run, "-o", "addopts="],
        cwd=root, env=environ, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    found = re.findall(
        r"^tests/objectstore/(\S+::\S+) (PASSED|FAILED|SKIPPED|ERROR)", done.stdout, re.MULTILINE
    )
    assert len(found) > 60, done.stdout + done.stderr
    return dict(found)


def accounts(site: Site) -> dict[str, str]:
    """As Galaxy's tests ask for them, with whom to trust."""
    return {
        "GALAXY_TEST_AWS_ACCESS_KEY": site.access_key,
        "GALAXY_TEST_AWS_SECRET_KEY": site.secret_key,
        "GALAXY_TEST_AWS_BUCKET": "galaxys-own",
        "GALAXY_TEST_AWS_REGION": site.region,
        "GALAXY_TEST_GOOGLE_INTEROP_ACCESS_KEY": site.access_key,
        "GALAXY_TEST_GOOGLE_INTEROP_SECRET_KEY": site.secret_key,
        "GALAXY_TEST_GOOGLE_BUCKET": "galaxys-own-too",
        "SSL_CERT_FILE": str(site.ca_file),
        "REQUESTS_CA_BUNDLE": str(site.ca_file),
    }


@pytest.mark.timeout(600)
def test_all_but_these_pass(outcomes: dict[str, str]) -> None:
    failed = {name for name, outcome in outcomes.items() if outcome in ("FAILED", "ERROR")}
    assert failed == set(FAILING)


def test_those_that_matter_are_among_them(outcomes: dict[str, str]) -> None:
    passed = {name.partition("::")[2] for name, outcome in outcomes.items() if outcome == "PASSED"}
    assert passed >= {
        "test_disk_store", "test_disk_store_by_uuid", "test_disk_store_alt_name_relpath", "test_hierarchical_store",
        "test_disk_store_alt_name_abspath", "test_mixed_store_by", "test_mixed_private", "test_badges_parsing",
        "test_badges_parsing_conflicts", "test_distributed_store", "test_device_source_map_user_object_store",
        "test_distributed_store_start_propagates_to_backends", "test_serialize_and_repopulate", "test_disk",
        "test_hiercachical_backend_must_share_quota_source", "test_check_cache_sanity", "test_cache_monitor_thread",
        "test_persist_extra_files_skips_symlink_outside_source_directory",
        "test_user_object_store_constructed_once_for_repeated_calls", "test_real_aws_s3_store",
        "test_real_aws_s3_store_boto3", "test_real_aws_s3_store_boto3_multipart", "test_gcp_via_s3_interop_and_boto3",
        "test_real_aws_s3_store_boto3_new_bucket", "test_aws_via_cloudbridge_store", "test_gcp_via_s3_interop",
        "test_aws_via_cloudbridge_store_with_region", "test_legacy_s3_does_not_publish_truncated_download",
    }  # fmt: skip


def test_nothing_else_is_skipped(outcomes: dict[str, str]) -> None:
    skipped = {name for name, outcome in outcomes.items() if outcome == "SKIPPED"}
    assert {name for name in skipped if not SKIPPED.search(name)} == set()


def test_each_is_documented(outcomes: dict[str, str]) -> None:
    text, table = (DOCS / "galaxy.md").read_text(), (DOCS / "galaxy-tests.md").read_text()
    assert [name for name in FAILING if name.partition("::")[2] not in text] == []
    names = {name.partition("::")[2].partition("[")[0] for name in outcomes}
    assert [name for name in sorted(names) if f"`{name}`" not in table] == []
    counted = Counter(outcomes.values())
    assert f"Of {len(outcomes)}, {counted['PASSED']} pass; " in text
