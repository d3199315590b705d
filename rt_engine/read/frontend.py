"""ONNX file or bytes -> checked `onnx_ir.Model`. What is wrong with the file is said here; shapes come later."""

from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from rt_engine.errors import InvalidModelError, ModelFileError, Reason, UnsupportedModelError
from rt_engine.ops.advice import advice
from rt_engine.program.rtp_file import is_program
from rt_engine.read.class_names import with_numbers
from rt_engine.read.definitions import define

NAMING = "rt_engine.program.naming"
"""Under this key a model that was read keeps its `class_names.Naming`."""
OLDEST_OPSET = 1
MOST_BYTES = (1 << 31) - 1
"""Protobuf's own limit for one message; larger models keep their weights in external data."""


def read(source: str | Path | bytes | onnx.ModelProto) -> ir.Model:
    """Read and check a model.

    Args:
        source: path of an .onnx file, its bytes, or a `ModelProto`.

    Raises:
        ModelFileError: it cannot be read as ONNX.
        InvalidModelError: it is ONNX but breaks ONNX's rules.
    """
    name, folder, proto = _parse(source)
    _check_opset(proto, name)
    proto, naming = with_numbers(proto)
    _check_types(proto, name)
    _check_operators(proto, name)
    _check_external_data(proto, name, folder)
    try:
        if folder is not None:
            onnx.load_external_data_for_model(proto, str(folder))
        onnx.checker.check_model(proto)
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise InvalidModelError(f"{name} breaks ONNX's rules: {_first_lines(error)}") from error
    _check_names_and_data(proto, name)
    try:
        model = ir.from_proto(define(proto))
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InvalidModelError(f"{name} cannot be turned into a graph: {_first_lines(error)}") from error
    model.meta[NAMING] = naming
    return model


def _parse(source: str | Path | bytes | onnx.ModelProto) -> tuple[str, Path | None, onnx.ModelProto]:
    """(name for messages, folder of external data, parsed model)."""
    if isinstance(source, onnx.ModelProto):
        return source.graph.name or "model", None, source
    folder = None
    name = "model bytes"
    if isinstance(source, bytes):
        data = source
    else:
        path = Path(source)
        if is_program(path):
            raise ModelFileError(f"{path} is a compiled program; this needs the ONNX model that it was compiled from")
        name, folder = str(path), path.parent
        data = _file_bytes(path)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelFileError(f"{name} is not an ONNX model, or is cut short: {error}; export it again") from error
    if not proto.HasField("graph") or not proto.opset_import:
        raise ModelFileError(f"{name} is not an ONNX model: it has no graph or no opset; export it again")
    return name, folder, proto


def _file_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ModelFileError(
                f"{path} has {size:,} bytes; an ONNX file cannot have more than {MOST_BYTES:,}: export it with external data"
            )
        if size == 0:
            raise ModelFileError(f"{path} is empty; export it again")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a ValueError: a null byte in the path
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise ModelFileError(f"{path} cannot be read: {why}") from error


def _check_opset(proto: onnx.ModelProto, name: str) -> None:
    """Opsets up to the newest that the installed `onnx` knows; each operator says from which one on it is supported."""
    newest = onnx.defs.onnx_opset_version()
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx") and not OLDEST_OPSET <= entry.version <= newest:
            why = f"opset {entry.version} is not supported; {OLDEST_OPSET} to {newest} are"
            help = "export it for one of these, or convert it with onnx.version_converter"
            raise UnsupportedModelError(name, [Reason("the whole model", "opset", why, help)])


def _check_types(proto: onnx.ModelProto, name: str) -> None:
    """Every input and output is a tensor of numbers; sequences and maps have no place in a real-time program."""
    made_by = {output: node for node in proto.graph.node for output in node.output}
    reasons = []
    for value in (*proto.graph.input, *proto.graph.output):
        kind = value.type.WhichOneof("value")
        if kind in (None, "tensor_type"):
            continue
        node = made_by.get(value.name)
        operator = node.op_type if node is not None else "input"
        help = "export the scores as a plain tensor"
        reasons.append(Reason(value.name, operator, f"it is a {str(kind).removesuffix('_type')}, not a tensor", help))
    if reasons:
        raise UnsupportedModelError(name, reasons)


def _check_operators(proto: onnx.ModelProto, name: str) -> None:
    """Every operator that ONNX does not know, at once; its checker names the first, and not what helps."""
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    known = {schema.domain for schema in onnx.defs.get_all_schemas()}
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


def _check_external_data(proto: onnx.ModelProto, name: str, folder: Path | None) -> None:
    """External data must lie in the model's own folder: a model file must not read the rest of the disk."""
    for tensor in onnx.external_data_helper._get_all_tensors(proto):  # the only walker over all tensors there is
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((e.value for e in tensor.external_data if e.key == "location"), "")
        if folder is None:
            raise ModelFileError(
                f"tensor '{tensor.name}' of {name} is in external data '{location}'; load it from its file"
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
    twice = sorted({o for o in outputs if outputs.count(o) > 1})
    if twice:
        raise InvalidModelError(f"{name} lists the outputs {twice} more than once; give each a name of its own")
    for tensor in onnx.external_data_helper._get_all_tensors(proto):
        try:
            if min(tensor.dims, default=0) < 0:
                raise ValueError("a dimension is negative")
            onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidModelError(
                f"the data of tensor '{tensor.name}' of {name} does not fit its type and shape {list(tensor.dims)}: {error}"
            ) from error


def _first_lines(error: BaseException) -> str:
    return " ".join(line.strip() for line in str(error).strip().splitlines()[:4])
