"""Works as the pipeline makes them, for tests of the write path."""

import hashlib
from collections.abc import Sequence
from datetime import date
from uuid import UUID

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN, Category, Command, Fact, Target
from domain.identity import PatientReference
from domain.patient import NHS_NUMBER, Identifier
from domain.times import on
from infra.writing.work import Act, Conclusion, OffsetMove, Part, PartOutcome, Rejection, Work

MARCH = on(date(2026, 3, 1))
PROVENANCE = b'{"source":"t","source_event_id":"1"}'
MARIA = PatientReference(identifiers=(Identifier(system=NHS_NUMBER, value="9000000009"),))
CARE_PLAN_NEED = (CARE_PLAN, NeedRaised(need="1", concern="work"))
PATHWAY = Target(Category.PATHWAY, "trust|1")


def called(*values: str) -> PatientReference:
    """Someone who is known by these numbers of one hospital."""
    return PatientReference(identifiers=tuple(Identifier(system="mrn", value=value) for value in values))


def conclude(outcomes: list[PartOutcome]) -> Conclusion:
    refused = [each.refusal for each in outcomes if each.refusal]
    if refused:
        reasons = [{"code": code, "detail": detail} for code, detail in refused if refused]
        return Conclusion("rejected", b"{}", Rejection(reasons, "test", None))
    return Conclusion("recorded" if any(each.events for each in outcomes) else "nothing-new", b"{}")


def part(*acts: tuple[Target, Fact | Command] | Act, patient: PatientReference | UUID = MARIA) -> Part:
    made = (act if isinstance(act, Act) else Act(*act, MARCH, PROVENANCE) for act in acts)
    return Part(patient, tuple(made), PROVENANCE, MARCH)


def message(key: str, parts: Sequence[Part] = (), content: str = "", offset: OffsetMove | None = None) -> Work:
    digest = hashlib.sha256((content or key).encode()).digest()
    return Work(
        "t", key.encode(), digest, tuple(parts), conclude, b"raw", offset, aside=lambda code: aside(key, content, code)
    )


def work(
    key: str, *acts: tuple[Target, Fact | Command], patient: PatientReference | UUID = MARIA, content: str = ""
) -> Work:
    return message(key, [part(*acts, patient=patient)], content)


def aside(key: str, content: str, code: str) -> Work:
    def rejected(_: list[PartOutcome]) -> Conclusion:
        return Conclusion("rejected", b"{}", Rejection([{"code": code}], "test", None))

    return Work("t", f"{key}/{content}/{code}".encode(), content.encode(), (), rejected, raw=b"raw")
