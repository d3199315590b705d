from rt_native.processor import data_caches, processor_name


def _caches(folder, *rows):
    for i, values in enumerate(rows):
        index = folder / f"index{i}"
        index.mkdir()
        for name, value in zip(("level", "type", "size"), values, strict=True):
            (index / name).write_text(f"{value}\n")
    return data_caches(folder)


def test_caches_for_data_are_told_in_bytes(tmp_path):
    rows = ((1, "Data", "48K"), (1, "Instruction", "32K"), (2, "Unified", "2M"), (3, "Unified", "odd"))
    assert _caches(tmp_path, *rows) == {1: 48 << 10, 2: 2 << 20}


def test_a_system_that_tells_nothing_has_none(tmp_path):
    assert data_caches(tmp_path / "none") == {}
    assert processor_name(tmp_path / "none")


def test_the_name_is_the_first_that_the_system_tells(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast 3000 \nprocessor\t: 1\nmodel name\t: other\n")
    assert processor_name(tmp_path / "cpuinfo").strip() == "Fast 3000"
