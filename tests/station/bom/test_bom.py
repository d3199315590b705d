"""Bills of materials: what is in them, that they are CycloneDX, and that the same content gives the same bytes.

Their schema was asked by hand: `JsonStrictValidator(SchemaVersion.V1_6)` of `cyclonedx-python-lib[json-validation]`.
"""

import hashlib
import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from plc_bindings.security.signing import PublicKey, sign
from rt_engine.change import ChangeState
from rt_engine.contract.file import attach
from rt_engine.contract.terms import Contract, Element, Provenance, Statistics, TensorContract
from rt_engine.read.source import Source, opened
from rt_native.shipped import FOLDER
from station.bom.document import rendered
from station.bom.release import of_release
from station.bom.station import installed, of_station
from station.cli import app
from station.file.reading import read_station
from station.store.store import Store
from tests import ROOT
from tests.station.stations import SIM, gemm, station_text, write_station

TAGS = 'a = {}\nb = {}\nforce = { direction = "out", low = -10, high = 10, safe = -1 }\n'
TASK = "[tags]\n" + TAGS + '\n[tasks.axis]\nmodel = "mean"\ncycle = "1 ms"\ninputs = ["a", "b"]\noutputs = ["force"]\n'
COMPONENT = {
    *("type", "bom-ref", "name", "version", "hashes", "licenses", "purl", "scope", "properties", "modelCard"),
    *("description", "authors", "pedigree"),
}
"""Keys of a component that are used here; CycloneDX 1.6 has no other names for them."""
CONTRACT = Contract(
    inputs=(TensorContract("x", (Element("a", "V"), Element("b"))),),
    statistics=(Statistics("x", 100, (0.5, 1.5), (0.1, 0.2), (0.0, 1.0), (1.0, 2.0)),),
    provenance=Provenance("balance", "v7", "runs of May", "0f3c", "A. Engineer", "2026-05-30"),
    rate_hz=1000.0,
)


def check(whole):
    """What every document has to be; gives its components by their references."""
    assert whole["bomFormat"] == "CycloneDX" and whole["specVersion"] == "1.6" and whole["version"] == 1
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", whole["serialNumber"])
    components = [whole["metadata"]["component"], *whole["components"]]
    refs = {one["bom-ref"]: one for one in components}
    assert len(refs) == len(components)
    for one in components:
        assert one.keys() <= COMPONENT and "" not in one.values() and [] not in one.values()
        assert one["type"] in ("application", "device", "file", "library", "machine-learning-model")
        assert all(set(p) == {"name", "value"} and type(p["value"]) is str for p in one.get("properties", ()))
        assert all(re.fullmatch("[0-9a-f]{64}", h["content"]) for h in one.get("hashes", ()))
    for need in whole["dependencies"]:
        assert {need["ref"], *need["dependsOn"]} <= refs.keys()
    return refs


def said(component):
    return {p["name"].removeprefix("rt-engine:"): p["value"] for p in component["properties"]}


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


@pytest.fixture
def file(tmp_path, key):
    """A station with a store: version 1 is committed, version 2 came signed, with a contract, and was rolled back."""
    head = f'keys = ["{PublicKey.of(key).text}"]\n\n[models.mean]'
    path = write_station(tmp_path, station_text("bench", SIM, TASK).replace("[models.mean]", head))
    attach(gemm(tmp_path / "new.onnx", 2, gain=2.0), CONTRACT)
    store = Store(tmp_path / "store")
    store.open()
    store.take_file("mean", opened(tmp_path / "mean.onnx"))
    new = opened(tmp_path / "new.onnx")
    came = store.add("mean", new, "10.0.0.9", sign(key, "mean", new.data, 77))
    for state in (ChangeState.STAGED, ChangeState.GATE, ChangeState.TRIAL, ChangeState.ROLLED_BACK):
        store.record(1, {"mean": came.sha256}, state, "10.0.0.9", "the trial was bad")
    store.close()
    return read_station(path)


def models(whole):
    return [one for one in check(whole).values() if one["type"] == "machine-learning-model"]


