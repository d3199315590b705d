"""Contract <-> the keys of a file's `metadata_props`, which a compiled program (.rtp) carries too.

    rt_engine.contract                 JSON: all but the parts below
    rt_engine.contract.statistics      JSON list, as under the key `statistics` in `plain`
    rt_engine.contract.vectors         JSON list

Files of others have keys of their own, and are understood as far as they go (`mjlab.py`, `koios.py`); ours come first.
"""

import json
from collections.abc import Mapping

from rt_engine.contract import koios, mjlab
from rt_engine.contract.check import Ends
from rt_engine.contract.plain import from_plain, to_plain
from rt_engine.contract.tables import MOST_CHARACTERS, json_of
from rt_engine.contract.terms import OWN, Contract
from rt_engine.errors import ContractError

PARTS = ("statistics", "vectors")
KEYS = (OWN, *(f"{OWN}.{part}" for part in PARTS))
OTHERS = (mjlab.understood, koios.understood)
"""What reads the keys of others, as far as they go: (metadata, ends) -> contract, or None where there are none."""


def to_keys(contract: Contract) -> dict[str, str]:
    """Key -> text. The same contract gives the same text."""
    plain = to_plain(contract)
    parts = {f"{OWN}.{part}": plain.pop(part) for part in PARTS if part in plain}
    texts = {key: json.dumps(value, separators=(",", ":")) for key, value in ({OWN: plain} | parts).items()}
    for key, text in texts.items():
        if len(text) > MOST_CHARACTERS:
            raise ContractError(
                f"{key} would have {len(text):,} characters; the most is {MOST_CHARACTERS:,}: give fewer test vectors"
            )
    return texts


def from_keys(metadata: Mapping[str, str], ends: Ends) -> Contract | None:
    """The contract in the keys of a model with these ends; None where there is none.

    Raises:
        ContractError: there is one, but it cannot be read; says where, and what is expected.
    """
    ours = sorted(key for key in metadata if key == OWN or key.startswith(f"{OWN}."))
    if not ours:
        return next((found for read in OTHERS if (found := read(metadata, ends)) is not None), None)
    if unknown := [key for key in ours if key not in KEYS]:
        raise ContractError(
            f"the metadata has the key {unknown[0]!r}; this version knows {', '.join(KEYS)}: use a newer rt-engine"
        )
    if OWN not in metadata:
        raise ContractError(
            f"the metadata has {ours[0]!r} but not {OWN!r}, to which it belongs; attach the contract again"
        )
    plain = json_of(metadata[OWN], OWN)
    if isinstance(plain, dict):
        for part in PARTS:
            if (key := f"{OWN}.{part}") in metadata:
                plain[part] = json_of(metadata[key], key)
    return from_plain(plain, OWN)
