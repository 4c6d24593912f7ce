"""Names of published checkpoints and the project's own."""

from adapters.networks.naming import Naming

NAMES = Naming([("stage#.block#.~", "layer#.#.~"), ("head.~", "predictor.conv.~")])


def test_names_go_there_and_back_and_the_first_match_wins():
    official = {"layer1.0.weight": 1, "layer2.13.norm.bias": 2, "predictor.conv.weight": 3}
    ours = NAMES.from_official(official)
    assert ours == {"stage1.block0.weight": 1, "stage2.block13.norm.bias": 2, "head.weight": 3}
    assert NAMES.to_official(ours) == official


def test_names_that_no_template_matches_stay():
    assert NAMES.from_official({"layerX.0.weight": 1}) == {"layerX.0.weight": 1}
