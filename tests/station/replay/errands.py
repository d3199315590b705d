"""What workers do in tests of spreading: module-level functions, which processes can import."""

import os
import signal
from pathlib import Path
from typing import Any


def square(job: dict[str, Any]) -> dict[str, Any]:
    """A worker that does it."""
    return {"done": {"value": job["n"] ** 2}, "worker": f"w{os.getpid()}"}


def fragile(job: dict[str, Any]) -> dict[str, Any]:
    """Dies of job `deadly`, each time; of job `once`, while no other one has, and if no worker died while it waited for its turn."""
    if job["n"] == job.get("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    if job["n"] == job.get("once") and not job.get("tries"):
        try:
            Path(job["flag"]).touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        except FileExistsError:
            pass
    return square(job)


def choosy(job: dict[str, Any]) -> dict[str, Any]:
    """Refuses as `refused` says, the first time that it is asked for a job."""
    flag = Path(job["folder"], f"{job['n']}")
    if not flag.exists():
        flag.touch()
        return {"refused": job["refused"], "text": "it is not here", "worker": "poor"}
    return square(job)


def failing(job: dict[str, Any]) -> dict[str, Any]:
    """A mistake of ours."""
    raise ValueError(f"job {job['n']}")


def address(job: dict[str, Any]) -> dict[str, Any]:
    """Which Dask worker it is."""
    from distributed import get_worker

    return {"done": {}, "worker": get_worker().address}
