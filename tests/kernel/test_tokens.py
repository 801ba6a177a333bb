"""Tokens: long, unlike each other, and kept as a hash whatever was sent."""

from kernel.tokens import new_token, token_hash


def test_a_token_has_256_random_bits_and_needs_no_quoting() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert {len(token) for token in made} == {43}
    assert all(token.replace("-", "").replace("_", "").isalnum() for token in made)


def test_text_that_no_encoding_holds_is_a_wrong_token_and_no_fault() -> None:
    assert len(token_hash("\ud800")) == 32
    assert token_hash("\ud800") != token_hash(new_token())
