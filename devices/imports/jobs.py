"""What the scheduler does for imports of devices."""

from devices.imports.service import expire_old
from kernel.jobs import Job

JOBS = [Job("devices.expire_imports", expire_old, every_seconds=3600)]
