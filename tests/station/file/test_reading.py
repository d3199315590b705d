"""Reading station files: what is right is read, what is wrong is named, all at once, with its line."""

import re

import pytest

from station.errors import StationFileError
from station.file.reading import _validate, read_station
from station.links import link_tables, type_of
from station.servers import server_tables
from station.terms.tables import ModelTable, StationTable, TagTable
from station.terms.tasks import TaskTable

GOOD = """\
[station]
name = "cell4"

[models.policy]
file = "policy.onnx"

[links.plant]
type = "modbus-tcp"
host = "127.0.0.1"
cycle = "1 ms"
timeout = "50 ms"

[tags]
position = { address = "input 0" }
speed = { address = "input 2 CDAB", unit = "m/s" }
force = { address = "holding 0", direction = "out", low = -10, high = 10 }

[tasks.axis]
model = "policy"
cycle = "1 ms"
inputs = ["position", { tag = "speed", scale = 0.1 }]
outputs = ["force"]
"""


@pytest.fixture
def write(tmp_path):
    """Write a station file beside an (empty) model file."""
    (tmp_path / "policy.onnx").touch()

    def write(text):
        path = tmp_path / "station.toml"
        path.write_text(text)
        return path

    return write


def problems(path):
    with pytest.raises(StationFileError) as caught:
        read_station(path)
    return [(p.line, p.key, p.message) for p in caught.value.problems if p.severity == "error"]


def changed(old, new):
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new)


def line_of(text, part):
    return text[: text.index(part)].count("\n") + 1


def test_good_file(write):
    """A short file is complete: the rest has defaults, and there is nothing to warn of."""
    file = read_station(write(GOOD))
    assert file.warnings == ()
    assert file.config.tasks["axis"].cycle_ns == 1_000_000
    assert [entry.tag for entry in file.config.tasks["axis"].inputs] == ["position", "speed"]
    assert file.config.tasks["axis"].inputs[1].scale == 0.1
    assert file.config.tasks["axis"].guard.on_nan == "hold"
    assert file.beside("policy.onnx").is_file()


