"""The configuration in force: read at start, read again when the file or the engine's part changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nri_netdev.config.settings import AT_START, Settings, read, settings_of
from nri_netdev.errors import ConfigurationError

DEFAULT_PATH = Path("/etc/nri-netdev/config.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """Result of reading a changed configuration."""

    settings: Settings
    """In force now."""
    problems: tuple[str, ...] = ()
    """Why the new settings are not in force; reported once for each new text."""
    needs_restart: tuple[str, ...] = ()
    """Settings that have changed and come into force with the next start only."""


class Watched:
    """A configuration that is read again when it changes; one with problems never comes into force.

    The text is compared, not a time or an inode: a ConfigMap is swapped by a symbolic link above the file.

    Args:
        path: the file; None for the default one, which may be absent.
        options: by field name, over all else; None for those not given.
    """

    def __init__(self, path: Path | None, **options: Any) -> None:
        self._path = path or DEFAULT_PATH
        self._may_be_absent = path is None
        self._options = options
        self._from_engine = ""
        self._last: tuple[str, str] | None = None
        self._settings = Settings()

    @property
    def settings(self) -> Settings:
        """In force now."""
        return self._settings

    def load(self, text_from_engine: str = "") -> Settings:
        """Read it for the first time.

        Raises:
            ConfigurationError: Every problem there is, one a line.
        """
        self._from_engine = text_from_engine
        self._last = (self._text(), text_from_engine)
        settings, problems = self._read(*self._last)
        if problems:
            raise ConfigurationError("\n".join(problems))
        self._settings = settings
        return settings

    def configure(self, text_from_engine: str) -> Reload | None:
        """Take the text that an engine passes in Configure; see `reload`."""
        self._from_engine = text_from_engine
        return self.reload()

    def reload(self) -> Reload | None:
        """Read the file again.

        Returns:
            The result; None if neither file nor engine's text has changed since the last time.
        """
        try:
            text = (self._text(), self._from_engine)
        except ConfigurationError as error:
            if self._last == (str(error), self._from_engine):
                return None
            self._last = (str(error), self._from_engine)
            return Reload(settings=self._settings, problems=(str(error),))
        if text == self._last:
            return None
        self._last = text
        settings, problems = self._read(*text)
        if problems:
            return Reload(settings=self._settings, problems=problems)
        before = self._settings
        changed = tuple(name for name in AT_START if getattr(settings, name) != getattr(before, name))
        self._settings = replace(settings, **{name: getattr(before, name) for name in AT_START})
        return Reload(settings=self._settings, needs_restart=changed)

    def _text(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            if self._may_be_absent:
                return ""
            raise ConfigurationError(f"there is no configuration file {self._path}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read the configuration file {self._path}: {error}") from error

    def _read(self, text: str, from_engine: str) -> tuple[Settings, tuple[str, ...]]:
        values, problems = read(text, source=str(self._path))
        others, more = read(from_engine, source="configuration from the engine")
        late = [name for name in AT_START if name in others]
        more += tuple(f"configuration from the engine: {name} cannot be set there, but in a file" for name in late)
        if problems or more:
            return self._settings, (*problems, *more)
        try:
            return settings_of({**values, **others}, **self._options), ()
        except ConfigurationError as error:
            return self._settings, (str(error),)
