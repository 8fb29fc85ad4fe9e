"""Connections of those who append, bounded so that one that has stopped halts nobody for long.

While a writer decides under the append lock, all others wait. If it stops there (a paused machine, a debugger, a lost
network), the server ends its transaction after IDLE_SECONDS and the next goes on; what it had not committed is tried
again when it comes back, and known by its receipts if it had.
"""

from typing import Any

import psycopg

# How long anyone may sit on the lock without a word. Reading the streams of a large batch takes a fraction of it.
IDLE_SECONDS = 5
# Longer than that, so that who waits outlasts who has stopped; then tried again on a new connection.
LOCK_SECONDS = 10
TRANSACTION_SECONDS = 30


def appending(url: str, idle_seconds: int = IDLE_SECONDS) -> "psycopg.Connection[Any]":
    """In autocommit mode. `url` is that of role writer. Raises psycopg.OperationalError."""
    bounds = {
        "idle_in_transaction_session_timeout": idle_seconds,
        "lock_timeout": LOCK_SECONDS,
        "transaction_timeout": TRANSACTION_SECONDS,
    }
    return psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=10,
        # Until the network is known to be gone: silence when idle, and bytes that nobody acknowledges.
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=10_000,
        options=" ".join(f"-c {name}={seconds}s" for name, seconds in bounds.items()),
    )
