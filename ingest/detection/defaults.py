"""Limits and periods that hold where an elder's own plan says nothing, with where they come from.

They are meant for a call by an operator, not for a diagnosis: an alarm of a rule costs a telephone
call of two minutes, so the limits lie where not calling would be wrong for most old people. Whoever
lives with other values (chronic hypertension, COPD) has own limits in `elder_threshold`.

Sources: NEWS2 = Royal College of Physicians, National Early Warning Score 2 (2017), where 3 points
in one measure call for urgent review; CHN-BP = 中国高血压防治指南; CHN-DM = 中国2型糖尿病防治指南;
ADA = Standards of Care in Diabetes. Heart rate and door: the centre's own service rules.

How many readings. A critical value rings at once: watches measure every 5 to 30 minutes, and half
an hour of waiting for a second reading is too long where the first one means danger of life. A
major value must come twice in a row, so that one bad contact of a sensor does not ring; 45 minutes
lie between the two at most, so that a watch that measures every half hour counts too. Where
somebody measures by hand (blood pressure, temperature) the second reading may be 90 minutes away;
a finger-prick of glucose is not repeated at all and counts alone.
"""

from collections.abc import Mapping
from datetime import time, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from devices.alarms import AlarmKind as K
from ingest.detection.model import Limits, Persistence, VitalRule

LOCAL_ZONE = ZoneInfo("Asia/Shanghai")
"""All of China keeps this time; "night" is meant in it."""

FRESH = timedelta(minutes=30)
"""Readings and fixes older than this are history: no rule judges by them."""

REARM = timedelta(minutes=30)
"""A condition that lasts rings again after this: the incident may have been closed too early."""

CLEAR_READINGS = 2
"""So many readings inside of the limits, margin included, make a vital normal again."""

_TWICE = Persistence(2, timedelta(minutes=45))
_TWICE_SPOT = Persistence(2, timedelta(minutes=90))
_ONCE = Persistence(1, timedelta(0))

VITALS: Mapping[str, VitalRule] = MappingProxyType(
    {
        rule.metric: rule
        for rule in (
            # The centre's service rules: major ≤60/≥120, critical ≤50/≥140.
            VitalRule(
                "heart_rate", K.HEART_RATE_LOW, K.HEART_RATE_HIGH,
                Limits(50, 60, 120, 140), _TWICE, margin=3,
            ),
            # NEWS2: ≤91 % is 3 points. 88 %: oxygen is given at this value even in COPD.
            VitalRule("spo2", K.SPO2_LOW, None, Limits(88, 91), _TWICE, margin=1),
            # NEWS2: ≤90 is 3 points, ≥220 is 3 points. CHN-BP: ≥180 or ≥110 is grade 3.
            VitalRule(
                "bp_systolic", K.BLOOD_PRESSURE_LOW, K.BLOOD_PRESSURE_HIGH,
                Limits(80, 90, 180, 220), _TWICE_SPOT, margin=5,
            ),
            # CHN-BP: ≥110 is grade 3; above 120 with symptoms is an emergency.
            VitalRule(
                "bp_diastolic", K.BLOOD_PRESSURE_LOW, K.BLOOD_PRESSURE_HIGH,
                Limits(40, 50, 110, 120), _TWICE_SPOT, margin=5,
            ),
            # NEWS2: ≥39.1 is 2 points, ≥38.1 is 1, ≤35.0 is 3. A wrist reads low in winter, so only
            # what a body cannot have on the skin of a warm room (32) is critical.
            VitalRule(
                "body_temperature", K.BODY_TEMPERATURE_LOW, K.BODY_TEMPERATURE_HIGH,
                Limits(32, 35, 38.1, 39.1), _TWICE_SPOT, margin=0.3,
            ),
            # NEWS2: ≤8 and ≥25 are 3 points, 21 to 24 are 2. A radar also sees pauses in sleep,
            # therefore the low side begins at 8.
            VitalRule(
                "respiratory_rate", K.RESPIRATORY_RATE_LOW, K.RESPIRATORY_RATE_HIGH,
                Limits(6, 8, 25, 30), _TWICE, margin=1,
            ),
            # CHN-DM, ADA: ≤3.9 is hypoglycaemia, <3.0 level 2; ≥13.9 look for ketones, ≥16.7 danger
            # of a hyperglycaemic crisis.
            VitalRule(
                "glucose", K.GLUCOSE_LOW, K.GLUCOSE_HIGH,
                Limits(3.0, 3.9, 13.9, 16.7), _ONCE, margin=0.3,
            ),
        )
    }
)  # fmt: skip

DOOR_MAJOR = timedelta(minutes=30)
DOOR_CRITICAL = timedelta(minutes=60)

NIGHT_BEGINS = time(22, 0)
NIGHT_ENDS = time(7, 0)
INACTIVITY_DAY = timedelta(hours=6)
"""Nobody moves for so long by day: longer than an afternoon nap and than a walk to the market."""
INACTIVITY_NIGHT = timedelta(hours=12)
"""By night: nine hours of sleep use up three quarters of it, see `rules.quiet_share`."""

BED_NIGHT_BEGINS = time(22, 0)
BED_NIGHT_ENDS = time(6, 0)
BED_EXIT = timedelta(minutes=30)
"""Out of bed at night for longer than a visit to the bathroom."""

FENCE_FIXES = 2
"""So many fixes in a row outside: one stray fix between high buildings is not a departure."""
FENCE_MARGIN_M = 30.0
"""Back inside counts from here: somebody at the gate must not come and go with every fix."""
FENCE_ACCURACY_M: Mapping[str, float] = MappingProxyType(
    {"gnss": 30.0, "wifi": 100.0, "cell": 1000.0, "manual": 0.0}
)
"""Accuracy that is taken where a device does not say one, by source, in metres."""

BATTERY_PERCENT = 15.0
BATTERY_MARGIN = 10.0
"""Normal again at limit + this: a battery recovers some per cent when the device sleeps."""
BATTERY_REARM = timedelta(hours=24)

CLOCK_LIMIT = timedelta(minutes=5)
"""A clock that is off by more is wrong; what lies less far in the future is taken as it is."""
CLOCK_MESSAGES = 5
"""So many messages in a row; one with a bad time is a start without network."""
CLOCK_SPAN = timedelta(minutes=5)
"""So far apart must they be: a buffer that is emptied brings many late messages at once."""
CLOCK_OLDEST = timedelta(days=400)
"""Further behind than this is no delay any more."""
CLOCK_STEADY = timedelta(seconds=90)
"""A clock that is slow is late by the same for each message; what was kept for a while is not."""
