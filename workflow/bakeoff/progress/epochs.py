"""Progress of a training: a bar on a terminal, a line per epoch in a log."""

import sys
import time
from types import TracebackType

from tqdm import tqdm


class Progress:
    """Reports a training of so many epochs of so many steps.

    Parameters
    ----------
    what
        Name that every line starts with.
    epochs, steps
        Epochs at most, and steps in each.
    done
        Epochs that an earlier run did.
    score
        Name of the score.
    """

    def __init__(self, what: str, epochs: int, steps: int, done: int, score: str) -> None:
        self.what, self.epochs, self.steps, self.done, self.score = what, epochs, steps, done, score
        self.on_terminal = sys.stderr.isatty()
        self.bar = tqdm(
            total=epochs * steps,
            initial=done * steps,
            desc=what,
            unit="step",
            disable=not self.on_terminal,
            leave=False,
        )
        self.began = time.monotonic()
        if done:
            self.say(f"{what}: going on after epoch {done} of {epochs}.")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def step(self) -> None:
        """One step is done."""
        self.bar.update()

    def epoch(self, row: dict[str, float]) -> None:
        """An epoch is done; `row` is its line of the history."""
        epoch = int(row["epoch"])
        left = (time.monotonic() - self.began) / (epoch - self.done) * (self.epochs - epoch)
        self.say(
            f"{self.what}: epoch {epoch}/{self.epochs}  loss {row['train_loss']:.4f}"
            f"  validation {self.score} {row['validation_score']:.4f}  {row['images_per_second']:.1f} images/s"
            f"  at most {tqdm.format_interval(left)} left"
        )

    def say(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        if self.on_terminal:
            self.bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)
