# SPDX-License-Identifier: BSD-2-Clause
"""The table of medians, spreads and ratios, and its plots."""
import colorsys
import shutil
import subprocess

from .workloads import value


def colour(index, count):
    """More of them than gnuplot has."""
    parts = colorsys.hsv_to_rgb(index / count, 0.75, 0.6 + 0.3 * (index % 2))
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


class Report:
    """Lines, in the order in which they were first heard of."""

    def __init__(self, samples):
        self.samples = samples
        self.lines = []  # (workload, row, figure, [labels])

    def add(self, row, name, label, found):
        """What a program said in a row, which has its own name for sched's."""
        for figure in row.figures:
            number = value(found, figure)
            if number is not None:
                self.samples.add(self.key(name, figure, label), number)
                self.line(row.workload, name, figure, label)

    def line(self, workload, name, figure, label):
        for entry in self.lines:
            if entry[1] == name and entry[2].path == figure.path:
                if label not in entry[3]:
                    entry[3].append(label)
                return
        self.lines.append((workload, name, figure, [label]))

    @staticmethod
    def key(name, figure, label):
        return f"{name}|{figure.path}|{label}"

    def ratio(self, name, figure, label):
        """The median by filch's: above 1 is more, better or not."""
        ours = self.key(name, figure, "filch")
        theirs = self.key(name, figure, label)
        if not self.samples.has(ours) or self.samples.median(ours) == 0:
            return None
        return self.samples.median(theirs) / self.samples.median(ours)

    def goodness(self, name, figure, label):
        """How many times as good as label filch is."""
        ours = self.samples.median(self.key(name, figure, "filch"))
        theirs = self.samples.median(self.key(name, figure, label))
        if figure.more:
            ours, theirs = theirs, ours
        if ours == theirs:
            return 1.0
        return theirs / ours if ours > 0 else float("inf")

    def best(self, name, figure, labels):
        medians = {label: self.samples.median(self.key(name, figure, label))
                   for label in labels}
        choose = max if figure.more else min
        return choose(medians, key=medians.get)

    def markdown(self, head):
        text = [head, "", "| row | figure | program | median (spread) "
                "| x filch |", "|---|---|---|---|---|"]
        for _, name, figure, labels in self.lines:
            best = self.best(name, figure, labels)
            better = "more" if figure.more else "less"
            for index, label in enumerate(labels):
                ratio = self.ratio(name, figure, label)
                value = self.samples.text(self.key(name, figure, label),
                                          figure.scale, figure.digits)
                text.append(
                    f"| {name if index == 0 else ''} "
                    f"| {f'{figure.text}, {better}' if index == 0 else ''} "
                    f"| {f'**{label}**' if label == best else label} "
                    f"| {value} "
                    f"| {'-' if ratio is None else f'{ratio:.2f}'} |")
        return "\n".join(text) + "\n"

    def plots(self, directory, stem):
        """One SVG a workload and figure, all as ratios to filch."""
        if shutil.which("gnuplot") is None:
            return []
        made = []
        groups = {}
        for workload, name, figure, labels in self.lines:
            groups.setdefault((workload, figure.path, figure.text),
                              []).append((name, figure, labels))
        for (workload, path, text), lines in groups.items():
            file = directory / f"{stem}-{workload}-{path}.svg"
            if self.plot(file, f"{workload}: {text}, ratio to filch "
                         f"({'more' if lines[0][1].more else 'less'} is "
                         "better)", lines):
                made.append(file)
        return made

    def plot(self, file, title, lines):
        labels = []
        for _, _, found in lines:
            labels += [label for label in found if label not in labels]
        data = []
        for name, figure, _ in lines:
            cells = [f'"{name}"']
            for label in labels:
                key = self.key(name, figure, label)
                ratio = (self.ratio(name, figure, label)
                         if self.samples.has(key) else None)
                if ratio is None or ratio <= 0:
                    cells.append("? ? ?")
                    continue
                ours = self.samples.median(self.key(name, figure, "filch"))
                values = self.samples.values[key]
                cells.append(f"{ratio:g} {min(values) / ours:g} "
                             f"{max(values) / ours:g}")
            data.append(" ".join(cells))
        columns = ", ".join(
            f"$data using {2 + 3 * i}:{3 + 3 * i}:{4 + 3 * i}"
            + (":xtic(1)" if i == 0 else "")
            + f" title '{label}' noenhanced lc rgb "
            f"'{colour(i, len(labels))}'" for i, label in
            enumerate(labels))
        script = "\n".join([
            "$data << EOD", *data, "EOD",
            f"set terminal svg size {300 + 30 * len(labels) * len(lines)},600"
            " background 'white'",
            f"set output '{file}'", f"set title \"{title}\" noenhanced",
            "set style data histogram",
            "set style histogram errorbars gap 2 lw 1",
            "set style fill solid 0.7", "set datafile missing '?'",
            "set xtics rotate by -30 noenhanced", "set grid ytics",
            "set key outside right", "set logscale y", "set yrange [*:*]",
            f"plot {columns}, 1 with lines lc 'black' notitle", ""])
        done = subprocess.run(["gnuplot"], input=script, text=True,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False)
        return done.returncode == 0
