"""Curation on real data: findings, recall and speed of decontamination; near-duplicates, up to a million prompts.

    python perf/curation.py                       # half a minute
    python perf/curation.py --million             # and a million prompts: some minutes; --processes 1: time on one core
    python perf/curation.py --only speed
    python perf/curation.py --only rewrites --rewrites mine.jsonl     # rewritten GSM8K test problems, one a row

Needs the folder of development data beside the repository (`../shared`); the comparison also needs datatrove and spacy
(pip install datatrove spacy). Prints Markdown tables; docs/curation.md holds a copy.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import metadata, util
from pathlib import Path

import numpy as np
import psutil

from acemath.cli.reading import read_benchmarks, read_problems
from acemath.curate.decontaminate.changes import changed_numbers, paraphrase, re_wrapped
from acemath.curate.decontaminate.index import KINDS
from acemath.curate.decontaminate.scan import Decontaminator, scan
from acemath.curate.decontaminate.selftest import self_test
from acemath.curate.dedup import dedup
from acemath.curate.near import NearFacts, near_dedup
from acemath.curate.settings import DecontaminateSettings, NearSettings
from acemath.records import Problem

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
BENCHMARKS = ("gsm8k_test", "math500_test", "olympiadbench_test", "mmlu_stem_test")
TRAIN = ("gsm8k_train", "math_train")
SETTINGS = DecontaminateSettings()
PEER_PROMPTS = 2000  # the peer is about twenty times slower
MILLION = 1_000_000


def benchmarks() -> list[Problem]:
    """All benchmark problems."""
    return read_benchmarks([DATA / f"{name}.jsonl" for name in BENCHMARKS])


def train(name: str) -> list[Problem]:
    """The prompts of one training set."""
    return read_problems(DATA / f"{name}.jsonl")


def counts() -> None:
    """Hits of the real training sets by benchmark and kind, also for benchmarks of unrelated origin."""
    print(
        "\n## Hits in real prompts\n\n| prompts | n | benchmark | leak | contained | near-copy | reworded |\n|---|---|---|---|---|---|---|"
    )
    tests = benchmarks()
    for name in TRAIN:
        rows = train(name)
        found = Counter((h.benchmark, h.kind) for h in scan(rows, Decontaminator(tests, SETTINGS)) if h)
        for benchmark in BENCHMARKS:
            print(f"| {name} | {len(rows):,} | {benchmark} | {cells(found, benchmark)} |")
    for name in ("gsm8k_test", "olympiadbench_test"):
        rows = [row for row in tests if row.subject == name]
        others = [row for row in tests if row.subject != name]
        found = Counter(("other", h.kind) for h in scan(rows, Decontaminator(others, SETTINGS)) if h)
        print(f"| {name} | {len(rows):,} | the other three | {cells(found, 'other')} |")


def cells(found: Counter[tuple[str, str]], benchmark: str) -> str:
    """The counts of one benchmark by kind, as table cells."""
    return " | ".join(str(found[benchmark, kind]) for kind in KINDS)


def recall() -> None:
    """The self-test with GSM8K train as the clean prompts."""
    print("\n## Self-test (seed 0, up to 1,500 copies of a kind, planted among GSM8K train)\n")
    result = self_test(train("gsm8k_train"), benchmarks(), SETTINGS, each=1500)
    print(
        "| planted | n | leak | contained | near-copy | reworded | found | target |\n|---|---|---|---|---|---|---|---|"
    )
    for r in result.recalls:
        goal = f"≥ {100 * r.target:g} %" if r.target else "none"
        print(
            f"| {r.change} | {r.planted:,} | {r.leak} | {r.contained} | {r.near_copy} | {r.reworded} | {100 * r.recall:.2f} % | {goal} |"
        )
    for c in result.clean:
        print(
            f"| clean: {c.source} | {c.n:,} | {c.leak} | {c.contained} | {c.near_copy} | {c.reworded} | {100 * c.rate:.3f} % | ≤ 0.1 % |"
        )


def rewrites(files: Sequence[Path]) -> None:
    """Hits among rewritten GSM8K test problems, and among the train prompts, with the same index."""
    print(
        "\n## Rewritten GSM8K test problems\n\n| prompts | n | leak | contained | near-copy | reworded | found |"
    )
    print("|---|---|---|---|---|---|---|")
    index = Decontaminator(read_benchmarks([DATA / "gsm8k_test.jsonl"]), SETTINGS)
    sets = {path.stem: read_problems(path) for path in files} | {name: train(name) for name in TRAIN}
    for name, given in sets.items():
        bare = [replace(row, answer="") for row in given]
        for label, rows in ((name, given), (f"{name}, without answers", bare)):
            found = Counter(("gsm8k", hit.kind) for hit in scan(rows, index) if hit)
            share = 100 * sum(found.values()) / max(1, len(rows))
            print(f"| {label} | {len(rows):,} | {cells(found, 'gsm8k')} | {share:.2f} % |")


def speed() -> None:
    """Microseconds per prompt and core for us and the peer, without building the index; the best of five passes."""
    print("\n## Speed of decontamination, one process (best of 5 passes)\n")
    tests = benchmarks()
    index = Decontaminator(tests, SETTINGS)
    rows = [row for name in TRAIN for row in train(name)]
    words = sum(len(row.prompt.split()) for row in rows) / len(rows)
    peer_rows = random.Random(0).sample(rows, PEER_PROMPTS)
    print(f"{len(tests):,} benchmark problems, {len(rows):,} prompts of {words:.0f} words on average\n")
    print("| what | prompts | µs a prompt |\n|---|---|---|")
    longer = sorted(rows, key=lambda row: -len(row.prompt.split()))[: len(rows) * 2 // 5]
    mean = sum(len(row.prompt.split()) for row in longer) / len(longer)
    took = best(len(rows), lambda: scan(rows, index))
    print(f"| acemath, all kinds | {len(rows):,} | {took:.1f} |")
    took = best(len(longer), lambda: scan(longer, index))
    print(f"| acemath, all kinds, the longest 40 % ({mean:.0f} words) | {len(longer):,} | {took:.1f} |")
    ours = best(len(peer_rows), lambda: scan(peer_rows, index))
    print(f"| acemath, all kinds, the peer's prompts | {len(peer_rows):,} | {ours:.1f} |")
    if util.find_spec("datatrove") is None or util.find_spec("spacy") is None:
        print("| datatrove | not installed: pip install datatrove spacy | |")
        return
    theirs = datatrove_time(tests, peer_rows)
    name = f"datatrove {metadata.version('datatrove')}, 13-grams, its English words"
    print(f"| {name} | {len(peer_rows):,} | {theirs:.1f} ({theirs / ours:.0f} times as long) |")


def best(count: int, work: Callable[[], object], passes: int = 5) -> float:
    """Microseconds of CPU time per row in the fastest pass, which other load disturbs least."""
    found = []
    for _ in range(passes):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return 1e6 * min(found) / count


def hashed(text: str) -> int:
    """The peer's hash of a text."""
    import xxhash

    return int(xxhash.xxh64_intdigest(text.encode()))


