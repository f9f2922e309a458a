"""Turn the gettext catalogues of this machine into English-German or English-Chinese pairs for training.

    python examples/gettext_pairs.py --language de --out data/gettext-de.tsv

Most programs ship their translated messages as .mo files. This reads all that are installed, cleans them, and writes
three tables with the columns source and target: gettext-de.train.tsv, .valid.tsv and .test.tsv. Nothing is downloaded.

A message goes to a side by a hash of its English letters, so a message never falls on two sides, however often, with
whatever case, marks and placeholders it is used. Where programs translate a message in several ways, the most frequent
one stays. Of a plural, the form of one thing is taken, since catalogues do not keep the English plural.

Exit code: 0, or 2 where no catalogue was found.
"""

import argparse
import gettext
import re
import struct
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

ROOTS = ("/usr/share", "/usr/local/share", "/opt", sys.prefix)
FOLDERS = {"de": ("de", "de_DE"), "zh_CN": ("zh_CN", "zh_Hans", "zh_Hans_CN")}
LETTERS = {"de": re.compile("[A-Za-zÄÖÜäöüß]{2}"), "zh_CN": re.compile("[\u4e00-\u9fff]")}
RATIOS = {"de": (0.4, 3.0), "zh_CN": (0.1, 1.5)}
PLACEHOLDER = re.compile(
    r"%(?:\d+\$)?(?:\([^)]*\))?[-+ #0]*[\d*]*(?:\.[\d*]+)?(?:hh|h|ll|l|L|q|j|z|t)?[A-Za-z%]|\$?\{[^}]*\}|<[^>]*>|\$\w+"
)
HELP = """on Debian and Ubuntu, packages that carry many: apt install git iso-codes libc-l10n gettext krb5-locales \
gnupg-l10n libglib2.0-data xkb-data postgresql; on Ubuntu also language-pack-de, language-pack-zh-hans.
Container images often leave translations out: see path-exclude in /etc/dpkg/dpkg.cfg.d. Another folder: --roots DIR"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, clean, split, write, and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--language", choices=sorted(FOLDERS), required=True)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE.tsv", help="FILE.train.tsv and so on are written"
    )
    parser.add_argument("--roots", type=Path, nargs="+", default=[Path(root) for root in ROOTS], metavar="DIR")
    parser.add_argument("--held-out", type=float, default=0.03, metavar="SHARE", help="of validation and of test each")
    options = parser.parse_args(arguments)
    files = catalogues(options.roots, options.language)
    found, counts, unread = collect(files, options.language)
    if not found:
        where = ", ".join(str(root) for root in options.roots)
        print(f"no catalogue of '{options.language}' with messages lies below {where}\nhelp: {HELP}", file=sys.stderr)
        return 2
    sizes = write(found, options.out, options.held_out)
    print(f"{len(files) - unread} catalogues, {sum(counts.values())} messages; {unread} files could not be read")
    print("left out: " + ", ".join(f"{count} {why}" for why, count in sorted(counts.items()) if why != "kept"))
    print(f"{len(found)} pairs: " + ", ".join(f"{count} in {path}" for path, count in sizes.items()))
    return 0


def catalogues(roots: Sequence[Path], language: str) -> list[Path]:
    """The .mo files of a language below the roots, each once."""
    files: dict[Path, None] = {}
    for root in roots:
        for path in sorted(root.glob("**/LC_MESSAGES/*.mo")):
            if re.split("[.@]", path.parent.parent.name)[0] in FOLDERS[language]:
                files[path.resolve()] = None
    return list(files)


def collect(files: Sequence[Path], language: str) -> tuple[dict[str, str], Counter[str], int]:
    """The most frequent translation of each message, what became of all messages, and how many files are unreadable."""
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    counts: Counter[str] = Counter()
    unread = 0
    for path in files:
        try:
            messages = list(read(path))
        except (OSError, UnicodeError, struct.error, ValueError, LookupError):
            unread += 1
            continue
        for source, target in messages:
            source, target = clean(source), clean(target)
            why = fault(source, target, language)
            counts[why or "kept"] += 1
            if not why:
                seen[source][target] += 1
    best = {source: max(sorted(targets), key=targets.__getitem__) for source, targets in seen.items()}
    counts["said before"] = counts["kept"] - len(best)
    counts["kept"] = len(best)
    return best, counts, unread


def read(path: Path) -> Iterator[tuple[str, str]]:
    """Messages with their translations. What stands before \\x04 is the context of a message."""
    with path.open("rb") as file:
        messages = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]  # there is no public list of them
    for source, target in messages.items():
        form = 0
        if isinstance(source, tuple):
            source, form = source
        if not source or form:  # the head of the catalogue, or the plural
            continue
        yield source.rpartition("\x04")[2], target


def clean(text: str) -> str:
    """One line, without the marks of keys in menus: `_Open`, `&Open`, `打开(_O)`."""
    text = re.sub(r"\s*\([_&][A-Za-z0-9]\)", "", text)
    text = re.sub(r"(?<![\w&])[_&](?=[^\W_])", "", text)
    return text.strip()


def fault(source: str, target: str, language: str) -> str:
    """Why a pair is no example of translation; empty where it is one."""
    low, high = RATIOS[language]
    words = [PLACEHOLDER.sub("", text) for text in (source, target)]
    if not re.search("[A-Za-z]{2}", words[0]) or not LETTERS[language].search(words[1]):
        return "without words"
    if source == target:
        return "untranslated"
    if any(re.search(r"[\x00-\x1f\x7f]|\S {2,}", text) for text in (source, target)):
        return "of several lines or columns"
    if not 2 <= len(source) <= 160 or not low * len(source) - 2 <= len(target) <= high * len(source) + 4:
        return "of odd length"
    if sorted(PLACEHOLDER.findall(source)) != sorted(PLACEHOLDER.findall(target)):
        return "with other placeholders"
    if 2 * len(words[0]) < len(source):
        return "mostly placeholders"
    return ""


def write(pairs: dict[str, str], out: Path, held_out: float) -> dict[Path, int]:
    """Write three tables; returns their rows."""
    sides: dict[str, list[tuple[float, str]]] = {"train": [], "valid": [], "test": []}
    for source in pairs:
        place = share_of(re.sub("[^a-z]", "", PLACEHOLDER.sub("", source).lower()))
        side = "test" if place < held_out else "valid" if place < 2 * held_out else "train"
        sides[side].append((share_of(source), source))
    out.parent.mkdir(parents=True, exist_ok=True)
    sizes = {}
    for side, rows in sides.items():
        path = out.with_suffix(f".{side}.tsv")
        lines = [f"{source}\t{pairs[source]}\n" for _, source in sorted(rows)]
        path.write_text("source\ttarget\n" + "".join(lines), encoding="utf-8")
        sizes[path] = len(lines)
    return sizes


def share_of(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64


if __name__ == "__main__":
    sys.exit(main())
