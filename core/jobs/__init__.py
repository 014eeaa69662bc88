"""The queue and who does its work: `jobs = Jobs(PipelineWorker(pipe), gallery, Path("data/jobs.sqlite"))`."""

from core.jobs.film import Frame
from core.jobs.queue import Jobs, JobView, Limits
from core.jobs.work import Work
from core.jobs.worker import Outlook, Picture, PipelineWorker, Progress, Worker

__all__ = ["Frame", "JobView", "Jobs", "Limits", "Outlook", "Picture", "PipelineWorker", "Progress", "Work", "Worker"]
