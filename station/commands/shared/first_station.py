"""A first station for `rt-engine new`: the texts of station.toml and of the device that stands in for the real one.

what is controlled (`START`, or a model) --> tags, a task --> station.toml, with the real link in comments
                                         --> plant.py     the plant as a Python function, so that it runs at once
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from station.links import type_of
from station.terms.durations import parse_duration

if TYPE_CHECKING:
    from rt_engine import Model
    from rt_engine.binding import Binding
    from station.links import LinkTable

LARGEST_TAG: Final = 2000
_USUAL_NS: Final = 10_000_000
"""Cycle of a link that is not slow."""


@dataclass(frozen=True, slots=True)
class FirstTag:
    """A tag: its keys beside `direction`, `address`, `count` and `type`; `registers`: of 16 bits, that a value of it takes."""

    name: str
    is_output: bool
    keys: str = ""
    count: int = 1
    registers: int = 2


@dataclass(frozen=True, slots=True)
class Start:
    """What a first station does: its tags, the line of its task, and the simulated plant.

    `inputs`, `outputs`: what the task says of them; empty: the tags in their order. `cycle_ns`: the task's and the link's.
    """

    tags: tuple[FirstTag, ...]
    task: str
    plant: str
    models: str = ""
    inputs: str = ""
    outputs: str = ""
    cycle_ns: int = 10_000_000

    @property
    def timeout_ns(self) -> int:
        """Of its links: longer than two of their cycles and one of the task."""
        return max(100_000_000, 5 * self.cycle_ns)


@dataclass(frozen=True, slots=True)
class RealLink:
    """The real device: the kind of its link, and what `--link` says of it, as TOML; empty: it is only proposed, in comments."""

    kind: type[LinkTable]
    keys: str = ""


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

{models}{links}
[tags]
{tags}

[tasks.control]
cycle = "{cycle}"
inputs = {inputs}
outputs = {outputs}
{task}
"""
_DRY: Final = """\
[links.plant]
type = "in-process"
device = "plant.py:device"
cycle = "{cycle}"
timeout = "{timeout}"
"""
DRY_RUN: Final = _DRY.split('"')[1]
"""What the kind of that link is called."""
_REAL: Final = """\
[links.plant]
type = "{type}"
{keys}
cycle = "{cycle}"
timeout = "{timeout}"
"""
_PROPOSED: Final = """\
# A dry run: the device is the function in plant.py.
{dry}
# The real device: take the "# " off these lines, and the five of the dry run away.
{real}"""
_NAMED: Final = """\
# The device. Where its tags are is not known here: look at every address, and then at `rt-engine check --connect`.
{real}
# A dry run, where the device is the function in plant.py: take the "# " off these lines, and those above away.
{dry}"""


def station_text(name: str, start: Start, real: RealLink | None = None) -> str:
    """station.toml, with the real device if it is known."""
    register, lines = 0, []
    place = real.kind.first[1] if real is not None else ""
    for tag in start.tags:
        address = place.format(tag.name, register)
        register += tag.registers * tag.count
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
        links=_links(start, real),
        tags="\n".join(lines),
        cycle=exact_duration(start.cycle_ns),
        inputs=start.inputs or _names(tag for tag in start.tags if not tag.is_output),
        outputs=start.outputs or _names(tag for tag in start.tags if tag.is_output),
        task=start.task,
    )


def _links(start: Start, real: RealLink | None) -> str:
    """The dry run, the real device, or one of them in comments."""
    times = {"cycle": exact_duration(start.cycle_ns), "timeout": exact_duration(start.timeout_ns)}
    dry = _DRY.format(**times)
    if real is None:
        return "# A dry run: the device is the function in plant.py.\n" + dry
    of_kind = {key: real.kind.model_fields[f"{key}_ns"].default for key in ("cycle", "timeout")}
    if real.keys:
        if parse_duration(of_kind["cycle"]) > _USUAL_NS:  # a slow line stays one
            times = {"cycle": max(times["cycle"], of_kind["cycle"], key=parse_duration)}
            times["timeout"] = max(exact_duration(start.timeout_ns), of_kind["timeout"], key=parse_duration)
        text = _REAL.format(type=type_of(real.kind), keys=real.keys, **times)
        return _NAMED.format(real=text, dry=_commented(dry))
    text = _REAL.format(type=type_of(real.kind), keys=real.kind.first[0], **of_kind)
    return _PROPOSED.format(dry=dry, real=_commented(text))


def _commented(text: str) -> str:
    return "".join(f"# {line}\n" for line in text.splitlines())


def exact_duration(ns: int) -> str:
    """As a station file writes it, to the nanosecond."""
    unit, size = next(one for one in (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)) if ns >= one[1])
    return f"{ns / size:.10g} {unit}"


def _names(tags: Iterable[FirstTag]) -> str:
    return "[" + ", ".join(f'"{tag.name}"' for tag in tags) + "]"


def start_with(model: Model, file: str, binding: Binding) -> Start:
    """A task for a model, loaded with this binding: a tag for each tensor, and a plant that moves all inputs slowly.

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
            tags.append(FirstTag(free_name(spec.name, tags), is_output, count=count))
    moves = {tag.name: (tag.count, 0.0, 1.0) for tag in tags if not tag.is_output}
    return Start(tuple(tags), 'model = "policy"', moving_plant(moves), model_table(file, binding))


def moving_plant(inputs: Mapping[str, tuple[int, float, float]]) -> str:
    """plant.py with a sine for every input: name -> (values, middle, amplitude)."""
    plant = '"""Inputs that move slowly, as sensors would."""\n\nimport math\nimport time\n\n\ndef device(outputs):\n'
    plant += '    """Called every cycle of the link: the outputs in, the inputs out."""\n    now = time.monotonic()\n    return {\n'
    for name, (count, middle, amplitude) in inputs.items():
        wave = "math.sin(now)" if count == 1 else "math.sin(now + i)"
        value = wave if (middle, amplitude) == (0.0, 1.0) else f"{middle:.6g} + {amplitude:.6g} * {wave}"
        plant += f'        "{name}": ' + (f"{value},\n" if count == 1 else f"[{value} for i in range({count})],\n")
    return plant + "    }\n"


def model_table(file: str, binding: Binding) -> str:
    """`[models.policy]`."""
    table = f"[models.policy]\nfile = {quoted(file)}\n"
    for key, given in binding.to_json().items():
        table += f"{key} = {{ {', '.join(f'{quoted(name)} = {_toml(value)}' for name, value in given.items())} }}\n"
    return table + "\n"


def _toml(value: Any) -> str:
    """A number, truth value or name, or lists of them."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """As TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def free_name(tensor: str, taken: Sequence[FirstTag]) -> str:
    """A tag's name for a tensor: letters, digits, `_`, and not one that there is."""
    name = re.sub(r"\W", "_", tensor, flags=re.ASCII)
    name = name if re.match(r"[A-Za-z_]", name) else f"_{name}"
    while any(tag.name == name for tag in taken):
        name += "_"
    return name
