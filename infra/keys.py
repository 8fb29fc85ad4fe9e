"""Keys: one per patient for everything about that patient, wrapped by a key-encryption key that lives elsewhere.

Key provider: anything that wraps and unwraps 32 bytes (a file here; an HSM or a cloud service elsewhere) and
holds the index key under which identifiers are looked up.
"""

import base64
import hashlib
import hmac
import os
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.patient import Identifier

_NONCE = 12


class KeyUnusable(Exception):
    """A key is missing, destroyed or wrong; nothing that it protects can be read."""


class KeyProvider(Protocol):
    def wrap(self, key: bytes, context: bytes) -> bytes: ...
    def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...
    def index_key(self) -> bytes: ...


class FileKeyProvider:
    """Keys in a JSON file `{"current": id, "keys": {id: base64}, "index": base64}`; mode 0600."""

    def __init__(self, path: Path) -> None:
        try:
            held = orjson.loads(path.read_bytes())
            self._current: str = held["current"]
            self._keys = {name: AESGCM(base64.b64decode(key)) for name, key in held["keys"].items()}
            self._index = base64.b64decode(held["index"])
        except (OSError, ValueError, LookupError) as error:
            raise KeyUnusable(f"the key file cannot be read: {type(error).__name__}") from error

    @staticmethod
    def generate(path: Path) -> None:
        """A new key file; never overwrites one, since that would make every payload unreadable."""
        secrets = {"current": "1", "keys": {"1": _random_text()}, "index": _random_text()}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(secrets))

    def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        name = self._current.encode()
        return bytes([len(name)]) + name + nonce + self._keys[self._current].encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        end = 1 + wrapped[0]
        name = wrapped[1:end].decode()
        if name not in self._keys:
            raise KeyUnusable(f"the key-encryption key {name!r} is not in the key file")
        return _open(self._keys[name], wrapped[end:], context)

    def index_key(self) -> bytes:
        return self._index


class DataKey(NamedTuple):
    """Seals and opens with AES-256-GCM; a sealed value is nonce (12 bytes), ciphertext, tag."""

    key_id: UUID
    cipher: AESGCM

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self.cipher.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        return _open(self.cipher, sealed, context)


class KeyRing:
    """Unwrapped data keys of one process, least recently used forgotten first."""

    def __init__(self, provider: KeyProvider, limit: int = 50_000) -> None:
        self._provider = provider
        self._limit = limit
        self._held: OrderedDict[UUID, DataKey] = OrderedDict()
        self._index_key = provider.index_key()
        self._identifiers: dict[tuple[str, str], bytes] = {}

    def generate(self, key_id: UUID) -> tuple[DataKey, bytes]:
        """A new data key and its wrapped form, which the caller stores."""
        plain = AESGCM.generate_key(256)
        return self._hold(DataKey(key_id, AESGCM(plain))), self._provider.wrap(plain, key_id.bytes)

    def held(self, key_id: UUID) -> DataKey | None:
        key = self._held.get(key_id)
        if key is not None:
            self._held.move_to_end(key_id)
        return key

    def unwrap(self, key_id: UUID, wrapped: bytes) -> DataKey:
        return self.held(key_id) or self._hold(DataKey(key_id, AESGCM(self._provider.unwrap(wrapped, key_id.bytes))))

    def evict(self, key_id: UUID) -> None:
        self._held.pop(key_id, None)

    def digest(self, *parts: str) -> bytes:
        """Sixteen bytes under the index key: finds an identifier or a receipt without holding it in clear."""
        text = "\x00".join(parts).encode()
        return hmac.digest(self._index_key, text, hashlib.sha256)[:16]

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
    except InvalidTag:
        raise KeyUnusable("a sealed value does not open: wrong key, wrong place, or altered") from None


def _random_text() -> str:
    return base64.b64encode(os.urandom(32)).decode()
