"""Working on a user's repository: a working tree beside the checkout, guarded operations, tests in a sandbox."""

from telic.workspaces.environments import PythonEnvironment, Recipe
from telic.workspaces.processes import RunLimits
from telic.workspaces.sandbox import Sandbox, sandbox_problem
from telic.workspaces.suites import SuiteResult
from telic.workspaces.workspace import Workspace

__all__ = ["PythonEnvironment", "Recipe", "RunLimits", "Sandbox", "SuiteResult", "Workspace", "sandbox_problem"]
