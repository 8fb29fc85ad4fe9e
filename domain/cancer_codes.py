"""Which outside codes mean cancer, its treatment, its medicines or its findings.

The lists are versioned reference data beside this module; a deployment adds to them with a file of its own. A code
that no list holds is not evidence of absence: the caller records such a condition as of unknown relevance.
"""

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from domain.facts import Coding
from domain.pathway import Modality, Relevance

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
OPCS4 = "https://fhir.hl7.org.uk/Id/opcs-4"
_ICD10 = re.compile(r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?")
_STORABLE_ICD10 = re.compile(r"[A-Z]\d{2}.*")
_REFERENCE = Path(__file__).parent / "reference"


class Meaning(StrEnum):
    """What an observation says of a cancer."""

    STAGED_BEFORE_TREATMENT = "staged-before-treatment"
    STAGED_INTEGRATED = "staged-integrated"
    TUMOUR_MARKER = "tumour-marker"
    PERFORMANCE_STATUS = "performance-status"
    DISEASE_STATUS = "disease-status"
    PATHOLOGY_FINDING = "pathology-finding"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    display: str


class ConditionRow(_Row):
    relevance: Relevance


class TreatmentRow(_Row):
    """`only_for_cancer`: the code by itself says that a cancer is treated, whatever reason is given."""

    modality: Modality
    only_for_cancer: bool = False


class ObservationRow(_Row):
    """`axis` is T, N, M or group for stages, and the scale for performance status."""

    meaning: Meaning
    axis: str | None = None


class CancerCodes(BaseModel):
    """The lists by code. `progressed` are the SNOMED findings that mean growth; `declined` that a patient refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    conditions: Mapping[str, ConditionRow] = Field(default_factory=dict)
    treatments: Mapping[str, TreatmentRow] = Field(default_factory=dict)
    opcs4: Mapping[str, TreatmentRow] = Field(default_factory=dict)
    declined: Mapping[str, str] = Field(default_factory=dict)
    ingredients: Mapping[str, Modality] = Field(default_factory=dict)
    rxnorm: Mapping[str, Modality] = Field(default_factory=dict)
    observations: Mapping[str, ObservationRow] = Field(default_factory=dict)
    progressed: Mapping[str, str] = Field(default_factory=dict)

    def cancer(self, codings: Iterable[Coding]) -> "Cancer | None":
        """ICD-10 decides before SNOMED: it is what is reported. None when no code is known to mean cancer."""
        told = tuple(codings)
        for coding in told:
            found = icd10_cancer(coding)
            if found is not None:
                return found
        rows = (self.conditions.get(each.code) for each in told if each.system == SNOMED)
        row = next((each for each in rows if each is not None), None)
        return None if row is None else Cancer(row.relevance)

    def treatment(self, codings: Iterable[Coding]) -> TreatmentRow | None:
        for coding in codings:
            row = self.treatments.get(coding.code) if coding.system == SNOMED else None
            if coding.system == OPCS4:
                row = self.opcs4.get(coding.code[:3].upper())
            if row is not None:
                return row
        return None

    def medicine(self, codings: Iterable[Coding], words: str | None) -> Modality | None:
        """By RxNorm code, else by an ingredient's name among the words of the medicine."""
        told = tuple(codings)
        for coding in told:
            if coding.system == RXNORM and coding.code in self.rxnorm:
                return self.rxnorm[coding.code]
        texts = [words or "", *(each.display or "" for each in told)]
        names = re.findall(r"[a-z]+", " ".join(texts).casefold())
        return next((self.ingredients[name] for name in names if name in self.ingredients), None)

    def observation(self, codings: Iterable[Coding]) -> ObservationRow | None:
        rows = (self.observations.get(each.code) for each in codings if each.system == LOINC)
        return next((row for row in rows if row is not None), None)


class Cancer(NamedTuple):
    """`icd10` is normalised (`C50.9`) and absent where only another code says so."""

    relevance: Relevance
    icd10: str | None = None


def icd10_cancer(coding: Coding) -> Cancer | None:
    """C00-C97 with C77-C79 secondary, D00-D09 in situ, D37-D48 of uncertain behaviour; C7A and C7B of ICD-10-CM."""
    is_clinical_modification = "icd-10-cm" in coding.system or coding.system.endswith("2.16.840.1.113883.6.90")
    if not (is_clinical_modification or "icd-10" in coding.system or coding.system.endswith("2.16.840.1.113883.6.3")):
        return None
    code = normalised_icd10(coding.code, is_clinical_modification)
    relevance = None if code is None else _relevance(code)
    if code is None or relevance is None:
        return None
    return Cancer(relevance, code if _STORABLE_ICD10.fullmatch(code) else None)


def normalised_icd10(code: str, is_clinical_modification: bool = False) -> str | None:
    """`c509` and `C50.9D` become `C50.9`; the padding of `C61X` goes. None when it is no ICD-10 code."""
    plain = code.strip().upper().replace(".", "").rstrip("+*")
    if len(plain) == 5 and plain[4] in "DA" and not is_clinical_modification:
        plain = plain[:4]  # dagger and asterisk, as hospital systems append them; a remission in the American edition
    if len(plain) == 4 and plain.endswith("X"):
        plain = plain[:3]
    dotted = plain[:3] + ("." + plain[3:] if len(plain) > 3 else "")
    return dotted if _ICD10.fullmatch(dotted) else None


def _relevance(code: str) -> Relevance | None:
    block = code[:3]
    if block == "C7B" or "C77" <= block <= "C79":
        return Relevance.SECONDARY
    if "C00" <= block <= "C97":
        return Relevance.CANCER
    if "D00" <= block <= "D09":
        return Relevance.IN_SITU
    return Relevance.UNCERTAIN_BEHAVIOUR if "D37" <= block <= "D48" else None


@cache
def shipped() -> CancerCodes:
    return CancerCodes(
        conditions=_read("cancer_conditions.json")["snomed"],
        treatments=_read("cancer_treatments.json")["snomed"],
        opcs4=_read("cancer_treatments.json")["opcs4"],
        declined=_read("cancer_treatments.json")["declined"],
        ingredients=_read("cancer_medicines.json")["ingredients"],
        rxnorm=_read("cancer_medicines.json")["rxnorm"],
        observations=_read("cancer_observations.json")["loinc"],
        progressed=_read("cancer_observations.json")["progressed"],
    )


def load(addition: Path | None = None) -> CancerCodes:
    """The shipped lists, and those of `addition` over them: a JSON object with any members of CancerCodes, such as
    `{"conditions": {"254837009": {"relevance": "cancer", "display": "Malignant neoplasm of breast"}}}`.

    Raises OSError when the file cannot be read, ValueError when it does not have that shape.
    """
    if addition is None:
        return shipped()
    added = CancerCodes.model_validate_json(addition.read_bytes())
    merged = {name: {**getattr(shipped(), name), **getattr(added, name)} for name in CancerCodes.model_fields}
    return CancerCodes.model_validate(merged)


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_REFERENCE / name).read_text(encoding="utf-8"))
    return content
