"""What the speed experiment counts."""

import jax

from experiments.speed.measure import products_per_sample, step_flops
from experiments.speed.run import table
from jaxvsnerf.fields.build import FieldSpec, build_field
from jaxvsnerf.training.stages import StageSpec

SPEC = FieldSpec(num_views=16)


def shapes(branches):
    field = build_field(SPEC)
    return jax.eval_shape(lambda: field.init(jax.random.key(0), branches))


def test_products_are_those_of_nerfs_mlp_with_one_branch_and_merged_heads():
    expected = {
        "shared": 63 * 256 + 4 * 256 * 256,
        "views": 319 * 256 + 2 * 256 * 256,
        "heads": 256 * 129 + 128 * 3,
    }
    assert products_per_sample(SPEC, shapes(1)) == expected
    assert products_per_sample(SPEC, shapes(16)) == expected


def test_a_step_costs_six_operations_a_product():
    stage = StageSpec("stage1", 10, "single", ("shared", "views", "heads"), rays=4096)
    # 524,416 products a sample, 131,072 samples.
    assert step_flops(SPEC, stage, shapes(1), 32) == 6 * 524_416 * 131_072


def test_a_table_lines_up_and_leaves_unknown_cells_empty():
    text = table([{"a": "x", "b": 1.23456}, {"a": "long", "c": None}])
    assert text.split("\n") == ["   a     b  c", "   x  1.23   ", "long         "]
