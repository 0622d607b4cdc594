"""E8.n: a small Transformer learns ten sentences by heart; E8.n+: padding is masked."""

from __future__ import annotations

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import data, nn, optim, plot
from smelt.book.chapter8.first_weights import widened
from smelt.book.entry import Page, entry

POSITIVE = [
    "i love this movie", "this film is fantastic", "what a great experience",
    "absolutely wonderful and inspiring", "i really liked it",
]  # fmt: skip
NEGATIVE = [
    "i hate this movie", "this film is terrible", "what a bad experience",
    "absolutely awful and boring", "i really disliked it",
]  # fmt: skip
TEST = {  # the probability of "positive" that the book prints
    "i really love this fantastic movie": 1.000, "this film is bad and boring": 0.000,
    "great and inspiring experience": 1.000, "absolutely terrible": 0.000,
    "i disliked this": 0.000, "i liked this wonderful film": 0.850,
}  # fmt: skip
WANTED = np.array(list(TEST.values())) > 0.5
LENGTH, D_MODEL, HEADS, D_FF = 8, 64, 4, 128
EPOCHS, BATCH, LR, SEED = 300, 4, 1e-3, 42
SEEDS = (SEED, 0, 1, 2, 3)
LABELS = smelt.tensor([1] * len(POSITIVE) + [0] * len(NEGATIVE))


def gelu(x: smelt.Tensor) -> smelt.Tensor:
    """The book's GELU: the approximation by tanh."""
    return F.gelu(x, approximate="tanh")