def test_every_version_of_a_model_is_there_with_what_is_known_of_it(file, key, tmp_path):
    first, second = sorted(models(of_station(file)), key=lambda one: one["version"])
    data = (tmp_path / "new.onnx").read_bytes()
    assert second["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}]
    assert (second["name"], second["version"], second["description"]) == ("mean", "2", "balance v7")
    assert second["authors"] == [{"name": "A. Engineer"}] and second["pedigree"] == {"commits": [{"uid": "0f3c"}]}
    about = said(second)
    wanted = {"state": "ROLLED_BACK", "serial": "77", "signer": PublicKey.of(key).text, "from": "10.0.0.9"}
    wanted |= {"kept": "yes", "why": "the trial was bad", "bytes": str(len(data)), "rate-hz": "1000.0"}
    assert wanted.items() <= about.items()
    card = second["modelCard"]
    assert card["modelParameters"]["inputs"] == [{"format": "x: [1, 2]"}]
    assert card["modelParameters"]["datasets"] == [{"type": "dataset", "name": "runs of May"}]
    assert json.loads(said(card)["statistics:x"])["mean"] == [0.5, 1.5]
    assert said(first)["role"] == "committed" and "signer" not in said(first) and "authors" not in first


def test_the_same_store_gives_the_same_bytes_and_a_change_another_serial_number(file, tmp_path, monkeypatch):
    one = of_station(file)
    assert rendered(of_station(file)) == rendered(one)
    order = [(component["type"], component["bom-ref"]) for component in one["components"]]
    assert order == sorted(order)
    assert one["metadata"]["timestamp"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    dated = of_station(file)
    assert dated["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    store = Store(tmp_path / "store")
    store.open()
    store.allow("mean", models(one)[0]["hashes"][0]["content"], "somebody")
    store.add("mean", opened(gemm(tmp_path / "third.onnx", 2, gain=3.0)), "somebody")
    store.close()
    assert of_station(file)["serialNumber"] != dated["serialNumber"] != one["serialNumber"]


def test_a_version_whose_file_is_gone_or_damaged_stays_in_the_list(file, tmp_path):
    for path in (tmp_path / "store" / "versions").glob("*/model.onnx"):
        path.write_bytes(path.read_bytes()[:-1])
    found = models(of_station(file))
    assert len(found) == 2 and all(said(one)["kept"].startswith("no") for one in found)
    assert all("modelCard" not in one for one in found)


def test_a_signature_of_a_key_that_is_not_trusted_any_more_names_nobody(file, tmp_path, key):
    text = file.path.read_text()
    file.path.write_text(text.replace(PublicKey.of(key).text, PublicKey.of(Ed25519PrivateKey.generate()).text))
    signers = {said(one).get("signer") for one in models(of_station(read_station(file.path)))}
    assert signers == {None, "a key that is not among `keys` of the station file"}


def test_a_bundle_without_a_serial_number_names_its_signer_all_the_same(file, tmp_path):
    """It was given to `rt-engine update` on the spot."""
    place = ROOT / "tests" / "plc_bindings" / "security" / "model_signing"
    key = (place / "prime256v1.pub").read_text(encoding="utf-8").strip()
    store = Store(tmp_path / "store")
    store.open()
    store.add(
        "mean", Source(b"a model's bytes", "third.onnx"), "somebody", (place / "prime256v1.file.json").read_bytes()
    )
    store.close()
    file.path.write_text(file.path.read_text().replace('keys = ["', f'keys = ["{key}", "'))
    third = max(models(of_station(read_station(file.path))), key=lambda one: one["version"])
    assert said(third)["signer"] == key and "serial" not in said(third) and "unreadable" in said(third)


def test_before_the_first_start_it_is_what_the_station_file_names(tmp_path):
    path = write_station(tmp_path, station_text("bench", SIM, TASK))
    (only,) = models(of_station(read_station(path)))
    assert said(only)["from"] == "station file" and said(only)["opsets"] and "version" not in only


def test_packages_are_those_that_are_installed():
    found = {one["name"]: one for one in installed("aiohttp")}
    assert {"yarl", "multidict", "idna"} <= found.keys() and "aiohttp" not in found
    assert found["idna"]["purl"] == f"pkg:pypi/idna@{found['idna']['version']}"
    assert "pytest" in {one["name"] for one in installed("pytest-timeout")}
    assert "mypy" not in found and "pytest" not in found  # what only the tests of a package ask for
    assert list(installed("no-such-package")) == []


def test_a_release_names_its_libraries_and_what_it_was_tested_with():
    names = ("x86-64-v3.so", "x86-64-v3.json", "level.txt")
    files = {f"rt_native/{FOLDER.name}/{name}": b"code" for name in names} | {"elsewhere.so": b""}
    whole = of_release(ROOT, files, b"wheel")
    refs = check(whole)
    itself = whole["metadata"]["component"]
    assert itself["hashes"][0]["content"] == hashlib.sha256(b"wheel").hexdigest()
    assert "hashes" not in of_release(ROOT, files)["metadata"]["component"]
    (library,) = [one for one in refs.values() if one["type"] == "file"]
    assert Path(library["name"]).name == "x86-64-v3.so"
    assert library["hashes"][0]["content"] == hashlib.sha256(b"code").hexdigest()
    scopes = {one["name"]: one["scope"] for one in refs.values() if one["type"] == "library"}
    assert (scopes["cryptography"], scopes["numba"], scopes["pytest"]) == ("required", "optional", "excluded")
    (needs,) = whole["dependencies"]
    assert library["bom-ref"] in needs["dependsOn"]
    assert any(ref.startswith("pkg:pypi/onnx-ir@") for ref in needs["dependsOn"])
    assert rendered(of_release(ROOT, files, b"wheel")) == rendered(whole)


def test_every_direct_dependency_has_its_pin():
    """One that is missing in requirements/run.txt would be missing in the bill."""
    (needs,) = of_release(ROOT, {})["dependencies"]
    names = re.findall(
        r'^    "([A-Za-z0-9_-]+)',
        (ROOT / "pyproject.toml").read_text().partition("dependencies = [")[2].partition("]")[0],
        re.M,
    )
    assert len(names) > 10
    assert {ref.partition("@")[0].rpartition("/")[2] for ref in needs["dependsOn"]} == {name.lower() for name in names}


def test_a_tree_without_requirements_makes_no_bill(tmp_path):
    with pytest.raises(FileNotFoundError, match="make lock"):
        of_release(tmp_path, {})


def test_the_command_prints_or_writes_it(file, tmp_path):
    printed = CliRunner().invoke(app, ["sbom", str(file.path)])
    assert printed.exit_code == 0 and len(models(json.loads(printed.stdout))) == 2
    assert CliRunner().invoke(app, ["sbom", str(file.path), "-o", str(tmp_path / "a.cdx.json")]).exit_code == 0
    assert (tmp_path / "a.cdx.json").read_text() == printed.stdout
    assert CliRunner().invoke(app, ["sbom", str(file.path), "-o", str(tmp_path / "no" / "a")]).exit_code == 1
