"""Parts of a synthetic clip: requests, plans, surfaces, the camera, where things start."""

import numpy as np
import pytest

from mose.synthetic import SyntheticConfig, iter_frames
from mose.synthetic.background import backdrop
from mose.synthetic.casting import build
from mose.synthetic.clip import ClipRequest, draw_frames
from mose.synthetic.config import resolve
from mose.synthetic.layout import arrange, coverage
from mose.synthetic.motion import Wave
from mose.synthetic.optics import Optics, develop
from mose.synthetic.plan import SyntheticPlan
from mose.synthetic.scene import Scene
from mose.synthetic.textures import bank, blotches, palette, texture
from stseg.errors import InputError


def rng(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def test_a_request_draws_the_clip_of_its_numbers():
    request = ClipRequest(5, 2, 48, 64, 2, SyntheticConfig())
    ours, theirs = list(draw_frames(request)), list(iter_frames(5, 2, 48, 64, 2))
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.labels, b.labels)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [((0, 0, 48, 64, 2), "frames is 0"), ((0, 2, 48, 64, 30), "have no room")],
)
def test_a_request_that_cannot_be_drawn(numbers, message):
    with pytest.raises(InputError, match=message):
        ClipRequest(*numbers, config=SyntheticConfig())


def test_a_plan_takes_its_fields_and_knobs_by_name():
    plan = SyntheticPlan.of("hard", frames=4, objects=[1, 2], height=48, width=64, leave=0.5)
    assert (plan.frames, plan.objects) == ((4, 4), (1, 2))
    assert plan.config == resolve("hard", {"leave": 0.5})
    clips = [plan.clip(index) for index in range(8)]
    assert {clip.frames for clip in clips} == {4}
    assert {clip.objects for clip in clips} == {1, 2}
    assert len({clip.seed for clip in clips}) == 8
    assert plan.clip(3) == clips[3]


def test_fields_of_the_bank_can_be_tiled():
    """The step from the last row to the first is one like any other."""
    for field in bank():
        steps = np.abs(np.diff(field.astype(float), axis=0)).mean(1)
        seam = np.abs(field[-1].astype(float) - field[0]).mean()
        assert seam <= 3 * steps.max() + 1


def test_surfaces_have_the_size_that_is_asked_for():
    ramp = palette(rng())
    assert ramp.shape == (256, 3)
    one, other = (texture(rng(seed), ramp, 20, 30) for seed in (1, 2))
    assert one.shape == other.shape == (20, 30, 3)
    assert not np.array_equal(one, other)
    assert blotches(rng(), [one, other], 9, 8.0).shape == (20, 30, 3)
    assert backdrop(rng(), 20, 30, ramp).shape == (20, 30, 3)


def test_borrowed_colours_are_near():
    ramp = palette(rng(1))
    near = palette(rng(2), around=ramp)
    distances = np.linalg.norm(near[:, None].astype(float) - ramp[None], axis=2).min(1)
    assert np.median(distances) < 40


def test_a_camera_that_does_nothing_shows_the_canvas():
    still = Wave()
    optics = Optics(still, (still, still, still), still, 1.0, (Wave(-1.0), still, still, 0.5),
                    Wave(-1.0), 0.0, 0, 1.0)  # fmt: skip
    canvas = rng().integers(0, 256, (8, 8, 3)).astype(np.float32)
    image = develop(optics, canvas.copy(), 0.0, (0.0, 0.0), rng())
    assert np.abs(image.astype(float) - canvas).max() <= 1


def test_every_object_is_seen_where_the_clip_starts():
    scene = build(rng(4), resolve("hard"), 12, 80, 80, 4)
    assert isinstance(scene, Scene)
    arrange(rng(4), scene, 4, 40)
    visible, whole = coverage(scene, 4)
    late = [f.label for f in scene.figures if f.label and f.leave and f.leave.start < 0]
    seen = [visible[label - 1] for label in range(1, 5) if label not in late]
    assert min(seen) >= 40
    assert (visible <= whole).all()
