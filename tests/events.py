"""Messages of our vocabulary for tests, made up throughout."""

import orjson

from consumers.messages import RawMessage, with_prefix

SOURCE = "/nhs/england/RXX/pas/test"
# A number of the range that the NHS keeps for tests, with a right check digit.
NHS_NUMBER = "9000000009"


def nhs_number(serial: int) -> str | None:
    """The test number with this serial (up to 99 million); None where no check digit exists."""
    digits = f"9{serial:08d}"
    check = 11 - sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=True)) % 11
    return None if check == 10 else digits + str(check % 11)


def attributes(event_id: str, stored: str, **others: str) -> dict[str, str]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": f"uk.nhs.cancerplan.{stored}",
        "time": "2026-03-01T09:30:00Z",
        "dataschema": f"https://plan.example.nhs.uk/schemas/{stored}.json",
    } | others


def diagnosis(icd10: str = "C50.9", patient: str = NHS_NUMBER, key: str = "p-1", **others: object) -> dict[str, object]:
    return {"patient": {"nhs_number": patient}, "key": key, "occurred": "2026-02-27", "fact": {"icd10": icd10}} | others


def binary(
    event_id: str,
    data: object,
    stored: str = "pathway.diagnosis-agreed.v1",
    content_type: str = "application/json",
    **others: str,
) -> RawMessage:
    """A record in binary mode; an attribute that is given as empty is left out."""
    told = {name: value for name, value in attributes(event_id, stored, **others).items() if value}
    value = data if isinstance(data, bytes) else orjson.dumps(data)
    return RawMessage(with_prefix(told.items(), content_type), value, "test/0/0")


def structured(event_id: str, data: object, stored: str = "pathway.diagnosis-agreed.v1", **others: str) -> RawMessage:
    event = attributes(event_id, stored, **others) | {"datacontenttype": "application/json", "data": data}
    content_type = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    return RawMessage(content_type, orjson.dumps(event), "test/0/0")
