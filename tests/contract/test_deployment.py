"""The deployment files fit the services, as far as that can be told without Docker.

Every check is also handed a broken copy of the file, and must object.
"""

import copy
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import httpx
import jsonschema
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema  # type: ignore[import-untyped]

from deploy.local.ports import free_port
from services import processes, reference
from services.ingest.settings import IngestSettings
from services.runtime.keys import Keyring
from services.runtime.probe import Probe
from tests.contract import deployment
from tests.contract.deployment import ROOT, read

COMPOSE = read("docker-compose.yml")
SCRAPE = read("deploy/prometheus/prometheus.yml")
ALERTS = read("deploy/prometheus/alerts.yml")
BOARD = json.loads((ROOT / "deploy/grafana/dashboards/regulars.json").read_text())

Change = Callable[[Any], None]


def changed(document: Any, change: Change) -> Any:
    broken = copy.deepcopy(document)
    change(broken)
    return broken


def put(*path: Any) -> Change:
    """A change: the last argument at the place that the others name."""
    *places, last, value = path

    def change(document: Any) -> None:
        for place in places:
            document = document[place]
        document[last] = value

    return change


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Takes on the environment that compose gives to one of its services."""

    def take_on(service: str) -> None:
        for name, value in deployment.environment(COMPOSE, service).items():
            monkeypatch.setenv(name, value)

    return take_on


# -- docker-compose.yml -------------------------------------------------------------------


def compose_errors(compose: Any) -> list[str]:
    schema = get_builtin_schema("vendor.compose-spec")
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(compose)]


def test_the_compose_file_is_valid_by_the_compose_specification() -> None:
    assert compose_errors(COMPOSE) == []
    assert compose_errors(changed(COMPOSE, put("services", "kafka", "imaeg", "kafka"))) != []


def test_compose_runs_every_process_once() -> None:
    assert list(deployment.process_problems(COMPOSE)) == []
    broken = changed(COMPOSE, put("services", "ingest", "command", ["api", "digest"]))
    assert list(deployment.process_problems(broken)) == [
        "regulars api ingest runs 0 times",
        "ingest: regulars api digest is no command",
    ]


def test_every_variable_in_compose_is_a_setting() -> None:
    environments = {
        name: service.get("environment", {}) for name, service in COMPOSE["services"].items()
    }
    assert sum(map(len, environments.values())) > 30
    assert deployment.unknown_variables(environments) == []
    assert deployment.unknown_variables({"ingest": {"REGULARS_KAFKA_ULR": "kafka:9092"}}) == [
        "ingest sets REGULARS_KAFKA_ULR, which nothing reads"
    ]


def test_every_container_starts_with_settings_that_are_valid(
    container: Callable[[str], None],
) -> None:
    for name in deployment.started(COMPOSE["services"]):
        container(name)
        for settings in reference.classes():
            assert settings().kafka_url == "kafka:9092"


@pytest.mark.parametrize(
    "spec", [*processes.ALL, *processes.OPTIONAL], ids=lambda spec: " ".join(spec.command)
)
def test_the_port_of_a_process_is_a_setting_with_that_default(spec: processes.ProcessSpec) -> None:
    defaults = {
        f"REGULARS_{name.upper()}": field.default
        for settings in reference.classes()
        for name, field in settings.model_fields.items()
    }
    assert defaults.get(spec.port_setting) == spec.port


def test_ports_are_those_of_the_processes_and_stay_on_this_machine() -> None:
    assert list(deployment.port_problems(COMPOSE)) == []
    broken = changed(COMPOSE, put("services", "ingest", "ports", ["8100:8200"]))
    assert list(deployment.port_problems(broken)) == [
        "ingest publishes 8100:8200 beyond this machine",
        "ingest publishes 8200 but listens on 8100",
    ]


@pytest.fixture
def routes(container: Callable[[str], None]) -> dict[str, set[str]]:
    """The paths of every process, by its target: of APIs and console as they are made."""
    found = {}
    for name, spec in deployment.started(COMPOSE["services"]).items():
        container(name)
        if spec.kind == "worker":
            found[spec.target] = PROBED
        else:
            found[spec.target] = deployment.paths_of(spec.target)
    return found


PROBED = {"/health/live", "/health/ready", "/metrics"}


async def test_a_worker_answers_where_it_is_asked() -> None:
    port = free_port()
    probe = Probe("127.0.0.1", port, lambda: None)
    await probe.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            found = {path: (await client.get(path)).status_code for path in sorted(PROBED)}
    finally:
        await probe.stop()
    assert found == dict.fromkeys(PROBED, 200)


def test_every_process_has_a_health_check_on_a_route_that_it_has(
    routes: dict[str, set[str]],
) -> None:
    assert list(deployment.health_problems(COMPOSE, routes)) == []

    def ask_elsewhere(compose: Any) -> None:
        test = compose["services"]["profile-build"]["healthcheck"]["test"]
        test[-1] = test[-1].replace("8220/health/ready", "8210/healthy")
        del compose["services"]["ingest"]["healthcheck"]

    assert list(deployment.health_problems(changed(COMPOSE, ask_elsewhere), routes)) == [
        "ingest has no health check",
        "profile-build is asked on 8210 but listens on 8220",
        "profile-build has no route /healthy",
    ]


def test_containers_wait_for_what_can_come_true() -> None:
    assert list(deployment.order_problems(COMPOSE)) == []
    waits = {"kafak": {"condition": "service_started"}, "topics": {"condition": "service_healthy"}}
    broken = changed(COMPOSE, put("services", "ingest", "depends_on", waits))
    assert list(deployment.order_problems(broken)) == [
        "ingest waits for kafak, which does not exist",
        "ingest waits for topics to be healthy, which it cannot tell",
    ]


def test_every_mount_exists() -> None:
    assert list(deployment.volume_problems(COMPOSE)) == []
    mounts = ["./deploy/promotheus:/etc/prometheus:ro", "kafak:/data"]
    broken = changed(COMPOSE, put("services", "prometheus", "volumes", mounts))
    assert list(deployment.volume_problems(broken)) == [
        "prometheus mounts ./deploy/promotheus, which does not exist",
        "prometheus mounts kafak, which does not exist",
    ]


def test_addresses_between_containers_lead_to_containers() -> None:
    assert list(deployment.address_problems(COMPOSE)) == []
    environment = {"REGULARS_NOTIFIER_PROFILE_URL": "http://profiel:8200"}
    broken = changed(COMPOSE, put("services", "notifier", "environment", environment))
    assert list(deployment.address_problems(broken)) == [
        "notifier looks for profiel:8200, where nothing listens"
    ]


def test_the_tokens_of_compose_are_those_that_it_names(container: Callable[[str], None]) -> None:
    container("ingest")
    keys = Keyring(IngestSettings().write_keys)
    tokens = Keyring(IngestSettings().tokens)
    assert keys.find("demo-write-key") == "storefront"
    for role in ("reader", "marketer", "support", "admin"):
        assert tokens.find(f"demo-{role}") == role
    for service, name in (("notifier", "NOTIFIER_PROFILE"), ("console", "CONSOLE")):
        token = deployment.environment(COMPOSE, service)[f"REGULARS_{name}_TOKEN"]
        assert tokens.find(token) == "reader"


# -- Dockerfile ---------------------------------------------------------------------------


def test_the_image_is_made_of_files_that_exist_and_reach_the_build() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
        for source in line.split()
    ]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    assert set(copied) == allowed
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_image_starts_the_command_that_the_package_installs() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert 'ENTRYPOINT ["regulars"]' in (ROOT / "deploy/Dockerfile").read_text()
    assert scripts["regulars"] == "services.cli:main"


def test_the_command_needs_nothing_that_the_image_leaves_out() -> None:
    code = "import sys; sys.modules |= {'deploy': None, 'tests': None}; import services.cli"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_image_has_every_file_that_is_no_python() -> None:
    """setuptools leaves out what package-data does not name."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    named = {
        path
        for package, patterns in tables.get("package-data", {}).items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    needed = {
        path
        for path in (ROOT / "services").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".md")
    }
    assert needed - named == set()


