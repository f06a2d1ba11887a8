"""What every test relies on: a child process begins with the default actions of signals, however pytest was started."""

import signal

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
