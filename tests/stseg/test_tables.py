"""Tables as text."""

from stseg.tables import format_table


def test_names_are_flush_left_and_numbers_flush_right():
    table = format_table(["member", "J&F"], [["xmem", "71.3"], ["demo-cutie", "9.1"]])
    assert table.splitlines() == ["member       J&F", "xmem        71.3", "demo-cutie   9.1"]


def test_lines_have_no_blanks_at_their_ends():
    table = format_table(["a", "b", "what"], [["long name", "x", ""]], left=3)
    assert table.splitlines() == ["a          b  what", "long name  x"]


def test_the_total_stands_below_a_line():
    table = format_table(["video", "J"], [["cat", "5"], ["overall", "5"]], total=True)
    assert table.splitlines()[-2:] == ["-" * len("overall  5"), "overall  5"]


def test_a_table_without_rows_is_its_heads():
    assert format_table(["video", "J"], []) == "video  J"
