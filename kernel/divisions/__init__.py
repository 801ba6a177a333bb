"""Administrative divisions: five levels, as data (GB/T 2260 and the statistical codes below it)."""

from kernel.divisions.codes import (
    ancestors,
    is_code,
    is_prefix,
    level,
    pad,
    parent,
    significant_prefix,
)
from kernel.divisions.model import Division, DivisionImportError
from kernel.divisions.service import (
    children,
    get,
    import_csv,
    load_divisions,
    path_name,
    path_names,
    scope_name,
    search,
)

__all__ = [
    "Division",
    "DivisionImportError",
    "ancestors",
    "children",
    "get",
    "import_csv",
    "is_code",
    "is_prefix",
    "level",
    "load_divisions",
    "pad",
    "parent",
    "path_name",
    "path_names",
    "scope_name",
    "search",
    "significant_prefix",
]
