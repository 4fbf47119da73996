"""The benchmark measures what it says: its arithmetic, its encoding, its table, and a very short run."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from array import array
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

pytest.importorskip("uvloop")

from benchmarks.__main__ import Bench, chosen_loads, chosen_routers  # noqa: E402

from benchmarks import clients, holds, loads, noisy, report, routers, secured  # noqa: E402

REQUEST_IDS = (1, 127, 128, 255, 256, 65535, 65536, 2**32, 2**53)


def measurement(load: str, *, cpu: float, operations: int = 1000) -> loads.Measurement:
    return loads.Measurement(load, operations, 1.0, cpu, 0.1, p50=0.001, p99=0.002)


@pytest.mark.parametrize("name", ["json", "msgpack"])
@pytest.mark.parametrize("request_id", REQUEST_IDS)
def test_a_filled_template_is_the_message_with_its_id(name: clients.SerializerName, request_id: int) -> None:
    serializer = clients.SERIALIZERS[name]

    message = serializer.template([clients.CALL, 0, {}, "bench.procedure", ["x"]]).fill(request_id)

    assert serializer.decode(message) == [clients.CALL, request_id, {}, "bench.procedure", ["x"]]


@pytest.mark.parametrize("name", ["json", "msgpack"])
@pytest.mark.parametrize("count", REQUEST_IDS)
def test_a_filled_confirmation_is_the_message_with_its_count(name: clients.SerializerName, count: int) -> None:
    serializer = clients.SERIALIZERS[name]

    message = serializer.template([clients.RECEIVED, 0]).fill(count)

    assert serializer.decode(message) == [clients.RECEIVED, count]


@pytest.mark.parametrize("name", ["json", "msgpack"])
@pytest.mark.parametrize("request_id", REQUEST_IDS)
def test_the_request_id_of_a_reply_is_found(name: clients.SerializerName, request_id: int) -> None:
    serializer = clients.SERIALIZERS[name]

    message = serializer.encode([clients.RESULT, request_id, {}, ["x"]])

    assert serializer.request_id(message, clients.RESULT) == request_id


@pytest.mark.parametrize("name", ["json", "msgpack"])
def test_a_reply_of_another_type_is_refused(name: clients.SerializerName) -> None:
    serializer = clients.SERIALIZERS[name]
    message = serializer.encode([clients.EVENT, 1, 2, {}])

    with pytest.raises(clients.UnexpectedReply):
        serializer.request_id(message, clients.RESULT)


@pytest.mark.parametrize("kind", ["exact", "prefix", "wildcard"])
def test_each_topic_matches_its_own_subscription_only(kind: loads.Match) -> None:
    pairs = [loads.subscription(kind, number) for number in range(60)]

    def matches(pattern: str, topic: str) -> bool:
        if kind == "prefix":
            return topic.startswith(pattern)
        parts, components = pattern.split("."), topic.split(".")
        empty_matches = kind == "wildcard"
        return len(parts) == len(components) and all(
            part == component or (empty_matches and not part) for part, component in zip(parts, components, strict=True)
        )

    for index, (_, topic) in enumerate(pairs):
        assert [number for number, (pattern, _) in enumerate(pairs) if matches(pattern, topic)] == [index]


def test_percentiles_are_by_nearest_rank() -> None:
    values = array("d", reversed(range(101)))

    assert loads.percentiles(values) == (50.0, 99.0)
    assert loads.percentiles(array("d")) == (None, None)


def test_a_ratio_is_the_median_of_the_ratios_run_by_run() -> None:
    results = report.Results()
    for run, (ours, theirs) in enumerate(((1.0, 10.0), (4.0, 10.0), (2.0, 10.0))):
        results.add("rocade", run, measurement("rpc", cpu=ours))
        results.add("crossbar", run, measurement("rpc", cpu=theirs))

    assert results.ratio("rocade", "crossbar", "rpc", "cpu_each") == report.Ratio(0.2, 0.1, 0.4)


def test_a_run_that_failed_is_left_out_of_ratios() -> None:
    results = report.Results()
    results.add("rocade", 0, measurement("rpc", cpu=1.0))
    results.add("rocade", 1, measurement("rpc", cpu=3.0))
    results.add("crossbar", 1, measurement("rpc", cpu=10.0))

    assert results.ratio("rocade", "crossbar", "rpc", "cpu_each") == report.Ratio(0.3, 0.3, 0.3)


def test_the_report_has_a_row_for_every_load_and_says_which_targets_are_met() -> None:
    results = report.Results()
    for name, cpu in (("rocade", 0.01), ("crossbar", 0.2)):
        results.starts[name] = [report.Start(0.3, 40 * report.MEBIBYTE)]
        for load in ("rpc", "match-exact-1", "match-exact-100000"):
            results.add(name, 0, measurement(load, cpu=cpu))

    text = report.render(results, [routers.rocade(), routers.crossbar()], ["- Date: today"])

    assert "| rpc | call | 10.0 | 200 | **0.050** (0.050 to 0.050) |" in text
    assert "| rpc: CPU per call, ratio | ≤ 0.085 | 0.050 | yes |" in text
    assert "| exact | rocade | 10.0 |" in text
    assert "- `match-exact`: " in text


def test_the_parts_of_a_router_command_are_filled_in() -> None:
    router = routers.custom("other='/opt/a router' --port {port}")

    assert routers.fill_in(router.command, port=8080) == ["/opt/a router", "--port", "8080"]
    assert not router.has_second_port


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown load"):
        chosen_loads("rpc,nothing", False)
    with pytest.raises(ValueError, match="unknown router"):
        chosen_routers("nothing", [])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the benchmark reads /proc")
def test_the_process_tree_holds_this_process() -> None:
    tree = routers.process_tree(os.getpid())

    assert tree[0].pid == os.getpid()
    assert routers.memory_of(os.getpid()) > 0


def test_what_resumption_costs_is_the_ratio_of_on_to_off_run_by_run() -> None:
    results = report.Results()
    for run, (off, on) in enumerate(((0.010, 0.011), (0.020, 0.026))):
        results.add("rocade", run, measurement("rpc-resumable-off", cpu=off))
        results.add("rocade", run, measurement("rpc-resumable-on", cpu=on))

    table = report.resumption_table(results, ["rocade", "crossbar"])

    assert table[2:] == ["| rpc-resumable | call | rocade | 15.0 | 18.5 | **1.20** (1.10 to 1.30) | 1.00 |"]


def test_two_windows_are_one_twice_as_long() -> None:
    window = loads.both("name", measurement("one", cpu=1.0), measurement("two", cpu=3.0, operations=3000))

    assert (window.load, window.operations, window.router_cpu, window.seconds) == ("name", 4000, 4.0, 2.0)
    assert (window.cpu_each, window.p50) == (0.001, 0.001)


def test_a_measurement_is_of_the_load_with_the_longest_name() -> None:
    of = {name: load.name for name in ("rpc", "rpc-1k", "match-exact-1000") if (load := report.load_of(name))}

    assert of == {"rpc": "rpc", "rpc-1k": "rpc-1k", "match-exact-1000": "match-exact"}
    assert report.load_of("subscribe-exact") is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the benchmark reads /proc")
@pytest.mark.parametrize("name", ["rpc-resumable", "fanout-50-resumable"])
def test_a_load_is_measured_with_resumption_and_without(name: str) -> None:
    bench = Bench([routers.rocade()], [loads.LOADS[name]], routers.split_cores(pin=False), seconds=0.2)

    bench.run(runs=1, minutes=1)

    assert bench.results.failures == []
    assert bench.results.loads() == [f"{name}-off", f"{name}-on"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the benchmark reads /proc")
def test_a_router_that_cannot_resume_is_left_out(tmp_path: Path) -> None:
    worker = {
        "type": "router",
        "options": {"resume_window": 0},
        "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}],
        "transports": [
            {
                "type": "web",
                "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": "PORT"},
                "paths": {"/ws": {"type": "websocket"}},
            }
        ],
    }
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"version": 2, "workers": [worker]}).replace('"PORT"', "PORT"))
    script = f"sed s/PORT/$0/ {config} >config.json; exec {sys.executable} -m rocade start --config config.json"
    other = routers.custom(f"other=sh -c '{script}' {{port}}")
    bench = Bench([other], [loads.LOADS["rpc-resumable"]], routers.split_cores(pin=False), seconds=0.2)

    bench.run(runs=1, minutes=1)

    assert (bench.results.failures, bench.results.loads()) == ([], [])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the benchmark reads /proc")
@pytest.mark.parametrize(
    "name",
    ["rpc", "fanout-50", "rpc-raw-msgpack", "join", "join-ticket", "join-wampcra", "join-cryptosign", "rpc-secured"],
)
def test_a_short_run_against_rocade_completes(name: str) -> None:
    bench = Bench([routers.rocade()], [loads.LOADS[name]], routers.split_cores(pin=False), seconds=0.2)

    bench.run(runs=1, minutes=1)

    assert bench.results.failures == []
    assert bench.results.values("rocade", name, "operations")[0] > 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the benchmark reads /proc")
def test_a_router_is_started_as_an_installation_is_which_python_compiles_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    with routers.RunningRouter(routers.rocade(), routers.split_cores(pin=False)) as running:
        asyncio.run(running.start())
        (process, *_rest) = running.tree()
        variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")

    assert not [variable for variable in variables if variable.startswith(b"PYTHONDONTWRITEBYTECODE")]


def test_the_role_of_secured_loads_has_rules_of_every_kind() -> None:
    rules = secured.permissions()

    assert len(rules) == secured.RULES
    assert {rule["match"] for rule in rules} == {"exact", "prefix", "wildcard"}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the benchmark reads /proc")
def test_a_short_run_of_the_noisy_client_gives_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert noisy.main(["--runs", "1", "--seconds", "0.2", "--no-pin"]) == 0

    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    assert [row.split("|")[1].strip() for row in rows] == [scene.text for scene in noisy.SCENES]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the benchmark reads /proc")
@pytest.mark.parametrize("arguments", [[], ["--asyncio"]], ids=["uvloop", "asyncio"])
def test_what_holds_the_event_loop_is_measured(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "found.json"

    assert holds.main(["to-nobody-json", "--runs", "1", "--no-pin", "--json", str(file), *arguments]) == 0

    found = json.loads(file.read_text())["to-nobody-json"]
    assert found["remarks"] == []
    assert len(found["rounds"]) == 1
    assert 0 < found["callbacks"][0] <= found["rounds"][0]
    assert capsys.readouterr().out.startswith(f"## {holds.TITLE}")


def test_the_catalogue_of_what_holds_the_loop_has_texts_of_its_own() -> None:
    texts = [load.text for load in holds.chosen("")]

    assert len(set(texts)) == len(texts)


def test_a_section_of_the_report_is_replaced_and_the_others_stay() -> None:
    before = "# Results\n\n## One\n\n1\n\n## Two\n\n2\n"

    once = report.with_section(before, "Three", "## Three\n\n3\n")
    twice = report.with_section(once, "Three", "## Three\n\nthree\n")

    assert twice == "# Results\n\n## One\n\n1\n\n## Two\n\n2\n\n## Three\n\nthree\n"
    assert report.section_of(twice, "Two") == "## Two\n\n2\n\n"
    assert report.section_of(twice, "Four") == ""


def test_a_router_that_cannot_be_secured_is_left_out() -> None:
    bench = Bench(
        [routers.custom("other=false {port}")],
        [loads.LOADS["rpc-secured"]],
        routers.Cores(frozenset(), frozenset()),
        0.1,
    )

    bench.run(runs=1, minutes=1)

    assert (bench.results.failures, bench.results.loads()) == ([], [])