CASES = {
    "typo in a key": ('host = "127', 'hots = "127', 'unknown key "hots"; did you mean "host"?'),
    "a task's key in a model": (
        'file = "policy.onnx"',
        'file = "policy.onnx"\nthreads = 2',
        "it is a key of [tasks.NAME]",
    ),
    "typo in a section": ("[tasks.axis]", "[task.axis]", 'unknown key "task"; did you mean "tasks"?'),
    "typo in a guard": ('model = "policy"', 'guard = { onnan = "safe" }\nmodel = "policy"', 'did you mean "on_nan"?'),
    "typo in an input": ("scale = 0.1", "skale = 0.1", 'unknown key "skale"; did you mean "scale"?'),
    "unknown link type": ('"modbus-tcp"', '"modbus-udp"', "unknown link type 'modbus-udp'; allowed: 'modbus-tcp'"),
    "no link type": ('type = "modbus-tcp"\n', "", 'needs the key "type"'),
    "no file": ('file = "policy.onnx"', "", 'needs the key "file"'),
    "missing file": ('"policy.onnx"', '"policies.onnx"', "no such file"),
    "unknown tag": ('["position"', '["positon"', 'unknown tag "positon"; did you mean "position"?'),
    "unknown model": ('model = "policy"', 'model = "polcy"', 'unknown model "polcy"; did you mean "policy"?'),
    "unknown link": ('{ address = "input 0"', '{ link = "plnt", address = "input 0"', 'unknown link "plnt"'),
    "cycle too short": ('cycle = "1 ms"\ninputs', 'cycle = "49 us"\ninputs', "at least 50 us"),
    "cycle without unit": ('cycle = "1 ms"\ninputs', "cycle = 1\ninputs", "is no duration"),
    "output as input": ('["position"', '["force"', 'tag force has direction "out"; inputs need "in"'),
    "input as output": (
        'outputs = ["force"]',
        'outputs = ["speed"]',
        'tag speed has direction "in"; outputs need "out"',
    ),
    "written twice": ('outputs = ["force"]', 'outputs = ["force", "force"]', "already written by this task"),
    "bad address": ('"input 0"', '"inptu 0"', 'unknown table "inptu"; did you mean "input"?'),
    "no address": ('{ address = "input 0" }', "{}", 'needs the key "address"'),
    "overlap": ('"input 0"', '"input 1"', "input 2..3 overlaps input 1..2 of tag position"),
    "unwritable table": ('"holding 0"', '"input 40"', 'table "input" cannot be written'),
    "bit table": ('"input 0"', '"discrete 0"', 'type must be "bool"'),
    "beyond the end": ('"input 0"', '"input 65535"', "beyond 65535"),
    "safe out of limits": ("low = -10", "low = 5", "safe value 0 is outside low 5 .. high 10"),
    "limits crossed": ("low = -10", "low = 50", "low 50 is above high 10"),
    "no such unit": ('"input 0"', '"unit 300 input 0"', "unit 300: units go from 0 to 255"),
    "wider than what the device takes": (
        'host = "127',
        'max_write = 1\nhost = "127',
        "a float32 takes 2 registers, which are asked for at once; max_write = 1 is less",
    ),
    "overlap in one unit": ('"input 0"', '"unit 1 input 1"', "input 2..3 overlaps input 1..2 of tag position"),
    "not a number of the type": (
        '{ address = "input 0" }',
        '{ address = "input 0", type = "int16", not_available = [0x18000] }',
        "98304 is no number of int16, which has -32768 to 32767",
    ),
    "an output that is not available": (
        "low = -10",
        "not_available = [1], low = -10",
        "an output has no numbers that mean",
    ),
    "no such life sign": ('host = "127', 'life_sign = "posision"\nhost = "127', 'did you mean "position"?'),
    "an output as a life sign": (
        'host = "127',
        'life_sign = "force"\nhost = "127',
        "tag force is no input of this link; allowed: position, speed",
    ),
    "a life sign too fast": (
        'host = "127',
        'life_sign = "speed"\nlife_sign_timeout = "1 ms"\nhost = "127',
        "1 ms is shorter than two cycles of the link, each 1 ms",
    ),
    "scale 0": ("scale = 0.1", "scale = 0.1 }, { tag = 'position', window = 0", "must be 1 or more, got 0"),
    "wrong word": (
        'cycle = "1 ms"\ninputs',
        'overrun = "burst"\ncycle = "1 ms"\ninputs',
        'allowed: "skip", "hold", "safe"',
    ),
    "wrong type": (
        'cycle = "1 ms"\ninputs',
        'priority = "80"\ncycle = "1 ms"\ninputs',
        'must be a whole number, got "80"',
    ),
    "priority too high": (
        'cycle = "1 ms"\ninputs',
        'priority = 100\ncycle = "1 ms"\ninputs',
        "must be 99 or less",
    ),
    "bad name": ('name = "cell4"', 'name = "cell 4"', "is no name"),
    "step without function": ("outputs = [", 'step = "step.py"\noutputs = [', '"file.py:function"'),
    "step file missing": ("outputs = [", 'step = "step.py:f"\noutputs = [', "no such file"),
    "timeout below cycle": ('timeout = "50 ms"', 'timeout = "500 us"', "shorter than two cycles of the link"),
    "slower than its output may be old": (
        'cycle = "1 ms"\ninputs',
        'cycle = "60 ms"\ninputs',
        "60 ms is not shorter than the timeout of link plant, 50 ms",
    ),
    "endless window": ("scale = 0.1", "scale = 0.1, window = 1_000_000_000_000", "must be 1048576 or less"),
    "endless duration": ('timeout = "50 ms"', f'timeout = "{"9" * 400} s"', "at most a day"),
    "no such core": ('cycle = "1 ms"\ninputs', 'cpu = 99_999\ncycle = "1 ms"\ninputs', "must be 4095 or less"),
    "no tasks": (GOOD[GOOD.index("[tasks.axis]") :], "", "at least one [tasks.NAME]"),
    "not a table": ("[models.policy]\nfile = ", "[models]\npolicy = ", "must be a table"),
    "not TOML": ('name = "cell4"', "name = cell4", "not TOML"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_fault(case, write):
    """Each fault gives its own message, what is allowed, and points at a line that was changed (or its table)."""
    old, new, message = CASES[case]
    text = changed(old, new)
    found = problems(write(text))
    assert [m for _, _, m in found if message in m], found
    assert len(found) == 1, found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "too deep in each other"),
        ("x = " + "{a=" * 3000 + "1" + "}" * 3000, "too deep in each other"),
        ("x = " + "1" * 5000, "a number cannot be read"),
        ("#" * (17 << 20), "larger than 16 MiB"),
    ],
    ids=["arrays", "tables", "number", "size"],
)
def test_hostile_text(text, message, write):
    """What Python's own reader of TOML cannot take is a problem of the file too."""
    ((line, _, said),) = problems(write(text))
    assert line == 0
    assert message in said


def test_lines(write):
    """A message points at the line of the key, for keys in tables, inline tables and arrays."""
    text = changed("skale" if "skale" in GOOD else "scale = 0.1", "skale = 0.1").replace('unit = "m/s"', 'unti = "m/s"')
    lines = [line for line, _, _ in problems(write(text))]
    assert lines == [line_of(text, "unti"), line_of(text, "skale")]


