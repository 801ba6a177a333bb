"""Who can be sent, which phones ring when nobody claims, and when (人员)."""
