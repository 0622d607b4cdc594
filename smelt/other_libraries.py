"""What to write in the place of names of Keras, TensorFlow, JAX, Lightning, scikit-learn and NumPy.

PyTorch's are in `absent_names`.
"""

from __future__ import annotations

__all__ = ["MODEL", "NAMES", "OPTIMIZER"]

_STACK = "write smelt.cat(tensors, 1) in forward()"
NAMES: dict[str, dict[str, str]] = {
    "smelt": {
        "array": "write smelt.tensor(values)",
        "convert_to_tensor": "write smelt.tensor(values)",
        "function": "write @smelt.compile",
        "GradientTape": "write loss.backward(), or smelt.grad(function)",
        "jit": "write @smelt.compile",
        "keras": "write nn.Sequential or an nn.Module, and smelt.train.fit",
        "layers": "they are in smelt.nn",
        "losses": "they are in smelt.nn, as nn.CrossEntropyLoss, and nn.functional",
        "newaxis": "write None",
        "optimizers": "they are in smelt.optim",
        "Variable": "write nn.Parameter(values)",
    },
    "smelt.nn": {
        "Activation": "write nn.ReLU(), nn.Tanh(), ...",
        "AveragePooling2D": "it is nn.AvgPool2d",
        "BatchNormalization": "it is nn.BatchNorm1d, and nn.BatchNorm2d for pictures",
        "Bidirectional": "write nn.LSTM(..., bidirectional=True)",
        "Concatenate": _STACK,
        "Dense": "it is nn.Linear(in_features, out_features)",
        "GlobalAveragePooling2D": "write nn.AdaptiveAvgPool2d(1), nn.Flatten()",
        "Input": "leave it out: each layer's arguments say how many inputs it takes",
        "InputLayer": "leave it out: each layer's arguments say how many inputs it takes",
        "Lambda": "write an nn.Module with the function in its forward()",
        "Layer": "it is nn.Module",
        "LayerNormalization": "it is nn.LayerNorm",
        "MaxPooling1D": "it is nn.MaxPool1d",
        "MaxPooling2D": "it is nn.MaxPool2d",
        "Model": "it is nn.Module",
        "SimpleRNN": "it is nn.RNN",
        "TimeDistributed": "leave it out: nn.Linear works along the last axis",
    },
    "smelt.nn.functional": {
        "binary_crossentropy": "it is F.binary_cross_entropy; for logits, "
        "F.binary_cross_entropy_with_logits",
        "categorical_crossentropy": "it is F.cross_entropy, which takes logits",
        "mean_absolute_error": "it is F.l1_loss",
        "mean_squared_error": "it is F.mse_loss",
        "sparse_categorical_crossentropy": "it is F.cross_entropy, which takes logits",
    },
    "smelt.train": {
        "CSVLogger": "write fit(..., run='folder'), which writes metrics.jsonl",
        "GradScaler": "write fit(..., precision='bfloat16'), which needs no scaling",
        "LambdaCallback": "write a subclass of Callback",
        "LearningRateMonitor": "read optimizer.param_groups[0]['lr'] in a Callback",
        "LearningRateScheduler": "write fit(..., scheduler=smelt.optim.lr_scheduler.LambdaLR(...))",
        "ModelCheckpoint": "write fit(..., run=RunFolder(path, model, monitor='loss')), which "
        "keeps the best model; read_model(path, model) reads it",
        "TensorBoard": "it is TensorBoardLogger",
        "Trainer": "write fit(model, loss, optimizer, data, epochs=10)",
    },
    "Tensor": {
        "astype": "write x.to(dtype), as x.to(smelt.float32)",
        "copy": "write x.clone(), or x.numpy().copy() for an array",
    },
}
# what other libraries let a model do by itself
MODEL = {
    "count_params": "write sum(p.numel() for p in model.parameters())",
    "evaluate": "write smelt.train.evaluate(model, data, ['accuracy'])",
    "fit": "write smelt.train.fit(model, loss, optimizer, data, epochs=10)",
    "get_weights": "write model.state_dict()",
    "layers": "write model.children(), or model[0] of a Sequential",
    "load": "write model.load_state_dict(smelt.load(path))",
    "load_weights": "write model.load_state_dict(smelt.load(path))",
    "predict": "write smelt.train.predict(model, x), or model(x)",
    "predict_proba": "write smelt.softmax(smelt.train.predict(model, x), 1)",
    "save": "write smelt.save(model.state_dict(), path)",
    "save_weights": "write smelt.save(model.state_dict(), path)",
    "score": "write smelt.train.evaluate(model, data, ['accuracy'])",
    "set_weights": "write model.load_state_dict(state_dict)",
    "summary": "print(model) shows the layers, smelt.explain(model, x) the shapes as well",
    "trainable_variables": "write model.parameters()",
    "trainable_weights": "write model.parameters()",
    "weights": "write model.parameters()",
}
# the same of an optimizer
OPTIMIZER = {
    "apply_gradients": "write loss.backward(), then optimizer.step()",
    "compute_gradients": "write loss.backward(), and read p.grad of each parameter",
    "learning_rate": "write optimizer.param_groups[0]['lr']",
    "lr": "write optimizer.param_groups[0]['lr']",
    "minimize": "write optimizer.zero_grad(); loss.backward(); optimizer.step()",
}
