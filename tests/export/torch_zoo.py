"""Models of PyTorch's, written by others, that come in packages; and how they are compared.

Each entry makes a model and its example inputs. Dropout is 0, so that both sides compute the same
in training mode.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

import smelt
from smelt.export import from_torch
from smelt.export.torch.examples import as_smelt


@dataclass(frozen=True)
class Example:
    """A model, and what it is called with.

    Errors of outputs are relative to the largest number of each, or to `least` if that is larger.
    """

    model: Any
    inputs: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    least: float = 1.0

    def double(self) -> Example:
        """Returns the same in float64, in which a difference is no rounding."""
        inputs = tuple(x.double() if x.is_floating_point() else x for x in self.inputs)
        return Example(self.model.double(), inputs, self.options, self.least)

    def smooth(self) -> Example:
        """Returns the same with a model whose gradient has no jumps: SiLU for ReLU, and means for
        the largest numbers of windows.
        """
        _make_smooth(self.model)
        return self


def _make_smooth(module: Any) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, (torch.nn.ReLU, torch.nn.ReLU6)):
            setattr(module, name, torch.nn.SiLU())
        elif isinstance(child, torch.nn.MaxPool2d):
            settings = child.kernel_size, child.stride, child.padding
            setattr(module, name, torch.nn.AvgPool2d(*settings))
        else:
            _make_smooth(child)


class Errors(NamedTuple):
    """Relative to the largest number: of each output and buffer, of all gradients."""

    evaluated: float
    trained: float
    gradients: float
    buffers: float


# --- models of torch itself -----------------------------------------------------------------------


def transformer() -> Example:
    model = torch.nn.Transformer(16, 4, 2, 2, 32, 0.0, batch_first=True)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(5)
    inputs = torch.randn(3, 7, 16), torch.randn(3, 5, 16)
    return Example(model, inputs, {"tgt_mask": mask, "tgt_is_causal": True})


def transformer_encoder() -> Example:
    layer = torch.nn.TransformerEncoderLayer(16, 4, 32, 0.0, "gelu", batch_first=True)
    padding = torch.tensor([[False] * 6 + [True], [False] * 7, [False] * 4 + [True] * 3])
    # without nested tensors, for which PyTorch gives zeros at the padding in evaluation
    model = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return Example(model, (torch.randn(3, 7, 16),), {"src_key_padding_mask": padding})


def transformer_decoder() -> Example:
    layer = torch.nn.TransformerDecoderLayer(16, 4, 32, 0.0, norm_first=True)
    model = torch.nn.TransformerDecoder(layer, 2)
    return Example(model, (torch.randn(5, 3, 16), torch.randn(7, 3, 16)))


def attention() -> Example:
    model = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    x = torch.randn(3, 5, 16)
    return Example(model, (x, torch.randn(3, 7, 16), torch.randn(3, 7, 16)))


class LanguageModel(torch.nn.Module):
    """As in PyTorch's example `word_language_model`."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.encoder = torch.nn.Embedding(50, 16)
        self.rnn = getattr(torch.nn, kind)(16, 24, 2)
        self.decoder = torch.nn.Linear(24, 50)

    def forward(self, ids: Any) -> Any:
        y, state = self.rnn(self.encoder(ids))
        return torch.nn.functional.log_softmax(self.decoder(y), -1), state


def language_model(kind: str) -> Callable[[], Example]:
    return lambda: Example(LanguageModel(kind), (torch.randint(0, 50, (9, 4)),))


# --- torchvision ----------------------------------------------------------------------------------


def vision(name: str, size: int = 64, **settings: Any) -> Callable[[], Example]:
    """Returns what makes a model of torchvision's for images of a size."""

    def make() -> Example:
        from torchvision import models

        model = getattr(models, name)(num_classes=10, **settings)
        for parameter in model.parameters():
            if not parameter.any() and parameter.ndim > 1:  # a last layer that begins with zeros
                torch.nn.init.normal_(parameter, std=0.1)
        return Example(model, (torch.randn(4, 3, size, size),), least=0.0)

    return make


# --- transformers ---------------------------------------------------------------------------------


SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 50}
UNDROPPED = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
BERT = {**SMALL, **UNDROPPED, "intermediate_size": 32, "max_position_embeddings": 20}


def text(name: str, config: str, **settings: Any) -> Callable[[], Example]:
    """Returns what makes a model of transformers' that reads ids and a mask of the padding."""

    def make() -> Example:
        import transformers

        model = getattr(transformers, name)(getattr(transformers, config)(**settings))
        ids = torch.randint(3, 50, (2, 9))
        mask = torch.ones(2, 9, dtype=torch.int64)
        mask[1, 6:] = 0
        return Example(model, (), {"input_ids": ids, "attention_mask": mask})

    return make


