"""What the deployment files must agree on with the services, as checks that name problems.

Each check takes parsed documents, so that the tests can also hand it a broken copy and see
it object. No Docker engine is needed.
"""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import metrics as prometheus
from prometheus_client.metrics import MetricWrapperBase

from services import processes, reference
from services.runtime import metrics

ROOT = Path(__file__).parents[2]
SUFFIXES = {
    prometheus.Counter: ("_total",),
    prometheus.Gauge: ("",),
    prometheus.Histogram: ("_bucket", "_sum", "_count"),
    prometheus.Summary: ("_sum", "_count"),
}
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}


def read(path: str) -> Any:
    """A YAML (or JSON) file of the repository."""
    return yaml.safe_load((ROOT / path).read_text())


def variables() -> set[str]:
    """Every environment variable that some process reads."""
    fields = {name for one in reference.classes() for name in one.model_fields}
    return {f"REGULARS_{name.upper()}" for name in fields}


def unknown_variables(environments: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """REGULARS_* variables, by who sets them, that no process reads."""
    known = variables()
    return [
        f"{who} sets {name}, which nothing reads"
        for who, environment in environments.items()
        for name in environment
        if name.startswith("REGULARS_") and name not in known
    ]


def started(services: Mapping[str, Any]) -> dict[str, processes.ProcessSpec]:
    """The compose services that run one of our processes."""
    commands = {tuple(spec.command): spec for spec in (*processes.ALL, *processes.OPTIONAL)}
    return {
        name: commands[tuple(service["command"])]
        for name, service in services.items()
        if tuple(service.get("command", ())) in commands
    }


def process_problems(compose: Mapping[str, Any]) -> Iterator[str]:
    """Every process runs once; whatever runs our image runs a command that exists."""
    services = compose["services"]
    running = started(services)
    names = [spec.command for spec in running.values()]
    for spec in (*processes.ALL, *processes.OPTIONAL):
        if names.count(spec.command) != 1:
            yield f"regulars {' '.join(spec.command)} runs {names.count(spec.command)} times"
    for name, service in services.items():
        ours = "regulars" in service["image"]
        if ours and name not in running and service["command"] != ["topics", "create"]:
            yield f"{name}: regulars {' '.join(service['command'])} is no command"


def port_problems(compose: Mapping[str, Any]) -> Iterator[str]:
    """Ports are published on 127.0.0.1 only, and lead to what the process listens on."""
    running = started(compose["services"])
    for name, service in compose["services"].items():
        for published in service.get("ports", ()):
            host, _, target = published.rpartition(":")
            if not host.startswith("127.0.0.1:"):
                yield f"{name} publishes {published} beyond this machine"
            if name in running and int(target) not in ports_of(running[name]):
                yield f"{name} publishes {target} but listens on {running[name].port}"


def ports_of(spec: processes.ProcessSpec) -> tuple[int, ...]:
    """Everywhere that a process listens."""
    return (spec.port, *spec.further_ports)


def health_urls(compose: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Port and path that the health check of each of our processes asks."""
    found = {}
    for name in started(compose["services"]):
        test = " ".join(compose["services"][name].get("healthcheck", {}).get("test", ()))
        match = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w/]*)", test)
        if match is not None:
            found[name] = (int(match[1]), match[2])
    return found


def health_problems(compose: Mapping[str, Any], routes: Mapping[str, set[str]]) -> Iterator[str]:
    """Every process has a health check, on its own port and on a route that it has.

    ``routes`` are the paths by name of the process's ``target``.
    """
    urls = health_urls(compose)
    for name, spec in started(compose["services"]).items():
        if name not in urls:
            yield f"{name} has no health check"
            continue
        port, path = urls[name]
        if port != spec.port:
            yield f"{name} is asked on {port} but listens on {spec.port}"
        if path not in routes[spec.target]:
            yield f"{name} has no route {path}"


def order_problems(compose: Mapping[str, Any]) -> Iterator[str]:
    """What is waited for exists, and can become what is waited for."""
    services = compose["services"]
    for name, service in services.items():
        for other, wait in service.get("depends_on", {}).items():
            if other not in services:
                yield f"{name} waits for {other}, which does not exist"
            elif wait["condition"] == "service_healthy" and "healthcheck" not in services[other]:
                yield f"{name} waits for {other} to be healthy, which it cannot tell"


def volume_problems(compose: Mapping[str, Any]) -> Iterator[str]:
    """Every mounted file exists, every named volume is declared."""
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            known = (ROOT / source).exists() if source[0] in "./" else source in compose["volumes"]
            if not known:
                yield f"{name} mounts {source}, which does not exist"


def scrape_problems(scrape: Mapping[str, Any], compose: Mapping[str, Any]) -> Iterator[str]:
    """Prometheus asks every API and worker that always runs, on its port, and nothing else."""
    running = started(compose["services"])
    wanted = {
        f"{name}:{spec.port}" for name, spec in running.items() if spec.kind in ("api", "worker")
    }
    targets = {
        target
        for job in scrape["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }
    yield from (f"{target} is not scraped" for target in sorted(wanted - targets))
    yield from (f"nothing answers at {target}" for target in sorted(targets - wanted))


def declared_metrics() -> dict[str, set[str]]:
    """The series of services/runtime/metrics.py with their labels."""
    return {
        one._name + suffix: set(one._labelnames)
        for one in vars(metrics).values()
        if isinstance(one, MetricWrapperBase)
        for kind, suffixes in SUFFIXES.items()
        if isinstance(one, kind)
        for suffix in suffixes
    }


def expression_problems(expressions: Mapping[str, str]) -> Iterator[str]:
    """PromQL, by where it stands, uses only series and labels that exist."""
    declared = declared_metrics()
    for where, expression in expressions.items():
        names = set(re.findall(r"\bregulars_\w+", expression))
        for name in sorted(names - set(declared)):
            yield f"{where}: there is no metric {name}"
        labels = ADDED_BY_PROMETHEUS.union(*(declared.get(name, set()) for name in names))
        grouped = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression)
        selected = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression)
        used = {label.strip() for group in grouped for label in group.split(",")} | set(selected)
        for label in sorted(used - labels - {""}):
            yield f"{where}: no metric there has the label {label}"


def alert_expressions(alerts: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"alert {rule['alert']}": rule["expr"]
        for group in alerts["groups"]
        for rule in group["rules"]
    }


def board_expressions(board: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"panel {panel['title']} {target['refId']}": target["expr"]
        for panel in board["panels"]
        for target in panel.get("targets", ())
    }


def environment(compose: Mapping[str, Any], service: str) -> dict[str, str]:
    """A service's environment with ``${NAME:-default}`` replaced by its default."""
    stated = compose["services"][service].get("environment", {})
    return {
        name: re.sub(r"\$\{\w+(?::?-([^}]*))?\}", lambda found: found[1] or "", str(value))
        for name, value in stated.items()
    }


def address_problems(compose: Mapping[str, Any]) -> Iterator[str]:
    """What containers look for on one another's ports is there."""
    running = started(compose["services"])
    listening = {f"{name}:{spec.port}" for name, spec in running.items()}
    listening |= {"kafka:9092", "mongo:27017", "mail:1025"}
    for name in running:
        for variable, value in environment(compose, name).items():
            if "PUBLIC" in variable:  # an address for people's browsers, not for containers
                continue
            address = re.fullmatch(r"(?:\w+://)?([\w.-]+:\d+)(?:[/?].*)?", value)
            if address is not None and address[1] not in listening:
                yield f"{name} looks for {address[1]}, where nothing listens"


def paths_of(target: str) -> set[str]:
    """The paths of an API, made as ``regulars`` makes it."""
    module, _, function = target.partition(":")
    app = getattr(import_module(module), function)()
    return set(app.openapi()["paths"])


def manifests(folder: str) -> Iterator[Any]:
    """Every Kubernetes document of a kustomization."""
    for name in read(f"{folder}/kustomization.yaml")["resources"]:
        yield from yaml.safe_load_all((ROOT / folder / name).read_text())


def documents(path: str) -> list[Any]:
    """Every document of one file."""
    return list(yaml.safe_load_all((ROOT / path).read_text()))


def containers(documents: Any) -> dict[str, Any]:
    """The containers of our processes, by name."""
    return {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]["containers"][0]
        for document in documents
        if document["kind"] == "Deployment"
    }


def services(documents: Any) -> dict[str, Any]:
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == "Service"}