def datatrove_time(tests: Sequence[Problem], rows: Sequence[Problem]) -> float:
    """The peer's time per prompt. We write its index with its own tokens and hashes, because its indexer needs lighteval."""
    from datatrove.data import Document
    from datatrove.pipeline.decont import NGramsDecontConfig, NGramsDecontFilter
    from datatrove.utils.text import ngrams, simplify_text

    config = NGramsDecontConfig(n_grams=13)
    with tempfile.TemporaryDirectory() as folder:
        peer = NGramsDecontFilter(folder, config)
        peer.hash_func = hashed  # its own function passes a str, but xxhash 4 accepts only bytes
        hashes = set()
        for row in tests:
            words = peer.tokenizer.word_tokenize(simplify_text(row.prompt, config.norm_config))
            hashes |= {peer.hash_func(" ".join(gram)) for gram in ngrams(words, 13)}
        np.array(sorted(hashes), config.hash_config.np_descr).tofile(Path(folder) / "all.index.hashes")
        peer.load_index_hashes()
        documents = [Document(row.prompt, row.id) for row in rows]
        return best(len(rows), lambda: [peer.filter(document) for document in documents], passes=1)


def near() -> None:
    """Near-duplicates among the real prompts at several thresholds."""
    print("\n## Near-duplicates in GSM8K train and MATH train\n")
    rows = [row for name in TRAIN for row in train(name)]
    print(
        "| threshold | prompts | dropped | clusters | largest | compared | CPU µs a prompt |\n|---|---|---|---|---|---|---|"
    )
    for threshold in (0.7, 0.8, 0.9):
        started = time.process_time()
        _, _, facts = near_dedup(rows, NearSettings(threshold=threshold))
        took = 1e6 * (time.process_time() - started) / len(rows)
        print(
            f"| {threshold} | {len(rows):,} | {facts.dropped} | {facts.clusters} | {facts.largest} | "
            f"{facts.compared} | {took:.0f} |"
        )


