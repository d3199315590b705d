"""A model in an OCI registry (distribution specification 1.1): a manifest names two blobs, the file and its signature.

    oras push registry.plant.example/plant/policy:1.4 --artifact-type application/vnd.rt-engine.model.v1 \\
        policy.onnx:application/vnd.rt-engine.model.v1+onnx policy.onnx.sig:application/vnd.rt-engine.signature.v1

The commander reads the manifest, once; stations ask for the blob by the SHA-256 that their order has. So what a tag points at later
changes nothing that was ordered.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from plc_bindings.security import bundles
from plc_bindings.security.signing import SIGNATURE_BYTES, SUFFIX
from station.fleet.documents import MOST_FILE_BYTES, MOST_SIGNATURE, Document
from station.fleet.sealed import ForgedError
from station.fleet.web import ArtifactError, Web, objection, registry

MOST_MANIFEST_BYTES: Final = 4 << 20
"""What the specification has registries take at least."""
MODEL: Final = "application/vnd.rt-engine.model.v1"
SIGNATURE: Final = "application/vnd.rt-engine.signature.v1"
TITLE: Final = "org.opencontainers.image.title"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_REPOSITORY: Final = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
_REFERENCE: Final = re.compile(
    rf"(oci://[^/@\s]+/{_REPOSITORY})(?::([A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})|@(sha256:[0-9a-f]{{64}}))"
)


class Blob(Document):
    """One blob, as a manifest names it."""

    mediaType: str = Field(max_length=255)  # as the specification writes it
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    size: int = Field(ge=0, lt=2**63)
    annotations: dict[str, str] = {}  # noqa: RUF012  # pydantic copies it

    @property
    def title(self) -> str:
        """Its file's name, where the manifest tells."""
        return self.annotations.get(TITLE, "")


class Manifest(Document):
    """What of an image manifest counts here."""

    schemaVersion: Literal[2]
    mediaType: str = _MANIFEST
    layers: Annotated[tuple[Blob, ...], Field(min_length=1, max_length=100)]


@dataclass(frozen=True, slots=True)
class Found:
    """A model in a registry. `source`: where stations get it."""

    source: str
    sha256: str
    size: int
    signature: bytes
    title: str


async def resolve(web: Web, reference: str) -> Found:
    """What `oci://HOST/REPOSITORY:TAG`, or `...@sha256:DIGEST`, means now.

    Raises:
        ArtifactError: there is none, or what is there is no model with its signature.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None or objection(match[1]):
        raise ArtifactError(f'"{reference}" is no artifact; write oci://HOST/REPOSITORY:TAG')
    source, tag, digest = match.groups()
    host, repository = registry(source)
    url = f"{host}/v2/{repository}/manifests/{tag or digest}"
    text = await web.text(url, MOST_MANIFEST_BYTES, {"Accept": _MANIFEST})
    if digest and hashlib.sha256(text).hexdigest() != digest.removeprefix("sha256:"):
        raise ArtifactError(f"{url} serves other bytes than its digest says")
    model, signature = chosen(url, text)
    place = f"{host}/v2/{repository}/blobs/{signature.digest}"
    data = await web.text(place, MOST_SIGNATURE)
    if hashlib.sha256(data).hexdigest() != signature.digest.removeprefix("sha256:"):
        raise ArtifactError(f"{place} serves other bytes than its digest says")
    return Found(source, model.digest.removeprefix("sha256:"), model.size, data, model.title or repository)


def chosen(url: str, text: bytes) -> tuple[Blob, Blob]:
    """The model and the signature of a manifest. Pure. Raises ArtifactError."""
    try:
        manifest = Manifest.read(text)
    except ForgedError as error:
        raise ArtifactError(f"{url} is no manifest of an artifact: {error}") from error
    if manifest.mediaType != _MANIFEST:
        raise ArtifactError(f"{url} is a {manifest.mediaType[:100]}, not a {_MANIFEST}")
    models = [b for b in manifest.layers if b.mediaType.startswith(MODEL) or b.title.endswith((".onnx", ".rtp"))]
    signatures = [b for b in manifest.layers if b.mediaType == SIGNATURE or b.title.endswith((SUFFIX, bundles.SUFFIX))]
    if len(models) != 1 or len(signatures) != 1:
        raise ArtifactError(
            f"{url} names {len(models)} models and {len(signatures)} signatures; it must be one of each: push MODEL and MODEL.sig"
        )
    if not 0 < models[0].size <= MOST_FILE_BYTES or not SIGNATURE_BYTES <= signatures[0].size <= MOST_SIGNATURE:
        raise ArtifactError(
            f"{url}: a model of {models[0].size:,} bytes (at most {MOST_FILE_BYTES:,}) with a signature of {signatures[0].size:,} "
            f"({SIGNATURE_BYTES} to {MOST_SIGNATURE:,})"
        )
    return models[0], signatures[0]
