"""Where jobs run: one after the other on this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from leuko.core.errors import LeukoError
from leuko.study import job
from leuko.study.clone import wait_until_free
from leuko.study.job import CORES, Job, run_job

if TYPE_CHECKING:
    from distributed import Client, Future, SpecCluster

PATIENCE = 5  # seconds after which it is looked for workers that have joined


class Runner(Protocol):
    """Takes jobs and tells which are done."""

    def n_workers(self) -> int:
        """How many jobs can run at the same time; none if the workers are still to come."""
        ...

    def start(self, job: Job) -> None:
        """Take a job."""
        ...

    def next_done(self) -> tuple[Job, bool, float] | None:
        """Wait for a job: which it is, whether it succeeded, and its seconds; none if nothing is done after a while."""
        ...


class OneByOne:
    """Runs a job at a time on this machine."""

    def __init__(self) -> None:
        self._job: Job | None = None

    def n_workers(self) -> int:
        """One."""
        return 1

    def start(self, job: Job) -> None:
        """Take a job."""
        self._job = job

    def next_done(self) -> tuple[Job, bool, float]:
        """Run the job."""
        assert self._job
        return (self._job, *run_job(self._job))


class OnDask:
    """Runs jobs on the workers of a cluster, one for each of their threads.

    A job whose worker dies goes to another one, as Dask does it.
    """

    def __init__(self, client: Client) -> None:
        import cloudpickle

        cloudpickle.register_pickle_by_value(job)
        self._client = client
        self._jobs: dict[Future[Any], Job] = {}

    def n_workers(self) -> int:
        """The threads of all workers."""
        with _scheduler_may_go():
            return sum(self._client.nthreads().values())

    def start(self, job: Job) -> None:
        """Take a job."""
        self._jobs[self._client.submit(run_job, job, pure=False)] = job

    def next_done(self) -> tuple[Job, bool, float] | None:
        """Wait for a job.

        Raises:
            LeukoError: if a worker does not see the workspace, or the scheduler is gone.
        """
        from distributed import KilledWorker, wait

        with _scheduler_may_go():
            try:
                future = next(iter(wait(list(self._jobs), timeout=PATIENCE, return_when="FIRST_COMPLETED").done))
            except TimeoutError:
                return None
            job = self._jobs.pop(future)
            try:
                return (job, *future.result())
            except (FileNotFoundError, PermissionError) as error:
                raise LeukoError(
                    f"A worker cannot use {job.workspace} ({error}). All workers must see it under this name."
                ) from error
            except KilledWorker:  # with every worker that had it, one after the other
                return job, False, 0.0


@contextmanager
def _scheduler_may_go() -> Iterator[None]:
    """Say so if a cluster's scheduler is gone.

    Raises:
        LeukoError: if it is.
    """
    try:
        yield
    except (CancelledError, OSError) as error:
        raise LeukoError(
            "The Dask scheduler is gone. What is finished is kept; start it and its workers again, and then the same "
            "command, which goes on from there."
        ) from error


@contextmanager
def runner(n_workers: int, scheduler: str | None) -> Iterator[Runner]:
    """Give what runs jobs.

    Args:
        n_workers: how many jobs at a time on this machine, if there is no scheduler.
        scheduler: the address of a Dask scheduler, such as `tcp://host:8786`.

    Yields:
        The runner.

    Raises:
        LeukoError: if Dask is not installed, or the scheduler does not answer.
    """
    if n_workers == 1 and not scheduler:
        yield OneByOne()
        return
    try:
        from distributed import Client
    except ImportError:
        raise LeukoError("Several workers need Dask: pip install 'leuko[cluster]'") from None
    if scheduler:
        # When the scheduler goes, this says so itself, without Dask's tracebacks.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        try:
            client = Client(scheduler)
        except OSError as error:
            raise LeukoError(f"No Dask scheduler answers at {scheduler}: {error}") from error
        with client:
            print(f"Workers join at {scheduler}; its dashboard: {client.dashboard_link}", flush=True)
            yield OnDask(client)
        return
    try:
        with _workers_here(n_workers) as cluster, Client(cluster) as client:
            print(f"{n_workers} workers; their dashboard: {client.dashboard_link}", flush=True)
            yield OnDask(client)
    finally:
        wait_until_free()


def _workers_here(n_workers: int) -> SpecCluster:
    """A cluster on this machine: each worker has a GPU of its own, or its share of the cores."""
    from distributed import Nanny, Scheduler, SpecCluster

    options = {"host": "127.0.0.1", "nthreads": 1, "dashboard": False, "silence_logs": "ERROR"}
    workers = {
        number: {"cls": Nanny, "options": options | {"env": environment}}
        for number, environment in enumerate(shares(n_workers, _cores(), _gpus()))
    }
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:8787"}}
    return SpecCluster(workers=workers, scheduler=scheduler, silence_logs="ERROR")


def shares(n_workers: int, cores: list[int], gpus: list[str]) -> list[dict[str, str]]:
    """The environments of workers that share a machine.

    Args:
        n_workers: how many there are.
        cores: those of the machine; none if it cannot keep processes to some of them.
        gpus: those of the machine, as `CUDA_VISIBLE_DEVICES` has them.

    Returns:
        For every worker a GPU, if there is one, and as many cores as the others have, each at least one.
    """
    found = []
    for number in range(n_workers):
        share = cores[number * len(cores) // n_workers : (number + 1) * len(cores) // n_workers]
        environment = {}
        if cores:
            environment[CORES] = ",".join(map(str, share or [cores[number % len(cores)]]))
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
        found.append(environment)
    return found


def _cores() -> list[int]:
    """The cores of this machine that may be used."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _gpus() -> list[str]:
    """The GPUs of this machine that may be used."""
    import torch  # here, as one after the other needs none of it

    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return chosen.split(",") if chosen else [str(number) for number in range(torch.cuda.device_count())]
