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
    def _entries_can_be_trained(self) -> Params:
        """Refuse entries of `transfer` that ablate no other one, or change settings that there are not."""
        for name, start in self.transfer.items():
            others = [other for other, known in self.transfer.items() if other != name and not known.ablates]
            if start.ablates and start.ablates not in others:
                raise ValueError(
                    f"transfer.{name}.ablates: {start.ablates!r} is not allowed; input should be another entry that "
                    f"ablates none: {', '.join(others) or 'there is none'}"
                )
            for key, group in {"finetune": self.finetune, "probe": self.probe}.items():
                try:
                    changed(group, getattr(start, key))
                except ValidationError as error:
                    problem = error.errors()[0]
                    place = ".".join(map(str, ("transfer", name, key, *problem["loc"])))
                    known = f"; known here: {', '.join(type(group).model_fields)}"
                    hint = known if problem["type"] == "extra_forbidden" else ""
                    message = problem["msg"].removeprefix("Value error, ")
                    raise ValueError(f"{place}: {message[0].lower()}{message[1:]}{hint}") from error
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Params:
        """Refuse a model that is no arm, and synonyms of no class."""
        known = [arm.key for arm in arms(self.transfer)]
        if self.model not in known:
            allowed = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
            raise ValueError(f"model: {self.model!r} is not allowed; input should be {allowed}")
        if strangers := sorted(set(self.synonyms.values()) - set(self.classes)):
            raise ValueError(f"synonyms: {', '.join(strangers)}: not among the classes {', '.join(self.classes)}")
        return self
