"""`nri-netdev validate`: annotations in manifests, or a configuration, checked without a node."""

from __future__ import annotations

import argparse

from nri_netdev.cli.inputs import read_file
from nri_netdev.config import settings
from nri_netdev.domain.annotations.manifest import validate_text
from nri_netdev.errors import ConfigurationError


def run(options: argparse.Namespace) -> int:
    """Print what is wrong; 0 if nothing is."""
    if not options.files and not options.config:
        raise ConfigurationError("validate: name manifests, or say --config FILE")
    findings: list[object] = []
    if options.config:
        findings += settings.read(read_file(options.config), source=options.config)[1]
    for name in options.files:
        findings += validate_text(name, read_file(name))
    for finding in findings:
        print(finding)
    return 1 if findings else 0
