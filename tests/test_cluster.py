"""Cells side by side: shares of a machine, the order and the time left, a worker that dies."""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from leuko.core.errors import LeukoError
from leuko.study.cells import Cell
from leuko.study.job import Job
from leuko.study.runners import runner, shares
from leuko.study.schedule import NO_WORKERS, prepare, run_cells, seconds_left
from tests.studies import Workspace, alive, make_workspace, parent_of, wait_for


def test_workers_share_a_machine():
    assert shares(2, [0, 1, 2, 3, 4], []) == [{"LEUKO_CORES": "0,1"}, {"LEUKO_CORES": "2,3,4"}]
    assert shares(3, [4, 6], ["1", "0"]) == [
        {"LEUKO_CORES": "4", "CUDA_VISIBLE_DEVICES": "1"},
        {"LEUKO_CORES": "4", "CUDA_VISIBLE_DEVICES": "0"},
        {"LEUKO_CORES": "6", "CUDA_VISIBLE_DEVICES": "1"},
    ]


class Scripted:
    """A runner whose jobs end in the order of their start, as a script says."""

    def __init__(self, n_workers: int, fails: Sequence[str]):
        self.jobs, self.started, self.fails, self.workers = [], [], list(fails), n_workers

    def n_workers(self):
        return self.workers

    def start(self, job):
        assert len(self.jobs) < self.workers
        self.jobs.append(job)
        self.started.append(job.experiment)

    def next_done(self):
        job = self.jobs.pop(0)
        failed = job.experiment in self.fails
        if failed:
            self.fails.remove(job.experiment)
        Path(job.log).write_text(f"{job.experiment} speaks")
        return job, not failed, 1.0


@pytest.mark.parametrize("n_workers", [1, 2, 9])
def test_a_cell_that_fails_comes_once_more_after_the_others(tmp_path, n_workers):
    cells = [Cell(10, seed) for seed in range(4)]

    def job_of(cell):
        return Job("", cell.experiment, [], [], "", "", "", str(tmp_path / cell.name), {})

    crew = Scripted(n_workers, [cells[0].experiment, cells[1].experiment, cells[1].experiment])
    kept = []
    failures = run_cells(crew, cells, 4, job_of, lambda cell: kept.append(cell) or [])
    assert crew.started == [cell.experiment for cell in [*cells, *cells[:2]]]
    assert set(kept) == {cells[0], cells[2], cells[3]}
    (failure,) = failures
    assert "split10-seed1 speaks" in failure


def test_the_time_left_is_that_of_cells_of_the_same_kind():
    both, one = frozenset({"published", "transfer"}), frozenset({"transfer"})
    took = {Cell(1, 0, both): 100.0, Cell(1, 1, one): 10.0, Cell(10, 1, one): 20.0, Cell(10, 2, one): 40.0}
    to_go = [Cell(1, 2, both), Cell(10, 3, one)]
    assert seconds_left(took, to_go, 2) == pytest.approx((100 + 30) / 2)
    assert seconds_left(took, [Cell(50, 0, one)], 1) == pytest.approx(42.5)


@pytest.mark.slow
def test_a_study_without_workers_says_so_and_waits(tmp_path, capsys):
    class Deserted(Scripted):
        """Its only worker goes while it runs the job, and comes back after a while."""

        counts = iter([0, 0, 1, 0, 0, 1])

        def n_workers(self):
            self.workers = next(self.counts, 1)
            return self.workers

        def next_done(self):
            return super().next_done() if self.workers else None

    crew = Deserted(1, [])
    job = Job("", "study-split10-seed0", [], [], "", "", "", str(tmp_path / "log"), {})
    assert run_cells(crew, [Cell(10, 0)], 1, lambda cell: job, lambda cell: []) == []
    prepare(Scripted(1, []), job)
    said = capsys.readouterr().out
    assert said.count(NO_WORKERS) == 1
    assert said.count("Workers: 1. The study goes on.") == 1
    assert crew.started == ["study-split10-seed0"]


# On Dask.


@pytest.mark.slow
def test_what_is_wrong_with_a_cluster_is_said(tmp_path):
    distributed = pytest.importorskip("distributed")
    job = Job(str(tmp_path / "elsewhere"), "study-split10-seed0", [], [], "", "", "", "log", {})
    options = {"processes": False, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(n_workers=0, **options) as cluster, runner(1, cluster.scheduler_address) as crew:
        crew.start(job)
        assert crew.n_workers() == 0
        cluster.scale(1)
        with pytest.raises(LeukoError, match=r"elsewhere .*no such folder.*All workers must see it"):
            while crew.next_done() is None:
                pass
        cluster.scale(0)
        wait_for(lambda: crew.n_workers() == 0)
        crew.start(job)
        cluster.close()
        with pytest.raises(LeukoError, match="scheduler is gone"):
            while crew.next_done() is None:
                pass
    dask = pytest.importorskip("dask")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(LeukoError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        runner(1, "tcp://127.0.0.1:9").__enter__()


@pytest.mark.slow
def test_a_worker_that_dies_loses_nothing(tmp_path):
    pytest.importorskip("distributed")
    workspace = make_workspace(tmp_path)
    alone = Workspace(tmp_path / "alone", tmp_path / "switches of alone")
    shutil.copytree(workspace.folder, alone.folder)
    alone.switches.mkdir()
    grid = ("--splits", "10", "--seeds", "2")
    alone.study(*grid)

    # A worker on this machine is killed in the middle of a cell.
    workspace.switch("hang-split10-seed0", on=True)
    with workspace.start(*grid, "--workers", "2") as study:
        wait_for((workspace.switches / "hanging-split10-seed0").exists)
        run = workspace.run_of("split10-seed0")
        os.kill(parent_of(run), signal.SIGKILL)
        wait_for(lambda: not alive(run))
        workspace.switch("hang-split10-seed0", on=False)
        said, _ = study.communicate(timeout=300)
    assert study.returncode == 0, said
    assert sorted(workspace.calls("evaluate")) == sorted([*alone.calls("evaluate"), "10 0 0"])
    assert (workspace.switches / "resumed-split10-seed0").exists()
    for name in ("summary.json", "table.csv"):
        assert (workspace.folder / "study" / name).read_bytes() == (alone.folder / "study" / name).read_bytes()
