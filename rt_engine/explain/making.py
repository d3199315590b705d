"""The recipe: one run, record by record; then the runs with something moved."""

from collections.abc import Mapping, Sequence

from numpy.typing import ArrayLike

from rt_engine.contract.terms import Contract
from rt_engine.errors import ContractError
from rt_engine.explain.explanation import Explanation
from rt_engine.explain.influence import Base, influence, put, training_base
from rt_engine.explain.labels import Labels, labels_of
from rt_engine.explain.tensors import run_tensors
from rt_engine.model import Model


def explain(
    model: Model,
    inputs: Mapping[str, ArrayLike],
    state: Mapping[str, ArrayLike] | None = None,
    *,
    base: Base | None = None,
    labels: Labels | None = None,
    outputs: Sequence[str] = (),
    moving: bool = True,
) -> Explanation:
    """Run a model once, in a context of its own, and say what happened inside.

    Args:
        model: any; a program with loops has the last value of each record.
        inputs: name -> array, all inputs; as the model sees them (scaled).
        state: name -> array as it was before the run; those that are missing are at their initial value.
        base: what inputs are replaced by; by default the mean of the training data of the model's contract, else zeros.
        labels: what elements are called, and their units; by default what the contract says.
        outputs: names of outputs or of tags whose influences are wanted; all by default.
        moving: also find which inputs moved the outputs, which takes up to three runs for each of up to 1,024 elements.

    Raises:
        InputError: a name is unknown or missing, or a shape or type does not fit.
    """
    contract = _contract(model)
    context = model.context()
    put(context, inputs, state)
    run = run_tensors(context)
    found = None
    if moving and run.status == 0:
        known = labels_of(contract) if labels is None else labels
        found = influence(model, inputs, state, base or training_base(model, contract), known, outputs)
    return Explanation(model.name, model.sha256, run.tensors, found, run.status, run.ended_at)


def _contract(model: Model) -> Contract | None:
    """A contract that is broken says nothing here: the model runs all the same."""
    try:
        return model.contract
    except ContractError:
        return None
