"""Which devices have credentials of their own. Pure."""

from devices.profiles import PROFILES


def wants_secret(profile: str, *, behind_gateway: bool) -> bool:
    """Whether a device logs in to the broker itself: not through a gateway, not over TCP."""
    model = PROFILES.get(profile)
    if model is None or behind_gateway:
        return False
    return model.codec == "silverline_v1" or bool(model.base_topics)
