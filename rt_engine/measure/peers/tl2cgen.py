"""tl2cgen with treelite: trees as C code, compiled by the C compiler of this machine, called directly.

Only a tree ensemble that is the whole model (beside casts and ZipMap) is read; of float32, with <= and <. What comes behind its sums
(softmax, logistic, the label) is not in its time: that is in its favour.
"""

import ctypes
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from rt_engine.measure.engines import Arrays, Engine, PythonRunner, RefusedError, short, silent

ORDER = 50
_BESIDE = {"ZipMap", "Cast", "Identity"}
_OPERATORS = {"BRANCH_LEQ": "<=", "BRANCH_LT": "<"}
_SHIM = """
static union Entry rt_x[{features}];
static float rt_sums[{targets}];
void *rt_input(void) {{ return rt_x; }}
void *rt_output(void) {{ return rt_sums; }}
void rt_once(void) {{ for (int i = 0; i < {targets}; ++i) rt_sums[i] = 0; predict(rt_x, 1, rt_sums); }}
"""


class Tl2cgen(PythonRunner):
    """One sample through compiled trees."""

    def __init__(self, path: Path, inputs: Arrays) -> None:
        model = onnx.load(str(path))
        nodes = [n for n in model.graph.node if n.op_type not in _BESIDE]
        if len(nodes) != 1 or nodes[0].op_type not in ("TreeEnsembleClassifier", "TreeEnsembleRegressor"):
            raise RefusedError("cannot read: it is not one tree ensemble alone")
        (x,) = inputs.values()
        if x.dtype != np.float32 or x.shape[0] != 1:
            raise RefusedError("cannot read: only one sample of float32")
        self._of = {a.name: onnx.helper.get_attribute_value(a) for a in nodes[0].attribute}
        self._names = [o.name for o in model.graph.output]
        self._kind = "class" if nodes[0].op_type == "TreeEnsembleClassifier" else "target"
        self._targets = 1 + max(self._of[f"{self._kind}_ids"])
        if self._kind == "class" and set(self._of["class_ids"]) <= {0, 1} and len(set(self._of["class_ids"])) == 1:
            self._of["class_ids"] = [0] * len(self._of["class_ids"])
            self._targets = 1
        self._folder = tempfile.TemporaryDirectory()  # the library stands in it as long as this runner lives
        library = self._compiled(Path(self._folder.name), x.size)
        library.rt_input.restype = library.rt_output.restype = ctypes.c_void_p
        library.rt_once.restype, library.rt_once.argtypes = None, []
        self._input = library.rt_input()
        self.feed(inputs)
        self._sums = np.ctypeslib.as_array((ctypes.c_float * self._targets).from_address(library.rt_output()))
        self.run = library.rt_once

    def feed(self, inputs: Arrays) -> None:
        """See `Runner`."""
        (x,) = inputs.values()
        ctypes.memmove(self._input, np.ascontiguousarray(x).ctypes.data, x.nbytes)

    def _compiled(self, folder: Path, features: int) -> Any:
        compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
        if compiler is None:
            raise RefusedError("cannot build: there is no C compiler on this machine (apt-get install gcc)")
        try:
            with warnings.catch_warnings(), silent():
                warnings.simplefilter("ignore")
                import tl2cgen

                tl2cgen.generate_c_code(self._built(features), str(folder), params={})
        except Exception as error:  # their exceptions have no common base
            raise RefusedError(f"cannot read: {short(error)}") from error
        with (folder / "main.c").open("a", encoding="utf-8") as source:
            source.write(_SHIM.format(features=features, targets=self._targets))
        words = [
            compiler,
            "-O3",
            "-march=native",
            "-shared",
            "-fPIC",
            "-o",
            "trees.so",
            *(p.name for p in folder.glob("*.c")),
        ]
        done = subprocess.run([*words, "-lm"], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise RefusedError(f"cannot build: {short(ValueError(done.stderr))}")
        return ctypes.CDLL(str(folder / "trees.so"))

    def _built(self, features: int) -> Any:
        """The ensemble in treelite's words: sums over all trees, of one number or a vector a leaf."""
        from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

        of, kind, targets = self._of, self._kind, self._targets
        leaves: dict[tuple[int, int], list[float]] = {}
        names = (f"{kind}_treeids", f"{kind}_nodeids", f"{kind}_ids", f"{kind}_weights")
        for tree, node, target, weight in zip(*(of[name] for name in names), strict=True):
            leaves.setdefault((tree, node), [0.0] * targets)[target] += weight
        nodes: dict[int, list[int]] = {}
        for i, tree in enumerate(of["nodes_treeids"]):
            nodes.setdefault(tree, []).append(i)
        many = -1 if targets > 1 else 0
        builder: Any = ModelBuilder(
            threshold_type="float32",
            leaf_output_type="float32",
            metadata=Metadata(features, "kRegressor", False, targets, [1] * targets, (targets, 1)),
            tree_annotation=TreeAnnotation(len(nodes), [many] * len(nodes), [0] * len(nodes)),
            postprocessor=PostProcessorFunc("identity"),
            base_scores=[0.0] * targets,
        )
        for tree, members in nodes.items():
            builder.start_tree()
            for i in members:
                self._node(builder, i, leaves.get((tree, of["nodes_nodeids"][i]), [0.0] * targets))
            builder.end_tree()
        return builder.commit()

    def _node(self, builder: Any, i: int, leaf: list[float]) -> None:
        of, mode = self._of, self._of["nodes_modes"][i].decode()
        builder.start_node(of["nodes_nodeids"][i])
        if mode == "LEAF":
            builder.leaf(leaf if self._targets > 1 else leaf[0])
        elif mode in _OPERATORS:
            tracks = of.get("nodes_missing_value_tracks_true") or [0] * (i + 1)
            builder.numerical_test(
                of["nodes_featureids"][i],
                of["nodes_values"][i],
                default_left=bool(tracks[i]),
                opname=_OPERATORS[mode],
                left_child_key=of["nodes_truenodeids"][i],
                right_child_key=of["nodes_falsenodeids"][i],
            )
        else:
            raise RefusedError(f"cannot read: a branch of the kind {mode}")
        builder.end_node()

    def result(self) -> dict[str, NDArray[Any]]:
        """See `Runner`. Scores and label are made of the sums here."""
        self.run()
        scores = self._sums.astype(np.float64) + np.asarray(self._of.get("base_values") or [0.0])[: self._targets]
        if self._kind == "target":
            return {self._names[0]: scores.astype(np.float32)[None]}
        how = self._of.get("post_transform", b"NONE")
        if how == b"LOGISTIC":
            scores = 1 / (1 + np.exp(-scores))
        elif how == b"SOFTMAX":
            scores = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        elif how != b"NONE":
            raise RefusedError(f"cannot read: scores go through {how.decode()}")
        if self._targets == 1:
            scores = np.array([1 - scores[0], scores[0]])
        labels = np.asarray(self._of.get("classlabels_int64s") or range(scores.size))
        return dict(zip(self._names, (labels[[scores.argmax()]], scores.astype(np.float32)[None]), strict=False))


ENGINES = (Engine("tl2cgen", ("tl2cgen", "treelite"), Tl2cgen),)
