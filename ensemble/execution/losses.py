"""How a worker was lost, from Ray's exceptions."""

from __future__ import annotations

from ray import exceptions as ray_errors

from ensemble.scheduling.messages import Loss


def how_lost(error: BaseException) -> Loss:
    """How Ray's exception says that a worker ended.

    `OutOfMemoryError`, of the memory monitor, is no `RayActorError`.
    """
    if isinstance(error, ray_errors.OutOfMemoryError):
        return "memory"
    if isinstance(error, (ray_errors.ActorUnavailableError, ray_errors.NodeDiedError)):
        return "node"
    if isinstance(error, ray_errors.ActorDiedError) and (
        error.preempted or "node has died" in str(error) or "node was terminated" in str(error)
    ):
        return "node"
    return "died"


def in_a_line(error: BaseException) -> str:
    """The informative part of Ray's long message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" ^\t")]
    telling = [line for line in lines if "because" in line or "exit detail:" in line]
    if getattr(error, "actor_init_failed", False) or not telling:
        telling = lines
    if isinstance(error, ray_errors.OutOfMemoryError):
        telling = lines[:1]  # pages of figures and advice follow
    line = telling[-1] if telling else "no reason is given"
    line = line.split("exit detail:")[-1].split(" Some common causes")[0].strip()
    return f"{type(error).__name__}: {line[:300]}"
