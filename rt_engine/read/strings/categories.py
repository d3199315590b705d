"""Strings that are categories become int64 indices into lists of names, which are kept beside the model (docs/adr/0032).

    "colour" (string) --Concat--> --Gather--> OneHotEncoder(cats_strings)     what the file says
     colour  (int64)  --Concat--> --Gather--> OneHotEncoder(cats_int64s)      what is compiled, and its list: blue, red

Values that are joined, chosen from or compared share one list: every name that an operator or a constant brings to them, in the order
of the file. A name that is in no list is `UNKNOWN`, which every operator treats as it treats a string that it does not know.
"""

import onnx

from rt_engine.read.columns import choose_columns
from rt_engine.read.strings.lists import Categories, Lists
from rt_engine.read.strings.reading import Reading
from rt_engine.read.strings.rewriting import Rewriting
from rt_engine.read.walking import graphs_in, nodes_in


def with_indices(proto: onnx.ModelProto) -> Categories:
    """Replace strings by indices in the model, in place.

    1. Inputs, constants, and the labels of classifiers that are strings are indices into the list of their component.
    2. OneHotEncoder, LabelEncoder and CategoryMapper look indices up; LabelEncoder and CategoryMapper make them.
    3. Operators that move elements (Concat, Gather, Where, Split, ...) move indices; Equal with a constant compares them.
    4. Cast from a category to a number is a table of what its names say; from an integer to a category, the other way round.
    5. Choosing columns of joined columns chooses among them, so that columns keep lists of their own.
    6. An ArrayFeatureExtractor or Gather of constant names gives indices, as any other value.

    Anything else that reads or makes strings is in `reasons`; the model is of no use then.
    """
    choose_columns(proto.graph)
    lists = Lists(proto)
    reading = Reading(lists)
    for graph in graphs_in(proto.graph):
        reading.declare(graph)
    for node in nodes_in(proto.graph.node):
        reading.connect(node)
    for node in nodes_in(proto.graph.node):
        reading.list_names(node)
    if not lists.found.reasons:
        Rewriting(lists).rewrite()
    return lists.found