def picture(name: str, config: str, **settings: Any) -> Callable[[], Example]:
    """Returns what makes a model of transformers' that reads images."""

    def make() -> Example:
        import transformers

        model = getattr(transformers, name)(getattr(transformers, config)(**settings))
        return Example(model, (torch.randn(2, 3, 32, 32),))

    return make


OF_TORCH: dict[str, Callable[[], Example]] = {
    "nn.Transformer": transformer,
    "nn.TransformerEncoder": transformer_encoder,
    "nn.TransformerDecoder": transformer_decoder,
    "nn.MultiheadAttention": attention,
    "language model, LSTM": language_model("LSTM"),
    "language model, GRU": language_model("GRU"),
}
# fmt: off
OF_TORCHVISION = {
    "resnet18": vision("resnet18"),
    "mobilenet_v2": vision("mobilenet_v2", dropout=0.0),
    "mobilenet_v3_small": vision("mobilenet_v3_small", dropout=0.0),
    "squeezenet1_1": vision("squeezenet1_1", dropout=0.0),
    "shufflenet_v2_x0_5": vision("shufflenet_v2_x0_5"),
    "mnasnet0_5": vision("mnasnet0_5", dropout=0.0),
    "efficientnet_b0": vision("efficientnet_b0", dropout=0.0, stochastic_depth_prob=0.0),
    "densenet121": vision("densenet121"),
    "googlenet": vision("googlenet", 64, init_weights=True, aux_logits=False, dropout=0.0),
    "regnet_y_400mf": vision("regnet_y_400mf"),
    "convnext_tiny": vision("convnext_tiny", 32, stochastic_depth_prob=0.0),
    "VisionTransformer": vision(
        "VisionTransformer", 32, image_size=32, patch_size=8, num_layers=2, num_heads=2,
        hidden_dim=32, mlp_dim=64,
    ),
}
OF_TRANSFORMERS = {
    "BertModel": text("BertModel", "BertConfig", **BERT),
    "DistilBertModel": text(
        "DistilBertModel", "DistilBertConfig", vocab_size=50, dim=16, n_layers=2, n_heads=2,
        hidden_dim=32, max_position_embeddings=20, dropout=0.0, attention_dropout=0.0,
    ),
    "GPT2LMHeadModel": text(
        "GPT2LMHeadModel", "GPT2Config", vocab_size=50, n_embd=16, n_layer=2, n_head=2,
        n_positions=20, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False,
    ),
    "RobertaModel": text("RobertaModel", "RobertaConfig", pad_token_id=1, **BERT),
    "ElectraModel": text("ElectraModel", "ElectraConfig", embedding_size=16, **BERT),
    "AlbertModel": text("AlbertModel", "AlbertConfig", embedding_size=16, **BERT),
    "OPTForCausalLM": text(
        "OPTForCausalLM", "OPTConfig", vocab_size=50, hidden_size=16, num_hidden_layers=2,
        ffn_dim=32, num_attention_heads=2, max_position_embeddings=20, dropout=0.0,
        word_embed_proj_dim=16, use_cache=False,
    ),
    "LlamaForCausalLM": text(
        "LlamaForCausalLM", "LlamaConfig", intermediate_size=32, num_key_value_heads=1,
        use_cache=False, **SMALL,
    ),
    "ViTModel": picture(
        "ViTModel", "ViTConfig", hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, image_size=32, patch_size=8, **UNDROPPED,
    ),
}
# fmt: on
ZOO = {**OF_TORCH, **OF_TORCHVISION, **OF_TRANSFORMERS}


# --- comparing ------------------------------------------------------------------------------------


def floats_of(value: Any) -> list[Any]:
    """Returns the tensors of floats in a result, in order."""
    if isinstance(value, (torch.Tensor, smelt.Tensor)):
        return [value] if value.is_floating_point() else []
    if isinstance(value, Mapping):
        return [x for item in value.values() for x in floats_of(item)]
    if isinstance(value, (tuple, list)):
        return [x for item in value for x in floats_of(item)]
    return []


def array(x: Any) -> np.ndarray:
    return np.asarray(x.detach().numpy(), np.float64)


