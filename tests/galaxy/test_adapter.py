"""An unmodified Galaxy on our store: what it imports is ours, also in the processes of its jobs."""

import ast
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dolium.cli.main import main
from dolium.datasets import startup
from dolium.datasets.startup import HOOK

CONFIG = """
import json, sys
from types import SimpleNamespace
from galaxy import objectstore
from galaxy.exceptions import ObjectInvalid, ObjectNotFound

folder = {folder!r}
config = SimpleNamespace(
    file_path=folder + "/files", new_file_path=folder + "/tmp", jobs_directory=folder + "/jobs", umask=0o22, gid=-1,
    object_store_config_file={file!r}, object_store_config=None, object_store_check_old_style=False,
    object_store_cache_path=folder + "/cache", object_store_cache_size=-1, object_store_store_by="id",
    enable_quotas=True, object_store="disk",
)
dataset = SimpleNamespace(id=24, uuid=None, object_store_id=None)
"""
STORES = """
type: distributed
backends:
  - {{id: a, type: disk, weight: 1, files_dir: {folder}/a, allow_selection: true, name: The A}}
  - {{id: b, type: disk, weight: 0, files_dir: {folder}/b, private: true}}
"""


def galaxy(folder: Path, code: str, *, stores: str = STORES) -> Any:
    """What the code prints as JSON, in a process of `dolium galaxy run`."""
    file = folder / "stores.yml"
    file.write_text(stores.format(folder=folder))
    text = CONFIG.format(folder=str(folder), file=str(file)) + textwrap.dedent(code)
    command = [sys.executable, "-m", "dolium", "galaxy", "run", "--", sys.executable, "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_galaxys_classes_with_ours_behind(tmp_path: Path) -> None:
    found = galaxy(
        tmp_path,
        """
        store = objectstore.build_object_store_from_config(config)
        concrete = store.create(dataset)
        open(store.get_filename(dataset), "wb").write(b"caf\\xc3\\xa9 \\xff")
        model = concrete.to_model("a")
        print(json.dumps({
            "ours": type(store).__module__, "is": isinstance(store, objectstore.DistributedObjectStore),
            "concrete": isinstance(concrete, objectstore.ConcreteObjectStore), "id": dataset.object_store_id,
            "name": concrete.name, "private": [one.private for one in store.backends.values()],
            "text": store.get_data(dataset).encode("utf-8", "surrogateescape").hex(),
            "characters": store.get_data(dataset, count=4), "model": model.name, "path": store.get_filename(dataset),
            "choose": store.object_store_ids_allowing_selection(),
        }))
        """,
    )
    assert found == {
        "ours": "dolium.datasets.galaxy", "is": True, "concrete": True, "id": "a", "name": "The A",
        "private": [False, True], "text": "636166c3a920ff", "characters": "café", "model": "The A",
        "path": f"{tmp_path}/a/000/dataset_24.dat", "choose": ["a"],
    }  # fmt: skip


def test_galaxys_exceptions(tmp_path: Path) -> None:
    found = galaxy(
        tmp_path,
        """
        import os
        store = objectstore.build_object_store_from_config(config)

        def said(call, *args, **more):
            try:
                call(*args, **more)
            except Exception as error:
                return [one.__name__ for one in type(error).__mro__[:2]] + [getattr(error, "status_code", 0)]

        answers = [said(store.get_filename, dataset), said(store.exists, dataset, extra_dir="/etc")]
        store.create(dataset)
        os.rename(folder + "/a", folder + "/gone")
        print(json.dumps([*answers, said(store.exists, dataset)]))
        """,
    )
    assert [one[0] for one in found] == ["ObjectNotFound", "ObjectInvalid", "StorageUnavailable"]
    assert found[2][1:] == ["MessageException", 503]


def test_a_job_builds_the_store_again(tmp_path: Path) -> None:
    """In a fresh process that was started by the first, from what `to_dict` gave and nothing else."""
    found = galaxy(
        tmp_path,
        """
        import subprocess
        store = objectstore.build_object_store_from_config(config)
        store.create(dataset)
        job = '''
        import json, sys
        from types import SimpleNamespace
        from galaxy.objectstore import build_object_store_from_config
        store = build_object_store_from_config(None, config_dict=json.load(sys.stdin))
        dataset = SimpleNamespace(id=24, uuid=None, object_store_id="a")
        open(store.get_filename(dataset), "w").write("from the job")
        print(type(store).__module__)
        '''
        import textwrap
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(job)], input=json.dumps(store.to_dict()), text=True,
            capture_output=True, check=True,
        )
        print(json.dumps([done.stdout.strip(), store.get_data(dataset)]))
        """,
    )
    assert found == ["dolium.datasets.galaxy", "from the job"]


def test_rules_know_the_person(tmp_path: Path) -> None:
    stores = STORES + "rules:\n  - {{when: {{person: ada}}, store: b}}\n"
    found = galaxy(
        tmp_path,
        """
        store = objectstore.build_object_store_from_config(config)
        placed = []
        for number, name in enumerate(["ada", "bob"]):
            dataset = SimpleNamespace(id=number, uuid=None, object_store_id=None)
            populator = objectstore.ObjectStorePopulator(store, SimpleNamespace(username=name))
            populator.set_dataset_object_store_id(dataset, require_shareable=False)
            placed.append(dataset.object_store_id)
        try:
            dataset = SimpleNamespace(id=9, uuid=None, object_store_id=None)
            populator = objectstore.ObjectStorePopulator(store, SimpleNamespace(username="ada"))
            populator.set_dataset_object_store_id(dataset)
        except objectstore.ObjectCreationProblemSharingDisabled:
            placed.append("not sharable")
        print(json.dumps(placed))
        """,
        stores=stores,
    )
    assert found == ["b", "a", "not sharable"]


def test_without_a_file(tmp_path: Path) -> None:
    found = galaxy(
        tmp_path,
        """
        config.object_store_config_file = folder + "/absent"
        first = objectstore.build_object_store_from_config(config)
        config.object_store_config = {"type": "disk", "files_dir": folder + "/inline"}
        second = objectstore.build_object_store_from_config(config)
        element = __import__("xml.etree.ElementTree").etree.ElementTree.fromstring(
            f'<object_store type="disk"><files_dir path="{folder}/xml"/></object_store>')
        third = objectstore.build_object_store_from_config(config, config_xml=element)
        print(json.dumps([one.construct_path(dataset) for one in (first, second, third)]))
        """,
    )
    places = ("files", "inline", "xml")
    assert found == [f"{tmp_path}/{place}/000/dataset_24.dat" for place in places]


def test_another_sitecustomize_runs_too(tmp_path: Path) -> None:
    other = tmp_path / "site"
    other.mkdir()
    (other / "sitecustomize.py").write_text("import os\nos.environ['OTHER'] = 'ran'\n")
    done = subprocess.run(
        [sys.executable, "-c", "import os, sys; print(os.environ['OTHER'], 'galaxy' in sys.modules)"],
        env={**os.environ, "PYTHONPATH": f"{HOOK}{os.pathsep}{other}"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["ran", "False"]


def test_a_job_whose_environment_is_made_anew_has_the_hook(tmp_path: Path) -> None:
    """As the local runner of Galaxy makes it, and most clusters do. The script says it twice, as Galaxy's do."""
    module = ModuleType("galaxy.jobs.runners.util.job_script")
    module.job_script = lambda **said: "\n".join(said["env_setup_commands"] * 2 + [said["command"]])  # type: ignore[attr-defined]
    startup._tell_jobs(module)
    show = (
        f"{sys.executable} -c 'import os, sys; print(os.environ[\"PYTHONPATH\"], *map(type, sys.meta_path))'"
    )
    for setup, before in ((None, ""), (["export PYTHONPATH=/of/the/destination"], ":/of/the/destination")):
        script = module.job_script(env_setup_commands=setup, command=show)
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", f"set +u\n{script}"],
            env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        path, _, finders = done.stdout.partition(" ")
        assert path == f"{HOOK}{before}"
        assert "dolium.datasets.startup._Finder" in finders


def test_the_hook_is_for_any_python(tmp_path: Path) -> None:
    """Those of tools have no dolium, and are old."""
    file = HOOK / "sitecustomize.py"
    ast.parse(file.read_text(), feature_version=(3, 4))
    (tmp_path / "sitecustomize.py").write_text("print('the next')\n")
    hidden = "import sys; sys.modules['dolium'] = None; import runpy; runpy.run_path(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", hidden, str(file)],
        env={"PYTHONPATH": f"{HOOK}{os.pathsep}{tmp_path}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "the next\n", "")


def test_the_commands(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["galaxy", "path"]) == 0
    assert Path(capsys.readouterr().out.strip(), "sitecustomize.py").is_file()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["galaxy", "run", "--", "true"]) == 5
    assert "dolium[galaxy]" in capsys.readouterr().err
