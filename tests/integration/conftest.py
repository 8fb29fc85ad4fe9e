"""What these tests share, beside what all tests do."""

from tests.api_world import john, maria, world

__all__ = ["john", "maria", "world"]