def config_maps(documents: Any) -> dict[str, dict[str, str]]:
    """What ConfigMaps and Secrets set, by name."""
    return {
        f"{one['kind']} {one['metadata']['name']}": one.get("data") or one["stringData"]
        for one in documents
        if one["kind"] in ("ConfigMap", "Secret")
    }


def workload_problems(documents: Any, routes: Mapping[str, set[str]]) -> Iterator[str]:
    """Every process runs in one Deployment, on its port, probed on routes that it has."""
    commands = {tuple(spec.command): spec for spec in (*processes.ALL, *processes.OPTIONAL)}
    found = containers(documents)
    running = [tuple(container["args"]) for container in found.values()]
    for command in commands:
        if running.count(command) != 1:
            yield f"regulars {' '.join(command)} runs {running.count(command)} times"
    for name, container in found.items():
        spec = commands.get(tuple(container["args"]))
        if spec is None:
            yield f"{name}: regulars {' '.join(container['args'])} is no command"
            continue
        for port in container["ports"]:
            if port["containerPort"] not in ports_of(spec):
                yield f"{name} has the port {port['containerPort']} but listens on {spec.port}"
        for probe in ("livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            own_port = asked["port"] == container["ports"][0]["containerPort"]
            if not own_port or asked["path"] not in routes[spec.target]:
                yield f"{name} is probed on {asked['port']}{asked['path']}"


def service_problems(documents: Any) -> Iterator[str]:
    """Every Service selects a Deployment and has its port, as addresses inside expect."""
    found = containers(documents)
    for name, service in services(documents).items():
        selected = service["spec"]["selector"]["app.kubernetes.io/name"]
        wanted = [port["containerPort"] for port in found[selected]["ports"]]
        port = service["spec"]["ports"][0]["port"]
        if port not in wanted:
            yield f"service {name} has port {port}, not {wanted[0]}"
