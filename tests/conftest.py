"""What every test relies on: a child process begins with the default actions of signals, however pytest was started.

Tests marked `last` come last: what they run may still be in the making when the others begin.
"""

import signal

import pytest

_SENT = (signal.SIGINT, signal.SIGHUP)
"""What tests send to children."""


def pytest_configure() -> None:
    """Catch what is ignored, and do nothing then.

    Under nohup, and as a job in the background of a script, pytest starts with signals ignored. An ignored signal stays
    ignored across exec, a caught one gets its default action back. So children can be interrupted, and pytest itself
    goes on, as whoever started it wants.
    """
    for number in _SENT:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put last what is marked so."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
