"""The registry of the CNCF's Distribution project, which we did not write, on a port of this computer; skopeo pushes to it."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from tests import need
from tests.waiting import free_port, is_open, wait_for

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    """Inside `with` it answers. Args: folder: for its files."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._folder = folder
        self._store = folder / "store"

    def __enter__(self) -> "Registry":
        text = (
            f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {self._store}\nhttp:\n  addr: {self.address}\n"
        )
        (self._folder / "registry.yml").write_text(text)
        command = [need.program("docker-registry"), "serve", str(self._folder / "registry.yml")]
        with (self._folder / "registry.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: self._process.poll() is not None or is_open(self._port))
        assert self._process.poll() is None, (self._folder / "registry.log").read_text()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def push(self, reference: str, files: dict[str, tuple[str, bytes]]) -> None:
        """An artifact: title -> (media type, bytes), as `plant/policy:1.4`."""
        layout = self._folder / "layout"
        blobs = layout / "blobs" / "sha256"
        blobs.mkdir(parents=True)

        def blob(data: bytes, media: str, **notes: str) -> dict[str, Any]:
            digest = hashlib.sha256(data).hexdigest()
            (blobs / digest).write_bytes(data)
            return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data), "annotations": notes}

        title, tag = "org.opencontainers.image.title", reference.rpartition(":")[2]
        layers = [blob(data, media, **{title: name}) for name, (media, data) in files.items()]
        config = blob(b"{}", "application/vnd.oci.empty.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        named = blob(json.dumps(manifest).encode(), MANIFEST, **{"org.opencontainers.image.ref.name": tag})
        (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
        source, target = f"oci:{layout}:{tag}", f"docker://{self.address}/{reference}"
        command = [need.program("skopeo"), "--insecure-policy", "copy", "--dest-tls-verify=false", source, target]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr

    def spoil(self, sha256: str) -> None:
        """From now on it serves other bytes, as many, in place of a blob."""
        (path,) = self._store.rglob(f"{sha256}/data")
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
