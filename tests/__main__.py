"""Every test, in two processes side by side: ``python -m tests``.

What boots virtual machines and clusters waits most of its time, and so does what runs engines; the two have nothing in
common but the processors. The first one's report comes as it goes, the second one's at the end.
"""

import subprocess
import sys
import tempfile

_APART = "vm or kubernetes"


def main() -> int:
    """Run both; return the exit status of the one that did not pass, if any."""
    pytest = [sys.executable, "-m", "pytest"]
    with tempfile.TemporaryFile("w+") as report:
        apart = subprocess.Popen([*pytest, "-m", _APART, "-p", "no:cacheprovider"], stdout=report, stderr=report)
        status = subprocess.run([*pytest, "-m", f"not ({_APART})"], check=False).returncode
        print(f"\nwaiting for: {_APART}", flush=True)
        other = apart.wait()
        report.seek(0)
        sys.stdout.writelines(report)
    return status or other


if __name__ == "__main__":
    sys.exit(main())
