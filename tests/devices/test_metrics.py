import pytest

from devices.metrics import METRICS, CatalogueError, by_id, parse_metrics

GOOD = """
[heart_rate]
id = 1
name = { zh = "心率", en = "Heart rate" }
loinc = "8867-4"
ucum = "/min"
unit = { zh = "次/分", en = "bpm" }
low = 20
high = 250
"""


def test_the_catalogue_has_the_numbers_that_the_reading_tables_know() -> None:
    assert {metric.id: code for code, metric in METRICS.items()} == dict(
        enumerate(
            [
                "heart_rate",
                "spo2",
                "bp_systolic",
                "bp_diastolic",
                "body_temperature",
                "respiratory_rate",
                "glucose",
                "weight",
                "steps",
                "battery",
                "ambient_temperature",
                "humidity",
                "motion",
                "door_open",
                "bed_occupied",
                "illuminance",
                "linkquality",
                "smoke",
                "gas",
                "water_leak",
                "roll_count",
                "signal",
            ],
            1,
        )
    )


@pytest.mark.parametrize(
    ("code", "loinc", "ucum"),
    [
        ("heart_rate", "8867-4", "/min"),
        ("spo2", "59408-5", "%"),
        ("bp_systolic", "8480-6", "mm[Hg]"),
        ("bp_diastolic", "8462-4", "mm[Hg]"),
        ("body_temperature", "8310-5", "Cel"),
        ("respiratory_rate", "9279-1", "/min"),
        ("glucose", "15074-8", "mmol/L"),
        ("weight", "29463-7", "kg"),
        ("steps", "41950-7", "{steps}/d"),
        ("battery", None, "%"),
    ],
)
def test_a_vital_sign_has_its_loinc_code_and_its_unit(
    code: str, loinc: str | None, ucum: str
) -> None:
    assert (METRICS[code].loinc, METRICS[code].ucum) == (loinc, ucum)


def test_a_metric_is_found_by_its_number() -> None:
    assert by_id(5) is METRICS["body_temperature"]
    with pytest.raises(KeyError):
        by_id(999)


@pytest.mark.parametrize(
    ("code", "value", "plausible"),
    [
        ("heart_rate", 0, False),
        ("heart_rate", 20, True),
        ("heart_rate", 251, False),
        ("body_temperature", 0, False),
        ("body_temperature", 36.5, True),
        ("spo2", 101, False),
        ("motion", 1, True),
        ("battery", 100, True),
    ],
)
def test_a_value_is_plausible_or_speaks_of_the_sensor(
    code: str, value: float, plausible: bool
) -> None:
    assert METRICS[code].plausible(value) is plausible


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[heart_rate]", "[heart_rate", "not TOML"),
        ("id = 1", "id = 0", "id must be a whole number"),
        ("id = 1", "id = true", "id must be a whole number"),
        ("low = 20", "low = 250", "low must be below high"),
        ("low = 20", 'low = "20"', "low must be a number"),
        ("low = 20", "lowest = 20\nlow = 1", "unknown key lowest"),
        ('ucum = "/min"', "", "ucum is missing"),
        ('loinc = "8867-4"', "loinc = 8867", "loinc must be text"),
        (', en = "Heart rate"', "", "name must have exactly zh and en"),
        ('zh = "心率"', 'zh = ""', "name must not be empty"),
        ('zh = "次/分"', "zh = 1", "unit must be text"),
        ("high = 250", "high = 250\n[pulse]\nid = 1", "pulse"),
    ],
)
def test_a_mistake_in_the_file_is_named(old: str, new: str, says: str) -> None:
    with pytest.raises(CatalogueError, match=says):
        parse_metrics(GOOD.replace(old, new))


def test_a_number_cannot_be_given_twice() -> None:
    with pytest.raises(CatalogueError, match="id 1 already belongs to heart_rate"):
        parse_metrics(GOOD + GOOD.replace("heart_rate", "pulse"))
