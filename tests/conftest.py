"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

from tests.effort import examples

# No deadline: on a shared machine it would find slowness of the machine, not of the code.
settings.register_profile("malha", deadline=None, max_examples=examples(100))
settings.load_profile("malha")
