"""The resources of one message, and how they name each other and their patients.

References are resolved inside the message only: by full address, `urn:uuid:`, relative `Type/id` or `#contained`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from consumers.fhir.reading import Reading
from consumers.translation import Refusal, Sender
from domain.annotation import Retract
from domain.cancer_codes import CancerCodes
from domain.facts import Agent, Target, scoped_key
from domain.identity import PatientReference
from domain.patient import NHS_NUMBER
from domain.times import Occurred

URI = "urn:ietf:rfc:3986"
NHS_NUMBER_SYSTEMS = (
    NHS_NUMBER,
    "http://fhir.nhs.net/Id/nhs-number",
    "urn:oid:2.16.840.1.113883.2.1.4.1",
)


class Resource(NamedTuple):
    """One resource of the message. `id` is its own, else the end of its full address."""

    reading: Reading
    kind: str
    id: str | None
    full_url: str | None = None

    def get(self, *names: str) -> Reading:
        return self.reading.get(*names)


class Name(NamedTuple):
    """What a reference says: `base` is the server of an absolute address, `kind` a resource type."""

    id: str
    kind: str | None = None
    base: str | None = None


class Message:
    """`resources` in the order of the document. It lives as long as one translation."""

    def __init__(self, sender: Sender, codes: CancerCodes, resources: Iterable[Resource]) -> None:
        self.sender = sender
        self.codes = codes
        self.resources = list(resources)
        self.primary_cancers: tuple[tuple[Target, PatientReference], ...] | None = None  # read when first asked for
        self._index: dict[str, Resource] = {}
        # Read when first asked for, once: all may point at all, and a message may hold thousands.
        self._contained: dict[Reading, dict[str, Reading]] = {}
        self._named: dict[tuple[str, str], dict[Resource, list[Resource]]] = {}
        for resource in self.resources:
            for name in _names(resource):
                self._index.setdefault(name, resource)

    def resolve(self, reference: Reading, within: Resource) -> Resource | None:
        """What a Reference points at, if the message holds it."""
        words = reference.get("reference").text()
        if words is None:
            return None
        if words.startswith("#"):
            return self._contained_in(within, words[1:])
        return self._index.get(words) or self._index.get(words.split("/_history/", 1)[0])

    def naming(self, resource: Resource, kind: str, member: str) -> list[Resource]:
        """The resources of a kind that refer to this one in their member. What cannot be read there is refused for its
        own entry, and counts as far as it can be."""
        named = self._named.get((kind, member))
        if named is None:
            named = self._named[kind, member] = {}
            for each in self.resources:
                if each.kind == kind:
                    for found in self._referred(each, member):
                        named.setdefault(found, []).append(each)
        return named.get(resource, [])

    def _referred(self, resource: Resource, member: str) -> Iterable[Resource]:
        """Each once."""
        found: dict[Resource, None] = {}
        try:
            for place in resource.get(member).items():
                referred = self.resolve(place, resource)
                if referred is not None:
                    found[referred] = None
        except Refusal:
            pass
        return found

    def _contained_in(self, within: Resource, local: str) -> Resource | None:
        """What is called so there; of two that are called the same the first."""
        held = self._contained.get(within.reading)
        if held is None:
            held = {}
            for each in within.get("contained").items():
                held.setdefault(each.get("id").text() or "", each)
            self._contained[within.reading] = held
        found = held.get(local)
        return None if found is None else Resource(found, found.get("resourceType").text() or "", local)

    def key_of(self, resource: Resource) -> str:
        """By its first business identifier, else by its id within the source. Refuses a resource that has neither."""
        for each in resource.get("identifier").items():
            value, system = each.get("value").key(), each.get("system").key()
            if value and system:
                return scoped_key(system, value)
        if resource.id is None:
            raise resource.get("id").missing("send an id or a business identifier with its system")
        return scoped_key(f"{self.sender.source}/{resource.kind}", resource.id)

    def key_of_reference(self, reference: Reading, kind: str, within: Resource) -> str | None:
        """The key that the referred resource has or would have, were it in the message. None when nothing is named."""
        found = self.resolve(reference, within)
        if found is not None:
            return self.key_of(found)
        value = reference.get("identifier", "value").key()
        if value is not None:
            system = reference.get("identifier", "system").key()
            return scoped_key(system or f"{self.sender.source}/{kind}", value)
        name = name_of(reference)
        return None if name is None else scoped_key(f"{name.base or self.sender.source}/{name.kind or kind}", name.id)

    def versioned_at(self, resource: Resource) -> Occurred:
        """When this version of the resource came to be; the time of the message where it does not say."""
        return resource.get("meta", "lastUpdated").occurred() or self.sender.time

    def told_at(self, resource: Resource) -> datetime:
        """When the source had this version of the resource: by itself, else by the message. An unreadable time must
        not hold back what else the resource says."""
        try:
            told = resource.get("meta", "lastUpdated").occurred()
        except Refusal:
            told = None
        return (told or self.sender.recorded_time or self.sender.time).at

    def retraction(self, resource: Resource) -> Retract:
        """What this version says where it marks the resource in error."""
        return Retract(as_of=self.told_at(resource))

    def name_of_actor(self, reference: Reading, within: Resource) -> str | None:
        """The display of a reference, else the name of the practitioner or organisation that it points at."""
        display = reference.get("display").word()
        found = None if display else self.resolve(reference, within)
        if found is None:
            return display
        role = found.get("practitioner") if found.kind == "PractitionerRole" else None
        return self.name_of_actor(role, within) if role else _own_name(found)

    def agent(self, reference: Reading, within: Resource) -> Agent | None:
        """Who did it, as a professional or an organisation; None where nobody is named."""
        if not reference:
            return None
        name = self.name_of_actor(reference, within)
        key = self.key_of_reference(reference, "Practitioner", within)
        found = self.resolve(reference, within)
        if name is None and key is None:
            return None
        is_organisation = (found.kind if found else kind_of(reference)) == "Organization"
        return Agent(kind="organisation" if is_organisation else "professional", identifier=key, name=name)


def name_of(reference: Reading) -> Name | None:
    """The parts of a literal reference; None where there is none, or where it points into its own resource."""
    words = reference.get("reference").key()
    if words is None or words.startswith("#"):
        return None
    if words.startswith("urn:"):
        return Name(words.rsplit(":", 1)[-1] or words)
    path, query = words.split("/_history/", 1)[0], "?" in words
    parts = path.rstrip("/").split("/")
    if len(parts) == 1 or query:
        return Name(path)
    return Name(parts[-1] or path, parts[-2], "/".join(parts[:-2]) or None)


def kind_of(reference: Reading) -> str | None:
    """The type that a reference claims, in its member `type` or in its address."""
    told = reference.get("type").word()
    name = name_of(reference)
    return told or (name.kind if name else None)


def is_uuid(words: str) -> bool:
    try:
        return str(UUID(words)) == words.casefold()
    except ValueError:
        return False


def readable(resource: Resource) -> Iterable[Reading]:
    """The elements of `identifier` that can be read: another entry's fault is not this one's."""
    try:
        yield from resource.get("identifier").items()
    except Refusal:
        return


def _names(resource: Resource) -> Iterable[str]:
    if resource.full_url:
        yield resource.full_url
    if resource.id:
        yield f"{resource.kind}/{resource.id}"
        yield f"urn:uuid:{resource.id}"
    if resource.kind == "Patient":
        # Some senders put the NHS number where the id of the patient belongs.
        for each in readable(resource):
            if isinstance(each.value, dict) and each.value.get("system") in NHS_NUMBER_SYSTEMS:
                yield f"Patient/{each.value.get('value')}"


def _own_name(found: Resource) -> str | None:
    name = found.get("name")
    if isinstance(name.value, str):
        return name.word()
    for each in name.items():
        parts = [*each.get("prefix").items(), *each.get("given").items(), each.get("family")]
        words = each.get("text").word() or " ".join(part.word() or "" for part in parts if part)
        if words:
            return words[:300]
    return None
