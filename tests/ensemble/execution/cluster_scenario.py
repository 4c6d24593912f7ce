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

from test_executors import run_toy

from ensemble.scheduling.limits import RunLimits
from ensemble.scheduling.messages import MemberSpec, Shape
from mose import InputError


def replace_a_node(folder: str) -> None:
    """A node of two is killed after eight pairs, another is added after 20. The last pairs wait
    until a worker is ready there, however long its start takes on a busy machine."""
    cluster = start_cluster(folder)
    doomed = cluster.add_node(num_cpus=2)
    plans = {
        8: lambda: cluster.remove_node(doomed, allow_graceful=False),
        20: lambda: cluster.add_node(num_cpus=2),
    }
    done = 0
    nodes: dict[int, str] = {}

    def interfere(entry: dict) -> None:
        nonlocal done
        done += entry["event"] == "Done" and entry["member"] != ""
        if done in plans:
            plans.pop(done)()
        if entry["event"] == "WorkerUp":
            nodes[entry["worker"]] = entry["node"]
        elif entry["event"] == "Loaded":
            third = list(dict.fromkeys(nodes.values()))[2:]
            if nodes[entry["worker"]] in third:
                Path(os.environ["TOY_GATE"]).touch()

    videos = [f"sleep-0.5-{i}" for i in range(32)] + [f"gate-0.5-{i}" for i in range(16)]
    run(cluster, [MemberSpec("a")], videos, interfere)


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

    head = {"num_cpus": 2, "include_dashboard": False, "temp_dir": folder}
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
