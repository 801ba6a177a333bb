"""Sending a responder: the dispatch, its lifecycle and the link to the responder's phone page."""
