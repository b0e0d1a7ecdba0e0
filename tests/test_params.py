"""params.yaml: what is wrong in it is said in one sentence that names the key and what is allowed."""

import re
from pathlib import Path

import pytest

from pipeline import params
from pipeline.cli import UserError

GOOD = (Path(__file__).parent / "params.yaml").read_text()
LINE_OF_UNITS = GOOD.partition("  units:")[0].count("\n") + 1


def load(path: Path, pattern: str, new: str) -> params.Params:
    """The tests' file, with what matches `pattern` (. is all but a line's end) replaced by `new`."""
    changed, count = re.subn(pattern, lambda _: new, GOOD)
    assert count == 1
    path.write_text(changed)
    return params.load(path)


def test_the_shipped_file_is_valid() -> None:
    params.load(Path(__file__).parent.parent / "params.yaml")


@pytest.mark.parametrize(
    ("pattern", "new", "output"),
    [
        ("track:", "trak:", "trak is not a parameter; allowed here are fetch, split, vectorize, "),
        ("units:.*", "unit: 64", "train.unit is not a parameter; allowed here are seed, "),
        ("units:.*", "units: '64'", "train.units is '64', but should be a valid integer"),
        ("units:.*", "units: true", "train.units is True, but should be a valid integer"),
        ("units:.*", "units: 64.0", "train.units is 64.0, but should be a valid integer"),
        ("units:.*", "units:", "train.units is None, but should be a valid integer"),
        ("units:.*", "units: 0", "train.units is 0, but should be greater than or equal to 1"),
        ("units:.*", "units: 5000", "train.units is 5000, but should be less than or equal to 4096"),
        (r"(?m)^  dropout:.*", "  dropout: 1", "train.dropout is 1, but should be less than 1"),
        (r"(?m)^  dropout:.*", "  dropout: yes", "train.dropout is 'yes', but should be a valid number"),
        ("C:.*", "C: .inf", "baseline.C is inf, but should be a finite number"),
        ("learning_rate:.*", "learning_rate: .nan", "train.learning_rate is nan, but should be a finite number"),
        ("cell:.*", "cell: elman", "train.cell is 'elman', but should be 'gru', 'lstm' or 'rnn'"),
        (
            "pooling:.*",
            "pooling: sum",
            "train.pooling is 'sum', but should be 'last', 'max', 'mean', 'max_mean' or 'atte",
        ),
        ("mask:.*", "mask: 1", "train.mask is 1, but should be a valid boolean"),
        (
            "temperature_scaling:.*",
            "temperature_scaling: 1.5",
            "train.temperature_scaling is 1.5, but should be a valid boolean",
        ),
        ("temperature_scaling:.*", "", "train.temperature_scaling is missing"),
        ("ema_momentum:.*", "ema_momentum: 1.0", "train.ema_momentum is 1.0, but should be less than 1"),
        ("clip_norm:.*", "clip_norm: 0", "train.clip_norm is 0, but should be greater than 0"),
        ("patience:.*", "patience: 0", "train.patience is 0, but should be greater than or equal to 1"),
        ("digest:.*", "digest: abc", "fetch.digest is 'abc', but should match pattern '^[0-9a-f]{64}$'"),
        ("source:.*", "source: ''", "fetch.source is '', but should have at least 1 character"),
        ("model:.*", "model: my model", r"registry.model is 'my model', but should match pattern '^\w[\w.-]*$'"),
        ("model:.*", "model: models/a", r"registry.model is 'models/a', but should match pattern '^\w[\w.-]*$'"),
        ("model:.*", "model: a@champion", r"registry.model is 'a@champion', but should match pattern "),
        ("model:.*", "model: ''", "registry.model is '', but should match pattern "),
        ("model:.*", f"model: {'a' * 201}", f"registry.model is '{'a' * 201}', but should have at most 200 characters"),
        (
            " significance_level:.*",
            " significance_level: 0",
            "registry.significance_level is 0, but should be greater than 0",
        ),
        (
            " significance_level:.*",
            " significance_level: 1.0",
            "registry.significance_level is 1.0, but should be less than 1",
        ),
        (" margin:.*", " margin: -0.01", "registry.margin is -0.01, but should be greater than or equal to 0"),
        (" margin:.*", " margin: 1.0", "registry.margin is 1.0, but should be less than 1"),
        ("class_margin:.*", "class_margin: 2", "registry.class_margin is 2, but should be less than or equal to 1"),
        ("max_latency_ms:.*", "max_latency_ms: 0", "registry.max_latency_ms is 0, but should be greater than 0"),
        (
            "max_latency_ms:.*",
            "max_latency_ms: 50 ms",
            "registry.max_latency_ms is '50 ms', but should be a valid number",
        ),
        (" max_size_mb:.*", " max_size_mb: .inf", "registry.max_size_mb is inf, but should be a finite number"),
        ("tolerance:.*", "tolerance:", "registry.tolerance is None, but should be a valid number"),
        (
            "tolerance:.*",
            "tolerances: 0.1",
            "registry.tolerances is not a parameter; allowed here are model, significance_level, ",
        ),
        ("registry:\n(  .*\n)*", "", "registry is missing"),
        (r"(?m)^  min_df:.*", "", "baseline.min_df is missing"),
        ("split:\n(  .*\n)*", "", "split is missing"),
        ("track:\n(  .*\n)*", "track: 5\n", "track should be a section of keys and values, not 5"),
        (r"(.*\n)+", "", "the file should be a section of keys and values, not None"),
        (r"(.*\n)+", "- fetch", "the file should be a section of keys and values, not ['fetch']"),
    ],
)
def test_a_mistake_is_a_one_line_error(tmp_path: Path, pattern: str, new: str, output: str) -> None:
    with pytest.raises(UserError) as stop:
        load(tmp_path / "params.yaml", pattern, new)

    message = str(stop.value)
    assert message.startswith(f"{tmp_path / 'params.yaml'}: {output}")
    assert "\n" not in message


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_the_kind_of_a_gru_is_no_kind_of_another_cell(tmp_path: Path, cell: str) -> None:
    both = f"cell: {cell}\n  reset_after: false"

    with pytest.raises(UserError) as stop:
        load(tmp_path / "params.yaml", "cell:.*\n  reset_after:.*", both)

    output = f"train: reset_after: false is for a GRU, but cell is {cell}; set reset_after to true"
    assert str(stop.value) == f"{tmp_path / 'params.yaml'}: {output}"


