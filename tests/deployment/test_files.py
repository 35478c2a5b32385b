"""What an operator deploys with is read by the programs that will read it there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gatelodge.cli import cli
from gatelodge.cli.serve import FLUSH
from gatelodge.listening import CANCEL_TIMEOUT

from .tools import ETC, ROOT, debian, run, wheel

KUBERNETES = sorted(path for path in (ETC / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
SCRIPTS = sorted([*(ROOT / "scripts").glob("*.sh"), *ETC.rglob("*.sh"), ROOT / ".ci/run"])
SECRETS = ("postgres_password", "owner_password", "server_password", "grafana_password", "tls.crt", "tls.key")
CLOSING = 2 * CANCEL_TIMEOUT + FLUSH
"""Seconds that a server may need beyond its drain."""
COMMAND = re.compile(r"(?<![\w/@.=-])gatelodge ([a-z][a-z-]*(?: [a-z][a-z-]+){0,2})")


def _read(name: str) -> Any:
    return yaml.safe_load((ETC / name).read_text())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    """Sourced files included."""
    run(wheel("shellcheck"), "--external-sources", script)


def test_hadolint_finds_nothing() -> None:
    """No finding is switched off without a reason beside it."""
    run(wheel("hadolint"), ETC / "docker/Dockerfile")


def test_what_runs_has_no_tool_to_build_with() -> None:
    """The final stage is the plain base with one folder copied, and is nobody's but an unprivileged user's."""
    _, final = (ETC / "docker/Dockerfile").read_text().split("\nFROM python:", 1)[1].split("\nFROM python:")
    assert "pip install" not in final
    assert "apt-get" not in final
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE)


def test_compose_renders(tmp_path: Path) -> None:
    """By compose's own program, with the secrets that an operator makes."""
    shutil.copytree(ETC, tmp_path / "etc")
    (tmp_path / "etc/secrets").mkdir()
    for name in SECRETS:
        (tmp_path / "etc/secrets" / name).write_text("x")
    (tmp_path / "etc/secrets/gatelodge.env").write_text("GATELODGE_SECRET_KEY=x\n")
    rendered = yaml.safe_load(run(wheel("docker-compose"), "-f", tmp_path / "etc/compose.yaml", "config"))
    assert rendered["services"]["server-1"] == rendered["services"]["server-2"]
    for name, service in rendered["services"].items():
        for volume in service.get("volumes", []):
            path = Path(volume["source"])
            assert volume["type"] == "volume" or path.exists() or path == Path("/var/lib/docker/containers"), name


def test_compose_opens_nothing_but_nginx_to_the_world() -> None:
    """And lets each service have no more than it needs."""
    services = _read("compose.yaml")["services"]
    published = {port for service in services.values() for port in service.get("ports", [])}
    assert published == {"80:80", "443:443", "127.0.0.1:3000:3000"}
    for name, service in services.items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "privileged" not in service
        assert ":latest" not in service["image"].replace(":-latest", ""), name


def test_compose_waits_for_the_drain() -> None:
    """A container is killed only after all that a server may take to end."""
    server = _read("compose.yaml")["services"]["server-1"]
    drain = sum(float(server["environment"][f"GATELODGE_DRAIN_{name}"]) for name in ("DELAY", "TIMEOUT"))
    assert float(server["stop_grace_period"].removesuffix("s")) > drain + CLOSING


def test_nginx_is_the_one_proxy_that_compose_trusts() -> None:
    """By its fixed address in the one network that it shares with the servers."""
    compose = _read("compose.yaml")
    server, nginx = compose["services"]["server-1"], compose["services"]["nginx"]
    assert set(server["networks"]) & set(nginx["networks"]) == {"inside"}
    address = nginx["networks"]["inside"]["ipv4_address"]
    assert server["environment"]["GATELODGE_TRUSTED_PROXIES"] == f"{address}/32"


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_kubernetes_knows_each_field(path: Path) -> None:
    """By the schemas of its releases; a field that is not known is an error."""
    run(wheel("kubernetes-validate"), "--strict", "--kubernetes-version", "1.34", path)


def test_kustomize_lists_what_is_there() -> None:
    """Each manifest, but for the migration, which goes before."""
    listed = set(_read("kubernetes/kustomization.yaml")["resources"])
    assert listed == {path.name for path in KUBERNETES} - {"job-migrate.yaml"}


