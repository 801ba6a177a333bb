"""Profiles: what each model of device is, measures and means. Data files, one table a model."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from devices.profiles.loader import ProfileError, load_profiles, parse_profiles
from devices.profiles.model import AlarmRule, Capability, DeviceType, Profile
from devices.profiles.rules import interpret

PROFILES: Mapping[str, Profile] = MappingProxyType(
    load_profiles(Path(__file__).parent.glob("*.toml"))
)

__all__ = [
    "PROFILES",
    "AlarmRule",
    "Capability",
    "DeviceType",
    "Profile",
    "ProfileError",
    "interpret",
    "load_profiles",
    "parse_profiles",
]
