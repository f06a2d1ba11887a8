"""Write the stored data anew: `python -m tests.golden`. Whoever runs it reads the difference before committing it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.golden import test_annotations, test_command_line, test_configurations, test_metrics, test_names
from tests.golden import test_refusals as refusals
from tests.golden.store import write


def main() -> None:
    """Compute every subject from the code and store it."""
    os.environ |= test_command_line.TERMINAL
    with tempfile.TemporaryDirectory() as directory:
        write("command_line", test_command_line.command_line(Path(directory)))
    write("annotations", {name: test_annotations.read(name) for name in test_annotations.CASES})
    write("configurations", test_configurations.configurations())
    write("metrics", test_metrics.metrics())
    write("names", test_names.names())
    write("refusals", [refusals.row(case) for case in refusals.CASES])


if __name__ == "__main__":
    main()
