"""The same file read by Galaxy and by ours gives the same stores; where it does not, the difference has a name here."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from galaxy.objectstore import (
    DistributedObjectStore,
    HierarchicalObjectStore,
    azure_blob,
    build_object_store_from_config,
    cloud,
    s3,
    s3_boto3,
)

from dolium.config.convert import to_yaml
from dolium.config.galaxy import read_stores, read_stores_objects
from dolium.config.specs import Child, GalaxyDefaults, GroupSpec, LeafSpec, StoresSpec
from dolium.errors import ConfigError
from tests.galaxy.samples import XML_SAMPLE, YAML_SAMPLE, examples

GOLDEN = Path(__file__).parents[1] / "config" / "galaxy"
ENVIRON = {"SOME_KEY": "secret", "SOME_NAME": "ada"}
DEFAULTS = GalaxyDefaults(
    file_path=Path("/galaxy/files"),
    new_file_path=Path("/galaxy/tmp"),
    jobs_directory=Path("/galaxy/jobs"),
    cache_path=Path("/galaxy/cache"),
    cache_size=7,
    cache_monitor_interval=300,
    store_by="uuid",
    enable_quotas=True,
)
Portrait = dict[Any, Any]

EXAMPLES = examples()
# No store of ours serves these types.
REFUSED = {
    "onedata-5.xml", "irods-6.xml", "distributed-13.xml", "onedata-6.yml", "irods-7.yml", "distributed-15.yml",
}  # fmt: skip
# Galaxy cannot load its own example: a port that is empty, a child without type, credentials that must be a file.
GALAXY_FAILS = {"generic_s3-7.xml", "hierarchical-3.yml", "cloud-11.xml"}

FILES = [
    "seed_hierarchical.xml",
    "seed_distributed.xml",
    "seed_s3.xml",
    "anchors.yml",
    "disk.yml",
    "disk_defaults.xml",
]
# What XML cannot say to Galaxy, and says to ours.
XML_DROPS = {"description", "quota", "badges", "store_by", "expires", "monitor", "interval"}


@pytest.fixture(autouse=True)
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Galaxy's remote stores connect when they are made; what they have read is there before."""
    for kind in (
        s3.S3ObjectStore,
        s3_boto3.S3ObjectStore,
        azure_blob.AzureBlobObjectStore,
        cloud.Cloud,
    ):
        monkeypatch.setattr(kind, "_initialize", lambda self: None)


def galaxys(file: Path) -> Portrait:
    return galaxy_portrait(build(file))


def build(file: Path) -> Any:
    config = SimpleNamespace(
        object_store_config_file=str(file),
        object_store_config=None,
        object_store_check_old_style=False,
        object_store_cache_path=str(DEFAULTS.cache_path),
        object_store_cache_size=DEFAULTS.cache_size,
        object_store_cache_monitor_interval=DEFAULTS.cache_monitor_interval,
        object_store_store_by=DEFAULTS.store_by,
        file_path=str(DEFAULTS.file_path),
        jobs_directory=str(DEFAULTS.jobs_directory),
        new_file_path=str(DEFAULTS.new_file_path),
        enable_quotas=True,
        umask=0o77,
        gid=1,
    )
    return build_object_store_from_config(config)


def galaxy_portrait(store: Any) -> Portrait:
    if isinstance(store, DistributedObjectStore):
        quotas, devices = store.get_quota_source_map(), store.get_device_source_map()
        children: Portrait = {}
        for store_id, child in store.backends.items():
            children[store_id] = galaxy_portrait(child) | {
                "weight": store.original_weighted_backend_ids.count(store_id),
                "max_percent": store.max_percent_full[store_id] or None,
                "selectable": store_id in store.user_selection_allowed,
                "quota map": tuple(quotas.get_quota_source_info(store_id)),
                "device map": devices.get_device_id(store_id),
            }
        return {
            "kind": "distributed",
            "max_percent": store.global_max_percent_full or None,
            "search": store.search_for_missing,
            "children": children,
        }
    if isinstance(store, HierarchicalObjectStore):
        inner = [galaxy_portrait(child) for child in store.backends.values()]
        # Only the tree's count: is_private and the quota map ask no child.
        children = dict(enumerate(without(one, "private", "quota") for one in inner))
        return {
            "kind": "hierarchical",
            "private": store.private,
            "quota": (store.quota_source, store.quota_enabled),
            "children": children,
        }
    portrait = {
        "kind": store.store_type,
        "store_by": store.store_by,
        "name": store.name,
        "description": store.description,
        "private": store.private,
        "quota": (store.quota_source, store.quota_enabled),
        "badges": [(badge["type"], badge["message"]) for badge in store.badges],
        "device": store.device_id,
        "expires": store.object_expires_after_days,
        "extra_dirs": dict(store.extra_dirs),
    }
    if store.store_type == "disk":
        return portrait | {"files_dir": store.file_path}
    return portrait | {
        "cache": store.staging_path,
        "cache size": store.cache_size if store.cache_size > 0 else None,
        "cache updated": store.cache_updated_data,
        "monitor": store.enable_cache_monitor,
        "interval": store.cache_monitor_interval,
        "where": galaxy_where(store),
    }


