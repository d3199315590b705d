"""What may be exported: names that are mended, names that are refused."""

import re

import pytest
from onnx import TensorProto, helper

from plc_bindings.errors import UnpackableError
from plc_bindings.st import portable, twincat
from plc_bindings.st.names import KEYWORDS, LONGEST, check_distinct, usable
from plc_bindings.st.project import Ads, comment, project, string
from plc_bindings.st.write import twincat_files
from tests.plc_bindings.st.evaluator import syntax_errors
from tests.plc_bindings.st.exported import ADS, load, modbus

FLOAT = TensorProto.FLOAT


def through(folder, name="x", out="y", type_=FLOAT, shape=(2,)):
    """A model of one Identity."""
    return load([helper.make_node("Identity", [name], [out])], [(name, type_, shape)], [(out, type_, shape)], folder)


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("policy", "policy"),
        ("my-model.v2", "my_model_v2"),
        ("2nd", "_2nd"),
        ("if", "if_1"),
        ("TON", "TON_1"),
        ("S", "S_1"),
        ("Real_To_DInt", "Real_To_DInt_1"),
        ("way_to_go", "way_to_go"),
    ],
)
def test_names_become_identifiers(name, becomes):
    assert usable(name, "model") == becomes
    assert becomes.lower() not in KEYWORDS


@pytest.mark.parametrize("name", ["---", "äöü", "", "x" * (LONGEST + 1)])
def test_names_of_which_nothing_is_left_or_too_much_are_refused(name):
    with pytest.raises(UnpackableError, match=r"model 'm'.*(rename|shorter)"):
        usable(name, "model 'm'")


def test_names_that_differ_in_case_are_refused():
    """The message names both."""
    with pytest.raises(UnpackableError, match="here: model 'Axis' and model 'axis' are both 'axis'"):
        check_distinct([("Axis", "model 'Axis'"), ("axis", "model 'axis'")], "here")
    check_distinct([("Axis", "model 'Axis'"), ("axle", "model 'axle'")], "here")


def test_ends_without_values_are_refused(tmp_path):
    """The message names the tensor, or which end is missing."""
    with pytest.raises(UnpackableError, match="model 'm', tensor 'x' has no elements"):
        project("cell", {"m": through(tmp_path, shape=(0,))})
    constant = helper.make_node("Constant", [], ["y"], value=helper.make_tensor("y", FLOAT, [1], [1.0]))
    with pytest.raises(UnpackableError, match="model 'm' has no inputs"):
        project("cell", {"m": load([constant], [], [("y", FLOAT, [1])], tmp_path)})


def test_models_that_become_the_same_are_refused(tmp_path):
    model = through(tmp_path)
    with pytest.raises(UnpackableError, match="model 'a-b' and model 'a_b' are both 'a_b'"):
        project("cell", {"a-b": model, "a_b": model})


def test_tensors_that_become_the_same_are_refused(tmp_path):
    ends = [(name, FLOAT, [1]) for name in ("in.a", "in_a")]
    model = load([helper.make_node("Add", ["in.a", "in_a"], ["y"])], ends, [("y", FLOAT, [1])], tmp_path)
    with pytest.raises(UnpackableError, match=r"model 'm': tensor 'in\.a' and tensor 'in_a'"):
        project("cell", {"m": model})


def test_tensors_with_names_of_keywords_are_renamed(tmp_path):
    """The comment says what the tensor is called."""
    found = project("cell", {"m": through(tmp_path, "to", "return")}).models[0].signature
    assert [f.name for f in found.inputs.fields] == ["to_1"]
    assert [f.name for f in found.outputs.fields] == ["return_1"]
    assert found.inputs.fields[0].comment == "to: float32[2]"


TAKEN = """
    nan infinity eof M_PI rand_max HUGE_VAL int_max null add_real mux_int_bool real_to_dint word_bcd_to_uint pid ramp hysteresis
    derivative integral add_time sub_time multime divtime concat_date_tod tcp_connect tcp_send sm_home rotary_switch slm_init ctu_dint
""".split()  # noqa: SIM905 (a page of words reads better than a page of quotes)


@pytest.mark.parametrize("name", TAKEN)
def test_names_of_libraries_and_of_c_are_numbered(name):
    """What matiec's and OpenPLC's libraries call a block, and their C headers a macro; what only looks like it stays."""
    assert usable(name, "") == f"{name}_1"
    assert usable(f"{name}x", "") == f"{name}x"


def test_a_prefix_is_in_all_names(tmp_path):
    """Of the structures, the block and the transport; what is no name is refused."""
    of = project("cell", {"m": through(tmp_path)}, prefix="lab.2")
    assert of.prefix == "lab_2" and of.models[0].identifier == "lab_2_m"
    assert of.models[0].signature.inputs.name == "ST_lab_2_m_In" and of.own("FB_RtTransport") == "FB_lab_2_RtTransport"
    with pytest.raises(UnpackableError, match="the prefix: of its name '---'"):
        project("cell", {"m": through(tmp_path)}, prefix="---")


def test_a_type_that_no_plc_has_is_refused(tmp_path):
    with pytest.raises(
        UnpackableError, match="model 'm', tensor 'x' is float16, which no PLC has; export the model with float32"
    ):
        project("cell", {"m": through(tmp_path, type_=TensorProto.FLOAT16)})


def test_a_station_without_models_is_refused():
    with pytest.raises(UnpackableError, match="station 'cell' has no models to call"):
        project("cell", {})


@pytest.mark.parametrize("name", ["RtPredict", "rtpredict"])
def test_a_model_called_like_one_of_our_blocks_is_refused(tmp_path, name):
    of = project("cell", {name: through(tmp_path)})
    with pytest.raises(UnpackableError, match="FB_RtPredict"):
        twincat.units(of, ADS)
    with pytest.raises(UnpackableError, match="FB_RtPredict"):
        portable.units(of, modbus(of))


@pytest.mark.parametrize("net_id", ["1.2.3.4.1.1'", "1" * 24])
def test_texts_that_literals_cannot_hold_are_refused(tmp_path, net_id):
    of = project("cell", {"m": through(tmp_path)})
    with pytest.raises(UnpackableError, match="AMS NetId"):
        twincat.units(of, Ads(net_id, 851))
    assert string("policy", 6, "model") == "policy"


def test_names_cannot_leave_their_comments(tmp_path):
    """A model and a station whose names end a comment: all that is written still parses."""
    of = project("cell *) x", {"m *) y": through(tmp_path, "x ]]> y")})
    assert all("]]>" not in text.replace("]]></", "") for text in twincat_files(of, ADS).values())
    for unit in (*twincat.units(of, ADS), *portable.units(of, modbus(of))):
        text = re.sub(r"^( *END_(?:STRUCT|IF|FOR))$", r"\1;", unit.text, flags=re.M)
        assert syntax_errors(text) == [], unit.name


def test_prefixes_make_no_two_underscores(tmp_path):
    """`FB__x` is no identifier."""
    of = project("cell", {"_x": through(tmp_path)})
    for unit in (*twincat.units(of, ADS), *portable.units(of, modbus(of))):
        assert "__" not in unit.text.replace("'_x'", ""), unit.name


@pytest.mark.parametrize("text", ["a*) b", "(* a", "{x}", "ä\n", "a]]>b"])
def test_comments_cannot_be_left(text):
    """Whatever a tensor is called, its comment stays one."""
    made = comment(text)
    assert made.isascii() and made.isprintable() and not any(part in made for part in ("*", "{", "}", "]]>"))
