"""Keys: one per patient for everything about that patient, wrapped by a key-encryption key that lives elsewhere.

Key provider: whatever wraps and unwraps 32 bytes (a file here; an HSM or a cloud service elsewhere) and holds the
index key under which identifiers are looked up. A wrapped key begins with the length and the name of the version that
wrapped it, so that the database can tell them apart without opening any.
"""

import base64
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.patient import Identifier

_NONCE = 12
_DRAWN = 32
CURRENT, OPEN, RETIRED = "current", "open", "retired"


class KeyUnusable(Exception):
    """A key is missing, destroyed or wrong; nothing that it protects can be read."""


class KeyVersion(NamedTuple):
    """One version of the key-encryption key. `state`: current wraps, open only unwraps, retired is gone for good."""

    name: str
    state: str
    since: datetime | None


class KeyProvider(Protocol):
    """What every process needs. `context` is bound to the wrapped key: it unwraps with the same one alone."""

    def wrap(self, key: bytes, context: bytes) -> bytes: ...
    def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...
    def index_key(self) -> bytes: ...


class ManagedKeyProvider(KeyProvider, Protocol):
    """What the custodian alone needs besides; running processes hear of it without a restart."""

    def versions(self) -> list[KeyVersion]: ...
    def add_version(self) -> str: ...
    def retire(self, version: str) -> None: ...


def under_version(name: str, sealed: bytes) -> bytes:
    """The form in which every provider gives a wrapped key; `name` is at most 255 bytes of ASCII."""
    return bytes([len(name)]) + name.encode("ascii") + sealed


def version_of(wrapped: bytes) -> tuple[str, bytes]:
    """The name of the version, and what it sealed."""
    end = 1 + wrapped[0]
    return wrapped[1:end].decode("ascii", "replace"), wrapped[end:]


class _Held(NamedTuple):
    """The content of a key file as of `stamp`."""

    stamp: tuple[int, int]
    told: dict[str, Any]
    current: str
    keys: dict[str, AESGCM]


class FileKeyProvider:
    """Keys in a JSON file `{"current": version, "keys": {version: base64}, "index": base64}`, with the times `since`
    and `retired` by version; mode 0600. A file that was replaced is read anew before the next key is wrapped, and
    where a version is not known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = self._read()

    @staticmethod
    def generate(path: Path) -> None:
        """A new key file; never overwrites one, since that would make every payload unreadable."""
        secrets = {"current": "1", "keys": {"1": _random_text()}, "index": _random_text(), "since": {"1": _now()}}
        _write_new(path, secrets)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        held = self._fresh()
        nonce = os.urandom(_NONCE)
        return under_version(held.current, nonce + held.keys[held.current].encrypt(nonce, key, context))

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        name, sealed = version_of(wrapped)
        cipher = self._held.keys.get(name) or self._fresh().keys.get(name)
        if cipher is None:
            lost = "was retired" if name in self._held.told.get("retired", {}) else "is not in the key file"
            raise KeyUnusable(f"the key-encryption key {name!r} {lost}")
        return _open(cipher, sealed, context)

    def index_key(self) -> bytes:
        return base64.b64decode(self._held.told["index"])

    def versions(self) -> list[KeyVersion]:
        held = self._fresh()
        since, retired = held.told.get("since", {}), held.told.get("retired", {})
        standing = [KeyVersion(n, CURRENT if n == held.current else OPEN, _time(since.get(n))) for n in held.keys]
        return [*standing, *(KeyVersion(name, RETIRED, _time(at)) for name, at in retired.items())]

    def add_version(self) -> str:
        """A new version, which wraps from now on; those before still unwrap."""
        told = self._fresh().told
        name = str(1 + max(int(each) for each in {**told["keys"], **told.get("retired", {})}))
        self._replace(
            told | {
                "current": name,
                "keys": {**told["keys"], name: _random_text()},
                "since": {**told.get("since", {}), name: _now()},
            }
        )  # fmt: skip
        return name

    def retire(self, version: str) -> None:
        """Takes the version out of the file. Raises KeyUnusable for the one that wraps."""
        held = self._fresh()
        if version == held.current:
            raise KeyUnusable("the current key-encryption key cannot be retired; rotate first")
        left = {name: key for name, key in held.told["keys"].items() if name != version}
        self._replace(held.told | {"keys": left, "retired": {**held.told.get("retired", {}), version: _now()}})

    def _fresh(self) -> _Held:
        if _stamp(self._path) != self._held.stamp:
            self._held = self._read()
        return self._held

    def _read(self) -> _Held:
        try:
            stamp = _stamp(self._path)
            told = orjson.loads(self._path.read_bytes())
            keys = {name: AESGCM(base64.b64decode(key)) for name, key in told["keys"].items()}
            base64.b64decode(told["index"])
            return _Held(stamp, told, told["current"], keys | {told["current"]: keys[told["current"]]})
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise KeyUnusable(f"the key file {self._path} cannot be read: {type(error).__name__}") from error

    def _replace(self, told: dict[str, Any]) -> None:
        """Whole or not at all: half a key file would be the loss of everything."""
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}.new")
        draft.unlink(missing_ok=True)
        _write_new(draft, told)
        draft.replace(self._path)
        self._held = self._read()


def nonces() -> Iterator[bytes]:
    """Random, each given once; drawn several at a time, since asking the kernel for each took longer than using it.
    For one thread, and not to be kept: a copy of the process would give the same."""
    while True:
        drawn = os.urandom(_NONCE * _DRAWN)
        for start in range(0, len(drawn), _NONCE):
            yield drawn[start : start + _NONCE]


class DataKey(NamedTuple):
    """Seals and opens with AES-256-GCM; a sealed value is nonce (12 bytes), ciphertext, tag."""

    key_id: UUID
    cipher: AESGCM

    def seal(self, plain: bytes, context: bytes, nonce: bytes | None = None) -> bytes:
        """`nonce`: one of `nonces()`, used nowhere else."""
        nonce = nonce or os.urandom(_NONCE)
        return nonce + self.cipher.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Raises KeyUnusable."""
        return _open(self.cipher, sealed, context)


