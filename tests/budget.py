"""How many examples a property is tried on: a share of the profile's, of which `make test-thorough` has more."""

from hypothesis import settings


def examples(share: float) -> settings:
    return settings(max_examples=max(1, round(share * settings().max_examples)))
