# SPDX-License-Identifier: BSD-2-Clause
"""Results of an earlier run, and what has become of them since."""
import json
import math
import statistics

from . import workloads
from .report import Report, rounds_of
from .runner import Failed, Samples

# Less than this is never called a fall, however steady the rounds were.
TOLERANCE = 0.1
# Where two runs differ in one of these they hardly tell of filch.
ALIKE = ("cpu", "cores", "kernel", "file_system", "workers", "quick",
         "rounds", "runtime")


def load(path):
    """The report that an earlier run's JSON Lines make."""
    rows = {row.name: row for name in workloads.NAMES
            for quick in (True, False) for row in workloads.rows(name, quick)}
    report = Report(Samples())
    try:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                one = json.loads(line)
                name, label = str(one["row"]), str(one["program"])
                row = rows.get(name) or rows.get(name.rpartition(" ")[0])
                if row is None:
                    raise Failed(f"{path}:{number}: '{name}' is no row")
                report.add(row, name, label, one["found"])
                report.facts = report.facts or {
                    key: one.get(key) for key in ("commit", "begun", *ALIKE)}
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"{path}: is no result of scripts/bench: {error}"
                     ) from error
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from error
    return report


def head(path, report):
    """Where and when it was measured."""
    facts = report.facts
    if not all(facts.get(key) for key in ("begun", "commit", "cores", "cpu",
                                          "kernel", "workers")):
        return f"{path}."
    # Old results do not tell.
    rounds = "; " + rounds_of(facts["rounds"], facts["runtime"],
                              {line[0] for line in report.lines}) \
        if facts["rounds"] else ""
    return (f"{path}: {facts['begun']}, {facts['commit']}, "
            f"{facts['cores']} x {facts['cpu']}, {facts['kernel']}; "
            f"{facts['workers']} workers{rounds}.")


def unlike(before, now):
    """In what the runs differ besides filch."""
    pairs = [(key, before.facts.get(key), now.facts.get(key))
             for key in ALIKE]
    return [f"{key}: {then} then, {at_last} now"
            for key, then, at_last in pairs
            if None not in (then, at_last) and then != at_last]


def spread(report, name, figure, own):
    """By how much of the median filch's rounds differ from it at most."""
    values = report.samples.values[report.key(name, figure, own)]
    middle = statistics.median(values)
    return max(abs(value - middle) for value in values) / middle


def fall(before, now, what, others):
    """How one of filch's figures has become worse, empty if it has not; None
    if there is nothing to compare it with."""
    name, figure, own = what
    old, new = (run.samples.median(run.key(name, figure, own))
                for run in (before, now))
    if figure.more and old > 0 and new == 0:
        return "0 now"
    if not figure.more and old == 0 and new > 0:
        return "no longer 0"
    if old == 0 or new == 0:
        return None
    pairs = [(before.goodness(name, figure, label, own),
              now.goodness(name, figure, label, own)) for label in others]
    ratios = [was / became for was, became in pairs
              if 0 < was < math.inf and 0 < became < math.inf]
    if not ratios:
        return None
    share = statistics.geometric_mean(ratios) - 1
    if share > max(TOLERANCE, spread(now, name, figure, own),
                   spread(before, name, figure, own)):
        return f"{100 * share:.0f} % worse beside the same programs"
    return ""


def falls(before, now):
    """Rows in which filch, or another way of its, lost ground to all programs
    that both runs know, by more than its rounds differ: the machine's own mood
    is theirs too."""
    then = {(name, figure.path): labels
            for _, name, figure, labels in before.lines}
    found = []
    compared = 0
    for _, name, figure, labels in now.lines:
        common = [label for label in then.get((name, figure.path), ())
                  if label in labels]
        ours = [label for label in common if label.startswith("filch")]
        others = [label for label in common if label not in ours]
        for own in ours:
            fallen = fall(before, now, (name, figure, own), others)
            compared += fallen is not None
            if fallen:
                way = "" if own == "filch" else f" ({own})"
                found.append(f"{name}{way}: {figure.text}: {fallen}")
    return found if compared > 0 else ["--against: no row can be compared"]
