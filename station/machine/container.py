"""Which program runs this process in a container, if one does, and which options of it give real-time rights.

podman       /run/.containerenv, or `container=podman` in the environment (with --read-only there is no such file)
docker       /.dockerenv
kubernetes   /run/secrets/kubernetes.io, KUBERNETES_SERVICE_HOST in the environment
container    another: `container=NAME` in the environment (lxc, systemd-nspawn), a control group of one
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

Read = Callable[[str], str | None]
Exists = Callable[[str], bool]

PODMAN: Final = "podman"
DOCKER: Final = "docker"
KUBERNETES: Final = "kubernetes"
OTHER: Final = "container"


def engine(read: Read, exists: Exists) -> str:
    """What runs this process in a container; "": none does. `read`, `exists`: of files by their path."""
    told = dict(word.partition("=")[::2] for word in (read("/proc/self/environ") or "").split("\0"))
    groups = read("/proc/1/cgroup") or ""
    if exists("/run/.containerenv") or told.get("container") in ("podman", "oci"):
        return PODMAN
    if exists("/run/secrets/kubernetes.io") or "KUBERNETES_SERVICE_HOST" in told or "kubepods" in groups:
        return KUBERNETES
    if exists("/.dockerenv") or "docker" in groups:
        return DOCKER
    return OTHER if told.get("container") or re.search(r"lxc|containerd|libpod", groups) else ""


def is_rootless(read: Read) -> bool:
    """Has the engine no more rights than a user? Then it can give none that this user has not."""
    return "rootless=1" in (read("/run/.containerenv") or "").split() or bool(
        re.match(r"\s*0\s+[1-9]", read("/proc/self/uid_map") or "")
    )
