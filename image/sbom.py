"""Add the Debian packages of the base to a bill of materials: `sbom.py STATUS BILL`.

STATUS is dpkg's list of what is installed, BILL a CycloneDX document, which is written again in place. Nothing but the
standard library: it runs while the image is built.
"""

from __future__ import annotations

import json
import sys
from email.parser import Parser
from pathlib import Path
from typing import Any
from urllib.parse import quote


def components(status: str) -> list[dict[str, Any]]:
    """The packages that are installed, as CycloneDX tells them.

    Args:
        status: the text of `/var/lib/dpkg/status`.
    """
    packages = [Parser().parsestr(paragraph) for paragraph in status.split("\n\n") if paragraph.strip()]
    return [
        {
            "type": "library",
            "bom-ref": purl,
            "name": package["Package"],
            "version": package["Version"],
            "purl": purl,
        }
        for package in packages
        if package["Status"] == "install ok installed"
        for purl in (
            f"pkg:deb/debian/{quote(package['Package'])}@{quote(package['Version'])}?arch={package['Architecture']}",
        )
    ]


def main(status: Path, bill: Path) -> None:
    """Write the bill again, with the packages in it."""
    document = json.loads(bill.read_text(encoding="utf-8"))
    document["components"] = document.get("components", []) + components(status.read_text(encoding="utf-8"))
    bill.write_text(json.dumps(document, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
