"""Who the person is, what they wrote of themself, and who cares for them: sections that several documents share."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from types import MappingProxyType
from uuid import UUID

from domain import patient
from domain.patient import CareLeadRole
from projections.folds.folding import NOT_KNOWN, NOT_RECORDED, Document, Entry, Handlers, Projection, missing
from projections.folds.items import explicit

# PRSB About Me v2.01, in its order.
ABOUT_ME_HEADINGS = (
    "what-is-most-important-to-me",
    "people-who-are-important-to-me",
    "how-i-communicate-and-how-to-communicate-with-me",
    "my-wellness",
    "please-do-and-please-do-not",
    "how-and-when-to-support-me",
    "also-worth-knowing-about-me",
    "supported-to-write-this-by",
)
# What may tell where a restricted person lives (domain rule: redacted everywhere).
_WITHHELD_WHEN_RESTRICTED = ("addresses", "telecoms", "registered_practice")
WITHHELD = "withheld"


@dataclass
class Person:
    names: dict[patient.Name, Document] = field(default_factory=dict)
    identifiers: dict[tuple[str, str], Document] = field(default_factory=dict)
    details: dict[str, Document] = field(default_factory=dict)
    # Of merged records the stricter holds, so each is kept by itself.
    restrictions: dict[UUID, Document] = field(default_factory=dict)
    # Restricted by what is known now, though not at the moment that is shown.
    is_withheld: bool = False

    @property
    def is_restricted(self) -> bool:
        return bool(self.details.get("restricted", missing())["value"] == "yes")

    def detail(self, name: str) -> Document:
        if name in _WITHHELD_WHEN_RESTRICTED and self.is_restricted:
            return self.details["restricted"] | {"value": WITHHELD}
        if name in _WITHHELD_WHEN_RESTRICTED and self.is_withheld:
            return {"value": WITHHELD}
        return self.details.get(name) or missing()

    def names_newest_first(self) -> list[Document]:
        return list(reversed(self.names.values()))


@dataclass
class OwnWords:
    about_me: dict[str, Document] = field(default_factory=dict)


@dataclass
class Contacts:
    care_leads: dict[str, Document] = field(default_factory=dict)
    former_care_leads: dict[str, Document] = field(default_factory=dict)
    told_of_care_lead: dict[tuple[str, str], Document] = field(default_factory=dict)
    team: dict[str, Document] = field(default_factory=dict)


def _identifier_linked(person: Person, fact: patient.IdentifierLinked, entry: Entry) -> None:
    linked = entry.item
    linked |= linked.pop("identifier")
    person.identifiers[(fact.identifier.system, fact.identifier.value)] = linked


def _demographics_recorded(person: Person, fact: patient.DemographicsRecorded, entry: Entry) -> None:
    told = entry.item
    if fact.name is not None:
        person.names.pop(fact.name, None)
        person.names[fact.name] = told["name"] | entry.stamp
    for name in ("birth_date", "gender", "addresses", "telecoms", "registered_practice"):
        if told[name] not in (NOT_RECORDED, []):
            person.details[name] = entry.stamped(NOT_KNOWN if told[name] == "unknown" else told[name])


def _language_recorded(person: Person, fact: patient.LanguageRecorded, entry: Entry) -> None:
    person.details["language"] = entry.stamped(fact.language)
    if fact.interpreter_needed is not None:
        person.details["interpreter_needed"] = entry.stamped(explicit(fact.interpreter_needed))


def _ethnicity_recorded(person: Person, _: patient.EthnicityRecorded, entry: Entry) -> None:
    told = entry.item
    person.details["ethnicity"] = entry.stamped(told["ethnicity"] | {"self_declared": told["self_declared"]})


def _restriction_applied(person: Person, _: patient.RestrictionApplied, entry: Entry) -> None:
    _restrict(person, entry, "yes")


def _restriction_lifted(person: Person, _: patient.RestrictionLifted, entry: Entry) -> None:
    _restrict(person, entry, "no")


def _restrict(person: Person, entry: Entry, value: str) -> None:
    person.restrictions[entry.event.patient_id] = entry.stamped(value)
    told = list(person.restrictions.values())
    person.details["restricted"] = next((each for each in told if each["value"] == "yes"), told[-1])


def _death_reported_informally(person: Person, _: patient.DeathReportedInformally, entry: Entry) -> None:
    """Pauses contact; only the formal notice settles it."""
    if person.detail("died")["value"] != "yes":
        person.details["died"] = entry.stamped("reported-informally")


def _death_recorded_formally(person: Person, _: patient.DeathRecordedFormally, entry: Entry) -> None:
    person.details["died"] = entry.stamped("yes")


def _about_me_written(words: OwnWords, fact: patient.AboutMeWritten, entry: Entry) -> None:
    words.about_me[fact.heading] = entry.item


def _care_lead_named(contacts: Contacts, fact: patient.CareLeadNamed, entry: Entry) -> None:
    contacts.care_leads[fact.role.value] = entry.item


def _care_lead_ended(contacts: Contacts, fact: patient.CareLeadEnded, entry: Entry) -> None:
    holder = contacts.care_leads.get(fact.role.value)
    if holder is not None and holder["professional"] == fact.professional:
        del contacts.care_leads[fact.role.value]
    contacts.former_care_leads[fact.role.value] = entry.item


def _patient_told_of_care_lead(contacts: Contacts, fact: patient.PatientToldOfCareLead, entry: Entry) -> None:
    contacts.told_of_care_lead[(fact.role.value, fact.professional)] = entry.stamped("yes")


def _joined_team(contacts: Contacts, fact: patient.ProfessionalJoinedTeam, entry: Entry) -> None:
    contacts.team[fact.professional] = entry.item


def _left_team(contacts: Contacts, fact: patient.ProfessionalLeftTeam, _: Entry) -> None:
    contacts.team.pop(fact.professional, None)


IDENTITY: Handlers = MappingProxyType(
    {
        patient.IdentifierLinked: _identifier_linked,
        patient.DemographicsRecorded: _demographics_recorded,
        patient.RestrictionApplied: _restriction_applied,
        patient.RestrictionLifted: _restriction_lifted,
        patient.DeathReportedInformally: _death_reported_informally,
        patient.DeathRecordedFormally: _death_recorded_formally,
    }
)
CONTACTS: Handlers = MappingProxyType(
    {
        patient.CareLeadNamed: _care_lead_named,
        patient.CareLeadEnded: _care_lead_ended,
        patient.PatientToldOfCareLead: _patient_told_of_care_lead,
        patient.ProfessionalJoinedTeam: _joined_team,
        patient.ProfessionalLeftTeam: _left_team,
    }
)
PREFERENCES: Handlers = MappingProxyType(
    {
        patient.LanguageRecorded: _language_recorded,
        patient.EthnicityRecorded: _ethnicity_recorded,
    }
)
OWN_WORDS: Handlers = MappingProxyType({patient.AboutMeWritten: _about_me_written})

_CARE_LEAD_ROLES = tuple(role.value for role in CareLeadRole)
_DETAILS = (
    *("birth_date", "gender", "language", "interpreter_needed", "ethnicity"),
    *("addresses", "telecoms", "registered_practice", "restricted", "died"),
)


def demographics(person: Person) -> Document:
    return {
        "names": person.names_newest_first(),
        "identifiers": list(person.identifiers.values()),
        **{name: person.detail(name) for name in _DETAILS},
    }


def about_me(words: OwnWords) -> list[Document]:
    """Every heading, written or not; headings that PRSB does not know come last, as the person gave them."""
    known = [words.about_me.get(heading, {"heading": heading, "words": NOT_RECORDED}) for heading in ABOUT_ME_HEADINGS]
    return known + [written for heading, written in words.about_me.items() if heading not in ABOUT_ME_HEADINGS]


def contacts(contacts: Contacts) -> Document:
    return {
        "care_leads": [_care_lead(contacts, role) for role in _CARE_LEAD_ROLES],
        "team": [member | {"key_worker": _is_key_worker(contacts, member)} for member in contacts.team.values()],
    }


def _care_lead(contacts: Contacts, role: str) -> Document:
    """A vacant role says that no holder is recorded; `former` is the last to have left it."""
    holder = contacts.care_leads.get(role)
    told = contacts.told_of_care_lead.get((role, holder["professional"])) if holder else None
    return {
        "role": role,
        "holder": holder or NOT_RECORDED,
        "patient_told": told or missing(),
        "former": contacts.former_care_leads.get(role, NOT_RECORDED),
    }


def _is_key_worker(contacts: Contacts, member: Document) -> str:
    key_worker = contacts.care_leads.get(CareLeadRole.KEY_WORKER.value)
    if key_worker is None:
        return NOT_RECORDED
    return "yes" if key_worker["professional"] == member["professional"] else "no"


@lru_cache(64)
def withholding(projection: Projection) -> Projection:
    """The same fold, as it shows a person whose record was restricted at another moment than the one shown."""
    parts = [
        replace(part, initial=_withheld(part.initial)) if _is_of_person(part.initial) else part
        for part in projection.parts
    ]
    return projection._replace(parts=tuple(parts))


def _is_of_person(initial: object) -> bool:
    return isinstance(initial, type) and issubclass(initial, Person)


@cache
def _withheld(initial: Callable[..., Person]) -> Callable[[], Person]:
    return partial(initial, is_withheld=True)
