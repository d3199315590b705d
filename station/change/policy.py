"""`[models.NAME.change]`, and what the command line says instead -> the policy of a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from station.change.answer import Wish
from station.change.machine import Policy, Span
from station.errors import RefusedError
from station.terms.tables import ChangeTable


def policy_of(table: ChangeTable) -> Policy:
    """The policy of one model."""
    by_tag = table.tolerance if isinstance(table.tolerance, dict) else {}
    for_all = table.tolerance if isinstance(table.tolerance, float) else float("inf")
    return Policy(
        shadow=None if table.shadow is None else Span(*table.shadow),
        trial=None if table.trial is None else Span(*table.trial),
        commit=table.commit,
        tolerance=for_all,
        tolerances=by_tag,
        disagreements=table.disagreements,
    )


def wished(policy: Policy, wish: Wish) -> Policy:
    """The same with what an update asks for.

    Raises:
        RefusedError: a word would be awaited for ever.
    """
    shadow = policy.shadow if wish.shadow is None else wish.shadow if wish.shadow != Span() else None
    trial = policy.trial if wish.trial is None else wish.trial if wish.trial != Span() else None
    commit = wish.commit or (policy.commit if trial is not None else "auto")
    if commit == "manual" and trial is None:
        raise RefusedError('--commit manual waits for a word during the trial, and there is none: add --trial "1 h"')
    return replace(policy, shadow=shadow, trial=trial, commit=commit)


def together(policies: Mapping[str, Policy]) -> Policy:
    """One policy for slots that change together: the longest shadow and trial, a word where one wants it, the fewest
    disagreements. Tolerances stay each slot's own.

    Raises:
        RefusedError: one counts time, another cycles.
    """
    return Policy(
        shadow=_longest("shadow", (policy.shadow for policy in policies.values())),
        trial=_longest("trial", (policy.trial for policy in policies.values())),
        commit="manual" if any(policy.commit == "manual" for policy in policies.values()) else "auto",
        disagreements=min(policy.disagreements for policy in policies.values()),
    )


def _longest(key: str, spans: Iterable[Span | None]) -> Span | None:
    given = [span for span in spans if span is not None]
    if len({bool(span.ns) for span in given}) > 1:
        raise RefusedError(f"the {key} of one of these models is a time, of another a number of cycles: say --{key}")
    return max(given, key=lambda span: (span.ns, span.cycles), default=None)
