"""Which class each label of a source means: never guessed, and asked about where a person has to decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from leuko.core.classes import OTHER_CELLS, SYNONYMS, match_class, normalize
from leuko.core.errors import LeukoError

FIVE_TYPES = tuple(name.capitalize() for name in SYNONYMS)


@dataclass(frozen=True)
class Choice:
    """What a person decided about classes.

    Attributes:
        classes: those of the task; empty to take all that the source has, under its names.
        names: labels of the source, each with the class that it shall count as.
        dropped: labels of the source that shall be left out.
        drop_others: whether cells known to be of no type that is asked for are left out without a question.
    """

    classes: tuple[str, ...] = FIVE_TYPES
    names: Mapping[str, str] = field(default_factory=dict)
    dropped: Sequence[str] = ()
    drop_others: bool = False


def assign_classes(labels: Counter[str], choice: Choice) -> dict[str, str | None]:
    """Decide what each label means.

    Args:
        labels: of the source, with their numbers of images.
        choice: what a person decided.

    Returns:
        The class of every label; none where its images are left out.

    Raises:
        LeukoError: with all labels and what to type, if some are ambiguous or unknown, if a decision is about labels
            that are not there, or if a class stays without an image.
    """
    names = {normalize(old): new for old, new in choice.names.items()}
    dropped = set(map(normalize, choice.dropped))
    there = set(map(normalize, labels))
    if strangers := [old for old in (*choice.names, *choice.dropped) if normalize(old) not in there]:
        raise LeukoError(f"--map or --drop: no label is called {', '.join(strangers)}; {_listed(labels)}")
    if choice.classes and (strangers := sorted(set(choice.names.values()) - set(choice.classes))):
        raise LeukoError(
            f"--map: {', '.join(strangers)} is none of the classes {', '.join(choice.classes)} (--classes)"
        )
    meaning: dict[str, str | None] = {}
    questions = []
    spelling: dict[str, str] = {}
    for label in sorted(labels):
        wanted = normalize(label)
        match = match_class(label, choice.classes, {})
        if wanted in dropped:
            meaning[label] = None
        elif wanted in names or not choice.classes:
            meaning[label] = names.get(wanted, spelling.setdefault(wanted, label))
        elif match.label or (choice.drop_others and wanted in OTHER_CELLS):
            meaning[label] = match.label
        else:
            questions.append(f"    {label} ({labels[label]}): {match.question or 'not known'}")
    if questions:
        raise LeukoError(
            "\n".join(
                [
                    "Labels of which a person has to say what they mean:",
                    *questions,
                    f"Say --map LABEL=CLASS or --drop LABEL, both as often as needed, with the classes "
                    f"{', '.join(choice.classes)}; or choose others with --classes A,B,... or --all-classes.",
                ]
            )
        )
    if absent := [label for label in choice.classes if label not in meaning.values()]:
        left = [label for label in choice.classes if label not in absent]
        raise LeukoError(
            f"No image of {', '.join(absent)}; {_listed(labels)}. For what is there say --classes {','.join(left)}"
        )
    return meaning


def _listed(labels: Counter[str]) -> str:
    """The labels of a source with their numbers of images."""
    return "the source has " + ", ".join(f"{label} ({labels[label]})" for label in sorted(labels))
