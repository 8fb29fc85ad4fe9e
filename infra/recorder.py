"""The log behind the interfaces of the `eventsourcing` library: `PERSISTENCE_MODULE=infra.recorder:Factory`.

An adapter off the hot path, for applications written with the library. What the library does not know gets a
default: no patient, so no key and the library's own bytes as payload, and now as the time of occurrence. Tables are
made by our migrations, never by the library, whose place for idempotence is its `IntegrityError`; receipts are ours.
"""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from eventsourcing.persistence import NotSupportedError, StoredEvent, Tracking
from eventsourcing.postgres import (
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresFactory,
    PostgresProcessRecorder,
    PostgresTrackingRecorder,
    TPostgresTrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic
from psycopg import Cursor
from psycopg.rows import DictRow

_SCHEMA = "log"
_EVENTS = "library_events"
_TRACKING = "library_tracking"
# What `log.append` notifies, whoever called it.
_CHANNEL = "events"
_Recorder = TypeVar("_Recorder")
_APPEND = "select log.append_library_events(%s::uuid[], %s::integer[], %s::text[], %s::bytea[]) as notification_id"


def _append(cursor: Cursor[DictRow], events: Sequence[StoredEvent]) -> None:
    columns: list[list[Any]] = [
        [event.originator_id for event in events],
        [event.originator_version for event in events],
        [event.topic for event in events],
        [event.state for event in events],
    ]
    cursor.execute(_APPEND, columns)


class AggregateRecorder(PostgresAggregateRecorder):
    """Raises the library's IntegrityError where an event stands already or a version is left out."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore, events_table_name=_EVENTS)

    def create_table(self) -> None:
        """Nothing: migrations made it."""

    def _insert_stored_events(self, curs: Cursor[DictRow], stored_events: Sequence[StoredEvent], **_: Any) -> None:
        _append(curs, stored_events)


class _Notified(PostgresApplicationRecorder):
    """The part that application and process recorders share."""

    def create_table(self) -> None:
        """Nothing: migrations made it."""

    def _insert_stored_events(self, curs: Cursor[DictRow], stored_events: Sequence[StoredEvent], **_: Any) -> None:
        _append(curs, stored_events)

    def _fetch_ids_after_insert_events(
        self, curs: Cursor[DictRow], stored_events: Sequence[StoredEvent], **_: Any
    ) -> Sequence[int]:
        return [row["notification_id"] for row, _ in zip(curs, stored_events, strict=True)]


class ApplicationRecorder(_Notified):
    """Notification ids are positions of the log, which other writers share: dense there, not per application."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore, events_table_name=_EVENTS)
        self.channel_name = _CHANNEL


class TrackingRecorder(PostgresTrackingRecorder):
    """`tracked_by` tells applications apart that follow the same upstream and share the one table."""

    def __init__(self, datastore: PostgresDatastore, *, tracked_by: str = "", **kwargs: Any) -> None:
        super().__init__(datastore, tracking_table_name=_TRACKING, **kwargs)
        self._tracked_by = tracked_by

    def create_table(self) -> None:
        """Nothing: migrations made it."""

    def _insert_tracking(self, curs: Cursor[DictRow], tracking: Tracking) -> None:
        super()._insert_tracking(curs, Tracking(self._row(tracking.application_name), tracking.notification_id))

    def _max_tracking_id(self, application_name: str, curs: Cursor[DictRow]) -> int | None:
        return super()._max_tracking_id(self._row(application_name), curs)

    def _row(self, application_name: str) -> str:
        return f"{self._tracked_by}/{application_name}"


class ProcessRecorder(TrackingRecorder, _Notified, PostgresProcessRecorder):
    """Events and tracking in one transaction; the tracking row first, the append lock last and shortest."""

    def __init__(self, datastore: PostgresDatastore, *, tracked_by: str = "") -> None:
        super().__init__(datastore, tracked_by=tracked_by, events_table_name=_EVENTS)
        self.channel_name = _CHANNEL


class Factory(PostgresFactory):
    """POSTGRES_* of the library's environment say where; POSTGRES_USER is the role writer.

    Raises NotSupportedError for options that would go round the log's one write path.
    """

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        if self.datastore.enable_db_functions or self.datastore.originator_id_type != "uuid":
            raise NotSupportedError("the log writes by its own function, and its streams have UUIDs")
        if not self.datastore.single_row_tracking:
            raise NotSupportedError("the log keeps one row of tracking for each upstream application")
        self.datastore.schema = _SCHEMA

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        if purpose != "events":
            raise NotSupportedError(f"the log keeps events, not {purpose}")
        return AggregateRecorder(self.datastore)

    def application_recorder(self) -> ApplicationRecorder:
        chosen = self._chosen(self.APPLICATION_RECORDER_TOPIC, ApplicationRecorder)
        return chosen(self.datastore)

    def tracking_recorder(
        self, tracking_recorder_class: type[TPostgresTrackingRecorder] | None = None
    ) -> TPostgresTrackingRecorder:
        ours = cast("type[TPostgresTrackingRecorder]", TrackingRecorder)
        chosen = tracking_recorder_class or self._chosen(self.TRACKING_RECORDER_TOPIC, ours)
        return chosen(self.datastore, tracked_by=self.env.name)

    def process_recorder(self) -> ProcessRecorder:
        chosen = self._chosen(self.PROCESS_RECORDER_TOPIC, ProcessRecorder)
        return chosen(self.datastore, tracked_by=self.env.name)

    def _chosen(self, topic: str, ours: type[_Recorder]) -> type[_Recorder]:
        """A subclass of ours that the environment names, or ours."""
        named = self.env.get(topic)
        chosen: type[_Recorder] = resolve_topic(named) if named else ours
        return chosen
