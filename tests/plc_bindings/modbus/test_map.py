"""The register map: addresses, what moves them and what does not, what has none."""

from dataclasses import replace
from itertools import pairwise

import pytest

from plc_bindings.data.database import Database, Symbol
from plc_bindings.data.model_area import _MODEL as MODEL
from plc_bindings.data.model_area import FIRST_OF_CHANGE
from plc_bindings.data.models import Models
from plc_bindings.data.types import BOOL, REAL, Array, Field, Struct
from plc_bindings.modbus.map import ALIGNMENT, CHANGES, PER_CHANGE, PREDICT, STATUS, MapError, RegisterMap
from tests.plc_bindings.modbus.plant import Memory, Plant


def addresses(map_):
    return {row.name: row.register for row in map_.rows()}


def test_registers_follow_each_other_in_the_order_of_the_station(plant):
    """Tags lie from 0 on without holes, whatever areas they come from."""
    tags = [place for place in plant.map.places if place.name.startswith("Tags.")]
    at = 0
    for place in tags:
        assert place.register == at
        at += place.count


@pytest.mark.parametrize(
    ("name", "register", "count", "coil"),
    [
        ("Tags.on", 0, 1, 0),
        ("Tags.speed", 1, 2, None),
        ("Tags.valves", 5, 10, 1),
        ("Tags.position", 15, 4, None),
        ("Tags.alarm", 33, 1, 11),
        ("Tasks.axis.Name", 41002, 5, None),
        ("Tasks.axis.Reset", 41008, 1, 11001),
    ],
)
def test_address_and_width_of_each_type(plant, name, register, count, coil):
    row = next(row for row in plant.map.rows() if row.name == name)
    assert (row.register, row.count, row.coil) == (register, count, coil)


def test_the_same_station_has_the_same_map(plant):
    assert plant.map.rows() == Plant().map.rows()


def test_a_tag_at_the_end_moves_nothing(plant):
    more = Symbol("Tags.new", REAL, 1, 0)
    grown = RegisterMap(Database(plant.database.areas, [*plant.database.symbols, more]), plant.models)
    before, after = addresses(plant.map), addresses(grown)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"Tags.new"}


def test_a_predict_block_is_inputs_status_version_outputs(plant):
    block = plant.map.block("policy")
    rows = [row for row in plant.map.rows() if ".Predict." in row.name]
    assert block.inputs == PREDICT
    assert [(row.name.rsplit("Predict.")[1], row.register, row.access) for row in rows] == [
        ("In.observation", PREDICT, "write"),
        ("Status", block.result, "read"),
        ("Version", block.result + 2, "read"),
        ("Out.force", block.result + 4, "read"),
    ]


def test_a_second_model_begins_at_a_round_number_and_moves_not_the_first(plant):
    two = Models({"policy": plant.slots["policy"], "other": plant.slots["policy"]})
    first, second = RegisterMap(plant.database, two).blocks
    assert (first.inputs, first.result, first.end) == (PREDICT, PREDICT + 14, PREDICT + 20)
    assert second.inputs == PREDICT + ALIGNMENT


def test_access_says_what_clients_may_write(plant):
    rows = {row.name: row.access for row in plant.map.rows(plant.database.writable(["Tags.speed"]))}
    assert [name for name, access in rows.items() if access == "write" and ".Predict." not in name] == ["Tags.speed"]


def test_columns_for_the_list_of_symbols(plant):
    columns = plant.map.columns()
    assert columns["Tags.on"] == ("0", "0")
    assert columns["Tags.valves"] == ("5-14", "1-10")
    assert columns["Tags.speed"] == ("1-2", "")


def test_too_many_tags_are_refused_with_the_first_that_does_not_fit():
    type_ = Struct("T", (Field("many", Array(REAL, 4999)), Field("last", Array(REAL, 2))))
    symbols = [Symbol(f"Tags.{f.name}", f.type, 0, type_.offsets[f.name]) for f in type_.fields]
    with pytest.raises(MapError, match=r"Tags\.last would lie beyond register 9999 or coil 9999.*ADS"):
        RegisterMap(Database([Memory("A", type_)], symbols), Models({}))