def many(count: int) -> Iterator[Problem]:
    """Prompts made in turn from the longest 40 % of the real ones (60 words on average).

    Of ten prompts one is unchanged, one copied, one re-wrapped, one reworded, and six have other numbers, which gives
    templates with a hundred prompts.
    """
    texts = sorted((row.prompt for name in TRAIN for row in train(name)), key=lambda text: -len(text.split()))
    texts = texts[: len(texts) * 2 // 5]
    for at in range(count):
        turn, place = divmod(at, len(texts))
        rng = random.Random(f"{turn}:{place}")
        text = texts[place]
        if turn % 10 == 2:
            text = re_wrapped(text, rng) or text
        elif turn % 10 == 3:
            text = paraphrase(text, rng) or text
        elif turn % 10 > 3 or turn >= 10:
            text = changed_numbers(text, rng) or f"{text} (Sheet {turn}.)"
        yield Problem(f"p{at}", text)


def cpu() -> float:
    """CPU seconds of this process and its finished workers."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def million(count: int, processes: int) -> None:
    """Exact and near-deduplication and decontamination of `count` prompts, each step on all of them."""
    print(f"\n## {count:,} prompts, {processes} processes\n")
    memory = Memory()
    rows = list(many(count))
    words = sum(len(row.prompt.split()) for row in rows) / len(rows)
    tests = benchmarks()
    print(f"{len(rows):,} prompts of {words:.0f} words on average; {memory} with all of them in memory\n")
    print(
        "| step | dropped | seconds | CPU µs a prompt | most memory, all processes |\n|---|---|---|---|---|"
    )

    def step(name: str, work: Callable[[], int]) -> float:
        started, before = time.perf_counter(), cpu()
        found = work()
        seconds, used = time.perf_counter() - started, 1e6 * (cpu() - before) / len(rows)
        print(f"| {name} | {found:,} | {seconds:.0f} | {used:.1f} | {memory} |", flush=True)
        return used

    facts: list[NearFacts] = []

    def near_step() -> int:
        facts.append(near_dedup(rows, NearSettings(), processes)[2])
        return facts[0].dropped

    step("exact", lambda: len(dedup(rows)[1]))
    step("near copies", near_step)
    ours = step(
        "decontaminate, the start of the workers included",
        lambda: sum(
            hit is not None and hit.kind == "leak"
            for hit in scan(rows, Decontaminator(tests, SETTINGS), processes)
        ),
    )
    if util.find_spec("datatrove") is not None and util.find_spec("spacy") is not None:
        theirs = datatrove_time(tests, random.Random(0).sample(rows, PEER_PROMPTS))
        print(f"| datatrove's n-grams, {PEER_PROMPTS:,} of the prompts | | | {theirs:.1f} | |")
        print(f"\n{theirs / ours:.1f} times as long as ours")
    shown = {name: value for name, value in facts[0].record().items() if name != "alarms"}
    print(f"\nNear-deduplication: {shown}, {len(facts[0].alarms)} alarms")


class Memory(threading.Thread):
    """The peak memory of this process and its workers together, sampled ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self.start()

    def run(self) -> None:
        """Sample until the process ends."""
        own = psutil.Process()
        while True:
            held = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    held += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue  # it ended meanwhile
            self.most = max(self.most, held)
            time.sleep(0.1)

    def __str__(self) -> str:
        return f"{self.most / 1e6:,.0f} MB"


def main() -> None:
    """Run the chosen parts."""
    parts = {"counts": counts, "recall": recall, "speed": speed, "near": near}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help=f"parts with commas between: {', '.join(parts)}, million, rewrites")
    parser.add_argument("--million", action="store_true", help="the million prompts too")
    parser.add_argument("--count", type=int, default=MILLION, help="how many the million are")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rewrites", type=Path, action="append", default=[], help="for the part rewrites")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [*parts, *(["million"] if options.million else [])]
    if unknown := [name for name in wanted if name not in (*parts, "million", "rewrites")]:
        parser.error(f"{unknown[0]!r} is no part; there are {', '.join(parts)}, million and rewrites")
    for name in wanted:
        if name == "million":
            million(options.count, options.processes)
        elif name == "rewrites":
            rewrites(options.rewrites)
        else:
            parts[name]()


if __name__ == "__main__":
    main()
