"""What a person sees while a run goes on."""

from typing import Any

from rich.console import Console

from attncli.training.display import Display


class Interrupted(Console):
    """A signal comes while the first line is said, and its handler has something to say too."""

    display: Display
    said: tuple[str, ...] = ()

    def print(self, *words: Any, **options: Any) -> None:
        first = not self.said
        before = self.said
        if first:
            self.said = ("…",)
            self.display.note("a signal came")
        self.said = (*before, *words)


def test_what_a_signal_has_to_say_comes_behind_the_line_that_it_interrupted() -> None:
    console = Interrupted()
    console.display = Display(console)
    console.display.note("step 10")
    assert console.said == ("step 10", "a signal came")
