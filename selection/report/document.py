"""What the pages share: templates, and how scores are shown."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from selection.record import Forecast

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

COLOURS = ("#3b7ded", "#e07a1f", "#2e9e5b", "#c04f9c", "#9a7b3c", "#4a90a8", "#d04a3a", "#808080")
"""Of the candidates, in the run's order; legible on white and on near-black."""


def render(template: str, **values: object) -> str:
    """A whole page from a file of ``templates``; every value is escaped."""
    return _templates().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("selection.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {"percent": percent, "interval": interval, "count": count}
    environment.globals |= {"asset": asset, "colours": COLOURS}
    return environment


def asset(name: str) -> Markup:
    """A script or a style sheet of this package, as it is."""
    from markupsafe import Markup

    return Markup(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def write_page(path: Path, page: str) -> None:
    """Write a page; characters that UTF-8 cannot hold become character references."""
    path.write_text(page, encoding="utf-8", errors="xmlcharrefreplace")


def count(number: int, noun: str) -> str:
    """ "1 object", "3 objects"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def interval(forecast: Forecast) -> str:
    """An expected J&F with its interval: "78.1 (70.2 to 84.0)"."""
    low, high = percent(forecast.low), percent(forecast.high)
    return f"{percent(forecast.expected)} ({low} to {high})"


def percent(score: float | None) -> str:
    """A score in [0, 1] as percent with one decimal; a dash for none."""
    return "–" if score is None else f"{100 * score:.1f}"