def distance(found: list[Any], wanted: list[Any], least: float = 1.0) -> float:
    """Returns the largest difference, relative to the largest number that is wanted."""
    assert [tuple(x.shape) for x in found] == [tuple(x.shape) for x in wanted]
    worst = 0.0
    for got, want in zip(found, wanted, strict=True):
        a, b = array(got), array(want)
        assert np.array_equal(np.isnan(a), np.isnan(b))
        same = (a == b) | np.isnan(b)
        largest = max(least, float(np.max(np.abs(b), where=np.isfinite(b), initial=0.0)))
        with np.errstate(invalid="ignore"):
            difference = np.where(same, 0.0, np.abs(a - b))
        worst = max(worst, float(difference.max(initial=0.0)) / (largest or 1.0))
    return worst


def mean_square(outputs: list[Any], weights: list[np.ndarray], library: Any) -> Any:
    """Returns a loss of all outputs; `weights` are numbers that say how each counts."""
    total = 0.0
    for x, weight in zip(outputs, weights, strict=True):
        total = total + (x * library.tensor(weight)).sum() + (x * x).mean()
    return total


def compare(example: Example, compiled: bool = False, **settings: Any) -> tuple[Any, Errors]:
    """Returns the imported model, and how far it is from PyTorch's, in both modes.

    Args:
        example: what is compared.
        compiled: whether Smelt compiles evaluation and training step, or runs eagerly.
        settings: of `from_torch`.
    """
    model, inputs, options = example.model.eval(), example.inputs, dict(example.options)
    ours = from_torch(model, *inputs, example_options=options, **settings)
    assert list(ours.state_dict()) == list(model.state_dict())
    assert distance(list(ours.state_dict().values()), list(model.state_dict().values())) == 0
    given, named = as_smelt(inputs), as_smelt(options)

    with torch.no_grad():
        expected = floats_of(model(*inputs, **options))
    ours.eval()

    def evaluate() -> list[Any]:
        with smelt.no_grad():
            return floats_of(ours(*given, **named))

    found = (smelt.compile(evaluate) if compiled else evaluate)()
    evaluated = distance(found, expected, example.least)

    model.train(), ours.train()
    names = [name for name, one in model.named_parameters() if one.requires_grad]
    expected = floats_of(model(*inputs, **options))
    generator = np.random.default_rng(0)
    weights = [generator.standard_normal(tuple(x.shape)).astype(np.float32) for x in expected]
    mean_square(expected, weights, torch).backward()

    def train() -> tuple[list[Any], list[Any]]:
        outputs = floats_of(ours(*given, **named))
        mean_square(outputs, weights, smelt).backward()
        parameters = dict(ours.named_parameters())
        return outputs, [parameters[name].grad for name in names]

    outputs, gradients = (smelt.compile(train) if compiled else train)()
    trained = distance(outputs, expected, example.least)
    parameters = dict(model.named_parameters())
    pairs = [
        (found, parameters[name].grad)
        for name, found in zip(names, gradients, strict=True)
        if not is_absent(found, parameters[name].grad)
    ]
    sizes = [float(abs(array(wanted)).max(initial=0.0)) for _, wanted in pairs]
    largest = max(sizes, default=0.0) or 1.0
    error = distance([one for one, _ in pairs], [one for _, one in pairs], largest)
    buffers = distance(list(ours.buffers()), list(model.buffers()))
    return ours, Errors(evaluated, trained, error, buffers)


def is_absent(found: Any, wanted: Any) -> bool:
    """Whether a parameter has no gradient, on either side; zeros are none."""
    if found is not None and wanted is not None:
        return False
    there = found if found is not None else wanted
    assert there is None or not array(there).any()
    return True


def rounding(example: Example) -> tuple[float, float]:
    """Returns how far gradients in float32 are from those in float64, relative to the largest
    number: Smelt's, and PyTorch's.
    """
    model, options = example.model, dict(example.options)
    exact = copy.deepcopy(example).double()
    ours = from_torch(model, *example.inputs, example_options=options)
    wanted = gradients(exact.model, exact.inputs, options, torch)
    theirs = gradients(model, example.inputs, options, torch)
    found = gradients(ours, as_smelt(example.inputs), as_smelt(options), smelt)
    largest = max(float(abs(array(one)).max()) for one in wanted)
    return distance(found, wanted, largest), distance(theirs, wanted, largest)


def gradients(model: Any, inputs: Any, options: Any, library: Any) -> list[Any]:
    """Returns the gradients of all parameters in training mode, by a loss that is always the
    same.
    """
    model.train()
    outputs = floats_of(model(*inputs, **options))
    generator = np.random.default_rng(0)
    weights = [generator.standard_normal(tuple(x.shape)).astype(np.float32) for x in outputs]
    mean_square(outputs, weights, library).backward()
    return [parameter.grad for _, parameter in model.named_parameters()]
