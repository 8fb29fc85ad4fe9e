"""Messages set aside: what they are, and how they leave: taken up again, or discarded with a reason.

Nothing here shows patient data, except the raw bytes to someone who asks for exactly those.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg

from consumers.messages import RawMessage, unpacked
from consumers.pipeline import Pipeline
from infra.keys import DataKey, KeyRing
from infra.writing.work import Conclusion, Outcome, PartOutcome, Work
from infra.writing.writer import Writer

_COLUMNS = """rejected_id, receipt_key, source, content_type, coordinates, reasons, owner, state, attempts,
              rejected_at, closed_at, closing_reason"""
_LIST = f"""select {_COLUMNS} from log.rejected where (%s::text is null or state = %s)
             order by rejected_at desc, rejected_id limit %s"""  # noqa: S608 our own column names
_ONE = f"select {_COLUMNS} from log.rejected where rejected_id = %s"  # noqa: S608 our own column names
# Of whoever the message was attributed to; of nobody where it stands under a key of its month.
_NOTED = """insert into access.reads (patient_id, actor, role, purpose, outcome, projection)
            select (select k.patient_id from log.raw_messages m join log.keys k using (key_id) where m.receipt_key = %s
                     order by m.received_at desc limit 1), %s, 'operator', 'message-repair', 'read', 'raw-message'"""
_RAW = "select key_id, sealed from log.raw_messages where receipt_key = %s order by received_at desc limit 1"
_KEY = """select key_id, wrapped from log.keys where key_id = %s
          union all select key_id, wrapped from log.monthly_keys where key_id = %s"""


class NotRetried(Exception):
    """There is no such open rejection, or its bytes are gone; the text says which."""


class RejectedMessage(NamedTuple):
    """One row; `reasons` hold code, pointer, field, detail and action, never a value of the message."""

    rejected_id: UUID
    receipt_key: bytes
    source: str | None
    content_type: str | None
    coordinates: str
    reasons: list[dict[str, Any]]
    owner: str
    state: str
    attempts: int
    rejected_at: datetime
    closed_at: datetime | None
    closing_reason: str | None

    def told(self) -> dict[str, Any]:
        """For JSON, without the receipt's key."""
        return {name: value for name, value in self._asdict().items() if name != "receipt_key"}


def rejected_messages(
    connection: "psycopg.Connection[Any]", state: str | None = "open", limit: int = 100
) -> list[RejectedMessage]:
    """Newest first. `state` is open, resolved or discarded; None means all. Roles writer, reader and auditor may."""
    return [RejectedMessage(*row) for row in connection.execute(_LIST, [state, state, limit])]


def rejected_message(connection: "psycopg.Connection[Any]", rejected_id: UUID) -> RejectedMessage | None:
    row = connection.execute(_ONE, [rejected_id]).fetchone()
    return RejectedMessage(*row) if row else None


def raw_message(connection: "psycopg.Connection[Any]", keys: KeyRing, rejected: RejectedMessage) -> RawMessage:
    """As it came; `connection` of role writer or auditor. Raises NotRetried when bytes or key are gone, KeyUnusable."""
    row = connection.execute(_RAW, [rejected.receipt_key]).fetchone()
    if row is None:
        raise NotRetried("the bytes of this message have expired")
    key_id, sealed = row
    key = _key(connection, keys, key_id)
    return unpacked(key.open(sealed, rejected.receipt_key), rejected.coordinates)


def shown_raw(auditor: "psycopg.Connection[Any]", keys: KeyRing, rejected: RejectedMessage, who: str) -> bytes:
    """The bytes of a message for a person's eyes, noted in the access log before they are given: `who` is theirs.
    `auditor` is of that role. Raises as `raw_message` does."""
    with auditor.transaction():
        auditor.execute(_NOTED, [rejected.receipt_key, f"terminal/{who}"])
        message = raw_message(auditor, keys, rejected)
    return message.value or b""


def _key(connection: "psycopg.Connection[Any]", keys: KeyRing, key_id: UUID) -> DataKey:
    row = connection.execute(_KEY, [key_id, key_id]).fetchone()
    if row is None:
        raise NotRetried("the key of this message was destroyed")
    return keys.unwrap(row[0], row[1])


def retry(
    connection: "psycopg.Connection[Any]", keys: KeyRing, writer: Writer, pipeline: Pipeline, rejected_id: UUID
) -> Outcome:
    """Takes the same bytes up again; the receipt then tells the new outcome. The row is resolved, or stays open with
    one attempt more. `connection` of role writer. Raises NotRetried, KeyUnusable, psycopg.Error."""
    rejected = rejected_message(connection, rejected_id)
    if rejected is None or rejected.state != "open":
        raise NotRetried("there is no such open rejection")
    message = raw_message(connection, keys, rejected)
    work = pipeline.work(message, replaces=True)
    if work.key == rejected.receipt_key:
        return writer.submit(work)
    return _retry_aside(writer, pipeline.work(message), rejected)


def _retry_aside(writer: Writer, work: Work, rejected: RejectedMessage) -> Outcome:
    """It was set aside under a receipt of its own. Where it is still contradicted, that is what it is told again."""
    outcome = writer.submit(work)
    code = str(rejected.reasons[0]["code"]) if rejected.reasons else ""
    still = work.aside(code) if work.aside is not None else None
    if outcome.outcome == "rejected" and still is not None and still.key == rejected.receipt_key:
        return writer.submit(still._replace(replaces=True))

    def closed(_: list[PartOutcome]) -> Conclusion:
        return Conclusion(outcome.outcome, outcome.answer)

    # Nothing is recorded again: the parts say whose the bytes are that were kept under this receipt too.
    whose = () if outcome.outcome == "rejected" else tuple(part._replace(acts=()) for part in work.parts)
    writer.submit(work._replace(key=rejected.receipt_key, parts=whose, conclude=closed, replaces=True, aside=None))
    return outcome


def discard(connection: "psycopg.Connection[Any]", rejected_id: UUID, reason: str) -> bool:
    """False when there is no such open rejection. `connection` of role writer."""
    row = connection.execute("select log.discard(%s, %s)", [rejected_id, reason]).fetchone()
    return row is not None and bool(row[0])


def as_json(told: Any) -> str:
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()
