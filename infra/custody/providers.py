"""Which key provider this installation uses, by its settings."""

from collections.abc import Callable
from importlib import import_module
from typing import cast

from infra.custody.guarding import Guard
from infra.custody.ledger import Ledger
from infra.keys import FileKeyProvider, ManagedKeyProvider
from infra.settings import Settings, SettingsError


def key_provider(settings: Settings) -> ManagedKeyProvider:
    """Raises SettingsError where KEY_PROVIDER names none, KeyUnusable where its keys cannot be had."""
    if settings.key_provider == "file":
        return FileKeyProvider(settings.key_encryption_file())
    return _brought(settings.key_provider)(settings)


def ledger(settings: Settings) -> Ledger:
    """Raises SettingsError, KeyUnusable."""
    return Ledger(settings.destruction_ledger(), key_provider(settings))


def guard(settings: Settings) -> Guard:
    """For all connections of a process that runs. Raises SettingsError, KeyUnusable."""
    return Guard(ledger(settings))


def _brought(named: str) -> Callable[[Settings], ManagedKeyProvider]:
    module, _, function = named.partition(":")
    try:
        return cast("Callable[[Settings], ManagedKeyProvider]", getattr(import_module(module), function))
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError("KEY_PROVIDER: neither `file` nor `module:function` that can be imported") from error
