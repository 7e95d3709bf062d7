"""What a comparison holds: the exported forms of its models, what each system costs, and the record of all results."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from src.completion.decoding import WORDS
from src.deploy.device import DeviceLM
from src.deploy.export import export_onnx
from src.deploy.export_transformer import export_transformer
from src.deploy.onnx_lstm import FILES, OnnxLSTM
from src.deploy.onnx_transformer import OnnxTransformer
from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import as_record, estimate
from src.evaluation.latency import Latency
from src.evaluation.systems import ModelSystem, OnnxSystem, System
from src.models.interpolation import InterpolatedLM
from src.models.kneser_ney import KneserNeyLM
from src.models.pretrained import PretrainedLM
from src.recipe import Device
from src.runs import find_runs, git_commit, library_versions, megabytes, read_meta

COVERAGES = (0.05, 0.1, 0.25, 0.5, 1.0)
# Runs that are compared if they are there, by the name of their system. `make seeds` trains the second.
OTHER_RUNS = {"LSTM, from scratch": "lstm_scratch", "LSTM, plain recipe": "lstm_recipe"}


def lstm_runs(lstm_dir: Path, models_dir: str | Path, data: dict) -> dict[str, Path]:
    """The run folders of the LSTM and of the other LSTMs that were trained on the same data, by name.

    Args:
        lstm_dir: folder of the run that is called "LSTM".
        models_dir: folder of the run folders.
        data: record of the corpus, see `src.data_utils.corpus_record`.
    """
    found = {name: find_runs(run, models_dir=models_dir, data=data) for name, run in OTHER_RUNS.items()}
    seeds = reversed(find_runs("lstm_seed*", models_dir=models_dir, data=data))
    return {
        "LSTM": lstm_dir,
        **{name: paths[0] for name, paths in found.items() if paths},
        **{f"LSTM, seed {read_meta(path)['settings']['seed']}": path for path in seeds},
    }


@dataclass(frozen=True, eq=False)
class ExportedForm:
    """A model in the form in which it would run on a small machine.

    Attributes:
        system: the form, as it is compared.
        form_of: the name of the system in torch.
        parameters: number of parameters.
        megabytes: size of its files in MB (10^6 bytes).
    """

    system: System
    form_of: str
    parameters: int
    megabytes: float


def exported_forms(
    lstm_dir: Path, device: Device, pretrained_dir: Path, transformer: PretrainedLM
) -> list[ExportedForm]:
    """Export the models of a comparison: the LSTM in float32 and int8, the folder `device`, the transformer in int8.

    Args:
        lstm_dir: run folder of the LSTM; the exported models are written there.
        device: the LSTM's folder `device`, from `src.recipe.build_device`.
        pretrained_dir: run folder of the transformer; the exported model is written there.
        transformer: the transformer of this folder.

    Raises:
        OSError: a file can't be written.
    """
    export_onnx(lstm_dir)
    lstm_size, transformer_size = device.model.neural.num_parameters(), transformer.model.num_parameters()
    forms = [
        ExportedForm(
            OnnxSystem(f"LSTM, ONNX {precision}", OnnxLSTM(lstm_dir, precision)),
            "LSTM",
            lstm_size,
            (lstm_dir / file).stat().st_size / 1e6,
        )
        for precision, file in FILES.items()
    ]
    on_device = OnnxSystem("LSTM with n-grams, device", DeviceLM(device.folder, allow_offensive_words=True))
    device_megabytes = read_meta(lstm_dir)["device"]["megabytes"]
    forms.append(ExportedForm(on_device, "LSTM with n-grams", device.model.num_parameters(), device_megabytes))
    int8_megabytes = export_transformer(pretrained_dir).stat().st_size / 1e6
    int8 = ModelSystem(f"{transformer.name}, int8", OnnxTransformer(pretrained_dir), transformer.tokenizer, WORDS)
    return [*forms, ExportedForm(int8, transformer.name, transformer_size, int8_megabytes)]


def system_details(
    systems: Iterable[System],
    latencies: Mapping[str, Latency],
    run_dirs: Mapping[str, Path],
    forms: Iterable[ExportedForm],
) -> dict[str, dict]:
    """What the record says about each system beside its scores, by name; see `comparison_record`.

    Args:
        systems: all compared systems.
        latencies: of those that were timed, from `suggestion_seconds`.
        run_dirs: the run folders of those that have one, by name. "LSTM" is among them.
        forms: the exported systems.
    """
    details: dict[str, dict] = {}
    form_of = {form.system.name: form for form in forms}
    for system in systems:
        about = details[system.name] = {}
        if (latency := latencies.get(system.name)) is not None:
            about.update(seconds_per_suggestion=latency.median.value, latency=asdict(latency))
        if hasattr(system, "decoding"):
            about["decoding"] = str(system.decoding)
        if system.name in run_dirs:
            about.update(_run_details(run_dirs[system.name]))
        if (form := form_of.get(system.name)) is not None:
            about.update(parameters=form.parameters, megabytes=form.megabytes, form_of=form.form_of)
        elif isinstance(system, ModelSystem):
            about["parameters"] = system.model.num_parameters()
            if isinstance(system.model, KneserNeyLM):
                about["megabytes"] = system.model.get_memory_footprint() / 1e6
            if isinstance(system.model, InterpolatedLM):
                ngram_megabytes = system.model.ngram.get_memory_footprint() / 1e6
                about["megabytes"] = megabytes(run_dirs["LSTM"]) + ngram_megabytes
                about["ngram_weight"] = system.model.weight
    return details


def _run_details(run_dir: Path) -> dict:
    """The name of a run, its size, how long it was trained and on how many tweets."""
    meta = read_meta(run_dir)
    return {
        "run": run_dir.name,
        "megabytes": megabytes(run_dir),
        "training_minutes": meta["duration_seconds"] / 60,
        "training_tweets": min(meta["settings"]["max_tweets_seen"], meta["data"]["counts"]["train"]),
        **({"init_from": meta["init_from"]["run"]} if "init_from" in meta else {}),
    }


def comparison_record(
    evaluations: Sequence[Evaluation], details: dict[str, dict], data: dict, seed: int, settings: dict
) -> dict:
    """Collect the scores and costs of a comparison in a dict that JSON can hold.

    The notebook adds `typing`, `tests`, `by_group`, `strata`, `errors` and others.

    Args:
        evaluations: one per system, all on the same test pairs.
        details: more about each system, by its name: `seconds_per_suggestion` (the median), `latency`, `parameters`,
            `megabytes`, `run`, `decoding`, `form_of` (the system of which this is another form) and others, as
            far as they are known.
        data: the record of the corpus, from `src.data_utils.corpus_record`.
        seed: the seed that drew the pairs, and that draws the bootstrap's resamples.
        settings: all parameters of the comparison.
    """
    return {
        "created": datetime.now().isoformat(timespec="seconds"),
        "command": "make run",
        "data": data,
        "split": "test",
        "num_pairs": len(evaluations[0].answers),
        "seed": seed,
        "interval": "95% bootstrap over pairs",
        "settings": settings,
        "systems": {
            evaluation.name: {
                "metrics": as_record(evaluation.summary(seed)),
                "exact_match_at_coverage": {
                    str(coverage): asdict(estimate(evaluation.exact_match_at(coverage), seed)) for coverage in COVERAGES
                },
                **details.get(evaluation.name, {}),
            }
            for evaluation in evaluations
        },
        "versions": library_versions(),
        "git_commit": git_commit(),
    }


def summaries_by_source(
    evaluations: Collection[Evaluation], sources: Sequence[str], seed: int
) -> dict[str, dict[str, dict]]:
    """The summary of every system on the pairs of each source, in JSON types, by source and name.

    Args:
        sources: the source of each pair.

    Returns:
        an empty dict if all pairs have one source.
    """
    sources = np.array(sources)
    names = np.unique(sources).tolist()
    return {
        source: {one.name: as_record(one.of_pairs(sources == source).summary(seed)) for one in evaluations}
        for source in (names if len(names) > 1 else [])
    }


def group_record(tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, dict[str, dict]]]:
    """The tables of `src.evaluation.groups.scores_by_group` in JSON types: by title, group and system."""
    return {
        title: {group: as_record(scores) for group, scores in table.to_dict("index").items()}
        for title, table in tables.items()
    }
