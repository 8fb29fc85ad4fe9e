"""The stand-alone verifier as an outsider runs it: alone, where nothing of the project can be imported."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_VERIFY = Path(__file__).parents[1] / "infra" / "evidence" / "verify.py"
_NEEDED = ("cryptography", "_cffi_backend", "cffi", "pycparser")
# Many exports in one process, each answered by a line: the exit code and what was printed.
_DRIVER = """
import io, json, runpy, sys
sys.path.append(sys.argv[1])
main = runpy.run_path(sys.argv[2])["main"]
answers = sys.stdout
for line in sys.stdin:
    sys.stdout = io.TextIOWrapper(io.BytesIO())
    code = main(json.loads(line))
    answers.write(json.dumps([code, sys.stdout.buffer.getvalue().decode()]) + "\\n")
"""


class Verdict(NamedTuple):
    """0 proved, 1 something does not hold, 2 cannot be checked."""

    code: int
    told: str


class Outsider:
    """`folder` is made to hold the package `cryptography` (or `packages`) and nothing else."""

    def __init__(self, folder: Path, packages: Sequence[str] = _NEEDED) -> None:
        self._packages = folder
        for name in packages:
            spec = find_spec(name)
            if spec is not None and spec.origin is not None:
                origin = Path(spec.origin)
                place = origin.parent if origin.name == "__init__.py" else origin
                (folder / place.name).symlink_to(place)

    def check(self, runs: Sequence[Sequence[str]], verifier: Path = _VERIFY) -> list[Verdict]:
        """Arguments of each run, checked in one process."""
        asked = "".join(f"{json.dumps(list(run))}\n" for run in runs)
        command = [sys.executable, "-I", "-S", "-c", _DRIVER, str(self._packages), str(verifier)]
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=120, check=False, cwd="/")
        assert done.stderr == ""
        return [Verdict(*json.loads(line)) for line in done.stdout.splitlines()]

    def run(self, *arguments: str, verifier: Path = _VERIFY) -> Verdict:
        """The command as a person types it, whatever it prints."""
        start = f"import sys, runpy; sys.path.append({str(self._packages)!r}); sys.argv = sys.argv[1:]"
        command = f"{start}; runpy.run_path(sys.argv[0], run_name='__main__')"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", command, str(verifier), *arguments],
            capture_output=True, text=True, timeout=120, check=False, cwd="/",
        )  # fmt: skip
        return Verdict(done.returncode, done.stdout + done.stderr)


def laid_out(files: Mapping[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
