"""Drivers on clusters that change under them; run as programs by test_cluster.py.

A process can belong to one cluster only. Prints the log of the run, one JSON object a line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from test_executors import ToyJob, run_toy

from ensemble.scheduling.limits import RunLimits
from ensemble.scheduling.messages import MemberSpec, Shape
from mose import InputError


def replace_a_node(folder: str) -> None:
    """A node of two is killed in the midst of its work, and another is added when that is
    noticed. The first pairs wait until both nodes have a worker that is ready, the last ones
    until the new node has: however long a start takes, each node gets work, and the pair that
    the killed one works at cannot end before it."""
    cluster = start_cluster(folder)
    signals = Path(folder) / "signals"
    signals.mkdir()
    doomed = cluster.add_node(num_cpus=1)
    plan = [
        lambda: cluster.remove_node(doomed, allow_graceful=False),
        lambda: cluster.add_node(num_cpus=1),
    ]
    nodes: dict[int, str] = {}
    ready: set[str] = set()

    def interfere(entry: dict) -> None:
        if entry["event"] == "WorkerUp":
            nodes[entry["worker"]] = entry["node"]
        elif entry["event"] == "Loaded":
            ready.add(nodes[entry["worker"]])
            (signals / ("first", "second", "third")[len(ready) - 1]).touch()
        elif entry["event"] == "Run" and nodes.get(entry["worker"]) == doomed.node_id:
            if entry["video"].startswith("wait-third") and len(plan) == 2:
                plan.pop(0)()
        elif entry["event"] == "WorkerLost" and len(plan) == 1:
            plan.pop(0)()

    videos = [f"wait-second-0.2-{i}" for i in range(12)]
    videos += [f"wait-third-0.2-{i}" for i in range(6)]
    run(cluster, [MemberSpec("a")], videos, interfere, job=ToyJob(signals))


def grow(folder: str) -> None:
    """First with a node that does not see the files. Then GPUs come when they are asked for,
    as an autoscaler sees it; no node has one at first."""
    from ray.autoscaler.v2.sdk import get_cluster_status

    cluster = start_cluster(folder)
    blind = cluster.add_node(num_cpus=1, env_vars={"TOY_BLIND": "1"})
    try:
        run_toy("ray", "a", ["sleep-0.1-1"], address=cluster.address)
    except InputError as error:
        print(json.dumps({"event": "refused", "message": str(error)}), flush=True)
    cluster.remove_node(blind)

    def autoscale() -> None:
        demand: list[dict] = []
        while len(demand) < 2:
            time.sleep(0.2)
            waiting = get_cluster_status(cluster.address).resource_demands.ray_task_actor_demand
            bundles = [b for request in waiting for b in request.bundles_by_count]
            demand = [dict(b.bundle) for b in bundles for _ in range(b.count)]
        print(json.dumps({"event": "demand", "demand": demand}), flush=True)
        os.kill(os.getpid(), signal.SIGUSR1)

    # A node can be added in the main thread only, which waits for news meanwhile.
    signal.signal(signal.SIGUSR1, lambda *_: cluster.add_node(num_cpus=2, num_gpus=2))
    threading.Thread(target=autoscale, daemon=True).start()
    wanted = Shape(cpus=4, gpus=2)
    run(cluster, [MemberSpec("a", num_gpus=1)], [f"sleep-0.2-{i}" for i in range(8)], wanted=wanted)


def start_cluster(folder: str) -> Any:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "temp_dir": folder}
    return Cluster(initialize_head=True, head_node_args=head)


def run(
    cluster: Any,
    members: list[MemberSpec],
    videos: list[str],
    interfere: Callable[[dict], None] = lambda entry: None,
    **options: Any,
) -> None:
    def listen(entry: dict) -> None:
        print(json.dumps(entry), flush=True)
        interfere(entry)

    try:
        run_toy("ray", members, videos, listen, RunLimits(), address=cluster.address, **options)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    {"replace_a_node": replace_a_node, "grow": grow}[sys.argv[1]](sys.argv[2])
