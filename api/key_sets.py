"""The public keys of one issuer (RFC 7517), from a file or an https URL: small, fresh enough, and fetched once."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.request import HTTPRedirectHandler, Request, build_opener

import orjson
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

log = structlog.get_logger(__name__)

_LARGEST = 256_000
_FRESH = 600.0
_COOLDOWN = 30.0
_FILE_COOLDOWN = 1.0
_STALE_LIMIT = 86_400.0
_TIMEOUT = 5.0
_LEAST_RSA_BITS = 2048


class KeysUnavailable(Exception):
    """The issuer's keys cannot be read, and those held are too old to be trusted."""


class KeySet:
    """Keys by `kid`. Fetched again when they are ten minutes old, or when a token names a key that is not there
    (then at most once in a cooldown, so that invented names cannot make us hammer the issuer)."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._is_url = place.startswith("https://")
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._fetching = asyncio.Lock()

    async def key(self, kid: str) -> PyJWK | None:
        """None where the issuer has no such key. Raises KeysUnavailable."""
        if self._is_due(kid) or (kid not in self._keys and self._fetching.locked()):
            async with self._fetching:
                if self._is_due(kid):
                    await self._refresh()
        if time.monotonic() - self._fetched > _STALE_LIMIT:
            raise KeysUnavailable("the keys of an issuer cannot be read")
        return self._keys.get(kid)

    def _is_due(self, kid: str) -> bool:
        now = time.monotonic()
        cooldown = _COOLDOWN if self._is_url else _FILE_COOLDOWN
        return (kid not in self._keys or now - self._fetched > _FRESH) and now - self._tried > cooldown

    async def _refresh(self) -> None:
        self._tried = time.monotonic()
        try:
            content = await asyncio.to_thread(self._read)
            self._keys = _parsed(content)
            self._fetched = time.monotonic()
        except (OSError, ValueError) as error:
            log.warning("issuer_keys_unread", error=type(error).__name__)

    def _read(self) -> bytes:
        if not self._is_url:
            return Path(self._place).read_bytes()[: _LARGEST + 1]
        opener = build_opener(_NoRedirects())
        with opener.open(Request(self._place), timeout=_TIMEOUT) as answer:  # noqa: S310 https, as checked above
            content: bytes = answer.read(_LARGEST + 1)
        return content


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Keys come from where the setting says, and from nowhere else."""


def _parsed(content: bytes) -> dict[str, PyJWK]:
    """Raises ValueError. Keys without a name, for encryption, or too weak are left out."""
    if len(content) > _LARGEST:
        raise ValueError("too large")
    document = orjson.loads(content)
    given = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(given, list):
        raise ValueError("not a key set")  # noqa: TRY004 as for all that is not one
    keys: dict[str, PyJWK] = {}
    for each in given:
        if isinstance(each, dict) and isinstance(each.get("kid"), str) and each.get("use", "sig") == "sig":
            key = _key(each)
            if key is not None:
                keys[each["kid"]] = key
    return keys


def _key(given: dict[str, object]) -> PyJWK | None:
    if given.get("kty") not in ("RSA", "EC"):
        return None  # a shared secret in a public document is no key
    try:
        key = PyJWK.from_dict(given)
    except (PyJWTError, ValueError):
        return None
    return key if getattr(key.key, "key_size", 0) >= _LEAST_RSA_BITS or given["kty"] == "EC" else None