def test_kubernetes_waits_for_the_drain() -> None:
    """The grace period holds preStop, the drain and the end."""
    pod = _read("kubernetes/deployment.yaml")["spec"]["template"]["spec"]
    data = _read("kubernetes/configmap.yaml")["data"]
    before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(data["GATELODGE_DRAIN_DELAY"]) + float(data["GATELODGE_DRAIN_TIMEOUT"])
    assert pod["terminationGracePeriodSeconds"] > before + drain + CLOSING


def test_kubernetes_asks_the_right_doors() -> None:
    """Liveness the event loop alone, or a database that is away would kill every server; readiness everything."""
    (container,) = _read("kubernetes/deployment.yaml")["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["startupProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_no_secret_is_in_a_file() -> None:
    """Manifests refer to them; what looks like one is a placeholder."""
    for path in KUBERNETES:
        assert yaml.safe_load(path.read_text())["kind"] != "Secret"
    assert set(_read("compose.yaml")["secrets"]) == set(SECRETS)
    assert "etc/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    """It verifies, and systemd's own score of exposure is in the best class."""
    analyze = debian("systemd-analyze", "systemd")
    unit = tmp_path / "gatelodge@.service"
    text = (ETC / "systemd/gatelodge@.service").read_text()
    unit.write_text(text.replace("/opt/gatelodge/bin/gatelodge", "/bin/true"))
    run(analyze, "verify", "--man=no", unit, PATH=os.environ["PATH"])
    run(analyze, "security", "--offline=true", "--threshold=15", "--no-pager", unit, PATH=os.environ["PATH"])


def test_systemd_waits_for_the_drain() -> None:
    """With the sample's settings."""
    sample = dict(re.findall(r"^(GATELODGE_DRAIN_\w+)=(.+)$", (ETC / "gatelodge.env.sample").read_text(), re.MULTILINE))
    (bound,) = re.findall(r"^TimeoutStopSec=(\d+)$", (ETC / "systemd/gatelodge@.service").read_text(), re.MULTILINE)
    assert float(bound) > sum(map(float, sample.values())) + CLOSING


def test_nftables_reads_the_rules(tmp_path: Path) -> None:
    """Checked, and not applied."""
    run(debian("nft", "nftables"), "--check", "--file", ETC / "firewall/nftables.conf")


@pytest.mark.parametrize("path", ["gatelodge.env.sample", "compose.yaml"])
def test_nginx_keeps_no_connection_for_as_long_as_a_drain_takes_new_ones(path: str) -> None:
    """So one that was idle when the drain began is closed by nginx, and never by the server under a request."""
    (delay,) = re.findall(r"GATELODGE_DRAIN_DELAY(?:=|: \")([\d.]+)", (ETC / path).read_text())
    kept = re.findall(r"^ +keepalive_timeout (\d+)s;$", (ETC / "nginx/gatelodge/blue.conf").read_text(), re.MULTILINE)
    assert len(kept) == 3
    assert all(float(seconds) < float(delay) for seconds in kept)


@pytest.mark.parametrize("colour", ["blue", "green", "compose"])
def test_colours_differ_in_their_servers_alone(colour: str) -> None:
    """Whatever is tuned for one holds for the others."""
    blue, other = (_without_servers(name) for name in ("blue", colour))
    assert other == blue


def test_every_command_that_is_told_exists() -> None:
    """In alerts, comments and scripts: an operator at night pastes them."""
    told = set()
    for path in [*ETC.rglob("*"), *(ROOT / "scripts").iterdir()]:
        if path.is_file():
            told |= set(COMMAND.findall(path.read_text()))
    assert len(told) > 10
    for words in told:
        assert _is_command(words.split()), words


def _without_servers(colour: str) -> list[str]:
    lines = (ETC / f"nginx/gatelodge/{colour}.conf").read_text().splitlines()[1:]
    return [re.sub(r"server \S+", "server", line) for line in lines]


def _is_command(words: list[str]) -> bool:
    """Whether the words begin with a command of ours, down to one that has no more commands below it."""
    for end in range(1, len(words) + 1):
        done = CliRunner().invoke(cli, [*words[:end], "--help"])
        if done.exit_code != 0 or "Commands:" not in done.output:
            return done.exit_code == 0
    return False
