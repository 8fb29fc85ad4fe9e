"""Which version of the service this is, as it is installed."""

from importlib import metadata

_OF_A_CHECKOUT = "0.1.0"


def version() -> str:
    try:
        return metadata.version("personalised-cancer-plan")
    except metadata.PackageNotFoundError:
        return _OF_A_CHECKOUT
