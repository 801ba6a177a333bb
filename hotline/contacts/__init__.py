"""Calls and texts to people: the elder, emergency contacts in order, the duty phone, responders."""
