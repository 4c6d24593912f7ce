"""What a wheel holds. The rest of the project's description is in pyproject.toml.

The configurations lie in ``configs/``, where one looks for them, and are installed as
``stseg/configs``; benchmarks and tests stay at home.
"""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGES = ("stseg", "mose", "adapters", "selection", "finetune", "ensemble", "study")
CONFIGS = "stseg.configs"

folders = [f"{CONFIGS}.{p.name}" for p in Path("configs").iterdir() if p.is_dir()]
setup(
    packages=[*find_packages(include=[f"{p}*" for p in PACKAGES]), CONFIGS, *sorted(folders)],
    package_dir={CONFIGS: "configs"},
    package_data={
        "": ["*.css", "*.js", "templates/*.html", "static/*"],
        CONFIGS: ["*.yaml"],
        **{folder: ["*"] for folder in folders},
        "adapters": ["pretrained/*", "doctor/golden.json"],
    },
)
