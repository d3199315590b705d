"""What a model made of given inputs: every tensor of every operator, and which inputs moved each output most.

    explain(model, inputs, state)  -> Explanation     tensors, statistics, influence; `.to_json()`
    graph_of(model, times)         -> Graph           operators, what flows between them, their time; `.to_json()`, `.svg()`

    inputs, state --stepping--> tensors                         a context of its own, record by record: the same bits as a run
                  --runs with one input moved--> influence      finite differences, and occlusion

Nothing here runs in a cycle: it is for recorded inputs, a page's own context, a data scientist's arrays.
"""

from rt_engine.explain.explanation import Explanation
from rt_engine.explain.graph import Graph, graph_of, operator_times
from rt_engine.explain.influence import Base, Influence
from rt_engine.explain.labels import Label, Labels
from rt_engine.explain.making import explain
from rt_engine.explain.tensors import Statistics, Tensor

__all__ = [
    "Base",
    "Explanation",
    "Graph",
    "Influence",
    "Label",
    "Labels",
    "Statistics",
    "Tensor",
    "explain",
    "graph_of",
    "operator_times",
]