def without(portrait: Portrait, *names: str) -> Portrait:
    return {name: value for name, value in portrait.items() if name not in names}


def galaxy_where(store: Any) -> Portrait:
    if store.store_type == "azure_blob":
        return {"container": store.container_name, "name": store.account_name, "key": store.account_key}
    if store.store_type == "cloud":
        return {"bucket": store.bucket_name}
    where = {
        "bucket": store.bucket,
        "name": store.access_key,
        "key": store.secret_key,
        "region": store.region,
    }
    if store.store_type == "boto3":
        where["endpoint"] = (store.endpoint_url or "").rstrip("/")
        transfer = store.transfer_dict
        where["threshold"] = transfer.get("upload_multipart_threshold", transfer.get("multipart_threshold"))
        where["up"] = transfer.get("upload_max_concurrency", transfer.get("max_concurrency"))
        where["down"] = transfer.get("download_max_concurrency", transfer.get("max_concurrency"))
    if store.store_type == "generic_s3":
        scheme = "https" if store.is_secure else "http"
        where["endpoint"] = f"{scheme}://{store.host}:{store.port}{store.conn_path}".rstrip("/")
    return where


def ours(spec: StoresSpec) -> Portrait:
    return our_portrait(spec.root)


def our_portrait(spec: LeafSpec | GroupSpec) -> Portrait:
    galaxy = spec.galaxy
    quota = (galaxy.quota.source, galaxy.quota.enabled)
    if isinstance(spec, GroupSpec) and spec.kind == "hierarchical":
        inner = [our_portrait(child.spec) for child in spec.children]
        children = dict(enumerate(without(one, "private", "quota") for one in inner))
        return {"kind": spec.kind, "private": galaxy.private, "quota": quota, "children": children}
    if isinstance(spec, GroupSpec):
        return {
            "kind": spec.kind,
            "max_percent": spec.max_percent,
            "search": spec.search_for_missing,
            "children": {
                child.spec.id: our_portrait(child.spec) | our_child(child) for child in spec.children
            },
        }
    kind = {"s3": "aws_s3", "swift": "generic_s3"}.get(galaxy.type_as_written, galaxy.type_as_written)
    own = {one.type: str(one.path) for one in galaxy.extra_dirs}
    defaults = {"job_work": str(DEFAULTS.jobs_directory), "temp": str(DEFAULTS.new_file_path)}
    portrait = {
        "kind": kind,
        "store_by": galaxy.store_by,
        "name": galaxy.name,
        "description": galaxy.description,
        "private": galaxy.private,
        "quota": quota,
        "badges": [(badge.type, badge.message) for badge in galaxy.badges],
        "device": galaxy.device,
        "expires": galaxy.object_expires_after_days,
        "extra_dirs": defaults | own,
    }
    if spec.kind == "disk":
        return portrait | {"files_dir": str(Path.cwd() / str(spec.options["root"]))}
    cache = spec.cache
    assert cache is not None
    [shard] = cache.shards
    return portrait | {
        "cache": str(shard.path),
        "cache size": None if shard.size_bytes is None else shard.size_bytes / (1 << 30),
        "cache updated": cache.cache_updated_data,
        "monitor": cache.enable_monitor and cache.monitor in ("auto", "inprocess"),
        "interval": cache.monitor_interval,
        "where": our_where(spec, kind),
    }