def test_too_many_coils_are_refused():
    type_ = Struct("T", (Field("many", Array(BOOL, 10_001)),))
    with pytest.raises(MapError, match=r"Tags\.many"):
        RegisterMap(Database([Memory("A", type_)], [Symbol("Tags.many", type_.fields[0].type, 0, 0)]), Models({}))


def test_a_model_that_does_not_fit_has_no_block_and_a_reason(plant):
    large = Struct("In", (Field("image", Array(REAL, (STATUS - PREDICT) // 2)),))
    served = plant.models.all[0]
    models = Models(plant.slots)
    models.all = (
        replace(served, name="image", signature=replace(served.signature, inputs=large)),
        replace(served, name="nothing", signature=replace(served.signature, inputs=Struct("In", ()))),
        served,
    )
    map_ = RegisterMap(plant.database, models)
    assert [block.served.name for block in map_.blocks] == ["policy"]
    assert "'image' needs 30006 registers and only 30000 are left: call it over ADS" in map_.left_out[0]
    assert "'nothing' takes no inputs" in map_.left_out[1]


def test_every_register_belongs_to_one_value(plant):
    taken = [n for row in plant.map.rows() for n in range(row.register, row.register + row.count)]
    assert len(taken) == len(set(taken))
    coils = [row.coil + i for row in plant.map.rows() if row.coil is not None for i in range(row.count)]
    assert len(coils) == len(set(coils)) == 14


@pytest.mark.parametrize("kind", ["Tasks", "Links", "Models"])
def test_one_more_of_a_kind_moves_nothing(plant, kind):
    """Until a kind has outgrown its room: then what follows moves, and nothing is on top of anything."""
    task = plant.database.symbols[0].type
    names = [f"{k}.x{i}" for k in ("Tasks", "Links", "Models") for i in range(3)]
    grown = sorted([*names, f"{kind}.x3"], key=lambda name: name.split(".")[0] != kind)
    before, after = (
        addresses(RegisterMap(Database(plant.database.areas, [Symbol(n, task, 2, 0) for n in found]), Models({})))
        for found in (names, grown)
    )
    assert before.items() <= after.items()
    many = [f"{kind}.x{i}" for i in range(100)]
    full = RegisterMap(Database(plant.database.areas, [Symbol(n, task, 2, 0) for n in [*names, *many[3:]]]), Models({}))
    taken = [n for row in full.rows() for n in range(row.register, row.register + row.count)]
    assert len(taken) == len(set(taken))


def changing(count):
    """So many models as a station shows them, and their map."""
    symbols = [Symbol(f"Models.m{i}", MODEL, i, 0) for i in range(count)]
    areas = [Memory(symbol.name, MODEL) for symbol in symbols]
    return RegisterMap(Database(areas, symbols), Models({}))


def test_a_change_has_registers_at_the_other_end_so_that_no_model_moves_another():
    one, five = changing(1), changing(5)
    for i in range(5):
        first = next(p for p in five.places if p.name == f"Models.m{i}.{FIRST_OF_CHANGE}")
        assert first.register == CHANGES - i * PER_CHANGE
        assert next(p.coil for p in five.places if p.name == f"Models.m{i}.Rollback") == 13_001 + 2 * i
    before = {place.name: (place.register, place.coil) for place in one.places}
    after = {place.name: (place.register, place.coil) for place in five.places}
    assert {name: after[name] for name in before} == before
    assert max(place.register + place.count for place in one.places) <= CHANGES + PER_CHANGE <= 65_536


@pytest.mark.parametrize(("count", "unplaced"), [(15, 0), (16, 4), (21, 21)])
def test_models_go_before_changes_and_no_two_values_share_a_register(count, unplaced):
    map_ = changing(count)
    assert len(map_.unplaced) == unplaced
    spans = sorted((place.register, place.register + place.count) for place in map_.places)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    assert sum(place.name.endswith(".State") for place in map_.places) == count
    if unplaced:
        assert "read it over ADS" in map_.unplaced[0]