def test_all_errors_at_once(write):
    """Wrong values do not hide wrong relations: every fault of every kind is named in one run."""
    text = (
        GOOD.replace('name = "cell4"', 'name = "cell 4"')
        .replace('"policy.onnx"', '"none.onnx"')
        .replace('host = "127', 'hots = "127')
        .replace('"input 2 CDAB"', '"input 1"')
        .replace('cycle = "1 ms"\ninputs', 'cycle = "20 us"\ninputs')
        .replace('["position"', '["positon"')
    )
    text += '[tasks.second]\nmodel = "policy"\ncycle = "2 ms"\ninputs = ["position"]\noutputs = ["force"]\n'
    found = problems(write(text))
    keys = [key for _, key, _ in found]
    assert keys == [
        "station.name",
        "models.policy.file",
        "links.plant.hots",
        "tags.speed.address",
        "tasks.axis.cycle",
        "tasks.axis.inputs[0]",
        "tasks.second.outputs[0]",
    ]
    assert "already written by task axis" in found[-1][2]
    assert [line for line, _, _ in found] == sorted(line for line, _, _ in found)


def test_read_back_is_allowed(write):
    """An input may read exactly the registers that an output writes."""
    text = changed('position = { address = "input 0" }', 'position = { address = "holding 0" }')
    assert read_station(write(text)).warnings == ()


def test_bits_of_one_register_do_not_overlap(write):
    """Two bits of one register are two places; the same bit twice is one."""
    bits = 'position = { address = "holding 9.1", type = "bool" }\nother = { address = "holding 9.2", type = "bool" }'
    text = changed('position = { address = "input 0" }', bits)
    assert [w.key for w in read_station(write(text)).warnings] == ["tags.other"]
    assert "overlaps" in problems(write(text.replace("9.2", "9.1")))[0][2]


def test_link_too_slow_for_max_age_is_a_warning(write):
    """A link slower than the age that a task accepts is worth a warning, not an error."""
    text = changed('cycle = "1 ms"\ntimeout = "50 ms"', 'cycle = "20 ms"\ntimeout = "50 ms"')
    file = read_station(write(text + '[tasks.axis.guard]\nmax_age = "10 ms"\n'))
    assert [(w.severity, w.key) for w in file.warnings] == [("warning", "tasks.axis.guard.max_age")]
    assert "slower than the 10 ms" in file.warnings[0].message


def test_unreadable_files(tmp_path):
    """A missing file, a folder, and bytes that are no text are errors of the file, not exceptions of Python."""
    assert "No such file" in problems(tmp_path / "none.toml")[0][2]
    assert problems(tmp_path)[0][2].endswith("it is no file, but a folder")
    (tmp_path / "station.toml").touch()
    assert problems(tmp_path)[0][2].endswith(f"a folder; name its file: {tmp_path / 'station.toml'}")
    (tmp_path / "binary.toml").write_bytes(b"a = 1\n\xff\xfe")
    assert "not UTF-8" in (told := problems(tmp_path / "binary.toml")[0][2]) and ".onnx or .rtp" in told


def test_syntax_error_has_its_line(write):
    """TOML's own complaint is given with the line it means, also at the end of the file."""
    assert problems(write('[station]\nname = "a"\nname = "b"\n'))[0][0] >= 2
    assert problems(write("[station]\nx ="))[0][0] == 2


def test_faster_task_with_lower_priority_is_a_warning(write):
    """A slow task of higher priority can delay a fast one: worth a warning."""
    text = GOOD + '[tasks.slow]\nmodel = "policy"\ncycle = "1 s"\npriority = 90\ninputs = ["position"]\n'
    (warning,) = read_station(write(text)).warnings
    assert warning.key == "tasks.axis.priority"
    assert "below the 90 of the slower task slow" in warning.message


@pytest.mark.parametrize(("other", "key"), [('cycle = "1 s"', "cycle"), ('cycle = "1 ms"\ncpu = 0', "cpu")])
def test_tasks_of_one_thread_have_one_cycle_and_one_core(write, other, key):
    """Two tasks that name the same thread and differ in either are told so, at the second."""
    text = GOOD.replace('cycle = "1 ms"\ninputs', 'cycle = "1 ms"\nthread = "fast"\ninputs')
    assert text != GOOD
    text += f'[tasks.second]\nmodel = "policy"\n{other}\nthread = "fast"\ninputs = ["position"]\n'
    (found,) = problems(write(text))
    assert found[1:] == (
        "tasks.second.thread",
        f'task axis names the same thread "fast" and has another {key}; it must be equal',
    )


