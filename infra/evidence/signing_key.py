"""Keys that sign: Ed25519 in PEM files (PKCS #8), as `openssl genpkey -algorithm ed25519` makes them.

One signs checkpoints and heads for the log; another one signs exports, for processes that must not sign for the log.
"""

import os
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from infra.keys import KeyUnusable


def generate(path: Path) -> None:
    """A new key file, mode 0600; never overwrites one."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(descriptor)


def read_or_make(path: Path) -> Ed25519PrivateKey:
    """For development, where a key that is missing is made. Raises KeyUnusable."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            generate(path)
    return read(path)


def read(path: Path) -> Ed25519PrivateKey:
    """Raises KeyUnusable."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeyUnusable(f"the signing key {path.name} cannot be read: {type(error).__name__}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"the signing key {path.name} is not an Ed25519 key")
    return key


def read_public(path: Path) -> bytes:
    """The 32 bytes of a public key, from its own file (`openssl pkey -pubout`) or that of the private one. Raises
    KeyUnusable."""
    try:
        content = path.read_bytes()
        if b"PRIVATE KEY" in content:
            return read(path).public_key().public_bytes_raw()
        key = serialization.load_pem_public_key(content)
    except (OSError, ValueError) as error:
        raise KeyUnusable(f"the public key {path.name} cannot be read: {type(error).__name__}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"the public key {path.name} is not an Ed25519 key")
    return key.public_bytes_raw()