def test_a_gru_may_be_of_either_kind(tmp_path: Path) -> None:
    assert not load(tmp_path / "params.yaml", "reset_after:.*", "reset_after: false").train.reset_after


@pytest.mark.parametrize("name", ["clip_norm", "patience"])
def test_what_may_be_left_undone_may_be_null(tmp_path: Path, name: str) -> None:
    assert getattr(load(tmp_path / "params.yaml", f"{name}:.*", f"{name}: null").train, name) is None


@pytest.mark.parametrize(
    ("new", "output"),
    [
        ("  units: [64", f"line {LINE_OF_UNITS + 1}: expected ',' or ']'"),
        ("  units: 64\n  units: 32", f'line {LINE_OF_UNITS + 1}: found duplicate key "units" with value "32"'),
        ("\tunits: 64", f"line {LINE_OF_UNITS}: found character '\\t' that cannot start any token"),
    ],
)
def test_broken_yaml_is_named_with_its_line(tmp_path: Path, new: str, output: str) -> None:
    with pytest.raises(UserError) as stop:
        load(tmp_path / "params.yaml", "  units:.*", new)

    message = str(stop.value)
    assert message.startswith(f"{tmp_path / 'params.yaml'} is not valid YAML, {output}")
    assert "\n" not in message


def test_a_file_that_is_no_text_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(UserError, match="is not valid YAML"):
        params.load(tmp_path / "params.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml is missing; run this from the repository's top folder"):
        params.load(tmp_path / "params.yaml")


def test_a_power_of_ten_is_a_number(tmp_path: Path) -> None:
    assert load(tmp_path / "params.yaml", "learning_rate:.*", "learning_rate: 1e-3").train.learning_rate == 0.001


def test_a_whole_number_serves_where_a_fraction_may_stand(tmp_path: Path) -> None:
    assert load(tmp_path / "params.yaml", r"(?m)^  dropout:.*", "  dropout: 0").train.dropout == 0
