"""What the operator may set for the Jira plugin; the names are those that users of other Jira servers have already."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from marshmallow import fields, validate

from gatelodge import StartupError, setting

from .instance import Instance

ENVIRONMENT_INSTANCE = "default"
CLOUD_API = "https://api.atlassian.com/ex/jira"
NOT_EMPTY = validate.Length(min=1, max=2000)


@dataclass(frozen=True, slots=True, kw_only=True)
class JiraSettings:
    """One Jira from the environment. Without it, and without instances of a tenant's own, the sandbox speaks."""

    url: str | None = setting(
        "JIRA_URL",
        fields.Url(schemes={"http", "https"}, require_tld=False),
        default=None,
        help="Address of the one Jira, such as https://example.atlassian.net.",
    )
    username: str | None = setting(
        "JIRA_USERNAME", fields.String(validate=NOT_EMPTY), default=None, help="E-mail address of a Cloud account."
    )
    api_token: str | None = setting(
        "JIRA_API_TOKEN", fields.String(validate=NOT_EMPTY), default=None, help="Its API token.", secret=True
    )
    personal_token: str | None = setting(
        "JIRA_PERSONAL_TOKEN",
        fields.String(validate=NOT_EMPTY),
        default=None,
        help="Personal access token of a Data Center account.",
        secret=True,
    )
    cloud_id: str | None = setting(
        "JIRA_CLOUD_ID",
        fields.String(validate=validate.Regexp(r"[A-Za-z0-9-]+\Z")),
        default=None,
        help="Cloud id, for a scoped token: calls go through api.atlassian.com.",
    )
    sandbox: bool = setting(
        "GATELODGE_JIRA_SANDBOX",
        fields.Boolean(),
        default=True,
        help="Whether a tenant without a Jira speaks to the sandbox with demo data.",
    )

    def instance(self) -> Instance | None:
        """The instance the environment describes. Raises `StartupError` for half of one."""
        if self.url is None:
            self._refuse_strays()
            return None
        site = self.url.rstrip("/")
        return Instance(
            id=ENVIRONMENT_INSTANCE,
            url=f"{CLOUD_API}/{self.cloud_id}" if self.cloud_id else site,
            site=site,
            authorization=self._authorization(),
        )

    def _authorization(self) -> str | None:
        if self.personal_token and (self.username or self.api_token):
            raise StartupError("setting_invalid", "JIRA_PERSONAL_TOKEN: it excludes JIRA_USERNAME and JIRA_API_TOKEN")
        if bool(self.username) != bool(self.api_token):
            missing = "JIRA_API_TOKEN" if self.username else "JIRA_USERNAME"
            raise StartupError("setting_invalid", f"{missing}: it is needed beside the other one of the two")
        if self.username and self.api_token:
            return basic(self.username, self.api_token)
        return f"Bearer {self.personal_token}" if self.personal_token else None

    def _refuse_strays(self) -> None:
        given = {
            "JIRA_USERNAME": self.username,
            "JIRA_API_TOKEN": self.api_token,
            "JIRA_PERSONAL_TOKEN": self.personal_token,
            "JIRA_CLOUD_ID": self.cloud_id,
        }
        for name, value in given.items():
            if value is not None:
                raise StartupError("setting_invalid", f"{name}: it means nothing without JIRA_URL")


def basic(username: str, token: str) -> str:
    """The Authorization header of a Cloud account. Source: RFC 7617."""
    return "Basic " + base64.b64encode(f"{username}:{token}".encode()).decode()
