"""Contract <-> the keys of a file's `metadata_props`, which a compiled program (.rtp) carries too.

    rt_engine.contract                 JSON: all but the parts below
    rt_engine.contract.statistics      JSON list, as under the key `statistics` in `plain`
    rt_engine.contract.vectors         JSON list

Files of others have keys of their own, and are understood as far as they go (`foreign/`).
"""

import json
from collections.abc import Mapping
from typing import Any

from rt_engine.contract.plain import from_plain, to_plain
from rt_engine.contract.terms import OWN, Contract
from rt_engine.errors import ContractError

PARTS = ("statistics", "vectors")
KEYS = (OWN, *(f"{OWN}.{part}" for part in PARTS))
MOST_CHARACTERS = 64 << 20
"""Of one key; more is no description but data."""


def to_keys(contract: Contract) -> dict[str, str]:
    """Key -> text. The same contract gives the same text."""
    plain = to_plain(contract)
    parts = {f"{OWN}.{part}": plain.pop(part) for part in PARTS if part in plain}
    texts = {
        key: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for key, value in ({OWN: plain} | parts).items()
    }
    for key, text in texts.items():
        if len(text) > MOST_CHARACTERS:
            raise ContractError(
                f"{key} would have {len(text):,} characters; the most is {MOST_CHARACTERS:,}: give fewer test vectors"
            )
    return texts


def from_keys(metadata: Mapping[str, str]) -> Contract | None:
    """The contract in these keys; None where there is none.

    Raises:
        ContractError: there is one, but it cannot be read; says where, and what is expected.
    """
    ours = sorted(key for key in metadata if key == OWN or key.startswith(f"{OWN}."))
    if not ours:
        return None
    if unknown := [key for key in ours if key not in KEYS]:
        raise ContractError(
            f"the metadata has the key {unknown[0]!r}; this version knows {', '.join(KEYS)}: use a newer rt-engine"
        )
    if OWN not in metadata:
        raise ContractError(
            f"the metadata has {ours[0]!r} but not {OWN!r}, to which it belongs; attach the contract again"
        )
    plain = _parsed(metadata[OWN], OWN)
    if isinstance(plain, dict):
        for part in PARTS:
            if (key := f"{OWN}.{part}") in metadata:
                plain[part] = _parsed(metadata[key], key)
    return from_plain(plain, OWN)


def _parsed(text: str, key: str) -> Any:
    """JSON without what JSON does not have (NaN), not too long, not too deep."""
    if len(text) > MOST_CHARACTERS:
        raise ContractError(f"{key} has {len(text):,} characters; the most is {MOST_CHARACTERS:,}")

    def refuse(token: str) -> Any:
        raise ContractError(
            f"{key} has the number {token}, which JSON does not know; leave the key out where there is no limit"
        )

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ContractError(f"{key} is nested too deeply to be a contract; attach it again") from None
    except ValueError as error:  # JSONDecodeError; a number of too many digits
        raise ContractError(f"{key} is no JSON: {str(error)[:200]}; attach the contract again") from None
