"""The page on settings says what the code reads."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from gatelodge.cli import cli
from gatelodge.limiter.quota import parse_quotas

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/settings.md").read_text()
READ_BY_CODE = re.compile(r'\bsetting\(\s*"([A-Z][A-Z0-9_]+)"')


def test_the_page_is_what_the_command_prints() -> None:
    """Regenerate it with: gatelodge settings reference > docs/settings.md."""
    printed = CliRunner().invoke(cli, ["settings", "reference"], env={"MCP_PORT": "1", "GATELODGE_MODE": "production"})
    assert printed.exit_code == 0
    assert printed.output == PAGE, "run: .venv/bin/gatelodge settings reference > docs/settings.md"


def test_no_setting_is_left_out() -> None:
    """Every name that the source gives to `setting` has its row, whichever command or plugin reads it."""
    sources = [path.read_text() for folder in ("server", "plugins") for path in (ROOT / folder).rglob("*.py")]
    names = {name for source in sources for name in READ_BY_CODE.findall(source)}
    assert len(names) > 80
    assert {name for name in names if f"| `{name}` |" not in PAGE} == set()


def test_a_default_is_shown_as_it_would_be_typed() -> None:
    """What the page shows for quotas is read back as the same quotas."""
    (shown,) = re.findall(r"`GATELODGE_RATE_LIMIT_USER` \| `([^`]+)`", PAGE)
    assert [str(quota) for quota in parse_quotas(shown)] == shown.split(",")
