"""What a stage asks a node for, as ``rules.yaml`` and the parameters have it for each of its items."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from kmerl.section import laid_over


class Asked(NamedTuple):
    """What an item asks each of its nodes for.

    Attributes:
        gpus: that it computes on, where there are some.
        threads: processors; 0: all that the node has.
        nodes: how many.
    """

    gpus: int = 0
    threads: int = 1
    nodes: int = 1


def asked(needs: Mapping[str, Any], params: Any, wildcards: Mapping[str, str]) -> Asked:
    """The needs of one item.

    Args:
        needs: of the stage, from ``rules.yaml``; ``gpu`` is a number, or ``processes`` (of pretraining, one for each),
            or ``engine`` (what the engine of questions spreads its model over).
        params: all parameters, checked.
        wildcards: of the item.
    """
    gpu, threads = needs.get("gpu", 0), needs.get("threads", 1)
    if gpu == "processes":
        loop = laid_over(params.pretrain, params.plan["pretrain"][wildcards["item"]]["pretrain"]).loop
        return Asked(loop.processes, loop.processes * loop.threads, loop.nodes)
    if gpu == "engine":
        variant = wildcards.get("variant") or wildcards["item"]  # of a part, or of all
        changes = params.plan["knowledge"][variant]["engine"]
        engine = laid_over(params.knowledge.engine, changes)
        if engine.name != "vllm":
            return Asked(0, threads)
        return Asked(engine.vllm.tensor_parallel * engine.vllm.pipeline_parallel, 0)
    return Asked(gpu, threads)


def resources(
    needs: Mapping[str, Any], params: Any, items: Iterable[Mapping[str, str]], gpus: int
) -> dict[str, int | Callable[[Mapping[str, str]], int | str | None]]:
    """Snakemake's resources of a stage: numbers, and functions of an item, which has none of what is None.

    Args:
        needs: of the stage.
        params: all parameters, checked.
        items: the wildcards of all its items.
        gpus: of a node; nobody asks for more, nor, where there are none, for any.
    """

    def of(value: Callable[[Asked], int | str | None]) -> Callable[[Mapping[str, str]], int | str | None]:
        return lambda wildcards: value(asked(needs, params, wildcards))

    everything = [asked(needs, params, item) for item in items]
    found: dict[str, Any] = {"mem_mb": needs.get("mem_mb", 2000), "runtime": needs.get("runtime", 60)}
    if gpus and any(one.gpus for one in everything):
        found["gpu"] = of(lambda one: min(one.gpus, gpus) if one.nodes == 1 else None)
    if any(one.nodes > 1 for one in everything):
        # slurm's executor leaves it to what has `mpi` to start tasks, and takes `gpu` for those of all nodes together
        found["nodes"] = found["tasks"] = of(lambda one: one.nodes)
        found["mpi"] = of(lambda one: "srun" if one.nodes > 1 else None)
        found["gres"] = of(lambda one: f"gpu:{min(one.gpus, gpus)}" if gpus and one.nodes > 1 else None)
    return found
