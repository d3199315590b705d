"""station.toml -> `StationConfig`, or every problem at once, each with its line and what is allowed.

Four stages: TOML (one syntax error at most), entries by contract (`station.file.by_contract`), values (pydantic, every wrong value),
and relations between tables (`station.file.checks`). A table with a wrong value does not hide the relations of the others:
it is set aside, and its name stays known.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fieldbus.tags import IEC_TYPES
from rt_native.files import open_file
from station.errors import Problem, StationFileError
from station.file.by_contract import ByName, expand
from station.file.checks import check_relations
from station.file.config import StationConfig
from station.file.locate import Lines
from station.file.own_tags import own_tag_names, with_own_tags
from station.file.view import View
from station.links import link_tables, type_of
from station.servers import server_tables
from station.terms.findings import Finding, Step, dotted, nearest_name, unknown
from station.terms.steps import STEP_TABLES
from station.terms.tables import Table

_ROUNDS: Final = 5
_DEEPEST: Final = 32
_LARGEST_BYTES: Final = 16 << 20
_KINDS: Final = "a station file is TOML; the name of a model ends in .onnx or .rtp"
_STAND_IN: Final = "?"


@dataclass(frozen=True, slots=True)
class StationFile:
    """A station file without errors: where it is, what it says, and what is worth a warning."""

    path: Path
    config: StationConfig
    warnings: tuple[Problem, ...]
    lines: Lines
    by_name: ByName = field(default_factory=dict)
    """Which entries of tasks were made from the names in a contract."""

    def problem(self, finding: Finding) -> Problem:
        """The finding with its file and line."""
        return _problem(self.path, self.lines, finding)

    def beside(self, name: str) -> Path:
        """A path that the file gives relative to itself."""
        return self.path.parent / name


def read_station(path: Path) -> StationFile:
    """Read and check a station file.

    Raises:
        StationFileError: with all problems of the file, errors and warnings.
    """
    data, lines = _read_toml(path)
    expanded = expand(with_own_tags(data), path.parent)
    config, broken, guessed, findings = _validate(expanded.data)
    findings += expanded.findings
    view = View(config, broken, path.parent, guessed, own_tag_names(data))
    faulty = {finding.path for finding in findings}
    findings += [
        finding for finding in check_relations(view) if not any(finding.path[: len(place)] == place for place in faulty)
    ]
    problems = [_problem(path, lines, finding) for finding in findings]
    if any(problem.severity == "error" for problem in problems):
        raise StationFileError(problems)
    return StationFile(path, config, tuple(problems), lines, expanded.by_name)


def read_as_it_ran(
    text: str,
    path: Path,
    models: Mapping[str, str],
    tasks: Collection[str],
    contracts: Mapping[str, Any] | None = None,
) -> StationFile:
    """A station file that a station ran with, somewhere: its values are read again, what it goes with is no matter here.

    Args:
        text: of the file.
        path: where it would be; steps and models are looked for beside it.
        models: name of a model -> the file that is taken for it.
        tasks: those that are wanted; others, servers and the recorder are left out.
        contracts: name of a model -> its contract, of those whose files are not there.

    Raises:
        StationFileError: a value cannot be read; a later version may have written it.
    """
    data, lines = _parsed(path, text)
    for name in ("servers", "recorder"):
        data.pop(name, None)
    for name, table in (data.get("models") or {}).items():
        if name in models and isinstance(table, dict):
            table["file"] = models[name]
    if isinstance(data.get("tasks"), dict):
        data["tasks"] = {name: table for name, table in data["tasks"].items() if name in tasks}
    expanded = expand(with_own_tags(data), path.parent, contracts)
    config, _, _, findings = _validate(expanded.data)
    if problems := [_problem(path, lines, finding) for finding in (*findings, *expanded.findings)]:
        raise StationFileError(problems)
    return StationFile(path, config, (), lines, expanded.by_name)


def read_name(path: Path) -> str:
    """The name of a station, from its file, whatever else is wrong with the file.

    Raises:
        StationFileError: the file cannot be read, or is not TOML.
    """
    return _text_of_station(path, "name", StationConfig().station.name)


def read_audit(path: Path) -> Path:
    """Where a station's audit log is, from its file, whatever else is wrong with the file.

    Raises:
        StationFileError: the file cannot be read, or is not TOML.
    """
    return path.parent / _text_of_station(path, "audit", StationConfig().station.audit)


def _text_of_station(path: Path, key: str, default: str) -> str:
    data, _ = _read_toml(path)
    table = data.get("station")
    text = table.get(key) if isinstance(table, dict) else None
    return text if isinstance(text, str) else default


def _problem(path: Path, lines: Lines, finding: Finding) -> Problem:
    return Problem(path, lines.of(finding.path), dotted(finding.path), finding.message, finding.severity)


def _read_toml(path: Path) -> tuple[dict[str, Any], Lines]:
    try:
        with open_file(path) as file:
            content = file.read(_LARGEST_BYTES + 1)
        if len(content) > _LARGEST_BYTES:
            raise StationFileError([Problem(path, 0, "", f"is larger than {_LARGEST_BYTES >> 20} MiB")])
        text = content.decode("utf-8")
    except OSError as error:
        help_ = "; `rt-engine new FOLDER` makes a first station" if isinstance(error, FileNotFoundError) else ""
        help_ = f"; name its file: {inside}" if (inside := path / "station.toml").is_file() else help_
        raise StationFileError([Problem(path, 0, "", f"cannot be read: {error.strerror}{help_}")]) from error
    except UnicodeDecodeError as error:
        raise StationFileError([Problem(path, 0, "", f"is not UTF-8 text (byte {error.start}); {_KINDS}")]) from error
    return _parsed(path, text)


def _parsed(path: Path, text: str) -> tuple[dict[str, Any], Lines]:
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
        if _is_deep(data):
            raise RecursionError
        return data, Lines(text)
    except tomllib.TOMLDecodeError as error:
        message, line = _syntax_error(str(error), text)
        raise StationFileError([Problem(path, line, "", f"not TOML: {message}")]) from error
    except RecursionError as error:
        raise StationFileError([Problem(path, 0, "", "tables or arrays lie too deep in each other")]) from error
    except ValueError as error:  # a number with thousands of digits
        raise StationFileError([Problem(path, 0, "", f"a number cannot be read: {error}")]) from error


def _is_deep(data: object) -> bool:
    """Do tables or arrays lie deeper in each other than any station file needs?"""
    level = [data]
    for _ in range(_DEEPEST):
        level = [inner for one in level if isinstance(one, dict | list) for inner in _inside_of(one)]
    return bool(level)


def _inside_of(table: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return table.values() if isinstance(table, dict) else table


def _syntax_error(message: str, text: str) -> tuple[str, int]:
    """The reader's message with the column, and the line; a bare word is the mistake that everybody makes."""
    place = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if place is None:
        return message, text.count("\n") + 1
    number, column = int(place[1]), int(place[2])
    line = text.split("\n")[number - 1]
    if message.startswith("Cannot overwrite a value"):
        return "what this line begins with is in the file already: a key, or a table, stands only once", number
    word = re.match(r"[^\W\d][^#\],}\"']*", line[column - 1 :])
    is_value = word is not None and re.search(r"[=\[,]\s*$", line[: column - 1])
    hint = f'; text needs quotes: "{word[0].strip()}"' if word and is_value else ""
    return f"{message[: place.start()]} at column {column}{hint}", number


