"""Write what the run found as a page, with its tables and figures, and the card of its models."""

from pathlib import Path

from leuko.core.errors import run
from leuko.core.files import write_bytes
from leuko.core.params.everything import Params
from leuko.core.params.reading import load_params
from leuko.report.card import model_card
from leuko.report.page import write_report
from leuko.report.single import single_report
from leuko.training.device import set_up


def main() -> None:
    """Write the report and the card."""
    params = load_params(Params)
    device = set_up(params.device, params.compute, params.seed)
    write_report(single_report(Path(), params, device), Path("reports"))
    write_bytes(Path("reports/MODEL_CARD.md"), model_card(Path(), params).encode())
    print("The report: reports/report.html; the card of the models: reports/MODEL_CARD.md")


if __name__ == "__main__":
    run(main)
