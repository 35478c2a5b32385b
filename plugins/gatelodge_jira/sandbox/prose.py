"""Plausible words: the titles, descriptions (ADF) and comments of the demo issues."""

from __future__ import annotations

from random import Random
from typing import Any

ADF = dict[str, Any]

THINGS = {
    "PAY": (
        "refund", "card payment", "invoice", "payout", "chargeback", "SEPA mandate", "currency conversion",
        "ledger entry", "receipt e-mail", "subscription renewal", "3-D Secure step", "tax report",
    ),
    "WEB": (
        "checkout page", "search box", "product page", "basket", "login form", "address book", "wish list",
        "size guide", "image gallery", "cookie banner", "order history", "voucher field",
    ),
    "OPS": (
        "primary database", "message queue", "load balancer", "nightly backup", "certificate",
        "build cluster", "object store", "DNS zone", "metrics pipeline", "VPN gateway", "cache node",
        "log archive",
    ),
}  # fmt: skip
FAULTS = (
    "fails", "times out", "is slow", "shows the wrong total", "is done twice", "loses its state",
    "returns error 500", "ignores the time zone", "breaks on ünïcode names", "leaks memory", "is refused",
    "never finishes",
)  # fmt: skip
OCCASIONS = (
    "after the last release", "for customers in Norway", "on mobile", "under load", "at midnight",
    "when the network drops", "with more than 100 items", "for guests", "in Safari", "after a retry",
    "on the first of the month", "during failover",
)  # fmt: skip
WISHES = (
    "Export the {} as CSV", "Show the status of each {}", "Let support correct the {}",
    "Remember the last {}", "Send a notice when the {} changes", "Add an audit trail to the {}",
    "Make the {} accessible by keyboard", "Cache the {}", "Explain the {} to new users",
    "Allow several rules for the {}", "Measure the {}", "Preview the {}",
)  # fmt: skip
CHORES = (
    "Upgrade the library behind the {}", "Write a runbook for the {}", "Remove the old {}",
    "Add tests for the {}", "Move the {} to the new cluster", "Review access to the {}",
    "Rotate the keys of the {}", "Document the {}",
)  # fmt: skip
THEMES = ("Faster", "Reliable", "Simpler", "Safer", "Cheaper", "Better")
LABELS = ("customer", "regression", "tech-debt", "security", "performance", "quick-win", "needs-design", "compliance")
REMARKS = (
    "I can reproduce this on staging.", "Seen again this morning, twice.", "The fix is in review.",
    "We need a decision from product before going on.", "Is this still wanted?",
    "Rolled out to ten per cent.", "Logs attached to the incident channel.",
    "Waiting for the supplier's answer.", "Let us split this in two.", "Verified after the release.",
    "Same cause as the timeout of last week, I think.", "Priority agreed with support.",
)  # fmt: skip


def title(chance: Random, project: str, kind: str) -> str:
    """A line that fits the project and the type of issue."""
    thing = chance.choice(THINGS[project])
    match kind:
        case "Bug" | "Incident":
            return f"{_capital(thing)} {chance.choice(FAULTS)} {chance.choice(OCCASIONS)}"
        case "Epic":
            return f"{chance.choice(THEMES)} {thing}"
        case "Story":
            return chance.choice(WISHES).format(thing)
        case _:
            return chance.choice(CHORES).format(thing)


def description(chance: Random, summary: str, kind: str) -> ADF:
    """A document of a few blocks: a bug's steps, an incident's log, or what a story wants."""
    if kind in ("Bug", "Incident"):
        log = f"ERROR {chance.randrange(400, 600)} request={chance.getrandbits(32):08x}"
        steps = bullets("Open the page as a customer", "Repeat until it happens", "Look at the log")
        return document(paragraph(f"{summary}."), heading("Steps"), steps, code(log))
    wish = f"As the team we want this: {summary[0].lower()}{summary[1:]}."
    return document(paragraph(wish), heading("Done when"), bullets("It works for every customer", "It is measured"))


def remark(chance: Random) -> ADF:
    return document(paragraph(chance.choice(REMARKS)))


def document(*blocks: ADF) -> ADF:
    return {"type": "doc", "version": 1, "content": list(blocks)}


def paragraph(words: str) -> ADF:
    return {"type": "paragraph", "content": [_text(words)]}


def heading(words: str, level: int = 3) -> ADF:
    return {"type": "heading", "attrs": {"level": level}, "content": [_text(words)]}


def bullets(*lines: str) -> ADF:
    return {"type": "bulletList", "content": [{"type": "listItem", "content": [paragraph(line)]} for line in lines]}


def code(words: str) -> ADF:
    return {"type": "codeBlock", "attrs": {"language": "text"}, "content": [_text(words)]}


def _text(words: str) -> ADF:
    return {"type": "text", "text": words}


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