_Guessed = frozenset[tuple[Step, ...]]


def _validate(data: dict[str, Any]) -> tuple[StationConfig, frozenset[tuple[str, str]], _Guessed, list[Finding]]:
    """Config, names of the entries that had to be left out of it, places that are guessed, findings about single values.

    Wrong values do not hide wrong relations: stand-ins take their place, round by round, and the rest is still read.
    """
    try:
        return StationConfig.model_validate(data), frozenset(), frozenset(), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    findings = list(_translate(errors, data))
    left_out: set[tuple[str, str]] = set()
    guessed: set[tuple[Step, ...]] = set()
    mended = deepcopy(data)
    for _ in range(_ROUNDS):
        guessed |= {_steps_in(error["loc"], mended) for error in errors}
        left_out |= _mend(mended, errors)
        try:
            return StationConfig.model_validate(mended), frozenset(left_out), frozenset(guessed), findings
        except ValidationError as error:
            errors = error.errors(include_url=False)
    return StationConfig(), frozenset(left_out), frozenset(guessed), findings


def _mend(data: dict[str, Any], errors: Iterable[ErrorDetails]) -> set[tuple[str, str]]:
    """Take wrong values out of `data`, put stand-ins for missing ones; returns (section, name) of entries taken out."""
    left_out = set()
    for error in errors:
        *above, key = _steps_in(error["loc"], data)
        table: Any = data
        for step in above:
            table = table[step]
        if error["type"] == "missing":
            table.setdefault(key, _stand_in(error["loc"]))
        elif isinstance(table, list) and table[int(key)] != _STAND_IN:
            table[int(key)] = _STAND_IN
        elif isinstance(table, list):  # no list of texts: all of it goes
            _take_out_list(data, above)
        elif isinstance(table, dict) and key in table:
            value = table.pop(key)
            if error["type"].startswith("union_tag") and len(above) > 1:
                table[key] = _stand_in(error["loc"])
            nearest = nearest_name(str(key), _allowed_keys(error["loc"][:-1]))
            if error["type"] == "extra_forbidden" and nearest is not None:
                table.setdefault(nearest, value)
            if len(above) == 1:
                left_out.add((str(above[0]), str(key)))
    return left_out


