"""What to write instead of arguments that a function does not take: the tail of the message.

Keywords may be misspelled, or those of another library; or they may belong to the constructor of
the object whose method is called.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Collection, Iterable, Sequence
from typing import Any

__all__ = ["instead", "nearest"]

# words of other libraries for what no likeness leads to
_OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "accumulate_grad_batches": ("accumulate",), "alpha": ("rho",), "b1": ("betas",),
    "b2": ("betas",), "beta": ("betas",), "beta1": ("betas",), "beta2": ("betas",),
    "beta_1": ("betas",), "beta_2": ("betas",), "ckpt_path": ("resume",),
    "clip_grad_norm": ("max_grad_norm",), "clipnorm": ("max_grad_norm",),
    "dataset": ("data",), "decay": ("weight_decay",), "default_root_dir": ("run",),
    "epoch": ("epochs", "max_epochs"), "epochs": ("max_epochs",), "epsilon": ("eps",),
    "eval_set": ("validation",), "filters": ("out_channels",),
    "global_clipnorm": ("max_grad_norm",), "grad_clip": ("max_grad_norm",),
    "gradient_accumulation_steps": ("accumulate",), "gradient_clip_val": ("max_grad_norm",),
    "hidden_dim": ("hidden_size",), "l2": ("weight_decay",), "lambda": ("weight_decay",),
    "learning_rate": ("lr",), "log_dir": ("run",), "lr": ("learning_rate",),
    "lr_scheduler": ("scheduler",), "max_epoch": ("epochs", "max_epochs"),
    "max_epochs": ("epochs",), "max_iter": ("max_epochs", "epochs"), "max_norm": ("max_grad_norm",),
    "max_tokens": ("size",), "momentum": ("betas",), "n_epochs": ("epochs", "max_epochs"),
    "n_estimators": ("members",), "nb_epoch": ("epochs", "max_epochs"),
    "num_epochs": ("epochs", "max_epochs"), "random_seed": ("seed", "random_state"),
    "random_state": ("seed",), "rate": ("p", "lr"), "restore_best_weights": ("restore_best",),
    "rho": ("alpha",), "save_dir": ("run",), "seed": ("random_state",), "units": ("out_features",),
    "val_data": ("validation",), "val_dataset": ("validation",), "val_loader": ("validation",),
    "val_set": ("validation",), "validation_split": ("validation",),
    "vocab_size": ("num_embeddings",),
}  # fmt: skip
# settings that belong to an argument of the function: the argument, and what to write
_ELSEWHERE = {
    "learning_rate": ("optimizer", "optim.Adam(model.parameters(), lr=...) as the optimizer"),
    "lr": ("optimizer", "optim.Adam(model.parameters(), lr=...) as the optimizer"),
    "patience": ("callbacks", "callbacks=[train.EarlyStopping(patience=...)]"),
    "weight_decay": ("optimizer", "optim.AdamW(model.parameters(), weight_decay=...)"),
}
SIMILAR = 0.65  # from which likeness on a keyword may have been meant
_PAIR = "; arrays are one argument, a tuple with the target last, such as (x, y)"


def nearest(signature: inspect.Signature, options: Iterable[str], by_place: int = 0) -> str:
    """Returns a hint at the keywords that a misspelled one may have meant.

    Args:
        signature: of the function.
        options: the keywords of the call.
        by_place: how many arguments were given by position: these cannot have been meant.
    """
    parameters = signature.parameters
    free = list(parameters)[by_place:]
    near = {name: _like(name, free) for name in options if name not in parameters}
    return "".join(
        f"; did you mean {like!r} for {name!r}{_part_of(name, like)}"
        for name, like in near.items()
        if like
    )


def _part_of(name: str, like: str) -> str:
    """Returns which of two numbers an argument of another library is, for `betas`."""
    if like != "betas" or name not in _OTHER_WORDS:
        return ""
    return f" (the {'second' if '2' in name else 'first'} of its two numbers)"


def instead(
    signature: inspect.Signature,
    arguments: tuple[Any, ...],
    options: Iterable[str],
    misfit: TypeError,
) -> str:
    """Returns what a function takes, for a message about arguments that do not fit."""
    near, kinds = nearest(signature, options, len(arguments)), inspect.Parameter
    named = {
        f"*{name}" if each.kind is kinds.VAR_POSITIONAL else name: each.kind
        for name, each in signature.parameters.items()
        if name != "self"
    }
    by_place = [name for name, kind in named.items() if kind <= kinds.VAR_POSITIONAL]
    if "multiple values" in str(misfit) and by_place[-1].startswith("*"):
        first = ", ".join(by_place[:-1])
        return f"; give {first} first, by position: ({', '.join(by_place)})"
    if "positional" in str(misfit):
        by_place = [name for name in by_place if not name.startswith("*")]
        pair = _PAIR if by_place[-1:] == ["data"] else ""
        taken = f"; it takes ({', '.join(by_place)}) by position, and other arguments by name"
        return near + pair + taken
    if "unexpected keyword" not in str(misfit):
        return near
    made = _of_constructor(signature, arguments, options) or _elsewhere(named, options)
    return made or near or f"; it takes ({', '.join(named)})"


def _of_constructor(
    signature: inspect.Signature, arguments: tuple[Any, ...], options: Iterable[str]
) -> str:
    """Returns a hint at the constructor for a method's keywords that are arguments of that."""
    is_method = next(iter(signature.parameters), "") == "self" and bool(arguments)
    if not is_method:
        return ""
    taken = inspect.signature(type(arguments[0])).parameters
    if {"self", *taken} == set(signature.parameters):  # the constructor itself was called
        return ""
    names = [_meant(name, taken) for name in options if name not in signature.parameters]
    settings = ", ".join(f"{name}=..." for name in names if name)
    made = f"{type(arguments[0]).__name__}({settings})"
    return f"; give it to the constructor: {made}" if settings else ""


def _elsewhere(taken: Collection[str], options: Iterable[str]) -> str:
    """Returns a hint at the argument of a function to which a setting belongs."""
    found = (_ELSEWHERE[name] for name in options if name in _ELSEWHERE and name not in taken)
    return next((f"; write {example}" for where, example in found if where in taken), "")


def _meant(name: str, known: Collection[str]) -> str:
    """Returns the name, or the known one for which it is another library's word; "" for none."""
    words = (name, *_OTHER_WORDS.get(name.lower(), ()))
    return next((word for word in words if word in known), "")


def _like(name: str, known: Sequence[str]) -> str:
    """Returns the keyword, among those that are still free, that an unknown one may mean."""
    if word := _meant(name, known):
        return word
    plain = name.lower()
    by_lower = {each.lower(): each for each in known}
    within = [each for lower, each in by_lower.items() if lower in plain.split("_")]
    near = difflib.get_close_matches(plain, by_lower, 1, SIMILAR)
    return by_lower[near[0]] if near else within[0] if within else ""
