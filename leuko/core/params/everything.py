"""All settings together, as `params.yaml` holds them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ValidationError, model_validator

from leuko.arms import arms
from leuko.core.params.augment import Augment
from leuko.core.params.cam16 import Cam16
from leuko.core.params.compute import Compute
from leuko.core.params.demo import Demo
from leuko.core.params.evaluate import Evaluate
from leuko.core.params.external import External
from leuko.core.params.families import Families
from leuko.core.params.group import Device, Group, Seed, Text
from leuko.core.params.ingest import Ingest
from leuko.core.params.labels import Classes, Split, ValidationLabels
from leuko.core.params.measure import Measure
from leuko.core.params.prcc import Prcc
from leuko.core.params.prepare_masks import PrepareMasks
from leuko.core.params.report import Report
from leuko.core.params.stain import Stain
from leuko.core.params.transfer import Finetune, Pretrain, Probe, Transfer, changed
from leuko.core.params.wbc import Wbc
from leuko.core.params.wbc_plus import WbcPlus


class Params(Group):
    """All settings; a stage reads those that it needs, by a model of its own."""

    ALL: ClassVar = True

    data_root: Text
    classes: Classes
    synonyms: dict[Text, Text]
    launcher: Text
    device: Device
    split: Split
    validation_labels: ValidationLabels
    model: Text
    seed: Seed
    stain: Stain
    families: Families
    compute: Compute
    demo: Demo
    ingest: Ingest
    prepare_masks: PrepareMasks
    augment: Augment
    measure: Measure
    prcc: Prcc
    cam16: Cam16
    wbc: Wbc
    wbc_plus: WbcPlus
    transfer: Transfer
    pretrain: Pretrain
    finetune: Finetune
    probe: Probe
    external: External
    evaluate: Evaluate
    report: Report

    @model_validator(mode="after")
    def _fit_each_other(self) -> Params:
        """Refuse, all at once, what no setting can tell of itself."""
        problems = [line for name in self.transfer for line in self._problems_of_entry(name)]
        whole = ("", *self._whole_entries())
        sound = {name: start for name, start in self.transfer.items() if start.ablates in whole}
        known = [arm.key for arm in arms(sound)]
        if self.model not in known:
            allowed = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
            problems.append(f"model: {self.model!r} is not allowed; input should be {allowed}")
        if strangers := sorted(set(self.synonyms.values()) - set(self.classes)):
            problems.append(f"synonyms: {', '.join(strangers)}: not among the classes {', '.join(self.classes)}")
        if problems:
            raise ValueError("\n  ".join(problems))
        return self

    def _whole_entries(self) -> list[str]:
        """The entries of `transfer` that ablate none, and which others may ablate."""
        return [name for name, start in self.transfer.items() if not start.ablates]

    def _problems_of_entry(self, name: str) -> list[str]:
        """What is wrong with an entry of `transfer` that no field of it can tell."""
        start = self.transfer[name]
        problems = []
        others = [other for other in self._whole_entries() if other != name]
        if start.ablates and start.ablates not in others:
            problems.append(
                f"transfer.{name}.ablates: {start.ablates!r} is not allowed; input should be another entry that "
                f"ablates none: {', '.join(others) or 'there is none'}"
            )
        if (start.network, start.weights) == ("pooled", "imagenet"):
            problems.append(
                f"transfer.{name}.weights: there are none of ImageNet for pooled; take none or a file's path"
            )
        for key, group in {"finetune": self.finetune, "probe": self.probe}.items():
            try:
                changed(group, getattr(start, key))
            except ValidationError as error:
                for problem in error.errors():
                    place = ".".join(map(str, ("transfer", name, key, *problem["loc"])))
                    known_here = f"; known here: {', '.join(type(group).model_fields)}"
                    hint = known_here if problem["type"] == "extra_forbidden" else ""
                    message = problem["msg"].removeprefix("Value error, ")
                    problems.append(f"{place}: {message[0].lower()}{message[1:]}{hint}")
        return problems
