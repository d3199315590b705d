"""A first station for `rt-engine new`: the texts of station.toml and of the device that stands in for the real one.

what is controlled (`START`, or a model) --> tags, a task --> station.toml, with the real link in comments
                                         --> plant.py     the plant as a Python function, so that it runs at once
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from station.links import type_of

if TYPE_CHECKING:
    from rt_engine import Model
    from station.links import LinkTable

LARGEST_TAG: Final = 2000


@dataclass(frozen=True, slots=True)
class FirstTag:
    """A tag: its keys beside `direction`, `address` and `count`."""

    name: str
    is_output: bool
    keys: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Start:
    """What a first station does: its tags, the line of its task, and the simulated plant."""

    tags: tuple[FirstTag, ...]
    task: str
    plant: str
    models: str = ""


_PERCENT: Final = 'unit = "%", low = 0, high = 100, safe = 0'
CONTROLLERS: Final = {
    "pid": Start(
        (
            FirstTag("level", False, 'unit = "%"'),
            FirstTag("wanted", False, 'unit = "%"'),
            FirstTag("valve", True, _PERCENT),
        ),
        'step = { type = "pid", gain = 4.0, integral = "2 s", setpoint_tag = "wanted" }',
        '''"""A tank: the valve fills it, a hole empties it."""

level = 20.0


def device(outputs):
    """Called every cycle of the link, 10 ms: the outputs in, the inputs out."""
    global level
    level += 0.01 * (0.3 * outputs["valve"] - 0.2 * level)
    return {"level": level, "wanted": 50.0}
''',
    ),
    "two-point": Start(
        (FirstTag("temperature", False, 'unit = "degC"'), FirstTag("heater", True, "low = 0, high = 1, safe = 0")),
        'step = { type = "two-point", switch_on = 58.0, switch_off = 62.0 }',
        '''"""A room with a heater."""

temperature = 55.0


def device(outputs):
    """Called every cycle of the link, 10 ms: the outputs in, the inputs out."""
    global temperature
    temperature += 0.01 * (8.0 * outputs["heater"] - 0.1 * (temperature - 20.0))
    return {"temperature": temperature}
''',
    ),
    "ramp": Start(
        (
            FirstTag("wanted", False, 'unit = "rpm"'),
            FirstTag("speed", True, 'unit = "rpm", low = 0, high = 3000, safe = 0'),
        ),
        'step = { type = "ramp", up = 200, down = 500 }',
        '''"""Somebody wants 1000 rpm."""


def device(outputs):
    """Called every cycle of the link, 10 ms: the outputs in, the inputs out."""
    return {"wanted": 1000.0}
''',
    ),
}

_HEAD: Final = """\
# A first station. `rt-engine check` says what is wrong with it, `rt-engine run` runs it.

[station]
name = "{name}"

{models}# A dry run: the device is the function in plant.py.
[links.plant]
type = "in-process"
device = "plant.py:device"
cycle = "10 ms"
timeout = "100 ms"
{real}
[tags]
{tags}

[tasks.control]
cycle = "10 ms"
inputs = [{inputs}]
outputs = [{outputs}]
{task}
"""
_REAL: Final = """
# The real device: take the "# " off these lines, and the five of the dry run away.
# [links.plant]
# type = "{type}"
# {keys}
# cycle = "{cycle}"
# timeout = "{timeout}"
"""


def station_text(name: str, start: Start, real: type[LinkTable] | None = None) -> str:
    """station.toml; `real`: the kind of the real link, with the cycle and the time-out that it has of its own accord."""
    register, lines = 0, []
    keys, place = real.first if real is not None else ("", "")
    times = {key: real.model_fields[f"{key}_ns"].default for key in ("cycle", "timeout")} if real is not None else {}
    for tag in start.tags:
        address = place.format(tag.name, register)
        register += 2 * tag.count
        said = (
            'direction = "out"' if tag.is_output else "",
            f'address = "{address}"' if address else "",
            f"count = {tag.count}" if tag.count > 1 else "",
            tag.keys,
        )
        words = ", ".join(filter(None, said))
        lines.append(f"{tag.name} = {{ {words} }}" if words else f"{tag.name} = {{}}")
    return _HEAD.format(
        name=name,
        models=start.models,
        real=_REAL.format(type=type_of(real), keys=keys, **times) if real is not None else "",
        tags="\n".join(lines),
        inputs=_names(tag for tag in start.tags if not tag.is_output),
        outputs=_names(tag for tag in start.tags if tag.is_output),
        task=start.task,
    )


def _names(tags: Iterable[FirstTag]) -> str:
    return ", ".join(f'"{tag.name}"' for tag in tags)


def start_with(model: Model, file: str, shapes: Mapping[str, tuple[int, ...]]) -> Start:
    """A task for a model, loaded with these shapes: a tag for each tensor, and a plant that moves all inputs slowly.

    Raises:
        ValueError: a tensor has more elements than a tag.
    """
    tags: list[FirstTag] = []
    for specs, is_output in ((model.inputs, False), (model.outputs, True)):
        for spec in specs:
            count = math.prod(spec.shape)
            if count > LARGEST_TAG:
                raise ValueError(
                    f"{spec} has {count} elements, a tag at most {LARGEST_TAG}; give it tags by hand, see docs/station.md"
                )
            tags.append(FirstTag(_free_name(spec.name, tags), is_output, count=count))
    inputs = [tag for tag in tags if not tag.is_output]
    plant = '"""Inputs that move slowly, as sensors would."""\n\nimport math\nimport time\n\n\ndef device(outputs):\n'
    plant += (
        '    """Called every cycle of the link, 10 ms: the outputs in, the inputs out."""\n    now = time.monotonic()\n'
    )
    plant += "    return {\n"
    for tag in inputs:
        value = "math.sin(now)" if tag.count == 1 else f"[math.sin(now + i) for i in range({tag.count})]"
        plant += f'        "{tag.name}": {value},\n'
    table = f"[models.model]\nfile = {_quoted(file)}\n"
    if shapes:
        table += f"shapes = {{ {', '.join(f'{_quoted(name)} = {list(sizes)}' for name, sizes in shapes.items())} }}\n"
    return Start(tuple(tags), 'model = "model"', plant + "    }\n", table + "\n")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _free_name(tensor: str, taken: Sequence[FirstTag]) -> str:
    """A tag's name for a tensor: letters, digits, `_`, and not one that there is."""
    name = re.sub(r"\W", "_", tensor, flags=re.ASCII)
    name = name if re.match(r"[A-Za-z_]", name) else f"_{name}"
    while any(tag.name == name for tag in taken):
        name += "_"
    return name
