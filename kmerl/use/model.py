"""A pretrained run made ready to answer about any signal (paper App. D.3: only the leads shown are processed)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from kmerl.archives import classes as downstream
from kmerl.archives.wfdb_format import MISSING, Recording
from kmerl.checkpoint import RunConfig, load_run
from kmerl.errors import UserError
from kmerl.evaluation.params import MixtureParams, Way
from kmerl.evaluation.ways import WAYS, Questions, Training, ask_store, default_way
from kmerl.leads import LEADS
from kmerl.model.network import Network
from kmerl.text.foreign import admitted
from kmerl.text.params import TextParams
from kmerl.use.checks import doubts
from kmerl.use.files import read_signal
from kmerl.use.prediction import Prediction, aggregate, distinct, trained_on
from kmerl.use.signal import Signal, Stated, from_array
from kmerl.use.windows import Window, cut
from kmerl.waveforms import WaveformStore

Context = Literal["training", "together", "alone"]
Embed = Callable[[Sequence[str]], NDArray[np.float32]]

MIXTURE = MixtureParams(nearest=5, temperature=0.05)
"""Of the way ``mixture`` if nothing else is said."""

_BATCH = 16  # windows encoded at a time


class Model:
    """A pretrained model and its text encoder; see :func:`load` and :meth:`predict`.

    Attributes:
        network: in eval mode.
        config: of the run: rate, length, normalisation, vocabulary, what it was trained on.
        name: what it calls itself in answers.
    """

    def __init__(self, network: Network, config: RunConfig, embed: Embed, name: str = "model"):
        tokens = network.params.tokens.model_copy(update={"padding": "dropped"})
        network.params = network.params.model_copy(update={"tokens": tokens})  # a short record shows what it has
        self.network, self.config, self.name = network.eval(), config, name
        self._embed = embed
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def predict(
        self,
        record: ArrayLike | str | Path,
        leads: Sequence[str] | str | None = None,
        fs: float | None = None,
        classes: Sequence[str] | str | None = None,
        *,
        unit: str | None = None,
        gain: ArrayLike | None = None,
        baseline: ArrayLike | None = None,
        way: Way | None = None,
        context: Context = "training",
        hop: float | None = None,
        combine: Literal["mean", "max"] = "mean",
        centre: bool = False,
        mixture: MixtureParams = MIXTURE,
    ) -> Prediction:
        """Probabilities of classes, asked by any names, for one record.

        A record longer than the model's window (usually 10 s) is cut into windows, the last one aligned to the end;
        a shorter one (from 2 s) is shown as it is, without padding. The order of leads makes no difference. With
        self-attention among queries, a class's score depends on which others are asked with it, so by default each
        class is asked alongside the queries of training, as it was then: its score then does not depend on what else
        is asked, and on validation records such scores were the best. Scores rank records well or badly, by class;
        as probabilities they are not calibrated.

        Args:
            record: (L, S) numbers, a row per lead, NaN where there is no value; (S, L) where only that fits; or a file
                (:func:`kmerl.use.files.read_signal`).
            leads: of numbers, the rows' names in any spelling; of a file that names its leads, which to use (all).
            fs: samples per second, of numbers and of files that do not say.
            classes: names, any text; or a downstream task, ``downstream`` (all of them, default) or ``training`` (the
                run's vocabulary).
            unit: of the values: mV (default), uV, V.
            gain: steps per unit, of raw values: signal = (value - baseline) / gain.
            baseline: the step that stands for 0, of raw values.
            way: one of ``WAYS``; by default its method's own: the query network, or else the contrastive head.
            context: who sees a class in the query network: ``training``, the queries of training and the class;
                ``together``, all classes asked (as in the zero-shot evaluation); ``alone``, nobody.
            hop: s from one window to the next; by default a window's length.
            combine: of the probabilities of windows.
            centre: subtract each lead's median.
            mixture: of the way ``mixture``.

        Raises:
            UserError: the input cannot be used; one line says why. What is only doubtful is in ``warnings``.
        """
        names = self.class_names(classes)
        asked = [leads] if isinstance(leads, str) else leads
        stated = Stated(fs, unit, gain, baseline)
        if isinstance(record, str | Path):
            source, signal = str(record), read_signal(Path(record), asked, stated)
        else:
            source, signal = "signal", from_array(record, asked, stated)
        if centre:
            signal = _centred(signal)
        if combine not in ("mean", "max"):
            raise UserError(f"combine {combine!r}; give mean or max")
        warnings = [*signal.warnings, *_doubts(signal)]
        windows, found = cut(signal.recording, self.config, hop)
        chosen = self._way(way)
        per_window = self._ask(windows, names, chosen, context, mixture)
        shown = [lead for lead in LEADS if any(lead in window.leads for window in windows)]
        first = _first(windows[0], shown)
        return Prediction(
            source=source, classes=tuple(names), probabilities=aggregate(per_window, combine), per_window=per_window,
            windows=tuple((window.start, window.stop) for window in windows), leads=tuple(shown),
            seconds=signal.seconds, source_fs=signal.recording.fs, fs=self.config.fs, first=first, way=chosen,
            context=context, aggregate=combine, run=self.description, warnings=(*warnings, *found),
        )  # fmt: skip

    @property
    def description(self) -> str:
        """Which model, and what it was trained on."""
        on = self.config.trained_on
        return f"{self.name}, {trained_on(on.archive, on.origin, on.records)}"

    def class_names(self, classes: Sequence[str] | str | None) -> list[str]:
        """The names that ``classes`` of :meth:`predict` stands for.

        Raises:
            UserError: there is none, one is empty, no text or named twice, or a word is no known list.
        """
        if classes is None or classes == "downstream":
            return distinct([name for task in downstream.tasks() for name in downstream.class_names(task).values()])
        if isinstance(classes, str):
            known = ("downstream", "training", *downstream.tasks())
            if classes not in known:
                raise UserError(f"classes {classes!r}; give a list of names, or one of {', '.join(known)}")
            if classes == "training":
                return list(self.config.vocabulary)
            return distinct(list(downstream.class_names(classes).values()))
        names = [" ".join(str(name).split()) for name in classes]
        if not names or not all(names):
            raise UserError("a class without a name; give at least one, and each a text")
        broken = [name for name in names if any("\ud800" <= sign <= "\udfff" for sign in name)]
        if broken:
            raise UserError(f"class {broken[0]!r} is not text in UTF-8; write it anew")
        twice = [name for name in distinct(names) if names.count(name) > 1]
        if twice:
            raise UserError(f"class {twice[0]!r} is asked twice; name it once")
        return names

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Text vectors (n, width); each distinct text is embedded once."""
        new = distinct([text for text in texts if text not in self._vectors])
        if new:
            self._vectors.update(zip(new, self._embed(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])

    def _way(self, way: Way | None) -> Way:
        if way is not None and way not in WAYS:
            raise UserError(f"way {way!r}; give one of {', '.join(WAYS)}")
        return way or default_way(self.network)

    def _ask(
        self, windows: Sequence[Window], names: list[str], way: Way, context: Context, mixture: MixtureParams
    ) -> NDArray[np.float32]:
        """Probabilities (W, C)."""
        lists, place = self._lists(names, way, context)
        trained = None
        if way == "mixture":
            trained = Training(self.config.vocabulary, self.vectors(self.config.vocabulary))
        vectors = [self.vectors(one) for one in lists]
        questions = Questions(self.network, vectors, [way], trained, mixture)
        store = WaveformStore.in_memory([window.waveform for window in windows], round(self.config.fs))
        rows = range(len(windows))
        answers = ask_store(questions, store, rows, LEADS, self.config.normalize, _BATCH)[way]
        return np.stack([answers[which][:, column] for which, column in place], axis=1)

    def _lists(self, names: list[str], way: Way, context: Context) -> tuple[list[list[str]], list[tuple[int, int]]]:
        """Lists of texts to ask together, and for each name its list and column."""
        if context not in ("training", "together", "alone"):
            raise UserError(f"context {context!r}; give training, together or alone")
        query = self.network.query
        if way not in ("query", "average") or query is None or not query.self_attention or context == "together":
            return [names], [(0, column) for column in range(len(names))]
        if context == "alone":
            return [[name] for name in names], [(which, 0) for which in range(len(names))]
        trained = list(self.config.vocabulary)
        column = {name: i for i, name in enumerate(trained)}
        new = [name for name in names if name not in column]
        lists = [trained, *([*trained, name] for name in new)]
        which = {name: (i, len(trained)) for i, name in enumerate(new, 1)}
        return lists, [which.get(name) or (0, column[name]) for name in names]


def load(folder: str | Path, name: str | None = None, encoders: Collection[str] = ()) -> Model:
    """A run folder (``model.safetensors``, ``config.json``) as a model. No foreign code is run.

    Args:
        folder: what the stage ``pretrain`` wrote.
        name: what it calls itself in answers; the folder by default.
        encoders: folders of text encoders that the run may name though they are outside of it.

    Raises:
        UserError: a file is missing or damaged, or the run names a text encoder elsewhere.
    """
    folder = Path(folder)
    network, config, text_weights = load_run(folder)
    source = admitted(config.text.encoder, folder, encoders)
    text = config.text.model_copy(update={"encoder": source})
    return Model(network, config, _encoder(config, text, text_weights), name or str(folder))


def _encoder(config: RunConfig, text: TextParams, weights: dict[str, torch.Tensor]) -> Embed:
    """The run's text encoder, loaded when first asked."""
    loaded: list[Embed] = []

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        if not loaded:
            from transformers.utils import logging  # transformers takes seconds to import

            from kmerl.text.encoder import TextEncoder

            logging.disable_progress_bar()
            encoder = TextEncoder(text)
            if encoder.width != config.text_width:
                raise UserError(
                    f"text.encoder: {text.encoder!r} makes vectors of {encoder.width}, but the run learnt from "
                    f"{config.text_width}; take both from one run"
                )
            try:
                if weights:
                    encoder.load_state_dict(weights)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:200]
                raise UserError(f"text.encoder: {text.encoder!r} does not fit the run's weights ({reason})") from None
            loaded.append(encoder.embed)
        return loaded[0](texts)

    return embed


def _centred(signal: Signal) -> Signal:
    """Each lead's median becomes its 0 mV."""
    samples = signal.recording.samples
    middles = [np.median(lead[lead != MISSING]) if (lead != MISSING).any() else 0.0 for lead in samples]
    return replace(signal, recording=replace(signal.recording, baseline=np.array(middles)))


def _doubts(signal: Signal) -> list[str]:
    recording: Recording = signal.recording
    return doubts(recording.leads, recording.millivolts(), recording.fs)


def _first(window: Window, leads: Sequence[str]) -> NDArray[np.float32]:
    """(L, S) mV of one window, without padding; NaN for leads that it lacks."""
    store = WaveformStore.in_memory([window.waveform], 1)
    signal = store.read(0, leads)[:, : window.waveform.length]
    signal[[lead not in window.leads for lead in leads]] = np.nan
    return signal
