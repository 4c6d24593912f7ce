"""The fitted recommender: trees as plain numbers, what they add, and what must not change it."""

import json

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor
from test_policies import with_truth
from test_selectors import evidence

from selection.calibration import Calibration, load_calibration
from selection.features import NAMES, features
from selection.fitting import BOOSTING, fit_recommender, tree_of
from selection.models import Linear, Recommender
from selection.policies import SelectionOptions
from selection.selectors import select
from stseg.errors import InputError


@pytest.fixture(scope="module")
def videos():
    """Two members: the one that agrees less is the better one where both agree well."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(60):
        level, gap = rng.uniform(0.3, 0.9), rng.uniform(0.02, 0.08)
        table = evidence([[[level], [level - gap]]] * 4)
        lead = -0.3 if level > 0.6 else 0.3
        made.append(with_truth(table, [[0.5 + lead / 2], [0.5 - lead / 2], [0.2]]))
    return made


def test_a_tree_gives_what_the_library_gives():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(400, 6)), rng.normal(size=400)
    grown = GradientBoostingRegressor(**BOOSTING).fit(x, y)
    trees = [tree_of(one.tree_, grown.learning_rate) for one in grown.estimators_[:, 0]]
    fresh = rng.normal(size=(200, 6)).astype(np.float32)
    np.testing.assert_allclose(sum(t(fresh) for t in trees), grown.predict(fresh), atol=1e-12)


def test_trees_see_what_a_weighted_sum_cannot(videos):
    options = SelectionOptions(policy="recommender")
    whole = fit_recommender(videos)
    plain = Recommender(whole.linear, whole.offsets)

    def worth(model):
        made = Calibration("c", {}, {}, recommender=model)
        won = [select(table, options, made).winner for table in videos]
        pairs = zip(videos, won, strict=True)
        return np.mean([t.truth()[t.candidates.index(w), 0] for t, w in pairs])

    assert worth(whole) > worth(plain) + 0.05
    assert worth(whole) > 0.64  # of 0.65


def test_trees_move_candidates_apart_and_not_all_of_them(videos):
    whole = fit_recommender(videos)
    plain = Recommender(whole.linear, whole.offsets)
    for table in videos[:5]:
        values = features(table)
        both = whole(values, table.candidates), plain(values, table.candidates)
        np.testing.assert_allclose(both[0].mean(axis=0), both[1].mean(axis=0))
        assert np.abs(both[0] - both[1]).max() > 1e-3


def test_the_order_of_candidates_does_not_matter(videos):
    whole = fit_recommender(videos)
    values, names = features(videos[0]), videos[0].candidates
    order = [2, 0, 1]
    np.testing.assert_allclose(
        whole(values[order], [names[i] for i in order]), whole(values, names)[order]
    )


def test_stored_and_read_it_says_the_same(videos, tmp_path):
    whole = fit_recommender(videos)
    Calibration("c", {}, {}, recommender=whole).save(tmp_path / "c.json")
    read = load_calibration(str(tmp_path / "c.json")).recommender
    assert len(read.trees) == BOOSTING["n_estimators"]
    for table in videos:
        values = features(table)
        np.testing.assert_allclose(
            read(values, table.candidates), whole(values, table.candidates), atol=1e-4
        )


def test_a_file_without_trees_is_a_weighted_sum(tmp_path):
    ones = (1.0,) * len(NAMES)
    plain = Recommender(Linear(NAMES, ones, ones, ones, 0.5), {"a": 0.25})
    made = Calibration("c", {}, {}, recommender=plain).json()
    del made["recommender"]["trees"], made["recommender"]["gains"]

    (tmp_path / "c.json").write_text(json.dumps(made))
    assert load_calibration(str(tmp_path / "c.json")).recommender == plain


def test_a_damaged_tree_is_told(videos, tmp_path):
    made = Calibration("c", {}, {}, recommender=fit_recommender(videos)).json()
    tree = next(rows for rows in made["recommender"]["trees"] if len(rows) > 1)
    tree[0][2] = 0  # its root leads to itself
    (tmp_path / "c.json").write_text(json.dumps(made))
    with pytest.raises(
        InputError, match=r"c\.json cannot be read \(row 0 of a tree leads nowhere\)"
    ):
        load_calibration(str(tmp_path / "c.json"))


def test_few_videos_grow_no_branches(videos):
    few = fit_recommender(videos[:2])
    assert all(tree.feature == (-1,) for tree in few.trees)
    assert np.isfinite(few(features(videos[0]), videos[0].candidates)).all()
