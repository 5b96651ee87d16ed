"""A Ray cluster on loopback, for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from clusters import Cluster, environment
from conftest import clean_environment

# With the first, Ray needs no token, even if this user has one. Without the second, its head often fails to fork.
SETTINGS = {"RAY_AUTH_MODE": "disabled", "GRPC_ENABLE_FORK_SUPPORT": "0"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


class RayCluster:
    """A head node that runs `workers` tasks at once, and further nodes."""

    def __init__(self, folder: Path, program: str, workers: int = 2) -> None:
        self.folder = Path(
            tempfile.mkdtemp(prefix="ray-")
        )  # the paths of Ray's sockets must be short
        self.env = environment(folder, program) | SETTINGS
        self.nodes: list[subprocess.Popen[bytes]] = []
        port, clients = free_port(), free_port()
        self.head = f"127.0.0.1:{port}"
        self.address = f"127.0.0.1:{clients}"
        self._start(
            self.env, "--head", f"--port={port}", f"--ray-client-server-port={clients}", f"--num-cpus={workers}", "--num-gpus=1",
            "--include-dashboard=false", f"--temp-dir={self.folder}",
        )  # fmt: skip
        Cluster.wait_until(lambda: accepts(clients))

    def add_node(self, resource: str, env: dict[str, str]) -> None:
        """Adds a node that runs only tasks that need the resource."""
        resources = f'--resources={{"{resource}": 1}}'
        self._start(env | SETTINGS, f"--address={self.head}", "--num-cpus=1", resources)

    def _start(self, env: dict[str, str], *words: str) -> None:
        log = self.folder / f"node-{len(self.nodes)}.log"
        with log.open("wb") as output:
            node = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats",
                 "--object-store-memory=80000000", f"--dashboard-agent-listen-port={free_port()}", *words],
                env=clean_environment(**env), stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.nodes.append(node)
        Cluster.wait_until(lambda: b"untime started" in log.read_bytes() or node.poll() is not None)
        assert node.poll() is None, log.read_text()

    def workers(self) -> list[int]:
        """The processes that run tasks of pyhost."""
        children = Path(f"/proc/{self._raylet()}/task/{self._raylet()}/children").read_text()
        return [
            int(pid)
            for pid in children.split()
            if b"pyhost-" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def _raylet(self) -> int:
        head = self.nodes[0].pid
        children = Path(f"/proc/{head}/task/{head}/children").read_text().split()
        (raylet,) = (
            pid for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "raylet"
        )
        return int(raylet)

    def close(self) -> None:
        for node in self.nodes:
            os.killpg(node.pid, signal.SIGKILL)
            node.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
