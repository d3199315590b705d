"""A model as it was read -> checked `onnx_ir.Model`. What is wrong with the file is said here; shapes come later."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from rt_engine.errors import InvalidModelError, ModelFileError, Reason, UnsupportedModelError
from rt_engine.ops.advice import advice, domains_of_onnx
from rt_engine.read.class_names import with_numbers
from rt_engine.read.definitions import define
from rt_engine.read.expansion import check_expansion
from rt_engine.read.mended import checked, mended
from rt_engine.read.raised import RAISED_BY_ONNX
from rt_engine.read.runtimes import in_own_domain
from rt_engine.read.source import BYTES, AnySource, Source, opened
from rt_engine.read.versions import converted

NAMING = "rt_engine.naming"
"""Under this key a model that was read keeps its `rt_engine.program.naming.Naming`."""
SHA256 = "rt_engine.sha256"
"""Under this key, the SHA-256 of all that was read of it; empty for a `ModelProto`."""
OLDEST_OPSET = 1


def read(source: AnySource) -> ir.Model:
    """Read and check a model.

    Raises:
        ModelFileError: it cannot be read as ONNX.
        InvalidModelError: it is ONNX but breaks ONNX's rules.
    """
    source = opened(source)
    name, proto = source.title, parsed(source)
    _check_opset(proto, name)
    proto = in_own_domain(proto)
    proto = _mended(proto, name, proto is not source.data)
    try:
        proto, naming, reasons = with_numbers(proto)
    except RAISED_BY_ONNX as error:
        raise InvalidModelError(f"{name} breaks ONNX's rules at its strings: {_first_lines(error)}") from error
    if reasons:
        raise UnsupportedModelError(name, reasons)
    _check_types(proto, name)
    _check_operators(proto, name)
    check_expansion(proto, name)
    sha256 = _load_external_data(proto, source)
    try:
        proto = converted(proto, checked)
        checked(proto)
    except (OSError, *RAISED_BY_ONNX) as error:
        raise _broken(name, error) from error
    _check_names_and_data(proto, name)
    try:
        model = ir.from_proto(define(proto))
    except RAISED_BY_ONNX as error:
        raise InvalidModelError(f"{name} cannot be turned into a graph: {_first_lines(error)}") from error
    model.meta[NAMING], model.meta[SHA256] = naming, sha256
    return model


def _mended(proto: onnx.ModelProto, name: str, own: bool) -> onnx.ModelProto:
    try:
        return mended(proto, name, own)
    except RAISED_BY_ONNX as error:  # text that is none, types that are none
        raise _broken(name, error) from error


def whole(source: Source) -> Source:
    """The same model with its external data in it, for what reads it more than once; itself where it has none.

    Raises:
        ModelFileError, InvalidModelError: as `read`.
    """
    proto = parsed(source)
    if not _external(proto):
        return source
    _load_external_data(proto, source)
    return replace(source, data=proto)


def parsed(source: Source) -> onnx.ModelProto:
    """What the file says, unchecked, without its external data.

    Raises:
        ModelFileError: it says nothing.
    """
    if not isinstance(source.data, BYTES):
        return source.data
    name = source.title
    if source.is_program:
        raise ModelFileError(f"{name} is a compiled program; this needs the ONNX model that it was compiled from")
    if not source.data:
        raise ModelFileError(f"{name} is empty; export it again")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(bytes(source.data))
    except DecodeError as error:
        raise ModelFileError(f"{name} is not an ONNX model, or is cut short: {error}; export it again") from error
    if not proto.HasField("graph") or not proto.opset_import:
        raise ModelFileError(f"{name} is not an ONNX model: it has no graph or no opset; export it again")
    return proto


def _check_opset(proto: onnx.ModelProto, name: str) -> None:
    """Opsets up to the newest that the installed `onnx` knows; each operator says from which one on it is supported."""
    newest = onnx.defs.onnx_opset_version()
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx") and not OLDEST_OPSET <= entry.version <= newest:
            why = f"opset {entry.version} is not supported; {OLDEST_OPSET} to {newest} are"
            help = "export it for one of these"
            raise UnsupportedModelError(name, [Reason("the whole model", "opset", why, help)])


def _check_types(proto: onnx.ModelProto, name: str) -> None:
    """Every input and output is a tensor, or a sequence of tensors; maps have no place in a real-time program."""
    made_by = {output: node for node in proto.graph.node for output in node.output}
    reasons = []
    for value in (*proto.graph.input, *proto.graph.output):
        kind = value.type.WhichOneof("value")
        if _of_tensors(value.type) or (kind is None and value.name in made_by):
            continue
        if kind is None:
            reasons.append(Reason(value.name, "input", "the file does not say its type", "export it again"))
            continue
        node = made_by.get(value.name)
        operator = node.op_type if node is not None else "input"
        help = "export the scores as a plain tensor"
        reasons.append(Reason(value.name, operator, f"it is a {str(kind).removesuffix('_type')}, not a tensor", help))
    if reasons:
        raise UnsupportedModelError(name, reasons)


def _of_tensors(type: onnx.TypeProto) -> bool:
    """Is it a tensor, a sequence of tensors, or an optional one of these?"""
    while (kind := type.WhichOneof("value")) in ("optional_type", "sequence_type"):
        type = getattr(type, kind).elem_type
        if kind == "sequence_type" and type.WhichOneof("value") != "tensor_type":
            return False
    return bool(kind == "tensor_type")


def _check_operators(proto: onnx.ModelProto, name: str) -> None:
    """Every operator that ONNX does not know, at once; its checker names the first, and not what helps."""
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    known = domains_of_onnx()
    functions = {(function.domain, function.name) for function in proto.functions}
    reasons = []
    for node in proto.graph.node:
        if not (isinstance(node.domain, str) and isinstance(node.op_type, str)):
            continue  # no text: the checker's to say
        domain = "" if node.domain == "ai.onnx" else node.domain
        version = versions.get(domain, versions.get(node.domain, 1))
        if domain not in known or (node.domain, node.op_type) in functions:
            continue
        if version < 1 or not onnx.defs.has(node.op_type, min(version, _NEWEST), domain):
            why = f"ONNX has no operator {domain or 'ai.onnx'}:{node.op_type} of opset {version}"
            help = advice(domain, node.op_type, version)
            reasons.append(Reason(node.name or node.op_type, node.op_type, why, help))
    if reasons:
        raise UnsupportedModelError(name, reasons)


_NEWEST = (1 << 31) - 1


def _load_external_data(proto: onnx.ModelProto, source: Source) -> str:
    """Put into each tensor what lies beside the file; gives the SHA-256 of all that was read: the file, then these tensors."""
    tensors = _external(proto)
    if not tensors:
        return source.sha256
    _check_external_data(tensors, source.title, source.folder)
    try:
        for tensor in tensors:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(source.folder))
    except (OSError, *RAISED_BY_ONNX) as error:
        raise _broken(source.title, error) from error
    assert isinstance(source.data, BYTES)
    digest = hashlib.sha256(source.data)
    for tensor in tensors:
        digest.update(tensor.raw_data)
    return digest.hexdigest()


def _check_external_data(tensors: Sequence[onnx.TensorProto], name: str, folder: Path | None) -> None:
    """External data must lie in the model's own folder: a model file must not read the rest of the disk."""
    for tensor in tensors:
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        if folder is None:
            raise ModelFileError(
                f"tensor '{tensor.name}' of {name} is in external data '{location}', which bytes alone do not have; load it "
                "from its file, or save it as one file"
            )
        try:
            target, home = (folder / location).resolve(), folder.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # links in a circle, or no path at all
            raise ModelFileError(f"external data '{location}' of {name} cannot be found: {error}") from error
        if not location or Path(location).is_absolute() or not target.is_relative_to(home):
            raise ModelFileError(
                f"tensor '{tensor.name}' of {name} points at external data '{location}', outside of the model's folder; "
                "keep the data beside the model"
            )
        if not target.is_file():
            raise ModelFileError(
                f"tensor '{tensor.name}' of {name} needs the file {location} beside the model; it is missing"
            )