# -- Prometheus and Grafana ---------------------------------------------------------------


def test_prometheus_asks_every_api_and_worker() -> None:
    assert list(deployment.scrape_problems(SCRAPE, COMPOSE)) == []
    broken = changed(
        SCRAPE, put("scrape_configs", 0, "static_configs", 0, "targets", 0, "ingest:8101")
    )
    assert list(deployment.scrape_problems(broken, COMPOSE)) == [
        "ingest:8100 is not scraped",
        "nothing answers at ingest:8101",
    ]


def test_the_rule_files_of_prometheus_exist() -> None:
    assert [ROOT / "deploy/prometheus" / name for name in SCRAPE["rule_files"]] == [
        ROOT / "deploy/prometheus/alerts.yml"
    ]


def test_alerts_and_panels_use_metrics_and_labels_that_exist() -> None:
    expressions = deployment.alert_expressions(ALERTS) | deployment.board_expressions(BOARD)
    assert len(expressions) > 20
    assert list(deployment.expression_problems(expressions)) == []
    broken = {
        "panel A": "sum(regulars_stage_lag_record)",
        "panel B": 'sum by (topik) (regulars_stage_lag_records{stag="build"})',
        "panel C": "rate(regulars_stage_turn_seconds[1m])",
    }
    assert list(deployment.expression_problems(broken)) == [
        "panel A: there is no metric regulars_stage_lag_record",
        "panel B: no metric there has the label stag",
        "panel B: no metric there has the label topik",
        "panel C: there is no metric regulars_stage_turn_seconds",
    ]


