"""The way of one request: who asks, what goes wrong on order, the operation, and the answer in Jira's shape."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

from .ask import Ask, Operation, Reply
from .catalogue import server_info
from .faults import Fault, Faults
from .record import Record, Recorded
from .refusal import Refusal
from .site import Site
from .wire import PERSONS, Face

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Check(Protocol):
    """What looks at each exchange, once it is over; faults on order are not shown to it."""

    def __call__(self, request: Recorded, status: int, reply: Any) -> None: ...


class Door:
    """Makes handlers of operations."""

    def __init__(
        self,
        site: Site,
        cloud: bool,
        credentials: Mapping[str, str] | None,
        everyone: str,
        faults: Faults,
        record: Record,
        check: Check | None,
    ) -> None:
        self._site = site
        self._cloud = cloud
        self._credentials = credentials
        self._everyone = everyone
        self._faults = faults
        self._record = record
        self._check = check

    def handler(self, operation: Operation) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            recorded, problem = await _recorded(request)
            self._record.add(recorded)
            await asyncio.sleep(self._faults.take_delay(recorded.line))
            fault = self._faults.take(recorded.line)
            if fault is not None and not fault.after:
                return _failed(request, fault)
            reply = self._reply(request, recorded, operation, problem)
            if fault is not None:
                return _failed(request, fault)
            if self._check is not None:
                self._check(recorded, reply.status, reply.body)
            return _response(reply)

        return handle

    def nothing(self, ask: Ask) -> Reply:
        raise Refusal(404, "There is nothing at this address.")

    def _reply(self, request: web.Request, recorded: Recorded, operation: Operation, problem: Refusal | None) -> Reply:
        try:
            user = self._everyone if operation is server_info else self._user(request)
            if problem is not None:
                raise problem
            return operation(self._ask(request, recorded, user))
        except Refusal as refusal:
            return Reply(refusal.status, refusal.body())

    def _ask(self, request: web.Request, recorded: Recorded, user: str) -> Ask:
        api = 3 if request.match_info.get("api") == "3" else 2
        face = Face(f"{request.scheme}://{request.host}", api, self._cloud)
        path = request.match_info
        return Ask(site=self._site, face=face, user=user, path=path, query=recorded.query, body=recorded.body)

    def _user(self, request: web.Request) -> str:
        """Who asks. Raises a 401 `Refusal`."""
        if self._credentials is None:
            return self._everyone
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        match scheme.lower():
            case "bearer":
                user = self._credentials.get(secret)
            case "basic":
                user = self._basic(secret)
            case _:
                user = None
        if user is None:
            raise Refusal(401, "Client must be authenticated to access this resource.")
        return user

    def _basic(self, secret: str) -> str | None:
        try:
            login, _, token = b64decode(secret, validate=True).decode().partition(":")
        except ValueError:
            return None
        user = self._credentials.get(token) if self._credentials else None
        if user is None or login != (PERSONS[user].email if self._cloud else user):
            return None
        return user


async def _recorded(request: web.Request) -> tuple[Recorded, Refusal | None]:
    """The request, and what is wrong with its body."""
    body, problem = None, None
    try:
        body = (await request.read()).decode(errors="replace") or None
        body = None if body is None else json.loads(body)
    except web.HTTPRequestEntityTooLarge:
        problem = Refusal(413, "The request is too large.")
    except (ValueError, RecursionError):
        problem = Refusal(400, "The request body is not JSON.")
    if body is not None and problem is None and request.content_type != "application/json":
        problem = Refusal(415, "The request body must be application/json.")
    query = {name: ",".join(request.query.getall(name)) for name in request.query}
    return Recorded(method=request.method, path=request.path, query=query, body=body), problem


def _failed(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.status is None:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    refusal = Refusal(fault.status, fault.message or HTTPStatus(fault.status).phrase)
    return _response(Reply(fault.status, refusal.body()), fault.headers)


def _response(reply: Reply, headers: Mapping[str, str] | None = None) -> web.Response:
    if reply.body is None:
        return web.Response(status=reply.status, headers=headers)
    return web.json_response(reply.body, status=reply.status, headers=headers)