def our_child(child: Child) -> Portrait:
    galaxy = child.spec.galaxy
    leaf = isinstance(child.spec, LeafSpec)
    return {
        "weight": child.weight,
        "max_percent": child.max_percent,
        "selectable": child.allow_selection,
        "quota map": (galaxy.quota.source, galaxy.quota.enabled) if leaf else (None, True),
        "device map": galaxy.device,
    }


def our_where(spec: LeafSpec, kind: str) -> Portrait:
    options: dict[str, Any] = dict(spec.options)
    revealed = {
        name: options[name].value.reveal() if name in options else None
        for name in ("access_key", "secret_key", "account_name", "account_key")
    }
    if kind == "azure_blob":
        return {
            "container": options["container"],
            "name": revealed["account_name"],
            "key": revealed["account_key"],
        }
    if kind == "cloud":
        return {"bucket": options.get("bucket") or options["container"]}
    where = {
        "bucket": options["bucket"],
        "name": revealed["access_key"],
        "key": revealed["secret_key"],
        "region": options.get("region"),
    }
    if kind in ("boto3", "generic_s3"):
        where["endpoint"] = options["endpoint"].rstrip("/")
    if kind == "boto3":
        where["threshold"] = options.get("multipart_threshold")
        where["up"], where["down"] = options.get("upload_concurrency"), options.get("download_concurrency")
    return where


