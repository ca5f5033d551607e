"""The regression gate of `harness watch`: one baseline and policy, asked about each checkpoint."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.cli.gate import read_policy, write_reports
from harness.cli.table import print_note
from harness.errors import UsageError
from harness.gate.judge import gate_paths
from harness.schema import RunRecord
from harness.spec import GatePolicy, content_hash
from harness.store import read_json
from harness.verdicts import find_runs
from harness.watch import TrajectoryPoint


@dataclass(frozen=True)
class Gate:
    """What each checkpoint is judged against."""

    baseline: Path
    policy: GatePolicy
    allow_drift: tuple[str, ...]
    """Fields that may differ between the baseline and a checkpoint's run."""
    tasks: frozenset[str]
    """Tasks of the baseline that the policy does not ignore."""
    gate_id: str
    """Hash of the baseline's spec_ids and the policy."""


def make_gate(baseline: Path | None, policy_path: Path | None, allow_drift: tuple[str, ...]) -> Gate | None:
    """Read the baseline's records and the policy; None if no gate was asked for.

    Raises:
        HarnessError: if one of them cannot be read, or is of no use without a baseline.
    """
    if baseline is None:
        if policy_path or allow_drift:
            raise UsageError("--policy and --allow-drift need --baseline RUN, which each checkpoint is judged against")
        return None
    policy = read_policy(policy_path)
    records = [read_json(path, RunRecord) for path in find_runs(baseline)]
    identity = [sorted(record.spec_id for record in records), msgspec.to_builtins(policy)]
    refs = [ref for record in records for ref in record.spec.tasks]
    return Gate(
        baseline=baseline,
        policy=policy,
        allow_drift=allow_drift,
        tasks=frozenset(ref.name for ref in refs if not {ref.name, ref.suite} & set(policy.ignore)),
        gate_id=content_hash(identity)[:16],
    )


def judge_point(gate: Gate, point: TrajectoryPoint, run: Path) -> TrajectoryPoint:
    """Return a point with the gate's verdict on its run; the reports go beside the run, as `harness gate` puts them.

    Raises:
        HarnessError: if the run and the baseline cannot be paired.
    """
    report = gate_paths(gate.baseline, run, gate.policy, gate.allow_drift)
    write_reports(report, run / "gate")
    if report.verdict != "pass":
        names = dict.fromkeys(test.name for test in report.tests if test.verdict == report.verdict)
        print_note(f"{point.checkpoint}: {report.verdict} in {', '.join(names)}; see {run / 'gate' / 'gate.md'}")
    return msgspec.structs.replace(point, gate=report.verdict, gate_id=gate.gate_id)
