"""Units of other countries and laboratories in those of the catalogue (devices/metrics.toml)."""

KPA_IN_MMHG = 7.500615613
MG_PER_MMOL = 18.016
"""Of glucose: so many mg/dL are one mmol/L."""
KG_PER_POUND = 0.45359237


def celsius(fahrenheit: float) -> float:
    """Degrees Fahrenheit in degrees Celsius."""
    return (fahrenheit - 32) / 1.8
