"""Retention holds, as the custodian places and lifts them: commands through the one write path."""

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from domain.facts import PATIENT, Agent, Command, Provenance
from domain.times import Occurred
from infra.custody.rotation import CustodyRefused
from infra.writing.work import Act, Conclusion, Part, PartOutcome, Work
from infra.writing.writer import Writer

SOURCE = "custody"


class Noted(NamedTuple):
    """`position` is None where nothing was new."""

    position: int | None


def note(writer: Writer, patient_id: UUID, command: Command, by: str) -> Noted:
    """Places or lifts a hold. Raises CustodyRefused where the rules refuse it or there is no such patient."""
    asked, refusals = str(uuid4()), list[str]()

    def conclude(outcomes: list[PartOutcome]) -> Conclusion:
        refusals[:] = [each.refusal[1] for each in outcomes if each.refusal]
        return Conclusion("refused" if refusals else "recorded", b"{}")

    occurred = Occurred(datetime.now(UTC))
    author = Agent(kind="professional", identifier=by)
    provenance = Provenance(source=SOURCE, source_event_id=asked, author=author).model_dump_json(exclude_none=True)
    part = Part(patient_id, (Act(PATIENT, command, occurred, provenance.encode()),), provenance.encode(), occurred)
    key = hashlib.sha256(f"{SOURCE}/{asked}".encode()).digest()[:16]
    outcome = writer.submit(Work(SOURCE, key, key, (part,), conclude))
    if refusals:
        raise CustodyRefused(refusals[0])
    return Noted(outcome.first_position)