class KeyRing:
    """Unwrapped data keys of one process, least recently used forgotten first."""

    def __init__(self, provider: KeyProvider, limit: int = 50_000) -> None:
        self.provider = provider
        self._limit = limit
        self._held: OrderedDict[UUID, DataKey] = OrderedDict()
        # What depends on the key alone is done once: a digest takes half as long so.
        self._index = hmac.new(provider.index_key(), digestmod=hashlib.sha256)
        self._identifiers: dict[tuple[str, str], bytes] = {}

    def generate(self, key_id: UUID) -> tuple[DataKey, bytes]:
        """A new data key and its wrapped form, which the caller stores."""
        plain = AESGCM.generate_key(256)
        return self._hold(DataKey(key_id, AESGCM(plain))), self.provider.wrap(plain, key_id.bytes)

    def held(self, key_id: UUID) -> DataKey | None:
        key = self._held.get(key_id)
        if key is not None:
            with suppress(KeyError):  # another thread has just evicted it
                self._held.move_to_end(key_id)
        return key

    def unwrap(self, key_id: UUID, wrapped: bytes) -> DataKey:
        return self.held(key_id) or self._hold(DataKey(key_id, AESGCM(self.provider.unwrap(wrapped, key_id.bytes))))

    def evict(self, key_id: UUID) -> None:
        """May be called from any thread."""
        self._held.pop(key_id, None)

    def digest(self, *parts: str) -> bytes:
        """Sixteen bytes under the index key: finds an identifier or a receipt without holding it in clear."""
        code = self._index.copy()
        code.update("\x00".join(parts).encode())
        return code.digest()[:16]

    def identifier_digest(self, identifier: Identifier) -> bytes:
        """Remembered, since a writer asks several times for each message."""
        told = (identifier.system, identifier.value)
        digest = self._identifiers.get(told)
        if digest is None:
            if len(self._identifiers) >= self._limit:
                self._identifiers.clear()
            digest = self._identifiers[told] = self.digest("identifier", *told)
        return digest

    def _hold(self, key: DataKey) -> DataKey:
        self._held[key.key_id] = key
        if len(self._held) > self._limit:
            self._held.popitem(last=False)
        return key


def _open(cipher: AESGCM, sealed: bytes, context: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], context)
    except (InvalidTag, ValueError):  # the latter where it is too short to be one
        raise KeyUnusable("a sealed value does not open: wrong key, wrong place, or altered") from None


def _write_new(path: Path, told: dict[str, Any]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(told))
        file.flush()
        os.fsync(descriptor)


def _stamp(path: Path) -> tuple[int, int]:
    """Differs after every replacement of the file."""
    try:
        found = path.stat()
    except OSError as error:
        raise KeyUnusable(f"the key file {path} cannot be read: {type(error).__name__}") from error
    return found.st_mtime_ns, found.st_ino


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _random_text() -> str:
    return base64.b64encode(os.urandom(32)).decode()
