"""Blocks are files of the package: each is declared as its data, so that a built wheel has them."""

import tomllib

from tests import ROOT


def test_all_library_files_are_package_data():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    folder = ROOT / "plc_bindings" / "st"
    shipped = {path for pattern in data["plc_bindings.st"] for path in folder.glob(pattern)}
    assert shipped == set(folder.rglob("*.st")) and len(shipped) > 20
