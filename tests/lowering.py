"""What a program asks of the accelerators that it is lowered for, read from its module."""

import re
from math import prod

import jax

PRODUCT = re.compile(r"stablehlo\.(?:dot_general|convolution)\b.*: \((tensor<.*>)\) ->")
TENSOR = re.compile(r"tensor<((?:\d+x)*)(\w+)>")


def lowered(program, *arguments) -> str:
    """The module of a program, which holds its code for TPUs and for CUDA."""
    exported = jax.export.export(program, platforms=("tpu", "cuda"))(*arguments)
    assert set(exported.platforms) == {"tpu", "cuda"}
    return exported.mlir_module()


def products(module: str) -> list[list[tuple[tuple[int, ...], str]]]:
    """The operands of every matrix product and convolution: (shape, dtype) of each."""
    return [
        [(tuple(map(int, axes.split("x")[:-1])), dtype) for axes, dtype in TENSOR.findall(operands)]
        for operands in PRODUCT.findall(module)
    ]


def assert_stays_on_the_device_in_32_bits(module: str) -> None:
    """No call back to the host, nor to code outside XLA, and no float64."""
    assert "callback" not in module and "stablehlo.custom_call" not in module
    assert not re.search(r"stablehlo\.(send|recv|infeed|outfeed)\b", module)
    assert not re.search(r"\bf64\b|xf64>", module)


def assert_multiplies_in_bfloat16(module: str, largest_weights: int) -> None:
    """Products with features of samples are bfloat16.

    Not among them: products of weights alone, rotations by cameras, and attention's sums
    weighted by float32; of 3 views, both have an operand that ends in [3, 3].

    Args:
      module: from `lowered`, of a field of 3 views and 4 layers.
      largest_weights: numbers of the field's largest matrix of weights.
    """
    of_features = [
        operands
        for operands in products(module)
        if max(prod(shape) for shape, _ in operands) > largest_weights
        and not any(shape[-2:] == (3, 3) for shape, _ in operands)
    ]
    wrong = [operands for operands in of_features if {dtype for _, dtype in operands} != {"bf16"}]
    assert len(of_features) >= 4 and not wrong, wrong
