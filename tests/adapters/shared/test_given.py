"""Given masks beside those that a network predicts."""

import torch

from adapters.shared.given import GivenPlanes

PLANES = torch.tensor([[[1.0, 0, 0, 0]], [[0, 1.0, 0, 0]]])
"""Of a corrected object, and of a new one."""


def test_where_something_is_given_nothing_else_is():
    given = GivenPlanes((1,), PLANES)
    assert given.new == 1
    predicted = torch.tensor([[[0.4, 0.4, 0.4, 0.4]], [[0.5, 0.5, 0.5, 0.5]]])
    assert given.merged(predicted).tolist() == [
        [[0, 0, torch.tensor(0.4).item(), torch.tensor(0.4).item()]],
        [[1, 0, 0, 0]],
        [[0, 1, 0, 0]],
    ]


def test_nothing_is_left_to_find_where_every_object_is_corrected():
    given = GivenPlanes((0,), PLANES)
    assert given.covers(1)
    assert not given.covers(2)
    assert given.merged(None) is PLANES
