"""How Python's garbage collector treats a process that holds a great many small objects for long."""

import gc

# Allocations between looks at the youngest objects; looks at these between looks at the middle ones, and so on.
_THRESHOLDS = (50_000, 20, 100)


def spare_what_is_held() -> None:
    """Called once by a process that is set up. The events, keys and documents in its caches form no cycles and are
    freed by counting references; looking through all of them for cycles cost a third of ingest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
