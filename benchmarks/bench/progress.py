# SPDX-License-Identifier: BSD-2-Clause
"""What is going on, on standard error: a line that changes on a terminal,
elsewhere one for each part of the whole."""
import shutil
import sys
import time


def say(text):
    sys.stderr.write(f"{CLEAR if sys.stderr.isatty() else ''}bench: {text}\n")
    sys.stderr.flush()


CLEAR = "\r\033[K"


def minutes(seconds):
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class Progress:
    """Of so many runs of programs, guessed to take so many seconds."""

    def __init__(self, runs, guess):
        self.runs = runs
        self.guess = guess
        self.done = 0
        self.begun = time.monotonic()
        self.part = None
        say(f"{runs} runs, about {minutes(guess)}")

    def left(self):
        """Seconds: by the guess at first, by what runs have taken later."""
        share = self.done / self.runs
        spent = time.monotonic() - self.begun
        return spent / share * (1 - share) if share > 0.1 else \
            max(0, self.guess - spent)

    def step(self, part, detail):
        """The next run begins; it is one of a part of all."""
        if sys.stderr.isatty():
            text = (f"bench: {self.done + 1} of {self.runs}, about "
                    f"{minutes(self.left())} left: {part}: {detail}")
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(CLEAR + text[:width])
            sys.stderr.flush()
        elif part != self.part:
            say(f"{part}, about {minutes(self.left())} left")
        self.part = part
        self.done += 1

    @staticmethod
    def end():
        if sys.stderr.isatty():
            sys.stderr.write(CLEAR)
            sys.stderr.flush()
