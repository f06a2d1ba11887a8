"""Inputs of commands that need no node: the settings, and files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nri_netdev.config.settings import Settings
from nri_netdev.config.watched import Watched
from nri_netdev.errors import ConfigurationError

_OPTIONS = ("socket", "name", "index", "state_dir", "run_dir", "log_level", "log_format", "health", "metrics", "events")
"""Options that are settings."""


def read_watched(options: argparse.Namespace) -> Watched:
    """The configuration with the options over it, read.

    Raises:
        ConfigurationError: Something in it is wrong.
    """
    given = vars(options)
    watched = Watched(options.config, **{name: given.get(name) for name in _OPTIONS})
    watched.load()
    return watched


def read_settings(options: argparse.Namespace) -> Settings:
    """The settings; see `read_watched`."""
    return read_watched(options).settings


def read_file(name: str) -> str:
    """The text of a file; `-` is standard input.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {name}: {error}") from error
