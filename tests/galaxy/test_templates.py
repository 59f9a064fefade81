"""People's own stores: every template of Galaxy's examples for which there is a store here, made by Galaxy's real
manager of templates, built by ours.
"""

from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from galaxy.objectstore.templates import ConfiguredObjectStoreTemplates, template_to_configuration

from dolium.config.galaxy_leaves import leaf_options
from dolium.config.specs import LeafSpec
from dolium.datasets.galaxy import ConcreteAdapter, _concrete_object_store
from dolium.datasets.galaxy import build_object_store_from_config as build
from dolium.errors import ConfigError
from dolium.testing.server import Site
from dolium.values import Secret
from galaxy import objectstore
from tests.unit.datasets.kit import Dataset

EXAMPLES = files("galaxy.objectstore.templates.examples")
NOT_HERE = {"irods", "onedata", "rucio"}


def templates(text: str) -> ConfiguredObjectStoreTemplates:
    config = SimpleNamespace(
        object_store_templates=yaml.safe_load(text), object_store_templates_config_file=None
    )
    return ConfiguredObjectStoreTemplates.from_app_config(config, vault_configured=True)


def every() -> dict[str, Any]:
    found = {one.name: one.read_text() for one in EXAMPLES.iterdir() if one.name.endswith(".yml")}
    return {
        f"{name}-{at}": template
        for name, text in found.items()
        for at, template in enumerate(templates(text).catalog.root)
    }


EVERY = every()
HERE = {name for name, template in EVERY.items() if template.configuration.type not in NOT_HERE}


def configured(template: Any) -> Any:
    """What Galaxy makes of a template, with an answer for every question in it."""
    answers: dict[str, Any] = {
        "integer": 443,
        "boolean": True,
        "string": "text",
        "path_component": "folder",
        "endpoint_url": "https://s3.example.org:9000",
    }
    variables = {one.name: answers.get(one.name, answers[one.type]) for one in template.variables or []}
    secrets = {one.name: "c2VjcmV0" for one in template.secrets or []}
    environment = {one.name: one.default or "c2VjcmV0" for one in template.environment or []}
    person = {"username": "ada", "email": "ada@example.org", "id": 1}
    return template_to_configuration(template, variables, secrets, person, environment)


def app_config(folder: Path) -> Any:
    return objectstore.UserObjectStoresAppConfig(
        object_store_cache_path=str(folder / "cache"), object_store_cache_size=7, jobs_directory=str(folder / "jobs"),
        user_config_templates_use_saved_configuration="fallback", new_file_path=str(folder / "tmp"), umask=0o77, gid=1,
    )  # fmt: skip


def test_there_is_one_of_each_type() -> None:
    kinds = {EVERY[name].configuration.type for name in HERE}
    assert kinds == {"disk", "boto3", "aws_s3", "generic_s3", "azure_blob"}
    assert {one.configuration.type for one in EVERY.values()} - kinds == NOT_HERE


@pytest.mark.parametrize("name", sorted(HERE))
def test_a_template(name: str, tmp_path: Path) -> None:
    configuration = configured(EVERY[name])
    store = _concrete_object_store(configuration, app_config(tmp_path))
    assert isinstance(store, ConcreteAdapter)
    assert isinstance(store, objectstore.ConcreteObjectStore)
    assert store.store_by == "uuid"
    quotas: Any = store.ours.get_quota_source_map()
    assert not quotas.get_quota_source_info(None).label
    dataset = Dataset(24)
    first = str(dataset.uuid)[:3]
    assert f"{first[0]}/{first[1]}/{first[2]}/dataset_{dataset.uuid}.dat" in store.construct_path(dataset)
    said = [badge["type"] for badge in store.to_model("x").badges if badge["source"] == "admin"]
    assert said == [badge["type"] for badge in configuration.badges or []]
    assert isinstance(store.ours.spec, LeafSpec)
    options = leaf_options(store.ours.spec)
    if configuration.type == "disk":
        assert options["root"] == Path(configuration.files_dir)
        assert store.cache_targets() == []
        return
    secret = "secret_key" if "secret_key" in options else "account_key"
    auth = configuration.auth
    assert options[secret] == Secret(getattr(auth, secret))
    assert options[secret.replace("secret", "access").replace("account_key", "account_name")] == (
        getattr(auth, "access_key", "") or auth.account_name
    )
    assert [
        (one.path.startswith(f"{tmp_path}/cache/cleaned/"), one.size) for one in store.cache_targets()
    ] == [(True, 7)]
    store.shutdown()


@pytest.mark.parametrize("name", sorted(EVERY.keys() - HERE))
def test_a_template_without_a_store_here(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="are not offered"):
        _concrete_object_store(configured(EVERY[name]), app_config(tmp_path))


@pytest.mark.parametrize("name", ["minio_just_buckets.yml-0", "minio_just_buckets_legacy.yml-0"])
def test_a_person_brings_a_bucket_along(
    name: str, tmp_path: Path, site: Site, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through Galaxy's own resolver of `user_objects://`, in a distributed store."""
    monkeypatch.setattr(objectstore, "concrete_object_store", _concrete_object_store)  # as the hook does
    configuration = configured(EVERY[name])
    configuration.auth.access_key, configuration.auth.secret_key = site.access_key, site.secret_key
    configuration.bucket.name = "galaxy"
    if configuration.type == "boto3":
        configuration.connection.endpoint_url = site.url
    else:
        connection = configuration.connection
        connection.host, connection.port, connection.is_secure = *site.host.split(":"), False
        connection.port = int(connection.port)

    class Resolver(objectstore.BaseUserObjectStoreResolver):
        _app_config = app_config(tmp_path)

        def resolve_object_store_uri_config(self, uri: str) -> Any:
            assert uri == "user_objects://mine"
            return configuration

    config = SimpleNamespace(
        file_path=str(tmp_path), new_file_path=str(tmp_path), jobs_directory=str(tmp_path), umask=0o77, gid=-1,
        object_store_check_old_style=False, enable_quotas=False,
    )  # fmt: skip
    near = {"id": "near", "type": "disk", "weight": 1, "files_dir": str(tmp_path / "near")}
    store = build(
        config, config_dict={"type": "distributed", "backends": [near]}, user_object_store_resolver=Resolver()
    )
    dataset = Dataset(24, object_store_id="user_objects://mine")
    (tmp_path / "source").write_text("mine")
    store.create(dataset)
    store.update_from_file(dataset, file_name=str(tmp_path / "source"))
    assert store.get_data(dataset) == "mine"
    assert dataset.object_store_id == "user_objects://mine"
    first = str(dataset.uuid)[:3]
    assert [one.key for one in bucket.objects.all()] == [f"{'/'.join(first)}/dataset_{dataset.uuid}.dat"]
    store.shutdown()
