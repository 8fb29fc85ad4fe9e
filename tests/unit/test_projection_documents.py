"""The documents are documented: each projection and each of its top-level fields stands in docs/projections.md."""

from pathlib import Path

import pytest

from projections.catalogue import PROJECTIONS
from projections.folds.folding import Projection, fold_all

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "projections.md").read_text()


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
def test_a_projection_is_documented_with_its_fields(projection: Projection) -> None:
    assert f"\n## {projection.name}\n" in DOCUMENTED
    section = DOCUMENTED.split(f"\n## {projection.name}\n")[1].split("\n## ")[0].replace("_", " ").casefold()
    for field in fold_all([projection], [])[projection.name]:
        known_everywhere = field == "not_recorded"
        assert known_everywhere or field.replace("_", " ") in section, field


def test_names_of_projections_are_unique() -> None:
    assert len({each.name for each in PROJECTIONS}) == len(PROJECTIONS)