def _take_out_list(data: Any, path: list[Step]) -> None:
    """Remove the key whose list, or list of lists, lies at `path`."""
    while isinstance(path[-1], int):
        path = path[:-1]
    for step in path[:-1]:
        data = data[step]
    del data[path[-1]]


def _stand_in(loc: tuple[Step, ...]) -> object:
    """A value with which the rest of a table can be read."""
    model = _model_at(StationConfig, loc[:-1])
    return deepcopy(model.stand_ins.get(str(loc[-1]), _STAND_IN)) if model is not None else _STAND_IN


def _translate(errors: Iterable[ErrorDetails], data: dict[str, Any]) -> Iterable[Finding]:
    """Pydantic's errors in the words of the file's author. A missing key beside a misspelt one is one mistake."""
    errors = list(errors)
    misspelt = {
        (*table, nearest_name(str(key), _allowed_keys(tuple(table))))
        for *table, key in (error["loc"] for error in errors if error["type"] == "extra_forbidden")
    }
    for error in errors:
        if error["type"] == "missing" and error["loc"] in misspelt:
            continue
        yield Finding(_steps_in(error["loc"], data), _message(error))


def _steps_in(loc: Iterable[Step], data: Any) -> tuple[Step, ...]:
    """Pydantic's place in steps of the file: no union's member, no check of a key; a missing key comes last."""
    path: list[Step] = []
    for step in loc:
        if _has(data, step):
            path.append(step)
            data = data[step]
        elif step not in (*_types(), "[key]"):
            path.append(step)
            break
    return tuple(path)


def _types() -> set[str]:
    tables: tuple[type[Table], ...] = (*link_tables(), *server_tables(), *STEP_TABLES)
    return {type_of(table) for table in tables}


def _has(data: object, step: Step) -> bool:
    return step in data if isinstance(data, dict) else isinstance(data, list) and isinstance(step, int)


def _message(error: ErrorDetails) -> str:
    render = _MESSAGES.get(error["type"])
    if render is not None:
        return render(error)
    words = _WORDS.get(error["type"])
    must = error["msg"] if words is None else f"must be {words.format(**error.get('ctx', {}))}"
    return f"{must}, got {_shown(error['input'])}"


