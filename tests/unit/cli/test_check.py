"""`dolium check` on a file of stores."""

import json
from pathlib import Path

import pytest

from dolium.config.galaxy import read_stores
from tests.unit.cli.conftest import Run

FOLDER = Path(__file__).parents[2] / "config" / "galaxy"
SECRET = "my-super-extra-top-secret-key"


def test_the_stores_of_a_hierarchy_are_drawn_and_explained(run: Run) -> None:
    file = FOLDER / "seed_s3.xml"
    ran = run("check", str(file))
    assert ran.code == 0
    assert (
        ran.out
        == f"""\
{file}: sound

hierarchical
├── swifty: swift galaxy at http://127.0.0.1:9091, cache /srv/galaxy/var/database/object_store_cache  [new data]
├── newdata: disk /data2  [searched second]
└── olddata: disk /data  [searched third]

New data goes to swifty; when that takes none, to the next of newdata, olddata.
Reads look in the store that is recorded for an object; if none is, in swifty, newdata, olddata, in this order.
swifty keeps copies in /srv/galaxy/var/database/object_store_cache, up to 1000 GiB.
"""
    )
    assert ran.err == (
        f"dolium: {file}:13: a secret stands here in the clear; write env:NAME or file:PATH in its place\n"
    )


def test_weights_limits_rules_and_choices_are_explained(run: Run) -> None:
    out = run("check", str(FOLDER / "selectable.xml")).out
    assert (
        out.split("\n\n", 1)[1]
        == """\
distributed
├── default: disk database/objects/default  [100 % of new data]
└── scratch: disk database/objects/temp  [no new data unless asked for, draining, private]

New data with tenancy ocean, bucket tmp or scratch, size below 64 MiB goes to scratch, and nowhere else.
New data with person ada, group staff, prefix a/, content type image/, storage class COLD goes to default.
All other new data is spread by weight: default 100 %.
Only when asked for, new data goes to scratch.
Reads look in the store that is recorded for an object; if none is, in default, scratch, in this order.
scratch takes no new data above 2 TiB of data.
People may choose: default, scratch.
Counted apart: scratch for second_tier.
"""
    )


def test_a_nest_is_explained_group_by_group(run: Run) -> None:
    out = run("check", str(FOLDER / "nested_odd.xml")).out
    assert (
        out.split("\n\n", 1)[1]
        == """\
hierarchical
├── primary: distributed  [new data]
│   ├── new1: disk /new/1  [40 % of new data]
│   └── new2: disk /new/2  [60 % of new data]
├── middle: distributed  [searched second]
│   └── ro: disk /ro  [no new data unless asked for]
└── old-files: disk /old/files  [searched third]

New data goes to primary; when that takes none, to the next of middle, old-files.
What comes to primary is spread by weight: new1 40 %, new2 60 %.
What comes to middle has nowhere to go: no store has a weight.
Only when asked for, new data goes to ro.
Reads look in the store that is recorded for an object; if none is, in new1, new2, ro, old-files, in this order.
primary takes no new data above 85 % full.
middle takes no new data above 85 % full.
old-files takes no new data above 70 % full.
"""
    )


