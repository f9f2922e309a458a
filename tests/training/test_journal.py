"""Journals are cut back where a checkpoint says, and never hold half a line for a reader."""

from attncli.training.journal import Journal, read_lines


def test_lines_come_back_in_order(tmp_path):
    journal = Journal(tmp_path / "a.jsonl", 0)
    journal.write({"step": 1, "loss": 0.1})
    journal.write({"step": 2, "word": "月"})
    assert journal.sync() == (tmp_path / "a.jsonl").stat().st_size
    journal.close()
    assert read_lines(tmp_path / "a.jsonl") == [{"step": 1, "loss": 0.1}, {"step": 2, "word": "月"}]


def test_a_journal_goes_on_behind_what_is_kept(tmp_path):
    file = tmp_path / "a.jsonl"
    journal = Journal(file, 0)
    journal.write({"step": 1})
    kept = journal.sync()
    journal.write({"step": 2})
    journal.close()
    again = Journal(file, kept)
    again.write({"step": 3})
    again.close()
    assert read_lines(file) == [{"step": 1}, {"step": 3}]


def test_a_torn_line_is_left_out(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"step": 1}\n{"st')
    assert read_lines(tmp_path / "a.jsonl") == [{"step": 1}]
    assert read_lines(tmp_path / "none.jsonl") == []


def test_a_journal_shorter_than_remembered_is_not_filled_with_zeros(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"step": 1}\n')
    journal = Journal(file, 1000)
    journal.write({"step": 2})
    journal.close()
    assert read_lines(file) == [{"step": 1}, {"step": 2}]
