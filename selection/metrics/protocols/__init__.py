"""Every protocol by its name. A new one is a module here with a `PROTOCOL`, and one line below."""

from selection.metrics.protocols import (
    davis,
    lvos,
    mosev2,
    sav,
    visor,
    vos_benchmark,
    vost,
    vots,
    ytvos,
)
from selection.metrics.protocols.protocol import (
    Counted,
    Missing,
    ObjectScores,
    Protocol,
    ScoredObject,
    mean_scores,
)
from stseg.errors import unknown

REGISTRY = {
    protocol.name: protocol
    for protocol in (
        davis.PROTOCOL,
        mosev2.PROTOCOL,
        vos_benchmark.PROTOCOL,
        lvos.PROTOCOL,
        sav.PROTOCOL,
        ytvos.PROTOCOL,
        vost.PROTOCOL,
        visor.PROTOCOL,
        vots.PROTOCOL,
    )
}
"""Name -> protocol."""

PROTOCOLS = tuple(REGISTRY)
"""The names, in the order of the help."""


def protocol_named(name: str) -> Protocol:
    """The protocol of this name; raises `InputError` if there is none."""
    if name not in REGISTRY:
        raise unknown("protocol", name, PROTOCOLS)
    return REGISTRY[name]


__all__ = [
    "PROTOCOLS",
    "REGISTRY",
    "Counted",
    "Missing",
    "ObjectScores",
    "Protocol",
    "ScoredObject",
    "mean_scores",
    "protocol_named",
]
