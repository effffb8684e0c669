"""What the addons' sources promise to a reader, without an Odoo."""

from deploy.local.settings import REPOSITORY

ADDON = REPOSITORY / "deploy/odoo/addons/fusion_billing"
_REASON_WITHIN_LINES = 4


def unexplained(source: str) -> list[str]:
    """Return the lines that act as superuser without a comment on them or shortly before."""
    lines = source.splitlines()
    return [
        line
        for number, line in enumerate(lines)
        if ".sudo()" in line
        and not any("#" in near for near in lines[max(0, number - _REASON_WITHIN_LINES) : number + 1])
    ]


def test_who_acts_as_superuser_says_why() -> None:
    """Rights that are stepped over have a reason next to them."""
    sources = [path for path in ADDON.rglob("*.py") if "tests" not in path.parts]
    assert len(sources) > 40
    found = {path.name: lines for path in sources if (lines := unexplained(path.read_text()))}
    assert found == {}


def test_a_superuser_without_reason_is_found() -> None:
    """The check above can fail."""
    assert unexplained("a\nb\nc\nd\nrecord.sudo().unlink()") == ["record.sudo().unlink()"]
    assert unexplained("# The rule allows it.\nrecord.sudo().unlink()") == []
