"""One guess finds the module that reads a FHIR resource."""

import re

import pytest

from consumers.fhir.documents import TRANSLATORS


@pytest.mark.parametrize("kind", sorted(TRANSLATORS))
def test_a_resource_is_read_in_the_module_of_its_name(kind: str) -> None:
    module = TRANSLATORS[kind].__module__.removeprefix("consumers.fhir.")
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
    assert name == module or name.startswith(f"{module}_")  # what is alike of all Medication… stands together