class SentimentTransformer(nn.Module):
    """Embedding, one pre-norm block, the mean over all places, two logits: 35,330 parameters.

    Args:
        words: entries of the vocabulary.
        masked: whether padding is left out of attention and mean; the book lets it take part.
    """

    def __init__(self, words: int, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.embedding = nn.Embedding(words, D_MODEL)
        self.places = nn.PositionalEncoding(D_MODEL, layout="concatenated", batch_first=True)
        self.block = nn.TransformerEncoderLayer(
            D_MODEL, HEADS, D_FF, 0.0, gelu, batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(D_MODEL)
        self.pool = nn.MeanPooling(batch_first=True)
        self.head = nn.Linear(D_MODEL, 2)

    def forward(self, ids: smelt.Tensor, real: smelt.Tensor) -> smelt.Tensor:
        """Returns logits (B, 2) for word numbers (B, T) and where there are real words (B, T)."""
        padding = ~real if self.masked else None
        x = self.places(self.embedding(ids))  # (B, T, 64)
        x = self.norm(self.block(x, src_key_padding_mask=padding))
        return self.head(self.pool(x, padding))


def learn(
    masked: bool, seed: int = SEED
) -> tuple[SentimentTransformer, data.Vocabulary, np.ndarray, np.ndarray]:
    """Returns model and vocabulary, and per epoch the sum of the losses and the share right."""
    smelt.manual_seed(seed)
    sentences = POSITIVE + NEGATIVE
    vocabulary = data.Vocabulary.build(sentences, order="alphabet", specials=("<unk>",))
    ids, real = vocabulary.batch(sentences, LENGTH, padding=0)  # 0 is <unk> too
    model = widened(SentimentTransformer(len(vocabulary), masked))
    opt = optim.Adam(model.parameters(), lr=LR)

    @smelt.compile
    def step(ids: smelt.Tensor, real: smelt.Tensor, labels: smelt.Tensor) -> tuple:
        logits = model(ids, real)
        loss = F.cross_entropy(logits, labels)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss, (logits.argmax(1) == labels).float().sum()

    losses, right = step.over(ids, real, LABELS, batch_size=BATCH, epochs=EPOCHS)  # 4, 4, 2
    sums = losses.numpy().reshape(EPOCHS, -1).sum(1)
    return model, vocabulary, sums, right.numpy().reshape(EPOCHS, -1).sum(1) / len(sentences)


def positive(
    model: SentimentTransformer, vocabulary: data.Vocabulary, length: int = LENGTH
) -> np.ndarray:
    """Returns the probability of "positive" of each test sentence, padded to a length."""
    ids, real = vocabulary.batch(list(TEST), length, padding=0)
    with smelt.no_grad():
        return F.softmax(model(ids, real), 1)[:, 1].numpy()


def show(page: Page, sums: np.ndarray, right: np.ndarray, chances: np.ndarray) -> None:
    """Prints the book's log and its table, and claims what both versions share."""
    for epoch in [1, *range(20, EPOCHS + 1, 20)]:
        page.print(f"epoch {epoch:3d}  loss {sums[epoch - 1]:.4f}  acc {right[epoch - 1]:.0%}")
    rows = [(sentence, int(p > 0.5), f"{p:.3f}", f"{book:.3f}")
            for (sentence, book), p in zip(TEST.items(), chances, strict=True)]  # fmt: skip
    page.table(["sentence", "class", "p(positive)", "book"], rows)
    wanted = WANTED.astype(int).tolist()
    got = [int(p > 0.5) for p in chances]
    page.claim("classes of the six sentences", wanted, got, got == wanted)
    page.claim("the text's second check, of four", [1, 0, 1, 0], got[:4], got[:4] == [1, 0, 1, 0])
    page.claim("training sentences right at the end", "100 %", f"{right[-1]:.0%}", right[-1] == 1)
    page.claim("loss, sum of three batches, epoch 180", "about 0.0006", sums[179], sums[179] < 2e-3)


def moved(model: SentimentTransformer, vocabulary: data.Vocabulary) -> float:
    """Returns how far probabilities move when sentences are padded to 24 words instead of 8."""
    return float(np.abs(positive(model, vocabulary, 24) - positive(model, vocabulary)).max())


@entry("E8.n", "Tiny sentiment: ten sentences, learned by heart")
def tiny_sentiment(page: Page) -> None:
    """A Transformer of 35,330 numbers learns ten sentences, and classifies six new ones.

    The vocabulary has 25 entries, and every sentence is filled up to eight words with entry 0,
    the unknown word. The book lets the filling take part: words attend to it, and it is part
    of the mean. So the answer to a sentence depends on how far it is filled up.

    The text lists dropout and sentences drawn at random. The program has neither: it takes the ten
    in their order, in batches of 4, 4 and 2, and adds up the three losses. So does this one. The
    second check of the text has the labels 1, 0, 1, 0: those of the first four of the six.
    """
    model, vocabulary, sums, right = learn(masked=False)
    page.claim("vocabulary", 25, len(vocabulary), len(vocabulary) == 25)
    numbers = sum(p.numel() for p in model.parameters())
    page.claim("parameters", 35_330, numbers, numbers == 35_330)
    show(page, sums, right, positive(model, vocabulary))
    page.figure("loss", plot.loss_curves({"sum of three batches": sums}, log=True, x_label="epoch"))
    change = moved(model, vocabulary)
    page.claim("the flaw: padding to 24 words moves an answer", "> 0.01", change, change > 0.01)


@entry("E8.n+", "Tiny sentiment, cured: padding is masked")
def masked_sentiment(page: Page) -> None:
    """The same, but nothing attends to padding, and it is no part of the mean.

    One line of the model differs. Answers no longer depend on how far a sentence is filled up.

    Cured is that, and not the answers themselves: "absolutely terrible", at 0.00 in `E8.n`, is less
    sure now. Nothing in the ten sentences says what it should be: "absolutely" begins one of praise
    and one of blame, and "terrible" was seen once, at another place. What is left open, the first
    weights decide. The second table has five seeds of both: each errs about now one sentence, now
    another, and both about equally often. More sentences cure that: `E8.n++`.
    """
    model, vocabulary, sums, right = learn(masked=True)
    show(page, sums, right, positive(model, vocabulary))
    change = moved(model, vocabulary)
    page.claim("padding to 24 words moves an answer", "< 1e-5", change, change < 1e-5)
    sentence = next(iter(TEST))
    ids, real = vocabulary.batch([sentence], LENGTH, padding=0)
    with smelt.no_grad():
        x = model.block.norm1(model.places(model.embedding(ids)))
        weights = model.block.self_attn(x, x, x, ~real, average_attn_weights=False)[1][0]
    names = [*sentence.split(), "<pad>", "<pad>"]
    page.figure("attention", plot.attention(weights, names, title="What each head looks at"))
    on_padding = float(weights[:, :, -2:].max())
    page.claim("weight on padding", 0, on_padding, on_padding == 0)
    compare_seeds(page)


def compare_seeds(page: Page) -> None:
    """Trains both versions from five seeds: what the first weights decide, and what the mask."""
    rows: list[tuple] = []
    unsure: dict[str, list[float]] = {}
    moves: dict[str, list[float]] = {}
    for masked in (False, True):
        name = "masked" if masked else "as in the book"
        for seed in SEEDS:
            model, vocabulary, _, _ = learn(masked, seed)
            chances = positive(model, vocabulary)
            right = (chances > 0.5) == WANTED
            rows.append((name, seed, *(f"{p:.3f}" for p in chances), f"{right.sum()} of 6"))
            unsure.setdefault(name, []).append(chances[list(TEST).index("absolutely terrible")])
            moves.setdefault(name, []).append(moved(model, vocabulary))
    page.table(["padding", "seed", *(f"p {n}" for n in range(1, 7)), "right"], rows)
    for name, of_seeds in unsure.items():
        spread = float(np.ptp(of_seeds))
        page.claim(f'"absolutely terrible" over the seeds, {name}: spread of p', "> 0.5", spread,
                   spread > 0.5)  # fmt: skip
    least, most = min(moves["as in the book"]), max(moves["masked"])
    page.claim("padding to 24 words moves an answer, every seed", "> 0.01; masked < 1e-5",
               f"{least:.3f}; masked {most:.1g}", least > 0.01 and most < 1e-5)  # fmt: skip
