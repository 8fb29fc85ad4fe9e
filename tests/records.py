"""Two registered people in a log, and what one does to their records."""

from uuid import UUID

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN, PATIENT, Command, Recorded, Target
from domain.history import effective
from domain.merging import MergeInto, ReceiveMerge, ReleaseMerge, UnmergeFrom
from domain.persons import Merge, Persons
from infra.payloads import COLUMNS, recorded
from infra.writing.work import Act, Outcome, Work
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.works import MARCH, PROVENANCE, called, message, part


class Ward:
    """A database with two registered people and what one does to them."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self.database = database
        self.writer = writer
        self.first = self._registered("1")
        self.second = self._registered("2")
        self._serial = 0

    def _registered(self, number: str) -> UUID:
        need = NeedRaised(need=number, concern="work")
        self.writer.submit(message(f"need-{number}", [part((CARE_PLAN, need), patient=called(number))]))
        digest = self.database.keys.identifier_digest(called(number).identifiers[0])
        with self.database.connect("owner") as owner:
            rows = owner.execute("select patient_id from log.identifiers where digest = %s", [digest]).fetchall()
        return UUID(str(rows[0][0]))

    def does(self, patient: UUID, *acts: tuple[Target, Command] | Act, alone: bool = False) -> Outcome:
        self._serial += 1
        work = message(f"act-{self._serial}", [part(*acts, patient=patient)])
        return self.writer.submit(_alone(work) if alone else work)

    def merge(self, retired: UUID, survivor: UUID) -> Outcome:
        into = Act(PATIENT, MergeInto(survivor=survivor, reason="twice"), MARCH, PROVENANCE, patient_id=retired)
        return self.does(survivor, (PATIENT, ReceiveMerge(patient=retired, reason="twice")), into, alone=True)

    def unmerge(self, retired: UUID, survivor: UUID) -> Outcome:
        out_of = Act(PATIENT, UnmergeFrom(survivor=survivor, reason="two"), MARCH, PROVENANCE, patient_id=retired)
        return self.does(survivor, (PATIENT, ReleaseMerge(patient=retired, reason="two")), out_of, alone=True)

    def history(self, patient: UUID) -> list[Recorded]:
        """What stands for the person that this record is part of now."""
        with self.database.connect("reader") as reader:
            merges = reader.execute("select position, patient_id, into_id, joined from log.merges order by position")
            persons = Persons(Merge(*row) for row in merges)
            members = list(persons.members(persons.person_of(patient)))
            keys = {
                patient_id: self.database.keys.unwrap(key_id, wrapped)
                for key_id, patient_id, wrapped in reader.execute("select key_id, patient_id, wrapped from log.keys")
            }
            query = f"select {COLUMNS} from log.events where patient_id = any(%s) order by position"
            return effective(recorded(row, keys[row[4]]) for row in reader.execute(query, [members], binary=True))

    def told(self, patient: UUID) -> list[str]:
        return [event.fact.stored for event in self.history(patient)]


def _alone(work: Work) -> Work:
    return Work(work.source, work.key, work.digest, work.parts, work.conclude, alone=True)
