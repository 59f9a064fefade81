"""A whole Galaxy on a file of stores: upload, a tool with extra files, its output, purge. Not run in CI: galaxy-app is a
gigabyte. docs/galaxy.md says how; it prints what happened, and ends with 1 if something is not as it should be.

    dolium galaxy run -- python whole_galaxy.py object_store_conf.yml [directory|extended]
"""
# ruff: noqa: T201
# mypy: ignore-errors

import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

from galaxy.app import UniverseApplication
from galaxy.work.context import WorkRequestContext

from galaxy import model

TOOL = """<tool id="copy" name="copy" version="1">
<command>cat '$input' > '$output'; mkdir -p '$output.files_path'; ls '${input.extra_files_path}' > '$output.files_path/of_input.txt' 2>/dev/null || true
; echo beside > '$output.files_path/beside.txt'</command>
<inputs><param name="input" type="data" format="data"/></inputs>
<outputs><data name="output" format="txt"/></outputs></tool>"""
CONTENT = "chr1\t1\t20\nchr2\t3\t40\n"


def start(folder: Path, stores: str, strategy: str) -> UniverseApplication:
    (folder / "copy.xml").write_text(TOOL)
    (folder / "tools.xml").write_text(
        f'<toolbox tool_path="{folder}"><section id="s" name="s"><tool file="copy.xml"/></section></toolbox>'
    )
    app = UniverseApplication(
        configure_logging=False, config_dir=str(folder), data_dir=f"{folder}/data", cache_dir=f"{folder}/cache",
        database_connection=f"sqlite:///{folder}/galaxy.sqlite", database_auto_migrate=True,
        file_path=f"{folder}/files", object_store_config_file=stores, new_file_path=f"{folder}/tmp",
        jobs_directory=f"{folder}/jobs", tool_config_file=f"{folder}/tools.xml", metadata_strategy=strategy,
        enable_celery_tasks=False, conda_auto_init=False, conda_auto_install=False,
        __file__=f"{folder}/galaxy.yml", global_conf={"__file__": f"{folder}/galaxy.yml"},
    )  # fmt: skip
    app.application_stack.start()
    app.job_manager.start()
    return app


def run(app: UniverseApplication, trans: WorkRequestContext, tool: str, said: dict) -> bool:
    out = app.toolbox.get_tool(tool).handle_input(trans, said, history=trans.history)
    [job] = out["jobs"]
    end = time.monotonic() + 120
    while job.state not in ("ok", "error") and time.monotonic() < end:
        time.sleep(0.3)
        app.model.session.expire_all()
    print(tool, job.state, job.object_store_id, (job.job_stderr or "")[-500:])
    return job.state == "ok"


def play(stores: str, strategy: str) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="galaxy"))
    logging.basicConfig(level=logging.WARNING, filename=folder / "log")
    app = start(folder, stores, strategy)
    print(type(app.object_store).__module__, folder)
    user = app.user_manager.create(email="ada@example.org", username="ada", password="password1")
    history = model.History(name="h", user=user)
    app.model.session.add(history)
    app.model.session.commit()
    trans = WorkRequestContext(app=app, user=user, history=history)
    upload = folder / "upload.bed"
    upload.write_text(CONTENT)
    element = {
        "src": "path",
        "path": str(upload),
        "name": "bed",
        "ext": "bed",
        "in_place": False,
        "link_data_only": False,
    }
    request = {"targets": [{"destination": {"type": "hdas"}, "elements": [element]}], "check_content": False}
    fetch = {"request_version": "1", "request_json": json.dumps(request), "file_count": "0"}
    sound = type(app.object_store).__module__ == "dolium.datasets.galaxy"
    sound &= run(app, trans, "__DATA_FETCH__", fetch)
    for number in range(2):  # the second of the first one's output, with its extra files
        sound &= run(app, trans, "copy", {"input": _newest(app)})
        made = _newest(app)
        path, extra = Path(made.get_file_name()), Path(made.extra_files_path)
        found = {one.name: one.read_text().split() for one in extra.iterdir()}
        print(made.dataset.object_store_id, path, found)
        sound &= path.read_text() == CONTENT and found["beside.txt"] == ["beside"]
        sound &= found["of_input.txt"] == (["beside.txt", "of_input.txt"] if number else [])
    for one in app.model.session.query(model.HistoryDatasetAssociation).all():
        one.dataset.full_delete()
        sound &= not app.object_store.exists(one.dataset)
    app.shutdown()
    return sound


def _newest(app: UniverseApplication) -> model.HistoryDatasetAssociation:
    found = model.HistoryDatasetAssociation
    return app.model.session.query(found).order_by(found.id.desc()).first()


if __name__ == "__main__":
    outcome = play(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "directory")
    print("sound" if outcome else "NOT AS IT SHOULD BE", flush=True)
    os._exit(0 if outcome else 1)  # Galaxy's threads would stay