def test_a_name_with_a_dot_is_shown_quoted(write):
    """Tags may be named like symbols of a PLC; a message shows the key as the file has it."""
    text = GOOD.replace('position = { address = "input 0" }', '"x.position" = { address = "input 65535" }')
    text = text.replace('["position"', '["x.position"')
    assert problems(write(text))[0][1] == 'tags."x.position".address'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[station]\nname = mine\n", ':2: error: not TOML: Invalid value at column 8; text needs quotes: "mine"'),
        (
            "[tasks.a]\ninputs = [one, two]\n",
            ':2: error: not TOML: Invalid value at column 11; text needs quotes: "one"',
        ),
        ("[station]\nname = \n", ":2: error: not TOML: Invalid value at column 8"),
        ("[station\n", ":1: error: not TOML: Expected ']' at the end of a table declaration at column 9"),
    ],
)
def test_a_mistake_of_syntax_has_its_column(text, message, tmp_path):
    """Line and column; where text stands without quotes, that it needs them."""
    path = tmp_path / "station.toml"
    path.write_text(text)
    with pytest.raises(StationFileError) as caught:
        read_station(path)
    assert str(caught.value) == f"{path}{message}"


def test_a_file_that_cannot_be_read_has_no_line(tmp_path):
    """Nobody looks for line 1 of a file that is not there."""
    with pytest.raises(StationFileError) as caught:
        read_station(tmp_path / "none.toml")
    assert str(caught.value) == (
        f"{tmp_path / 'none.toml'}: error: cannot be read: No such file or directory; `rt-engine new FOLDER` makes a first station"
    )


FOLLOW_UPS = {
    "a wrong word in a cycle": ('cycle = "1 ms"\ninputs', 'cycle = "1 msec"\ninputs'),
    "a misspelt key with a wrong word": ('cycle = "1 ms"\ninputs', 'cyle = "1 msec"\ninputs'),
    "a wrong word in a link's timeout": ('timeout = "50 ms"', 'timeout = "50 sec"'),
    "a misspelt timeout": ('timeout = "50 ms"', 'tiemout = "50 ms"'),
    "a wrong limit": ("low = -10", 'low = "-10"'),
}


@pytest.mark.parametrize("case", FOLLOW_UPS)
def test_what_follows_from_a_fault_is_not_told_too(case, write):
    found = problems(write(changed(*FOLLOW_UPS[case])))
    assert not [message for _, _, message in found if "not shorter than" in message or "outside" in message], found
    assert {place.rpartition(".")[0] for _, place, _ in found} <= {"tasks.axis", "links.plant", "tags.force"}, found


WRONG = ("text", -1, 10**30, 0.5, True, [], ["x"], {}, {"x": 1}, [[1]], float("nan"))
OF_A_LIBRARY = re.compile(
    r"Input should|valid (tuple|string|integer|number|dictionary|boolean)|validation|pydantic|Error\b|\b[A-Z][a-z]+Table\b|None"
)


def fields():
    """(section, kind, key) of every key of every table."""
    for section, tables in (
        ("station", [StationTable]),
        ("models", [ModelTable]),
        ("tags", [TagTable]),
        ("tasks", [TaskTable]),
        ("links", link_tables()),
        ("servers", server_tables()),
    ):
        for table in tables:
            for name, field in table.model_fields.items():
                yield section, type_of(table) if section in ("links", "servers") else "", field.alias or name


@pytest.mark.parametrize(("section", "kind", "key"), list(fields()))
def test_every_wrong_value_is_told_in_our_words(section, kind, key):
    """No words of a library and no class names, whatever stands where something else belongs."""
    for value in WRONG:
        entry = {**({"type": kind} if kind else {}), key: value}
        findings = _validate({section: entry if section == "station" else {"one": entry}})[3]
        for finding in findings:
            assert not OF_A_LIBRARY.search(finding.message), (value, finding)


def test_one_value_where_an_array_belongs_says_how_to_write_it(write):
    found = problems(write(changed('inputs = ["position", { tag = "speed", scale = 0.1 }]', 'inputs = "top"')))
    assert ('must be an array, got "top"; write ["top"]') in [message for _, _, message in found]


@pytest.mark.parametrize(
    "text",
    [
        "[" + ".".join("a" * 20_000) + "]",
        "a = " + "[" * 20_000 + "]" * 20_000,
        "a = " + "{a=" * 5000 + "1" + "}" * 5000,
    ],
)
def test_tables_that_lie_too_deep_are_refused_in_a_sentence(text, write):
    assert [message for _, _, message in problems(write(text))] == ["tables or arrays lie too deep in each other"]


@pytest.mark.parametrize("name", ["m" * 5000 + ".onnx", "a\\u0000b.onnx", "\\u001b" * 9])
def test_a_name_that_no_file_can_have_is_a_sentence(name, write):
    found = problems(write(changed('"policy.onnx"', f'"{name}"')))
    assert [place for _, place, message in found if "no such file" in message] == ["models.policy.file"]