def _shown(value: object) -> str:
    """A value as the file writes it."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "an array"
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _extra(error: ErrorDetails) -> str:
    *table, key = error["loc"]
    homes = [f"[{name}.NAME]" for name in ("models", "tags", "tasks") if key in _allowed_keys((name, "NAME"))]
    hint = f"; it is a key of {homes[0]}" if len(homes) == 1 else ""
    return unknown("key", str(key), _allowed_keys(tuple(table))) + hint


def _missing(error: ErrorDetails) -> str:
    return f'needs the key "{error["loc"][-1]}"'


def _value(error: ErrorDetails) -> str:
    return str(error["ctx"]["error"])


def _choice(error: ErrorDetails) -> str:
    allowed = error["ctx"]["expected"].replace(" or ", ", ").replace("'", '"')
    given = str(error["input"])
    nearest = IEC_TYPES.get(given.upper()) or nearest_name(given, re.findall(r'"([^"]+)"', allowed))
    hint = f'did you mean "{nearest}"? ' if nearest and f'"{nearest}"' in allowed else ""
    return f"{_shown(error['input'])} is not allowed; {hint}allowed: {allowed}"


def _type(error: ErrorDetails) -> str:
    given, allowed = str(error["ctx"]["tag"]), str(error["ctx"]["expected_tags"])
    nearest = nearest_name(given.lower(), re.findall("'([^']+)'", allowed))
    hint = f"; did you mean '{nearest}'?" if nearest else ""
    return f"unknown {_kind(error)} type '{given}'; allowed: {allowed}{hint}"


def _no_type(error: ErrorDetails) -> str:
    tables: dict[str, tuple[type[Table], ...]] = {"link": link_tables(), "server": server_tables(), "step": STEP_TABLES}
    kinds = [type_of(table) for table in tables[_kind(error)]]
    return f'needs the key "type": {", ".join(kinds[:-1])} or {kinds[-1]}'


def _kind(error: ErrorDetails) -> str:
    """`link`, `server` or `step`."""
    return "step" if error["loc"][-1] == "step" else str(error["loc"][0]).removesuffix("s")


def _pattern(error: ErrorDetails) -> str:
    if error["loc"][-1] == "[key]" or error["loc"][-1] == "name":
        return f'"{error["input"]}" is no name; letters, digits, "_", "-" and "." are allowed, beginning with a letter'
    model = _model_at(StationConfig, error["loc"][:-1])
    form = model.forms.get(str(error["loc"][-1])) if model is not None else None
    if form is not None:
        return f'"{error["input"]}" is {form}'
    return f'"{error["input"]}" does not have the form {error["ctx"]["pattern"]}'


def _table(error: ErrorDetails) -> str:
    return f"must be a table, got {_shown(error['input'])}"


def _array(error: ErrorDetails) -> str:
    got = error["input"]
    hint = f"; write [{_shown(got)}]" if isinstance(got, str | int | float) else ""
    return f"must be an array, got {_shown(got)}{hint}"


def _allowed_keys(loc: tuple[Step, ...]) -> list[str]:
    """The keys that the table at this place of the file may have."""
    model = _model_at(StationConfig, loc)
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def _model_at(annotation: Any, loc: tuple[Step, ...]) -> type[Table] | None:
    """The pydantic model that reads the table at `loc`: down through fields, dictionaries, tuples and unions."""
    for step in loc:
        annotation = _inside(_plain(annotation), step)
    annotation = _plain(annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Table) else None


def _plain(annotation: Any) -> Any:
    """Without what is said about it, and without the None of what may be left out."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType) and NoneType in get_args(annotation):
        return _plain(get_args(annotation)[0])
    return annotation


def _inside(annotation: Any, step: Step) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):  # the step is the discriminator of one member
        return next(m for m in map(_plain, args) if step in get_args(m.model_fields["type"].annotation))
    if origin in (dict, tuple):
        return args[1] if origin is dict else args[0]
    return next(f.annotation for name, f in annotation.model_fields.items() if (f.alias or name) == step)


_MESSAGES: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "extra_forbidden": _extra,
    "missing": _missing,
    "value_error": _value,
    "literal_error": _choice,
    "union_tag_invalid": _type,
    "union_tag_not_found": _no_type,
    "string_pattern_mismatch": _pattern,
    "dict_type": _table,
    "model_type": _table,
    "model_attributes_type": _table,
    "tuple_type": _array,
}
_WORDS: Final[Mapping[str, str]] = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "greater_than": "greater than {gt:.15g}",
    "greater_than_equal": "{ge:.15g} or more",
    "less_than": "less than {lt:.15g}",
    "less_than_equal": "{le:.15g} or less",
    "too_short": "an array of at least {min_length}",
    "too_long": "an array of at most {max_length}",
    "finite_number": "a finite number",
}
"""Kind of error -> what the value must be."""
