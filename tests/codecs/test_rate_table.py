"""The rate table chooses what an exhaustive search would, and more bits never hurt."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from codec_pictures import photograph

from semcom import codecs
from semcom.codecs.payload import HEADER_BYTES, Payload
from semcom.codecs.rate_table import RateTable, best_payloads
from semcom.codecs.resample import SCALES, coded_size, resample

SIZE = (64, 48)
PICTURE = photograph("astronaut", *SIZE)
BUDGETS = [int(b) for b in np.geomspace(30, 900, 24)]
CODECS = pytest.mark.parametrize("codec", [codecs.codec(name) for name in codecs.NAMES], ids=codecs.NAMES)


def squared_error(picture, decoded) -> int:
    return int(np.square(np.asarray(decoded, np.int64) - np.asarray(picture, np.int64)).sum())


def climbed(codec, limit, container="stripped", picture=PICTURE) -> RateTable:
    table = RateTable(codec)
    for resolution in range(len(SCALES)):
        table.climb(picture, resolution, limit, container)
    return table


@pytest.fixture(scope="module", params=codecs.NAMES)
def everything(request):
    """Every resolution and quality of one picture: (bytes of the stripped payload, squared error, resolution, quality)."""
    codec, entries = codecs.codec(request.param), []
    for resolution in range(len(SCALES)):
        small = resample(PICTURE, coded_size(SIZE, resolution))
        for quality in codec.qualities:
            stream = codec.strip(codec.encode(small, quality))
            error = squared_error(PICTURE, resample(codec.decode(stream, small.size, quality), SIZE))
            entries.append((HEADER_BYTES + len(stream), error, resolution, quality))
    return codec, entries


def test_the_choice_is_that_of_an_exhaustive_search(everything):
    codec, entries = everything
    table = climbed(codec, max(BUDGETS))
    for budget in BUDGETS:
        errors = [error for size, error, _, _ in entries if size <= budget]
        rung = table.best(budget, "stripped")
        assert (rung is None) == (not errors)
        assert rung is None or (rung.squared_error == min(errors) and rung.bytes[0] <= budget)


@CODECS
@pytest.mark.parametrize("container", ["stripped", "full"])
def test_never_above_the_budget_and_never_worse_with_more(codec, container):
    table, errors = climbed(codec, max(BUDGETS), container), []
    for budget in BUDGETS:
        rung = table.best(budget, container)
        if rung is None:
            assert not errors
            continue
        payload = table.payload(rung, container, SIZE)
        assert len(payload) <= budget
        errors.append(rung.squared_error)
    assert errors and errors == sorted(errors, reverse=True)


@CODECS
def test_what_the_table_says_is_what_a_receiver_gets(codec):
    table = climbed(codec, 400)
    for budget in (200, 400):
        rung = table.best(budget, "stripped")
        said = Payload.unpack(table.payload(rung, "stripped", SIZE))
        small = codec.decode(said.data, coded_size(SIZE, said.resolution), said.quality)
        assert squared_error(PICTURE, resample(small, SIZE)) == rung.squared_error


@CODECS
def test_the_choice_does_not_depend_on_what_was_asked_before(codec):
    """Budgets in any order, containers mixed, streams let go in between: the same payloads as from fresh tables."""
    with ThreadPoolExecutor(4) as pool:
        for container, budget in (("full", 600), ("stripped", 200), ("full", 400), ("stripped", 600), ("stripped", 150)):
            (kept,) = best_payloads([PICTURE], codec, budget, container, pool)
            fresh = climbed(codec, budget, container)
            rung = fresh.best(budget, container)
            assert kept == (fresh.smallest(container) if rung is None else fresh.payload(rung, container, SIZE))


@CODECS
def test_letting_go_of_streams_changes_no_choice(codec):
    kept, lean = climbed(codec, max(BUDGETS)), climbed(codec, max(BUDGETS))
    lean.forget()
    assert sum(r.stream is not None for r in lean.rungs()) < len(kept.rungs()) / 2
    for container in ("stripped", "full"):
        for budget in BUDGETS:
            if rung := kept.best(budget, container):
                assert lean.payload(lean.best(budget, container), container, SIZE) == kept.payload(rung, container, SIZE)


def test_a_lower_resolution_wins_at_low_rate():
    """At 0.1 bits per pixel block codecs at full resolution lose; at 2 bits per pixel full resolution wins."""
    picture = photograph("coffee", 128, 128)
    for name in ("jpeg", "webp", "avif"):
        table = climbed(codecs.codec(name), 128 * 128 // 4, picture=picture)
        low, high = table.best(128 * 128 // 80, "stripped"), table.best(128 * 128 // 4, "stripped")
        at_full = [r for r in table.rungs() if r.resolution == 0]
        affordable = min((r.squared_error for r in at_full if r.reach[0] <= 128 * 128 // 80), default=np.inf)
        assert low.resolution > 0 and low.squared_error < affordable
        assert high.resolution == 0
