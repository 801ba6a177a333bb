"""Files with secrets are their owner's alone, whatever lay in their place before."""

from pathlib import Path

from app.secrets import load_or_make, write_private


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secrets.json"
    made = load_or_make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make(path) == made


def test_what_lies_in_the_place_is_not_written_into(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "secrets.json", tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / "secrets.json.new").symlink_to(elsewhere)
    write_private(path, "secret")
    assert (path.read_text(), elsewhere.read_text()) == ("secret", "mine")
    left = tmp_path / "secrets.json.new"
    left.touch(0o644)
    write_private(path, "another")
    assert path.stat().st_mode & 0o777 == 0o600
