"""Carriers: adapters of the telephony port."""
