"""Which operation answers which address, under `/rest/api/2` and `/rest/api/3`."""

from __future__ import annotations

from . import catalogue, issue_operations, search_operations
from .ask import Operation

Route = tuple[str, str, Operation]

EVERYWHERE: tuple[Route, ...] = (
    ("GET", "serverInfo", catalogue.server_info),
    ("GET", "myself", catalogue.myself),
    ("GET", "user/search", catalogue.find_users),
    ("GET", "project/{project}", catalogue.project),
    ("GET", "field", catalogue.fields),
    ("GET", "priority", catalogue.priorities),
    ("GET", "status", catalogue.statuses),
    ("GET", "issuetype", catalogue.issue_types),
    ("GET", "issueLinkType", catalogue.link_types),
    ("GET", "search", search_operations.old_search),  # gone from the Cloud, which says so
    ("POST", "search", search_operations.old_search),
    ("GET", "issue/createmeta/{project}/issuetypes", catalogue.create_types),
    ("GET", "issue/createmeta/{project}/issuetypes/{type}", catalogue.create_fields),
    ("POST", "issue", issue_operations.create),
    ("GET", "issue/{issue}", issue_operations.get),
    ("PUT", "issue/{issue}", issue_operations.edit),
    ("DELETE", "issue/{issue}", issue_operations.delete),
    ("GET", "issue/{issue}/transitions", issue_operations.transitions),
    ("POST", "issue/{issue}/transitions", issue_operations.transition),
    ("GET", "issue/{issue}/comment", issue_operations.comments),
    ("POST", "issue/{issue}/comment", issue_operations.comment),
    ("GET", "issue/{issue}/editmeta", issue_operations.editmeta),
    ("POST", "issueLink", issue_operations.link),
    ("GET", "issueLink/{link}", issue_operations.get_link),
    ("DELETE", "issueLink/{link}", issue_operations.delete_link),
)
CLOUD: tuple[Route, ...] = (
    ("GET", "search/jql", search_operations.search),
    ("POST", "search/jql", search_operations.search),
    ("POST", "search/approximate-count", search_operations.count),
    ("POST", "jql/parse", search_operations.explain),
    ("GET", "project/search", catalogue.search_projects),
    ("POST", "issue/bulkfetch", issue_operations.bulk_fetch),
    ("POST", "changelog/bulkfetch", issue_operations.bulk_changelog),
    ("GET", "issue/{issue}/changelog", issue_operations.changelog),
)
"""What a Data Center does not have."""
DATA_CENTER: tuple[Route, ...] = (("GET", "project", catalogue.projects),)
