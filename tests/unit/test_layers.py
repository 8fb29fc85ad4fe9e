"""The import contracts hold, and each of them is able to fail."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = Path(sys.executable).parent / "lint-imports"
LAYERS = "a layer imports only what is below it"
PURE_DOMAIN = "the rules know no server, socket or database"
READ_SIDE = "folds know no table, tables no engine, what clients read no process that writes it"

VIOLATIONS = [
    (LAYERS, "domain", "import infra"),
    (LAYERS, "infra", "from projections import trespasser"),
    (LAYERS, "projections", "import consumers"),
    (LAYERS, "consumers", "import api"),
    (LAYERS, "domain", "def late() -> None:\n    import api"),
    (PURE_DOMAIN, "domain", "import psycopg"),
    (PURE_DOMAIN, "domain", "from kafka import KafkaConsumer"),
    (READ_SIDE, "projections/folds", "from projections.tables import documents"),
    (READ_SIDE, "projections/reading", "from projections.live import engine"),
]


@pytest.fixture
def copied_project(tmp_path: Path) -> Path:
    """The packages and their contracts, in a folder that may be spoilt."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in contracts["root_packages"]:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
        (tmp_path / package / "trespasser.py").write_text("")
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINTER), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_project_keeps_its_contracts(copied_project: Path) -> None:
    result = lint(copied_project)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("contract", "package", "statement"), VIOLATIONS)
def test_a_contract_fails_on_a_violation(copied_project: Path, contract: str, package: str, statement: str) -> None:
    (copied_project / package / "trespasser.py").write_text(statement + "\n")
    result = lint(copied_project)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contract} BROKEN" in result.stdout


def test_a_composition_root_may_import_what_it_wires(copied_project: Path) -> None:
    (copied_project / "infra" / "__main__.py").write_text("import api\nimport consumers\n")
    result = lint(copied_project)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_contract_is_seen_to_fail() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == {contract for contract, _, _ in VIOLATIONS}
