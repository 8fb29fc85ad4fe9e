"""What a process of the read side works with: connections of role projector, and keys."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import psycopg

from infra.custody.guarding import Guard
from infra.custody.providers import guard, key_provider
from infra.keys import KeyProvider, KeyRing
from infra.settings import Role, Settings

# A process that folds everyone once gains nothing from keys of people whom it has done.
_FEW = 2_000


class Tools(NamedTuple):
    """Can be handed to another process of ours: `provider` is a function of a module, perhaps with its arguments."""

    database_url: str
    provider: Callable[[], KeyProvider]
    guarding: Guard | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Tools":
        return cls(settings.database_url(Role.PROJECTOR), partial(key_provider, settings))

    @classmethod
    def guarded(cls, settings: Settings) -> "Tools":
        """For a process that runs, while a restore may exchange the database. Raises SettingsError, KeyUnusable."""
        return cls.of(settings)._replace(guarding=guard(settings))

    def connect(self) -> "psycopg.Connection[Any]":
        """Notices within seconds that a server is gone. Raises NotServed where the database was exchanged for one that
        is not to be served from."""
        return self._plainly() if self.guarding is None else self.guarding.opened(self._plainly)

    def _plainly(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(
            self.database_url, autocommit=True, connect_timeout=5, keepalives_idle=3, keepalives_interval=1,
            keepalives_count=3, tcp_user_timeout=6_000,
        )  # fmt: skip

    def keys(self, limit: int = _FEW) -> KeyRing:
        return KeyRing(self.provider(), limit)
