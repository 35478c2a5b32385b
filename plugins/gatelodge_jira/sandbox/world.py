"""What does not change in the sandbox: its projects, workflows, people, and the values that fields may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Category = Literal["new", "indeterminate", "done"]

STORY_POINTS = "customfield_10016"
TEAM = "customfield_10001"
ROOT_CAUSE = "customfield_10050"


@dataclass(frozen=True, slots=True)
class Status:
    """A status of any workflow, and the key of its category."""

    id: str
    name: str
    category: Category


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A transition of a workflow: from any of `sources` (`None` is every status), with the fields of its screen."""

    id: str
    name: str
    to: str
    sources: tuple[str, ...] | None = None
    screen: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    lead_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`account_id` names them in the Cloud, `name` and `key` in a Data Center."""

    account_id: str
    name: str
    key: str
    display_name: str

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueType:
    """`level` is 1 for what holds others, 0 for the ordinary, -1 for a sub-task."""

    id: str
    name: str
    level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project with its own workflow; `initial` is the status of a new issue."""

    id: str
    key: str
    name: str
    description: str
    lead: str
    issue_types: tuple[str, ...]
    teams: tuple[str, ...]
    initial: str
    steps: tuple[Step, ...]

    def steps_from(self, status: str) -> list[Step]:
        """The transitions that leave a status, whoever asks."""
        return [step for step in self.steps if step.sources is None or status in step.sources]


@dataclass(frozen=True, slots=True)
class LinkType:
    """`A outward B` is the same link as `B inward A`: A blocks B, B is blocked by A."""

    id: str
    name: str
    inward: str
    outward: str


def _people(*names: tuple[str, str]) -> tuple[Person, ...]:
    return tuple(
        Person(account_id=f"5b10a2844c20165700ed{n:04d}", name=name, key=f"JIRAUSER10{n:03d}", display_name=shown)
        for n, (name, shown) in enumerate(names, start=1)
    )


PEOPLE = _people(
    ("ada", "Ada Novak"),
    ("ben", "Ben O'Hara"),
    ("chidi", "Chidi Okafor"),
    ("dana", "Dana Lévesque"),
    ("emre", "Emre Yılmaz"),
    ("fatima", "Fatima Zahra"),
    ("goran", "Goran Petrović"),
    ("hana", "Hana Suzuki"),
    ("ivan", "Iván Morales"),
    ("jo", "Jo Lindqvist"),
    ("kofi", "Kofi Mensah"),
    ("lena", "Lena Weiß"),
)
DEMO_USER = PEOPLE[0]

STATUSES = {
    status.name: status
    for status in (
        Status("10000", "To Do", "new"),
        Status("3", "In Progress", "indeterminate"),
        Status("10001", "In Review", "indeterminate"),
        Status("10002", "Blocked", "indeterminate"),
        Status("10003", "Done", "done"),
        Status("10004", "Backlog", "new"),
        Status("10005", "Selected", "new"),
        Status("1", "Open", "new"),
        Status("10006", "Investigating", "indeterminate"),
        Status("10007", "Mitigated", "indeterminate"),
        Status("5", "Resolved", "done"),
        Status("6", "Closed", "done"),
    )
}
CATEGORY_NAMES: dict[Category, tuple[int, str, str]] = {
    "new": (2, "To Do", "blue-gray"),
    "indeterminate": (4, "In Progress", "yellow"),
    "done": (3, "Done", "green"),
}
"""Id, name and colour of each category, as every Jira has them."""

PRIORITIES = {name: str(n) for n, name in enumerate(("Highest", "High", "Medium", "Low", "Lowest"), start=1)}
RESOLUTIONS = {"Done": "10000", "Won't Do": "10001", "Duplicate": "10002", "Cannot Reproduce": "10003"}
TEAMS = {"Ledger": "10101", "Checkout": "10102", "Storefront": "10103", "Search": "10104", "Platform": "10105"}

ISSUE_TYPES = {
    kind.name: kind
    for kind in (
        IssueType(id="10000", name="Epic", level=1),
        IssueType(id="10001", name="Story"),
        IssueType(id="10002", name="Task"),
        IssueType(id="10003", name="Bug"),
        IssueType(id="10004", name="Incident"),
        IssueType(id="10005", name="Change"),
        IssueType(id="10006", name="Sub-task", level=-1),
    )
}

LINK_TYPES = {
    kind.name: kind
    for kind in (
        LinkType("10000", "Blocks", "is blocked by", "blocks"),
        LinkType("10001", "Cloners", "is cloned by", "clones"),
        LinkType("10002", "Duplicate", "is duplicated by", "duplicates"),
        LinkType("10003", "Relates", "relates to", "relates to"),
        LinkType("10004", "Problem/Incident", "is caused by", "causes"),
    )
}

_OPEN_PAY = ("To Do", "In Progress", "In Review", "Blocked")
PROJECTS = {
    project.key: project
    for project in (
        Project(
            id="10000",
            key="PAY",
            name="Payments",
            description="Cards, refunds, invoices and the ledger behind them.",
            lead="ada",
            issue_types=("Epic", "Story", "Task", "Bug", "Sub-task"),
            teams=("Ledger", "Checkout"),
            initial="To Do",
            steps=(
                Step(id="11", name="Start progress", to="In Progress", sources=("To Do",)),
                Step(id="21", name="Ask for review", to="In Review", sources=("In Progress",)),
                Step(id="31", name="Send back", to="In Progress", sources=("In Review",)),
                Step(id="41", name="Accept", to="Done", sources=("In Review",), screen=("resolution",)),
                Step(id="51", name="Block", to="Blocked", sources=("In Progress",), screen=("assignee",)),
                Step(id="61", name="Unblock", to="In Progress", sources=("Blocked",)),
                Step(
                    id="71",
                    name="Reject",
                    to="Done",
                    sources=_OPEN_PAY,
                    screen=("resolution",),
                    required=("resolution",),
                ),
                Step(id="81", name="Reopen", to="To Do", sources=("Done",)),
            ),
        ),
        Project(
            id="10001",
            key="WEB",
            name="Web shop",
            description="What the customer sees.",
            lead="ada",
            issue_types=("Epic", "Story", "Task", "Bug", "Sub-task"),
            teams=("Storefront", "Search"),
            initial="Backlog",
            steps=tuple(
                Step(id=f"{n}1", name=name, to=name)
                for n, name in enumerate(("Backlog", "Selected", "In Progress", "Done"), start=1)
            ),
        ),
        Project(
            id="10002",
            key="OPS",
            name="Operations",
            description="Incidents and changes in production.",
            lead="goran",
            issue_types=("Incident", "Change", "Task"),
            teams=("Platform",),
            initial="Open",
            steps=(
                Step(id="4", name="Investigate", to="Investigating", sources=("Open",)),
                Step(id="5", name="Mitigate", to="Mitigated", sources=("Investigating",)),
                Step(
                    id="6",
                    name="Resolve",
                    to="Resolved",
                    sources=("Investigating", "Mitigated"),
                    screen=("resolution", ROOT_CAUSE, "assignee"),
                    required=("resolution",),
                ),
                Step(id="7", name="Close", to="Closed", sources=("Resolved",), lead_only=True),
                Step(id="8", name="Reopen", to="Investigating", sources=("Resolved", "Closed")),
            ),
        ),
    )
}
