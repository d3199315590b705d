"""TfIdfVectorizer: https://onnx.ai/onnx/operators/onnx__TfIdfVectorizer.html (of numbers)."""

from itertools import pairwise

import numpy as np

from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.kernels.interface.ngrams import NGRAMS
from rt_engine.ops.base import Node, operator
from rt_engine.ops.builder import Builder


@operator("TfIdfVectorizer", since=9)
def tf_idf_vectorizer(node: Node, build: Builder) -> None:
    """How often each n-gram of a pool occurs in each row, weighted as `mode` says."""
    x, y = node.x, node.y
    node.require_type(x, (np.dtype(np.int32), np.dtype(np.int64)))
    pool = node.attr("pool_int64s")
    node.require(pool is not None, "strings are not supported", "number the words before the model")
    pool = np.asarray(pool, np.int64)
    starts, columns = ([int(v) for v in node.attr(name, [])] for name in ("ngram_counts", "ngram_indexes"))
    shortest, longest = int(node.attr("min_gram_length")), int(node.attr("max_gram_length"))
    node.require(0 < shortest <= longest, f"grams of {shortest} to {longest} elements", "correct their lengths")
    limits = [*starts, len(pool)]
    node.require(
        all(0 <= a <= b for a, b in pairwise(limits)),
        "ngram_counts does not rise",
        "correct it",
    )
    grams = [
        (length, first)
        for length, (start, end) in enumerate(pairwise(limits), 1)
        for first in range(start, end - length + 1, length)
    ]
    width = y.shape[-1]
    node.require(len(grams) == len(columns), f"{len(columns)} ngram_indexes for {len(grams)} grams", "correct them")
    node.require(all(0 <= c < width for c in columns), "an ngram_index is out of range", "correct it")
    mode = str(node.attr("mode"))
    given = node.attr("weights")
    weights = np.ones(len(grams), np.float32) if given is None or mode == "TF" else np.asarray(given, np.float32)
    node.require(len(weights) == len(grams), f"{len(weights)} weights for {len(grams)} grams", "correct them")
    used = [i for i, (length, _) in enumerate(grams) if shortest <= length <= longest]
    table = np.array([(*grams[i], columns[i]) for i in used], np.int64).reshape(-1, 3)
    n = x.shape[-1] if x.shape else 1
    rows = x.size // max(n, 1)
    skips = int(node.attr("max_skip_count", 0))
    node.require(skips >= 0, f"max_skip_count = {skips}", "correct it")
    if y.size:
        record = NGRAMS(
            x=x, grams=build.constant(table), pool=build.constant(pool), weights=build.constant(weights[used]), out=y,
            rows=rows, n=n, columns=width, grams_count=len(used), most_skips=min(skips, n), type=CODE[x.dtype],
            all=mode != "IDF",
        )  # fmt: skip
        build.call("ngrams", record)