def test_every_alert_leads_to_what_to_do() -> None:
    headings = {
        heading.lower().replace(" ", "-")
        for heading in re.findall(
            r"^#+ (.+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE
        )
    }
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            page, _, anchor = rule["annotations"]["runbook"].partition("#")
            assert (page, anchor in headings) == ("docs/operations.md", True), rule["alert"]


def test_the_board_and_its_data_source_are_where_grafana_looks() -> None:
    mounts = dict(volume.split(":")[:2] for volume in COMPOSE["services"]["grafana"]["volumes"])
    provider = read("deploy/grafana/provisioning/dashboards/regulars.yml")["providers"][0]
    source = read("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in BOARD["panels"] if "datasource" in panel} == {
        source["uid"]
    }


# -- Kubernetes ---------------------------------------------------------------------------


@cache
def manifests() -> list[Any]:
    optional = deployment.documents("deploy/k8s/inbound-mail.yaml")
    return [*deployment.manifests("deploy/k8s"), *optional]


def test_kubernetes_runs_every_process_as_compose_does(routes: dict[str, set[str]]) -> None:
    assert list(deployment.workload_problems(manifests(), routes)) == []

    def break_things(documents: Any) -> None:
        container = deployment.containers(documents)["ingest"]
        container["args"] = ["api", "profile"]
        container["readinessProbe"]["httpGet"] |= {"path": "/ready", "port": 1}

    broken = changed(manifests(), break_things)
    assert list(deployment.workload_problems(broken, routes)) == [
        "regulars api ingest runs 0 times",
        "regulars api profile runs 2 times",
        "ingest has the port 8100 but listens on 8200",
        "ingest is probed on 1/ready",
    ]


def test_every_variable_in_kubernetes_is_a_setting() -> None:
    environments = deployment.config_maps([*manifests(), read("deploy/k8s/secret.example.yaml")])
    assert set(environments) == {"ConfigMap regulars", "Secret regulars"}
    assert deployment.unknown_variables(environments) == []


def test_kubernetes_services_lead_to_the_port_of_their_process() -> None:
    assert list(deployment.service_problems(manifests())) == []
    broken = changed(
        manifests(),
        lambda documents: deployment.services(documents)["ingest"]["spec"]["ports"][0].update(
            port=80
        ),
    )
    assert list(deployment.service_problems(broken)) == ["service ingest has port 80, not 8100"]


# -- documents ----------------------------------------------------------------------------


def test_the_table_of_settings_is_up_to_date() -> None:
    text = reference.PAGE.read_text()
    assert reference.page(text) == text
    assert reference.page(text.replace("`10000`", "`9`")) == text


def links() -> Iterator[tuple[str, str]]:
    for page in sorted((ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                yield page.name, target


@pytest.mark.parametrize(("page", "target"), sorted(set(links())))
def test_a_link_in_the_documents_leads_to_a_file(page: str, target: str) -> None:
    assert (ROOT / "docs" / target).exists()
