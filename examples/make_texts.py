"""Write the two small data sets of specs/data: reviews with a label, and sentences with tagged names.

    python examples/make_texts.py [FOLDER]

They are generated, and say so: sentences from a grammar with choices drawn from one seed, every sentence once. What
they ask of a model is real all the same. A review may deny ("not bad at all") or take back what it said first ("The
soup was cold, but the evening was a delight": the last word counts); a name may be a person's in one place and a town's
in another ("Florence called from Paris").
"""

import csv
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

SEED = 7
REVIEWS, SENTENCES = 2400, 2000

GOOD = ("wonderful", "delicious", "excellent", "friendly", "kind", "perfect", "great", "lovely", "superb", "charming")
BAD = ("awful", "cold", "terrible", "rude", "dirty", "boring", "noisy", "bad", "bland", "disappointing")
THINGS = ("food", "soup", "waiter", "room", "film", "music", "service", "coffee", "hotel", "story", "bread", "evening")
DEGREES = ("", "", "very ", "really ", "quite ", "simply ")
OPENINGS = ("", "", "We came on a Sunday . ", "I had heard a lot about it . ", "This was our second visit . ")

PEOPLE = ("Anna", "Omar", "Mei", "Paul", "Ines", "Ravi", "Clara", "Jonas", "Florence", "Sofia", "Georgia", "Lin")
SURNAMES = ("Berg", "Okafor", "Chen", "Silva", "Novak", "Khan", "Weber", "Rossi", "Paris", "London")
PLACES = ("Lisbon", "Oslo", "Paris", "London", "Florence", "Georgia", "Shanghai", "Lima", "Accra", "Hue", "New York")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "the first of May", "New Year")
DOINGS = ("flew to", "moved to", "wrote from", "called from", "works in", "met friends in", "was born in")


def clause(draw: random.Random, good: bool) -> str:
    """`the soup was very cold`: one opinion, said plainly or by denying its opposite."""
    denies = draw.random() < 0.35
    word = draw.choice(GOOD if good != denies else BAD)
    degree = "not " if denies else draw.choice(DEGREES)
    ending = " at all" if denies and draw.random() < 0.5 else ""
    return f"the {draw.choice(THINGS)} was {degree}{word}{ending}"


def review(draw: random.Random) -> tuple[str, str]:
    """A review and its label; after `but`, the second opinion counts."""
    good = draw.random() < 0.5
    said = clause(draw, good)
    match draw.randrange(3):
        case 0:
            said += f" and {clause(draw, good)}"
        case 1:
            said = f"{clause(draw, not good)} , but {said}"
    return f"{draw.choice(OPENINGS)}{said[0].upper()}{said[1:]} .", "positive" if good else "negative"


def sentence(draw: random.Random) -> tuple[str, str]:
    """A sentence and a tag for each of its words: B- and I- for people, places and days, else O."""
    words: list[str] = []
    tags: list[str] = []

    def say(text: str, kind: str | None = None) -> None:
        for place, word in enumerate(text.split()):
            words.append(word)
            tags.append("O" if kind is None else f"{'B' if place == 0 else 'I'}-{kind}")

    if draw.random() < 0.3:
        say(draw.choice(("On", "Before", "After")))
        say(draw.choice(DAYS), "day")
    say(draw.choice(PEOPLE) + (f" {draw.choice(SURNAMES)}" if draw.random() < 0.5 else ""), "person")
    say(draw.choice(DOINGS))
    say(draw.choice(PLACES), "place")
    if draw.random() < 0.4:
        say("with")
        say(draw.choice(PEOPLE), "person")
    if draw.random() < 0.4:
        say("on")
        say(draw.choice(DAYS), "day")
    say(".")
    return " ".join(words), " ".join(tags)


def different(make: Callable[[random.Random], tuple[str, str]], count: int) -> Iterator[tuple[str, str]]:
    """`count` rows, no text twice."""
    draw = random.Random(SEED)
    seen: set[str] = set()
    while len(seen) < count:
        text, label = make(draw)
        if text not in seen:
            seen.add(text)
            yield text, label


def write(path: Path, header: tuple[str, str], make: Callable[[random.Random], tuple[str, str]], count: int) -> None:
    """A TSV with a header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar=None)
        table.writerow(header)
        table.writerows(different(make, count))
    print(f"{path}: {count} rows")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "specs" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "reviews.tsv", ("text", "label"), review, REVIEWS)
    write(folder / "entities.tsv", ("text", "tags"), sentence, SENTENCES)


if __name__ == "__main__":
    main()
