"""An unmodified Galaxy on a replicated store: one store of Galaxy's, also in the process of a job."""

from pathlib import Path

import pytest

from dolium.cli.main import main
from tests.galaxy.test_adapter import galaxy

STORES = """
type: distributed
backends:
  - id: safe
    weight: 1
    type: replicated
    name: Two rooms
    store_by: uuid
    quota: {{source: safe}}
    badges: [{{type: backed_up, message: in two rooms}}]
    device: rooms
    allow_selection: true
    backends:
      - {{id: room1, type: disk, files_dir: {folder}/room1, expected_uuid: ROOM1}}
      - {{id: room2, type: disk, files_dir: {folder}/room2, expected_uuid: ROOM2}}
"""


def test_galaxy_sees_one_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stores = STORES
    for name in ("room1", "room2"):
        (tmp_path / name).mkdir()
        assert main(["galaxy", "identify", str(tmp_path / name)]) == 0
        stores = stores.replace(name.upper(), capsys.readouterr().out.strip())
    assert main(["galaxy", "identify", str(tmp_path / "absent")]) == 1
    assert "is its disk mounted?" in capsys.readouterr().err
    found = galaxy(
        tmp_path,
        """
        import os, uuid
        from galaxy.exceptions import MessageException
        dataset.uuid = uuid.UUID(int=24)
        store = objectstore.build_object_store_from_config(config)
        concrete = store.create(dataset)
        open(store.get_filename(dataset), "w").write("job")
        job = objectstore.build_object_store_from_config(None, config_dict=json.loads(json.dumps(store.to_dict())))
        job.update_from_file(dataset)
        os.rename(folder + "/room1", folder + "/away")
        os.mkdir(folder + "/room1")
        store = objectstore.build_object_store_from_config(config)
        text = store.get_data(dataset)
        try:
            store.delete(dataset)
            refused = 0
        except MessageException as error:
            refused = error.status_code
        model = concrete.to_model("safe")
        print(json.dumps({
            "id": dataset.object_store_id, "one": isinstance(concrete, objectstore.ConcreteObjectStore), "text": text,
            "refused": refused, "name": store.get_concrete_store_name(dataset), "by": store.get_store_by(dataset),
            "label": store.get_quota_source_map().get_quota_source_label("safe"),
            "device": store.get_device_source_map().get_device_id("safe"), "chosen": model.quota.source,
            "badges": [one["type"] for one in concrete.get_concrete_store_badges(dataset)],
            "ids": sorted(store.object_store_ids()), "choice": store.object_store_ids_allowing_selection(),
        }))
        """,
        stores=stores,
    )
    assert found == {
        "id": "safe", "one": True, "text": "job", "refused": 503, "name": "Two rooms", "by": "uuid", "label": "safe",
        "device": "rooms", "chosen": "safe", "badges": ["backed_up", "quota"], "ids": ["safe"], "choice": ["safe"],
    }  # fmt: skip
