"""What `migrate` does with functions: made anew when their files change, and never twice under one name."""

import pytest

from infra import migrate
from tests.conftest import Database

pytestmark = pytest.mark.postgres

_ARGUMENTS = "select pronargs from pg_proc where proname = 'position_at'"


def test_a_migrated_database_has_nothing_pending(database: Database) -> None:
    with database.connect("owner") as owner:
        assert migrate.pending(owner) == []
        assert migrate.migrate(owner) == []


def test_a_changed_function_takes_the_place_of_the_old_one(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    name, read = "functions/position_at.sql", migrate._read
    with database.connect("owner") as owner:
        with monkeypatch.context() as newer:
            newer.setattr(
                migrate, "_read", lambda name: read(name).replace(b"timestamptz)", b"timestamptz, more text)")
            )
            newer.setattr(migrate, "_function_names", lambda: [name])
            assert migrate.migrate(owner) == [name]
            assert owner.execute(_ARGUMENTS).fetchall() == [(2,)]
        assert migrate.pending(owner) == [name]
        assert migrate.migrate(owner) == [name]
        assert owner.execute(_ARGUMENTS).fetchall() == [(1,)]
