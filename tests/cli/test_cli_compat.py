"""`--compat`: environments that import `openenv` are served and validated as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from requirements import requirement
from serving import serving_cli
