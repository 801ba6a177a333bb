"""What the scheduler does for attempts."""

from devices.attempts.service import prune
from kernel.jobs import Job

JOBS = [Job("devices.prune_attempts", prune, every_seconds=3600)]
