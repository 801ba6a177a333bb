"""What the scheduler does for imports."""

from care.imports.service import expire_old
from kernel.jobs import Job

JOBS = [Job("care.expire_imports", expire_old, every_seconds=3600)]
