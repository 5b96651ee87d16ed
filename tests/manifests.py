"""Checks Kubernetes manifests against the classes of the official client, which know each field of the API."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from conftest import clean_environment, embedded_version, kept_venv

VERSIONS = {"CronJob": "batch/v1", "Deployment": "apps/v1", "Job": "batch/v1", "Service": "v1"}
CHECK = """
import json, sys
from kubernetes import client

for manifest in json.load(sys.stdin):
    getattr(client, "V1" + manifest["kind"]).model_validate(manifest)
"""


def check_manifests(*manifests: Any) -> None:
    """Fails on fields that are unknown, missing or of a wrong type."""
    if embedded_version() < (3, 10):
        pytest.skip("the Kubernetes client is not installed for this Python")
    for manifest in manifests:
        assert manifest["apiVersion"] == VERSIONS[manifest["kind"]]
    python = kept_venv("kubernetes-client", ["kubernetes==37.0.2"]) / "bin" / "python"
    done = subprocess.run(
        [python, "-c", CHECK], input=json.dumps(manifests), capture_output=True, text=True,
        env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
