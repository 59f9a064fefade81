"""The examples in Galaxy's own sample files, as its package on the registry has them, each as a file of its own."""

import re
from importlib.metadata import files
from pathlib import Path

__all__ = ["XML_SAMPLE", "YAML_SAMPLE", "examples"]


def _sample(name: str) -> Path:
    found = next(file for file in files("galaxy-config") or () if file.name == name)
    return Path(str(found.locate()))


XML_SAMPLE = _sample("object_store_conf.xml.sample")
YAML_SAMPLE = _sample("object_store_conf.sample.yml")


def examples() -> dict[str, str]:
    """Every example by a name made of its suffix, its place and its type; XML's are in comments but for the first."""
    xml = re.findall(r"^<object_store .*?^</object_store>", XML_SAMPLE.read_text(), re.DOTALL | re.MULTILINE)
    yaml = re.split(r"^(?=type: )", YAML_SAMPLE.read_text(), flags=re.MULTILINE)[1:]
    return {
        **{f"{_type(text)}-{at}.xml": text for at, text in enumerate(xml)},
        **{f"{_type(text)}-{at}.yml": text for at, text in enumerate(yaml)},
    }


def _type(text: str) -> str:
    match = re.search(r"type(?:=\"|: )(\w+)", text)
    assert match is not None
    return match[1]