def _check_names_and_data(proto: onnx.ModelProto, name: str) -> None:
    """What ONNX's checker lets pass: an output listed twice, a tensor whose data does not fill its shape."""
    outputs = [o.name for o in proto.graph.output]
    twice = sorted(o for o, count in Counter(outputs).items() if count > 1)
    if twice:
        raise InvalidModelError(f"{name} lists the outputs {twice} more than once; give each a name of its own")
    for tensor in _all_tensors(proto):
        try:
            if min(tensor.dims, default=0) < 0:
                raise ValueError("a dimension is negative")
            onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidModelError(
                f"the data of tensor '{tensor.name}' of {name} does not fit its type and shape {list(tensor.dims)}: {error}"
            ) from error


def _all_tensors(proto: onnx.ModelProto) -> list[onnx.TensorProto]:
    return list(onnx.external_data_helper._get_all_tensors(proto))  # the only walker over all tensors there is


def _external(proto: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [tensor for tensor in _all_tensors(proto) if tensor.data_location == onnx.TensorProto.EXTERNAL]


def _broken(name: str, error: Exception) -> InvalidModelError:
    return InvalidModelError(f"{name} breaks ONNX's rules: {_first_lines(error)}")


def _first_lines(error: BaseException) -> str:
    return " ".join(line.strip() for line in str(error).strip().splitlines()[:4])
