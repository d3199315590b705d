"""Strings that are categories: indices with a list of names, and every operator does with them what ONNX Runtime does with strings."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import EngineError, InputError, RunError, UnsupportedModelError
from rt_engine.program.program import TensorSpec
from rt_engine.program.values import fitted

ML = "ai.onnx.ml"
STRING, INT64, FLOAT, BOOL = TensorProto.STRING, TensorProto.INT64, TensorProto.FLOAT, TensorProto.BOOL


def ml(op_type, inputs, outputs, **attributes):
    return helper.make_node(op_type, inputs, outputs, domain=ML, **attributes)


def on(op_type, inputs, outputs, **attributes):
    return helper.make_node(op_type, inputs, outputs, **attributes)


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def texts(name, *found):
    return helper.make_tensor(name, STRING, [len(found)], [text.encode() for text in found])


def model(nodes, inputs, outputs, constants=(), opset=19, version=3):
    made = [c if isinstance(c, TensorProto) else numpy_helper.from_array(np.asarray(c[1]), c[0]) for c in constants]
    graph = helper.make_graph(nodes, "g", inputs, outputs, made)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def names(*found):
    return np.array(found, object)


def onnx_runtime(proto, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, feeds)


def same(proto, **feeds):
    """Both give the same; gives our model."""
    loaded = rt_engine.load(proto)
    for spec, ours, theirs in zip(loaded.outputs, loaded.run(feeds), onnx_runtime(proto, feeds), strict=True):
        if theirs.dtype == object:
            assert [loaded.classes[spec.name][i] for i in ours.reshape(-1)] == list(theirs.reshape(-1))
        else:
            assert np.array_equal(ours, theirs) and ours.dtype == theirs.dtype
    return loaded


def one_hot(zeros=1, cats=("red", "green", "blue"), shape=(3,)):
    node = ml("OneHotEncoder", ["colour"], ["y"], cats_strings=list(cats), zeros=zeros)
    return model([node], [value("colour", STRING, shape)], [value("y", FLOAT, [*shape, len(cats)])])


def test_an_unknown_name_has_no_column():
    loaded = same(one_hot(), colour=names("blue", "purple", "red"))
    assert loaded.categories == {"colour": ("red", "green", "blue")}
    assert loaded.inputs[0].dtype == np.int64 and loaded.inputs[0].categories == ("red", "green", "blue")
    assert loaded.notes == (
        "input 'colour' is an index, not a string: it counts, from 0, red, green, blue; -1: any other name",
    )


def test_names_indices_and_what_is_no_index_are_taken():
    """-1, and whatever else no name has, is what an unknown string is."""
    loaded = rt_engine.load(one_hot())
    by_name = loaded.run({"colour": ["blue", "?", "red"]})[0]
    for same_again in ([2, -1, 0], [2, 77, 0], np.array([b"blue", b"?", b"red"])):
        assert np.array_equal(loaded.run({"colour": same_again})[0], by_name)
    context = loaded.context()
    context.inputs["colour"] = ["blue", "?", "red"]
    assert context.inputs["colour"].tolist() == [2, -1, 0]
    batch = loaded.map({"colour": [["blue", "?", "red"], ["red", "red", "red"]]})[0]
    assert np.array_equal(batch[0], by_name) and batch.shape == (2, 3, 3)


def test_what_is_no_name_is_refused():
    with pytest.raises(InputError, match="takes names or their indices, got a float"):
        rt_engine.load(one_hot()).run({"colour": np.array(["red", 1.5, "blue"], object)})


def test_an_encoder_that_knows_no_other_name_ends_with_a_status():
    proto, feeds = one_hot(zeros=0), {"colour": names("red", "purple", "red")}
    with pytest.raises(Exception, match="Unknown"):
        onnx_runtime(proto, feeds)
    with pytest.raises(RunError):
        rt_engine.load(proto).run(feeds)


def test_of_equal_categories_the_last_counts():
    same(one_hot(cats=("a", "b", "a")), colour=names("a", "b", "c"))


def test_a_label_map_has_its_default():
    for attributes in ({"default_int64": 7}, {}):
        node = ml("LabelEncoder", ["s"], ["y"], keys_strings=["no", "yes", "no"], values_int64s=[3, 4, 5], **attributes)
        same(model([node], [value("s", STRING, [3])], [value("y", INT64, [3])]), s=names("yes", "?", "no"))


def test_from_name_to_name():
    node = ml("LabelEncoder", ["s"], ["y"], keys_strings=["a", "b"], values_strings=["x", "y"], default_string="z")
    loaded = same(model([node], [value("s", STRING, [3])], [value("y", STRING, [3])]), s=names("b", "?", "a"))
    assert loaded.categories == {"s": ("a", "b")} and loaded.classes == {"y": ("x", "y", "z")}


def test_columns_that_are_joined_and_chosen_again_keep_lists_of_their_own():
    nodes = [
        on("Concat", ["a", "b"], ["ab"], axis=1),
        ml("ArrayFeatureExtractor", ["ab", "one"], ["second"]),
        on("Gather", ["ab", "zero"], ["first"], axis=1),
        ml("OneHotEncoder", ["second"], ["y"], cats_strings=["S", "M"], zeros=1),
        ml("LabelEncoder", ["first"], ["z"], keys_strings=["red", "S"], values_int64s=[5, 6]),
    ]
    inputs = [value("a", STRING, [2, 1]), value("b", STRING, [2, 1])]
    outputs = [value("y", FLOAT, [2, 1, 2]), value("z", INT64, [2, 1])]
    constants = [("one", np.array([1])), ("zero", np.array([0]))]
    loaded = same(model(nodes, inputs, outputs, constants), a=names(["S"], ["red"]), b=names(["S"], ["M"]))
    assert loaded.categories == {"a": ("red", "S"), "b": ("S", "M")}


def test_missing_strings_are_replaced_as_exporters_write_it():
    """SimpleImputer: a table tells what is missing, Where puts the name, and the columns go on together."""
    nodes = [
        ml("LabelEncoder", ["s"], ["gone"], keys_strings=[""], values_int64s=[1], default_int64=0),
        on("Cast", ["gone"], ["missing"], to=BOOL),
        ml("LabelEncoder", ["zero"], ["fill"], keys_int64s=[0], values_strings=["red"], default_string="red"),
        on("Where", ["missing", "fill", "s"], ["whole"]),
        ml("OneHotEncoder", ["whole"], ["y"], cats_strings=["blue", "red"], zeros=1),
    ]
    proto = model(nodes, [value("s", STRING, [3])], [value("y", FLOAT, [3, 2])], [("zero", np.array([0]))])
    same(proto, s=names("", "blue", "green"))


def test_operators_that_move_elements_move_indices():
    nodes = [
        on("Reshape", ["s", "shape"], ["r"]),
        on("Transpose", ["r"], ["t"]),
        on("Split", ["t", "parts"], ["u", "v"], axis=0),
        on("Concat", ["v", "u", "v"], ["w"], axis=0),
        on("Identity", ["w"], ["i"]),
        on("Cast", ["i"], ["c"], to=STRING),
        on("Equal", ["c", "red"], ["is_red"]),
        ml("LabelEncoder", ["c"], ["y"], keys_strings=["red", "blue"], values_floats=[0.5, 1.5], default_float=-2.0),
    ]
    constants = [("shape", np.array([2, 3])), ("parts", np.array([1, 2])), texts("red", "red")]
    outputs = [value("is_red", BOOL, [5, 2]), value("y", FLOAT, [5, 2])]
    same(model(nodes, [value("s", STRING, [6])], outputs, constants), s=names("red", "x", "blue", "red", "y", "x"))


def test_a_name_that_is_fixed_is_a_constant():
    loaded = rt_engine.load(one_hot(), values={"colour": ["red", "blue", "?"]})
    assert loaded.inputs == () and loaded.categories == {}
    assert np.array_equal(loaded.run({})[0], [[1, 0, 0], [0, 0, 1], [0, 0, 0]])


def test_text_out_of_numbers_and_numbers_out_of_text():
    """Whole numbers become categories where an encoder lists them as text; names that a model makes are read as numbers."""
    nodes = [
        on("Cast", ["x"], ["s"], to=STRING),
        ml("OneHotEncoder", ["s"], ["y"], cats_strings=["3", "-7", "04", "x"], zeros=1),
        ml("LabelEncoder", ["x"], ["t"], keys_int64s=[3, 4], values_strings=["10", "20"], default_string="30"),
        on("Cast", ["t"], ["n"], to=INT64),
        on("Cast", ["t"], ["f"], to=FLOAT),
    ]
    outputs = [value("y", FLOAT, [4, 4]), value("n", INT64, [4]), value("f", FLOAT, [4])]
    same(model(nodes, [value("x", INT64, [4])], outputs), x=np.array([3, 4, -7, 9]))


def test_old_label_maps_are_the_new_ones():
    nodes = [
        ml("CategoryMapper", ["s"], ["n"], cats_strings=["a", "b"], cats_int64s=[4, 2], default_int64=9),
        ml("CategoryMapper", ["n"], ["t"], cats_strings=["a", "b"], cats_int64s=[4, 2], default_string="c"),
    ]
    outputs = [value("n", INT64, [3]), value("t", STRING, [3])]
    same(model(nodes, [value("s", STRING, [3])], outputs, version=1), s=names("b", "?", "a"))


def test_strings_in_the_bodies_of_control_flow():
    def body(name, source):
        node = ml(
            "LabelEncoder", [source], [name], keys_strings=["a", "b"], values_strings=["b", "c"], default_string="a"
        )
        return helper.make_graph([node], name, [], [value(name, STRING, [2])])

    nodes = [
        on("If", ["which"], ["t"], then_branch=body("p", "s"), else_branch=body("q", "u")),
        ml("LabelEncoder", ["t"], ["y"], keys_strings=["a", "b", "c"], values_int64s=[1, 2, 3]),
    ]
    inputs = [value("which", BOOL, []), value("s", STRING, [2]), value("u", STRING, [2])]
    proto = model(nodes, inputs, [value("y", INT64, [2])])
    for which in (True, False):
        same(proto, which=np.array(which), s=names("a", "b"), u=names("x", "a"))


@pytest.mark.parametrize(
    ("node", "kind", "words"),
    [
        (on("Identity", ["s"], ["y"]), STRING, "nothing in the model lists the names"),
        (on("StringNormalizer", ["s"], ["y"], case_change_action="LOWER"), STRING, "works on the text of strings"),
        (on("StringConcat", ["s", "s"], ["y"]), STRING, "works on the text of strings"),
        (on("Unique", ["s"], ["y"]), STRING, "works on the text of strings"),
        (on("Equal", ["s", "s"], ["y"]), BOOL, "neither is a constant"),
        (on("Cast", ["s"], ["y"], to=FLOAT), FLOAT, "numbers out of text that is only known at run time"),
        (on("TfIdfVectorizer", ["s"], ["y"], mode="TF", max_gram_length=1, max_skip_count=0, min_gram_length=1,
            ngram_counts=[0], ngram_indexes=[0, 1], pool_strings=["a", "b"]), FLOAT, "works on the text of strings"),
    ],
)  # fmt: skip
def test_text_is_refused_by_name_with_what_helps(node, kind, words):
    with pytest.raises(UnsupportedModelError, match=words) as caught:
        rt_engine.load(model([node], [value("s", STRING, [2])], [value("y", kind, [2])], opset=20))
    assert "before the model" in str(caught.value) or "feed numbers" in str(caught.value)


def test_a_compiled_program_keeps_the_names(tmp_path):
    from rt_engine.program.rtp_file import write

    loaded = rt_engine.load(one_hot())
    write(loaded.program, tmp_path / "m.rtp")
    again = rt_engine.load(tmp_path / "m.rtp")
    assert again.categories == loaded.categories and again.inputs == loaded.inputs and again.notes == loaded.notes
    feeds = {"colour": ["blue", "?", "red"]}
    assert np.array_equal(again.run(feeds)[0], loaded.run(feeds)[0])


def test_a_new_version_with_other_names_does_not_fit():
    slot = rt_engine.ModelSlot(rt_engine.load(one_hot()))
    with pytest.raises(EngineError, match="counts 3 names"):
        slot.update(rt_engine.load(one_hot(cats=("green", "red", "blue"))))
    assert slot.update(rt_engine.load(one_hot())).version == 2


def test_a_new_version_whose_classes_have_another_order_does_not_fit():
    """Servers, and programs of PLCs, have the names of the running one for its numbers."""

    def named(*classes):
        given = {"keys_int64s": [0, 1, 2], "values_strings": list(classes), "default_string": "a"}
        node = ml("LabelEncoder", ["x"], ["label"], **given)
        return rt_engine.load(model([node], [value("x", INT64, [2])], [value("label", STRING, [2])]))

    slot = rt_engine.ModelSlot(named("a", "b", "c"))
    for classes in (("b", "a", "c"), ("a", "b", "d"), ("a", "b", "b")):
        with pytest.raises(EngineError, match=r"output 'label' of the new model counts \d names"):
            slot.update(named(*classes))
    assert slot.update(named("a", "b", "c")).version == 2


@pytest.mark.parametrize(
    ("cats", "words"),
    [
        ([b"a", b"a\0b"], "null character"),
        ([b"a", b"\xff"], "not UTF-8"),
        ([b"\xfe", b"\xff"], "not UTF-8"),
    ],
)
def test_names_that_nobody_can_write_are_refused(cats, words):
    with pytest.raises(EngineError, match=words):
        rt_engine.load(one_hot(cats=cats))


def test_long_empty_and_many_names_work():
    """A name of a megabyte, an empty one, and 20,000; what is shown is cut."""
    long = "x" * (1 << 20)
    loaded = same(one_hot(cats=(long, "", "b")), colour=names(long, "", "x"))
    assert len(loaded.notes[0]) < 300
    keys = [str(i) for i in range(20_000)]
    node = ml("LabelEncoder", ["s"], ["y"], keys_strings=keys, values_int64s=list(range(20_000)))
    loaded = same(model([node], [value("s", STRING, [2])], [value("y", INT64, [2])]), s=names("19999", "x"))
    assert "19,980 more" in loaded.notes[0]


def test_inputs_of_one_component_share_one_list():
    """Else many inputs of many names would need memory that grows faster than the file."""
    columns = [f"c{i}" for i in range(50)]
    nodes = [
        on("Concat", columns, ["all"], axis=0),
        ml("LabelEncoder", ["all"], ["y"], keys_strings=[str(i) for i in range(50)], values_int64s=list(range(50))),
    ]
    loaded = rt_engine.load(model(nodes, [value(c, STRING, [1]) for c in columns], [value("y", INT64, [50])]))
    assert len({id(spec.categories) for spec in loaded.inputs}) == 1
    assert loaded.run({c: [str(49 - i)] for i, c in enumerate(columns)})[0].tolist() == list(range(49, -1, -1))


def test_random_graphs_of_string_operators_give_what_onnx_runtime_gives():
    rng = np.random.default_rng(3)
    words = ["a", "b", "c", "d", ""]
    for _ in range(25):
        nodes, last = [], ["s", "u"]
        constants = [("places", rng.integers(0, 4, 4)), texts("const", *rng.choice(words, 4))]
        for number in range(rng.integers(2, 7)):
            x, y, made = *rng.choice(last, 2), f"v{number}"
            kind = rng.integers(0, 5)
            if kind == 0:
                keys = [str(k) for k in rng.choice(words, 3)]
                values = [str(k) for k in rng.choice(words, 3)]
                nodes.append(
                    ml("LabelEncoder", [x], [made], keys_strings=keys, values_strings=values, default_string="c")
                )
            elif kind == 1:
                nodes.append(on("Gather", [x, "places"], [made]))
            elif kind == 2:
                nodes += [on("Equal", [x, "const"], [f"e{number}"]), on("Where", [f"e{number}", x, y], [made])]
            elif kind == 3:
                nodes += [on("Split", [x], [f"p{number}", f"q{number}"], num_outputs=2)]
                nodes.append(on("Concat", [f"q{number}", f"p{number}"], [made], axis=0))
            else:
                nodes.append(on("Identity", [x], [made]))
            last.append(made)
        nodes.append(ml("OneHotEncoder", [last[-1]], ["y"], cats_strings=["a", "c", ""], zeros=1))
        nodes.append(ml("LabelEncoder", [last[-2]], ["z"], keys_strings=words, values_int64s=[1, 2, 3, 4, 5]))
        nodes.append(ml("LabelEncoder", ["s"], ["w"], keys_strings=["a"], values_int64s=[1]))
        nodes.append(ml("LabelEncoder", ["u"], ["x"], keys_strings=["b"], values_int64s=[1]))
        outputs = [value("y", FLOAT, [4, 3]), *(value(name, INT64, [4]) for name in "zwx")]
        proto = model(nodes, [value("s", STRING, [4]), value("u", STRING, [4])], outputs, constants)
        same(proto, s=rng.choice([*words, "?"], 4).astype(object), u=rng.choice([*words, "!"], 4).astype(object))


def test_names_are_not_gone_through_in_a_run():
    """Of a thousand names, that of the value is looked up, and the others are not touched."""
    touched = []

    class Name(str):
        __slots__ = ()

        def __hash__(self):
            touched.append(self)
            return super().__hash__()

    names = tuple(Name(f"name {i}") for i in range(1000))
    spec = TensorSpec("x", (1, 1), np.dtype(np.int32), names)
    touched.clear()
    assert fitted(np.array([["name 3"]], object), spec).item() == 3
    assert not touched
