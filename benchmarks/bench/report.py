# SPDX-License-Identifier: BSD-2-Clause
"""The table of medians, spreads and ratios, and its plots."""
import math
import shutil
import subprocess

from .targets import LIMITS
from .workloads import value

# Values further apart than this are drawn to a logarithmic scale.
APART = 20
KINDS = ("open", "hot", "direct", "free", "pinned")  # of rows, a plot each
BOLD = """\
Bold: the best of a row.  less, more: what is better.  x filch: a program's
median divided by filch's."""
ITALICS = "In italics: limits, no executors."
LEGEND = """\
Of two rounds the median is their mean.  k/s: thousands of operations a second;
k/s of 20: of the 20 that are due.  QD: operations in flight for each worker.
hot: from memory.  direct: past the cache (O_DIRECT).  open: operations are due
at a rate, else one follows another.  op_fdatasync: each sync an operation of
its own, as with the peers, where filch itself shares them.  map: read through
a mapping of the file, which is known to be hot; so do raw_mmap and fio mmap,
all others read by system calls.  raw_uring, raw_pread, raw_mmap, plain thread:
limits, no executors.  free: workers where the system puts them.  pinned: each
on a CPU of its own."""
LINE = 18  # pixels a bar of a plot, and a heading


def rounds_of(rounds, runtime, names):
    """How often it was measured, and how long if it was for a time."""
    text = "one round" if rounds == 1 else \
        f"medians (smallest..largest) of {rounds} alternated rounds"
    return text + (f", reads and writes for {runtime} s each"
                   if {"read", "mixed"} & set(names) else "")


def aligned(text):
    """Its tables with columns as wide as what is in them, for a terminal."""
    out, rows = [], []
    for line in text.split("\n") + [""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.split("|")[1:-1]])
            continue
        widths = [max(map(len, column)) for column in zip(*rows)]
        for row in rows:
            out.append("| " + " | ".join(map(padded, row, widths)) + " |")
        rows = []
        out.append(line)
    return "\n".join(out[:-1])


def padded(cell, width):
    """Figures stand to the right."""
    if cell == "---":
        return width * "-"
    return cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)


def significant(number):
    """Three digits and more of it, but none after the third decimal."""
    if number == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(number)))
    return f"{number:.{min(max(digits, 0), 3)}f}"


def colour(label):
    if label.startswith("filch"):
        return "0xc0392b"
    return "0x666666" if label in LIMITS else "0x9db8cf"


