"""Finding a patient. What identifies them comes in the body, and who may not see them finds nobody."""

import re
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from api.answers import json_response
from api.services import Services, Shared
from api.subjects import Searcher
from domain.facts import PartialDate
from domain.identity import is_valid_nhs_number
from domain.patient import NHS_NUMBER, Identifier
from projections.folds.folding import Document
from projections.folds.patient_index import PATIENT_INDEX
from projections.reading.reads import Reader, Refused

_MOST = 20

routes = APIRouter(tags=["read"], prefix="/v1/patients")


def _nhs_number(text: str) -> str:
    digits = re.sub(r"[ -]", "", text)
    if not is_valid_nhs_number(digits):
        raise ValueError("not a valid NHS number")
    return digits


class Search(BaseModel):
    """One way of naming a patient: an NHS number, other identifiers, or family name with date of birth."""

    model_config = ConfigDict(extra="forbid")
    nhs_number: Annotated[str, Field(max_length=20), AfterValidator(_nhs_number)] | None = None
    identifiers: Annotated[list[Identifier], Field(min_length=1, max_length=5)] | None = None
    family: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    birth_date: PartialDate | None = None

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        by_name = self.family is not None and self.birth_date is not None
        half_named = (self.family is None) != (self.birth_date is None)
        if half_named or [self.nhs_number is not None, self.identifiers is not None, by_name].count(True) != 1:
            raise ValueError("name the patient in exactly one way")
        return self


@routes.post("/search", summary="Patients whom you may see, by identifier or by name and date of birth")
async def search(reader: Searcher, services: Shared, body: Search) -> Response:
    if body.family is not None and body.birth_date is not None:
        found: list[UUID | None] = [*await services.reading.by_name(body.family, body.birth_date, reader, _MOST)]
        if not found:
            await services.accesses.note(reader, "search", "refused")
    else:
        found = await _by_identifiers(services, body)
    shown = [await _minimal(services, reader, each) for each in dict.fromkeys(found)]
    return json_response({"patients": [each for each in shown if each is not None]})


async def _by_identifiers(services: Services, body: Search) -> list[UUID | None]:
    """None for an identifier that nobody has: it is then asked about, refused and noted like a stranger's."""
    named = body.identifiers or [Identifier(system=NHS_NUMBER, value=body.nhs_number or "")]
    digests = [services.keys.identifier_digest(each) for each in named]
    return [await services.reading.by_identifier(digest) for digest in digests]


async def _minimal(services: Services, reader: Reader, patient_id: UUID | None) -> Document | None:
    try:
        served = await services.reading.document(PATIENT_INDEX, patient_id, reader)
    except Refused:
        return None
    if served.standing.held_back_since is not None:
        return {"patient_id": str(served.person_id), "held_back_since": served.standing.held_back_since}
    if served.document is None:
        return None
    kept = {name: served.document[name] for name in ("names", "birth_date", "gender", "died")}
    return {"patient_id": str(served.person_id), **kept}