TWO_LEVELS = """\
type: distributed
search_for_missing: false
backends:
- {id: x, type: disk, files_dir: /a, weight: 1, state: offline}
- {id: y, type: hierarchical, weight: 1, backends: [{type: disk, files_dir: /b}]}
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "type: replicated\nbackends: [{type: disk, files_dir: /a}, {type: disk, files_dir: /b}]\n",
            ["New data goes to each of a, b, and is written when 2 have it."],
        ),
        ("type: disk\nfiles_dir: /a\n", ["a: disk /a", "New data goes to a.", "Reads look in a."]),
        (
            "type: hierarchical\nbackends: [{type: disk, files_dir: /a, state: read-only}]\n",
            ["New data has nowhere to go: no store is online.", "[new data, read-only]"],
        ),
        (
            TWO_LEVELS,
            [
                "New data is spread by weight: y 100 %.",
                "What comes to y goes to b.",
                "nowhere else (search_for_missing).",
            ],
        ),
        (
            "type: webdav\nprefix: p/q\nconnection: {url: 'https://h'}\nquota: {enabled: false}\ncache: {path: /c}\n",
            ["webdav https://h/p/q, cache /c", "for no quota", "keeps copies in /c, without limit."],
        ),
    ],
)
def test_other_trees(text: str, words: list[str], run: Run, tmp_path: Path) -> None:
    file = tmp_path / "stores.yml"
    file.write_text(text)
    ran = run("check", str(file))
    assert [word for word in words if word not in ran.out] == []


def test_json_masks_secrets(run: Run) -> None:
    ran = run("check", str(FOLDER / "seed_s3.xml"), "--json")
    [swifty, *_] = json.loads(ran.out)["root"]["children"]
    assert swifty["spec"]["options"]["secret_key"] == "***"
    assert SECRET not in ran.out + ran.err


def test_xml_is_converted_to_yaml_that_means_the_same(run: Run, tmp_path: Path) -> None:
    file = FOLDER / "seed_s3.xml"
    ran = run("check", "--convert", str(file))
    (tmp_path / "stores.yml").write_text(ran.out)
    assert read_stores(tmp_path / "stores.yml", {}).spec == read_stores(file, {}).spec
    assert SECRET in ran.out
    assert SECRET not in ran.err
    assert ran.err.endswith("dolium: the YAML has secrets in the clear\n")


def test_references_are_converted_without_being_followed(run: Run) -> None:
    ran = run("check", "--convert", str(FOLDER / "remote.xml"))
    assert ran.code == 0
    assert "secret_key: env:SOME_KEY" in ran.out
    assert "in the clear" not in ran.err
    assert run("check", str(FOLDER / "remote.xml")).code == 5  # here they are: nothing sets SOME_KEY


@pytest.mark.parametrize(
    "name", ["bad_id_twice.xml", "y_bad_twice.yml", "y_bad_yaml.yml", "bad_type_irods.xml"]
)
def test_what_is_not_sound_is_told_in_a_line(name: str, run: Run) -> None:
    for flags in ([], ["--json"], ["--convert"]):
        ran = run("check", *flags, str(FOLDER / name))
        assert (ran.code, ran.out) == (5, "")
        assert (
            ran.err.replace(f"{FOLDER}/", "") == "dolium: " + (FOLDER / name).with_suffix(".err").read_text()
        )


def test_only_stores_are_converted(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "dolium.yml"
    file.write_text("workers: 3\n")
    ran = run("check", "--convert", str(file))
    assert (ran.code, ran.err) == (2, f"dolium: {file}: only a file of stores can be converted\n")
    assert run("check", "--convert", str(tmp_path / "absent.yml")).code == 5
    assert run("check", "--convert", "--json", str(file)).code == 2


def test_stores_within_dolium_yml_are_explained(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "dolium.yml"
    file.write_text("stores:\n  type: disk\n  files_dir: there\n  badges: [{type: faster}, {type: faster}]\n")
    ran = run("check", str(file))
    assert f"disk {tmp_path}/there" in ran.out
    assert ran.err == f"dolium: {file}:4: the badge 'faster' stands here twice\n"


def test_a_file_cannot_move_the_cursor_of_who_has_it_explained(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "stores.yml"
    file.write_text('type: disk\nfiles_dir: "/a\\e[2J"\n')
    assert "\x1b" not in run("check", str(file)).out
    assert "\\u001b" in run("check", "--json", str(file)).out


def test_what_the_library_can_and_the_service_cannot_is_told(run: Run, tmp_path: Path) -> None:
    stores = "type: replicated\n  backends: [{id: a, type: disk, files_dir: /a}, {id: b, type: disk, files_dir: /b}]\n"
    file = tmp_path / "dolium.yml"
    file.write_text(f"stores:\n  {stores}")
    ran = run("check", str(file))
    assert (ran.code, ran.out) == (5, "")
    assert "dolium.yml:2: a replicated store needs an id" in ran.err
    file.write_text(f"stores:\n  id: pair\n  {stores}")
    assert "and is written when 2 have it" in run("check", str(file)).out