class Report:
    """Lines, in the order in which they were first heard of, with the programs
    that are in them."""

    def __init__(self, samples):
        self.samples = samples
        self.facts = {}  # of the run
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

    def goodness(self, name, figure, label, own="filch"):
        """How many times as good as label filch is."""
        ours = self.samples.median(self.key(name, figure, own))
        theirs = self.samples.median(self.key(name, figure, label))
        if figure.more:
            ours, theirs = theirs, ours
        if ours == theirs:
            return 1.0
        return theirs / ours if ours > 0 else float("inf")

    def best(self, name, figure, labels):
        return self.ranked(name, figure, labels)[0]

    def ranked(self, name, figure, labels):
        """The best first."""
        return sorted(labels, reverse=figure.more, key=lambda label:
                      self.samples.median(self.key(name, figure, label)))

    def shown(self, name, figure, labels):
        """In the order of the table: filch and its other ways, then others."""
        return sorted(self.ranked(name, figure, labels), key=lambda label: (
            label != "filch", not label.startswith("filch")))

    def markdown(self, head):
        text = [head, BOLD, LEGEND, "",
                "| row | figure | program | median (spread) | x filch |",
                "|---|---|---|---|---|"]
        for _, name, figure, labels in self.lines:
            best = self.best(name, figure, labels)
            better = "more" if figure.more else "less"
            for index, label in enumerate(self.shown(name, figure, labels)):
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

    def brief(self):
        """A line for each figure of a row; limits in italics."""
        text = [ITALICS, LEGEND, "",
                "| row | figure | filch (smallest..largest) "
                "| the others, best first |", "|---|---|---|---|"]
        before = None
        for _, name, figure, labels in self.lines:
            keys = {label: self.key(name, figure, label) for label in labels}
            others = []
            for label in self.ranked(name, figure, labels):
                if label != "filch":
                    said = f"{label} {self.short(keys[label], figure)}"
                    others.append(f"*{said}*" if label in LIMITS else said)
            own = "-"
            if "filch" in keys:
                own = self.short(keys["filch"], figure)
                values = self.samples.values[keys["filch"]]
                if min(values) < max(values):
                    own += (f" ({significant(min(values) / figure.scale)}.."
                            f"{significant(max(values) / figure.scale)})")
            text.append(f"| {'' if name == before else name} | {figure.text} "
                        f"| {own} | {', '.join(others)} |")
            before = name
        return "\n".join(text) + "\n"

    def short(self, key, figure):
        return significant(self.samples.median(key) / figure.scale)

    def plots(self, directory, stem):
        """One SVG a workload, figure and kind of row: bars for each row."""
        if shutil.which("gnuplot") is None:
            return []
        groups = {}
        for line in self.lines:
            workload, name, figure, _ = line
            kinds = [word for word in name.split() if word in KINDS]
            groups.setdefault("-".join([workload, *kinds, figure.path]),
                              []).append(line)
        files = [(directory / f"{stem}-{name}.svg", lines)
                 for name, lines in groups.items()]
        return [file for file, lines in files if self.plot(file, lines)]

    def bars(self, lines):
        """A heading for each row, and its programs, the best first: top
        down, with where they end and what is written there."""
        rows = []
        for _, name, figure, labels in lines:
            rows.append((name,))
            for label in self.ranked(name, figure, labels):
                key = self.key(name, figure, label)
                values = [number / figure.scale
                          for number in self.samples.values[key]]
                median = self.samples.median(key) / figure.scale
                ratio = self.ratio(name, figure, label)
                text = f"{median:.{figure.digits}f}"
                if label != "filch" and ratio is not None:
                    text += f"  ({ratio:.2f} x filch)"
                rows.append((label, median, min(values), max(values), text))
        return rows

    def plot(self, file, lines):
        workload, _, figure, _ = lines[0]
        rows = self.bars(lines)
        lows = [row[2] for row in rows if len(row) > 1]
        high = max(row[3] for row in rows if len(row) > 1)
        wide = min(lows) > 0 and high > APART * min(lows)
        left, right = (min(lows) / 2, high * (high / min(lows)) ** 0.3) \
            if wide else (0, 1.4 * high or 1)
        data, headings = [], []
        for y, row in enumerate(rows):
            if len(row) == 1:
                headings.append(f'set label "{row[0]}" at graph 0, first {y} '
                                "offset 1,0 noenhanced font ',12' front")
                continue
            label, median, low, high, text = row
            data.append(f'{y} {median:g} {low:g} {high:g} {colour(label)} '
                        f'"{label}" "{text}"')
        better = "more" if figure.more else "less"
        script = "\n".join([
            "$data << EOD", *data, "EOD", f"""\
set terminal svg size 900,{110 + LINE * len(rows)} font 'sans,11' \
    background 'white'
set output '{file}'
set title "{workload}: {figure.text}, {better} is better; \
median, and from smallest to largest" noenhanced
set xlabel "{figure.text}{', logarithmic' if wide else ''}" noenhanced
{'set logscale x' if wide else ''}
set xrange [{left:g}:{right:g}]
set yrange [{len(rows) - 0.4}:-0.6]
set xtics nomirror
set ytics noenhanced scale 0
set grid xtics
set lmargin 24
unset key""", *headings, f"""\
plot $data using 2:1:({left:g}):2:($1-0.4):($1+0.4):5:ytic(6) \
    with boxxyerror fs solid 1 noborder lc rgb variable, \
    $data using 2:1:3:4 with xerrorbars pt 0 lc 'black', \
    $data using 4:1:7 with labels left offset 1,0 noenhanced font ',10'
"""])
        done = subprocess.run(["gnuplot"], input=script, text=True,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False)
        return done.returncode == 0
