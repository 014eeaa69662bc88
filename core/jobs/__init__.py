"""The queue and who does its work: `jobs = Jobs(PipelineWorker(pipe), gallery, Path("data/jobs.sqlite"))`."""

from core.jobs.film import Frame
from core.jobs.limits import Limits, free_bytes, gigabytes
from core.jobs.queue import Jobs
from core.jobs.view import JobView
from core.jobs.work import Work
from core.jobs.worker import Outlook, Picture, PipelineWorker, Progress, Worker

__all__ = [
    "Frame", "JobView", "Jobs", "Limits", "Outlook", "Picture", "PipelineWorker", "Progress", "Work", "Worker", "free_bytes",
    "gigabytes",
]  # fmt: skip
