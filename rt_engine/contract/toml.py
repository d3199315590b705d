"""A contract as TOML, which people write: the same tables and keys as in `plain`; and a template of one that fits a model.

contract.toml --from_toml()--> plain --merged() over what the model has--> Contract
Contract, or a model's ends --to_toml(), template()--> contract.toml
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from rt_engine.contract.check import Ends, Tensor
from rt_engine.contract.plain import from_plain, to_plain
from rt_engine.contract.tables import MOST_CHARACTERS
from rt_engine.contract.terms import Contract
from rt_engine.errors import ContractError
from rt_native.text import json_safe, visible

MOST_NAMED = 1000
"""Elements of a tensor that a template names; who has more (an image) names none."""


def from_toml(text: str, place: str) -> dict[str, Any]:
    """What a text of TOML holds; `place` is the file's name, in messages.

    Raises:
        ContractError: it is no TOML; says where.
    """
    if len(text) > MOST_CHARACTERS:
        raise ContractError(f"{place} has {len(text):,} characters; the most is {MOST_CHARACTERS:,}")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ContractError(f"{place} is nested too deeply to be a contract") from None
    except ValueError as error:
        raise ContractError(f"{place} is no TOML: {str(error)[:200]}") from None


def merged(before: Contract | None, plain: Mapping[str, Any], place: str) -> Contract:
    """The contract that a model had, with each top-level key of `plain` in the place of its own.

    Raises:
        ContractError: the outcome makes no sense; says where.
    """
    return from_plain((to_plain(before) if before is not None else {}) | dict(plain), place)


def to_toml(contract: Contract, title: str) -> str:
    """All but statistics and test vectors, which nobody writes by hand."""
    plain = to_plain(contract)
    return "\n".join([*_head(title), *_top(plain), *_provenance(plain.get("provenance", {})), *_sides(plain)]) + "\n"


def template(ends: Ends, title: str) -> str:
    """A contract to be filled in, of a model of which nothing is known but its ends."""
    plain: dict[str, Any] = {
        "inputs": [_unnamed(t) for t in ends.inputs],
        "outputs": [_unnamed(t) for t in ends.outputs],
    }
    left_out = [f"# {t.name}: {t.size or 'an unknown number of'} elements are too many to name, so it is left out"
                for t in (*ends.inputs, *ends.outputs) if not _is_named(t)]  # fmt: skip
    plain = {side: [tensor for tensor in tensors if tensor] for side, tensors in plain.items()}
    return "\n".join([*_head(title), *_top({}), *_provenance({}), *map(visible, left_out), *_sides(plain)]) + "\n"


def _head(title: str) -> Iterator[str]:
    yield f"# The contract of {visible(title)}. Attach it: rt-engine contract MODEL --set contract.toml"
    yield "# A key that is left out is not known: take away what you cannot say. docs/contract.md"
    yield ""


def _top(plain: Mapping[str, Any]) -> Iterator[str]:
    rate = plain.get("rate_hz")
    yield (
        f"rate_hz = {_value(rate)}"
        if rate is not None
        else "# rate_hz = 50                 # how often the model ran in training"
    )
    scaling = _value(plain.get("scaling", "inside"))
    yield f"scaling = {scaling:23}# outside: who runs it applies scale and offset of the elements"
    if plain.get("state"):
        yield f"state = {{ {', '.join(f'{_value(o)} = {_value(i)}' for o, i in plain['state'].items())} }}"
    else:
        yield '# state = { h_out = "h_in" }     # outputs that are inputs of the next run'
    yield ""


def _provenance(words: Mapping[str, str]) -> Iterator[str]:
    yield "[provenance]"
    for key, example in (("name", "policy"), ("version", "1"), ("data", "which data it was trained with"),
                         ("commit", "4f2a91c"), ("author", ""), ("created", "2026-11-28")):  # fmt: skip
        yield f"{key} = {_value(words[key])}" if key in words else f"# {key} = {_value(example)}"
    yield ""


def _sides(plain: Mapping[str, Any]) -> Iterator[str]:
    for side, rule in (("inputs", "element = value * scale + offset"), ("outputs", "value = element * scale + offset")):
        for tensor in plain.get(side, []):
            yield f"[[{side}]]"
            yield f"name = {_value(tensor['name'])}"
            if side == "inputs" or "window" in tensor:
                yield from _history(tensor)
            yield f"elements = [  # unit, low and high of the value, clip, max_rate; {rule}"
            for element in tensor["elements"]:
                yield f"  {{ {', '.join(f'{key} = {_value(value)}' for key, value in element.items())} }},"
            yield "]"
            yield ""


def _history(tensor: Mapping[str, Any]) -> Iterator[str]:
    """Of a part that begins later, where it does."""
    for key, words in (("window", "samples, oldest first"), ("stride", "steps from sample to sample")):
        yield f"{key} = {tensor[key]}" if key in tensor else f"# {key} = 1{' ' * (22 - len(key))}# {words}"
    if "start" in tensor:
        yield f"start = {tensor['start']}"


def _unnamed(tensor: Tensor) -> dict[str, Any]:
    """Elements with names by their place, and an empty unit to be filled in."""
    if not _is_named(tensor):
        return {}
    assert tensor.size is not None
    names = [tensor.name] if tensor.size == 1 else [f"{tensor.name}[{i}]" for i in range(tensor.size)]
    return {"name": tensor.name, "elements": [{"name": name, "unit": ""} for name in names]}


def _is_named(tensor: Tensor) -> bool:
    return tensor.size is not None and 0 < tensor.size <= MOST_NAMED


def _value(value: Any) -> str:
    """A value as TOML has it; its text is JSON's, with every control character escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_safe(json.dumps(value)) if isinstance(value, str) else repr(value)
