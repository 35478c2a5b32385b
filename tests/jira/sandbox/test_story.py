"""The demo story: the same for a seed and a day, and possible in the workflows it is told of."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta

import pytest

from gatelodge_jira.sandbox.story import DAYS, SEED, generate
from gatelodge_jira.sandbox.world import PROJECTS, STATUSES

TODAY = date(2026, 11, 25)


def test_same_seed_same_story() -> None:
    """A seed and a day give one story; another seed or day gives another."""
    assert generate(1, TODAY) == generate(1, TODAY)
    assert generate(1, TODAY) != generate(2, TODAY) != generate(2, TODAY + timedelta(days=1))


def test_size() -> None:
    """Three projects with 2,400 issues between them, each with something to do, in progress and done."""
    story = generate(SEED, TODAY)
    assert Counter(issue.project for issue in story.issues) == {"PAY": 900, "WEB": 800, "OPS": 700}
    categories = {(issue.project, issue.category) for issue in story.issues}
    assert len(categories) >= 8
    assert len(story.links) > 100
    assert sum(len(issue.remarks) for issue in story.issues) > 1000


@pytest.mark.parametrize("seed", range(3))
def test_every_issue_went_through_its_workflow(seed: int) -> None:
    """Each change is a step of the project's workflow, one after the other, within the story's days, in order."""
    story = generate(seed, TODAY + timedelta(days=seed))
    end = datetime.combine(story.today, time(), UTC)
    for issue in story.issues:
        status, at = PROJECTS[issue.project].initial, issue.created
        assert end - timedelta(days=DAYS + 1) <= at < end
        for change in issue.changes:
            assert (change.before, change.at > at) == (status, True)
            assert change.after in {step.to for step in PROJECTS[issue.project].steps_from(status)}
            status, at = change.after, change.at
        assert status == issue.status
        assert (issue.resolved is not None) == (issue.resolution is not None) == (STATUSES[status].category == "done")
        assert at <= issue.updated < end


def test_keys_follow_creation() -> None:
    """A higher number in a project was created later; parents are epics of the project; ids are unique."""
    story = generate(SEED, TODAY)
    by_key = {issue.key: issue for issue in story.issues}
    for earlier, later in zip(story.issues, story.issues[1:], strict=False):
        assert earlier.project != later.project or earlier.created <= later.created
    assert all(by_key[issue.parent].issue_type == "Epic" for issue in story.issues if issue.parent)
    assert len({issue.id for issue in story.issues}) == len(by_key) == len(story.issues)
    assert all({link.source, link.target} <= by_key.keys() and link.source != link.target for link in story.links)