def differences(one: Any, other: Any, at: str = "") -> set[str]:
    """Names of what differs, the innermost."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            name
            for key in one.keys() | other.keys()
            for name in differences(one.get(key), other.get(key), str(key))
        }
    return set() if one == other else {at}


def assert_same(file: Path, *known: str) -> None:
    spec, _ = read_stores(file, ENVIRON, defaults=DEFAULTS)
    assert differences(galaxys(file), ours(spec)) == set(known)
    # What ours writes as YAML says to Galaxy all that the XML said to ours.
    converted = file.with_name("converted.yml")
    text = to_yaml(read_stores(file, ENVIRON, defaults=DEFAULTS, resolve=False).spec)
    converted.write_text(re.sub(r"env:(\w+)", lambda match: ENVIRON[match[1]], text))
    assert differences(galaxys(converted), ours(spec)) == set()


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - REFUSED - GALAXY_FAILS))
def test_an_example_of_galaxys_sample(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"object_store_conf{Path(name).suffix}"
    file.write_text(EXAMPLES[name])
    assert_same(file)


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - REFUSED - GALAXY_FAILS))
def test_what_galaxy_hands_to_its_jobs(name: str, tmp_path: Path) -> None:
    """`to_dict` has all that another process needs, but for what Galaxy leaves out of it."""
    file = tmp_path / f"object_store_conf{Path(name).suffix}"
    file.write_text(EXAMPLES[name])
    store = build(file)
    as_dict = store.to_dict()
    spec, _ = read_stores_objects(as_dict, {})
    assert differences(galaxy_portrait(store), ours(spec)) <= {"selectable", "monitor", "interval"}


@pytest.mark.parametrize("name", sorted(GALAXY_FAILS))
def test_an_example_that_galaxy_cannot_load(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(EXAMPLES[name])
    with pytest.raises(Exception, match=r".+"):
        galaxys(file)
    assert differences(ours(read_stores(file, {}).spec), {})


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_example_without_a_store_here(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(EXAMPLES[name])
    with pytest.raises(ConfigError, match=r"are not offered; .* can be used instead"):
        read_stores(file, {})


@pytest.mark.parametrize("sample", [XML_SAMPLE, YAML_SAMPLE], ids=lambda sample: sample.name)
def test_the_sample_as_it_stands(sample: Path) -> None:
    spec, _ = read_stores(sample, {}, defaults=DEFAULTS)
    assert differences(galaxys(sample), ours(spec)) == set()


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_ours(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"object_store_conf{Path(name).suffix}"
    file.write_text((GOLDEN / name).read_text())
    assert_same(file)


COMMON = """name="N" device="d" store_by="id" private="true" object_expires_after_days="3" enable_cache_monitor="true" """
INSIDE = """<description>D</description><quota source="q" enabled="false"/><badges><faster/><backed_up>x</backed_up></badges>
    <cache path="/c" size="3" monitor="auto" monitor_interval="9" cache_updated_data="false"/>
    <extra_dir type="temp" path="/t"/>"""
REMOTE = {
    "aws_s3": '<auth access_key="a" secret_key="s"/><bucket name="b"/><connection region="eu"/>',
    "swift": '<auth access_key="a" secret_key="s"/><bucket name="b"/><connection host="h" port="90" conn_path="/x"/>',
    "boto3": '<auth access_key="a" secret_key="s"/><bucket name="b"/><connection endpoint_url="https://h:1" region="r"/>'
    '<transfer max_concurrency="3" upload_max_concurrency="4" multipart_threshold="9"/>',
    "azure_blob": '<auth account_name="a" account_key="s"/><container name="c"/>',
    "cloud": '<auth access_key="a" secret_key="s"/><bucket name="b"/>',
}


@pytest.mark.parametrize("kind", REMOTE)
def test_what_xml_says_of_a_remote_store_and_galaxy_drops(kind: str, tmp_path: Path) -> None:
    provider = 'provider="aws"' if kind == "cloud" else ""
    file = tmp_path / "object_store_conf.xml"
    file.write_text(f'<object_store type="{kind}" {provider} {COMMON}>{REMOTE[kind]}{INSIDE}</object_store>')
    assert_same(file, *XML_DROPS)


@pytest.mark.parametrize(
    ("cache", "gigabytes"),
    [("", 7), ('<cache path="/c"/>', None), ('<cache size="0"/>', 7), ('<cache size="0.5"/>', 0.5)],
)
def test_the_size_of_a_cache_that_is_not_said(cache: str, gigabytes: float | None, tmp_path: Path) -> None:
    file = tmp_path / "object_store_conf.xml"
    extra = '<extra_dir type="temp" path="/t"/>'
    file.write_text(f'<object_store type="s3">{REMOTE["aws_s3"]}{cache}{extra}</object_store>')
    assert_same(file)
    assert ours(read_stores(file, {}, defaults=DEFAULTS).spec)["cache size"] == gigabytes


def test_known_backends_that_galaxy_does_not_see(tmp_path: Path) -> None:
    """In a distributed store Galaxy reads `<backend>` only; ours takes `<object_store>` too."""
    file = tmp_path / "object_store_conf.xml"
    file.write_text(
        (GOLDEN / "legacy.xml").read_text().replace("<backends", '<object_store type="distributed"><backends')
        + "</object_store>"
    )
    spec, _ = read_stores(file, {}, defaults=DEFAULTS)
    there, here = galaxys(file), ours(spec)
    assert list(here["children"]) == ["old", "new"]
    assert list(there["children"]) == ["old"]
    del here["children"]["new"]
    assert differences(there, here) == set()


def test_known_typing_mistakes_that_galaxy_does_not_see(tmp_path: Path) -> None:
    """A key that Galaxy does not know sends data to the default folder."""
    file = tmp_path / "object_store_conf.yml"
    file.write_text("type: disk\nfile_dir: /data\n")
    assert galaxys(file)["files_dir"] == "/galaxy/files"
    with pytest.raises(
        ConfigError, match=r"object_store_conf\.yml:2: .*'file_dir'; did you mean files_dir\?"
    ):
        read_stores(file, {})


def test_known_boto3_by_host_which_galaxy_cannot_load_from_xml(tmp_path: Path) -> None:
    """It means to take the old host and port there too, and fails on its own XML element; its YAML works."""
    file = tmp_path / "object_store_conf.xml"
    body = REMOTE["boto3"].replace('endpoint_url="https://h:1"', 'host="h" port="1" is_secure="no"')
    file.write_text(f'<object_store type="boto3">{body}<extra_dir type="temp" path="/t"/></object_store>')
    with pytest.raises(TypeError):
        galaxys(file)
    spec, _ = read_stores(file, {}, defaults=DEFAULTS)
    converted = tmp_path / "converted.yml"
    converted.write_text(to_yaml(spec))
    assert differences(galaxys(converted), ours(spec)) == set()
    assert ours(spec)["where"]["endpoint"] == "http://h:1"
