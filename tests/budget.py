"""The number of examples for a property test, as a share of the profile's; `make test-thorough` uses more."""

from hypothesis import settings


def examples(share: float) -> settings:
    return settings(max_examples=max(1, round(share * settings().max_examples)))
