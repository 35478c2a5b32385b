"""Weather as a Gatelodge plugin: what a third party needs to know stands in this one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from marshmallow import Schema, fields, validate

from gatelodge import (
    READ,
    Argument,
    Call,
    Environment,
    Message,
    Middleware,
    Next,
    Phase,
    Prompt,
    Resource,
    Result,
    Text,
    TextContents,
    Tool,
    ToolError,
    hookimpl,
    setting,
)

STATIONS: Mapping[str, Any] = json.loads(files(__name__).joinpath("stations.json").read_text())


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherSettings:
    """A plugin reads settings of its own; their names begin with GATELODGE_ and its name."""

    station: str = setting(
        "GATELODGE_WEATHER_STATION",
        fields.String(validate=validate.OneOf(list(STATIONS))),
        default="Bergen",
        help="Where to look out of the window when a call names no city.",
    )


class Now(Schema):
    city = fields.String(validate=validate.OneOf(list(STATIONS)), metadata={"description": "One of the stations."})


class Weather(Schema):
    city = fields.String(required=True)
    temperature_c = fields.Float(required=True)
    sky = fields.String(required=True)


class WeatherPlugin:
    """Named by the entry point `weather` of the group `gatelodge`; made once for each server."""

    def __init__(self) -> None:
        self._settings = WeatherSettings()

    @hookimpl
    def gatelodge_configure(self, environment: Environment) -> None:
        self._settings = environment.read(WeatherSettings)

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return (
            Tool(
                name="weather.now",
                title="Weather now",
                description='Weather of a city now, in Celsius. Example: {"city": "Lima"}.',
                input=Now,
                output=Weather,
                handler=self._now,
                annotations=READ,
            ),
        )

    @hookimpl
    def gatelodge_resources(self) -> Sequence[Resource]:
        return (
            Resource(
                uri="weather://stations",
                name="stations",
                title="Weather stations",
                description="The cities there are.",
                handler=self._stations,
                mime_type="application/json",
            ),
        )

    @hookimpl
    def gatelodge_prompts(self) -> Sequence[Prompt]:
        return (
            Prompt(
                name="weather-advice",
                title="What to wear",
                description="Asks for advice on clothes for a city.",
                handler=self._advice,
                arguments=(Argument(name="city", description="Where to go.", required=True),),
            ),
        )

    @hookimpl
    def gatelodge_middleware(self) -> Sequence[Middleware]:
        return (Middleware("weather_units", Phase.CACHE, self._units),)

    async def _now(self, call: Call) -> Mapping[str, Any]:
        city = call.arguments.get("city", self._settings.station)
        return {"city": city, **STATIONS[city]}

    async def _stations(self, call: Call) -> Result:
        return Result(content=(TextContents("weather://stations", json.dumps(list(STATIONS)), "application/json"),))

    async def _advice(self, call: Call) -> Result:
        city = call.arguments["city"]
        if city not in STATIONS:
            raise ToolError(
                "not_found", f"There is no station in {city!r}.", details={"fields": {"city": ["Unknown."]}}
            )
        sky = STATIONS[city]["sky"]
        return Result(content=(Message("user", Text(f"It is {sky} in {city}. What shall I wear?")),))

    async def _units(self, call: Call, call_next: Next) -> Result:
        """A middleware sees every call of every plugin: this one names its unit in the result's `_meta`."""
        result = await call_next(call)
        if call.owner != "weather" or result.error is not None:
            return result
        return replace(result, meta={**result.meta, "gatelodge-weather/unit": "celsius"})
