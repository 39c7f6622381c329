"""The page of a reduction, as text and as headless Chromium shows it."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from sparft_plugin.errors import SparftError
from sparft_plugin.prompts import PromptTable
from sparft_plugin.reduction import ReductionConfig, reduce
from sparft_plugin.report import reduction_figures
from sparft_plugin.report.reduction_page import reduction_page, share, shorten, verdict
from tests.unit.reduction_data import HashEmbedder, registered, row

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
KEY = "extra_info.difficulty"
CLUSTERS = 5
ATTACK = '</title></script><script>window.ran = 1</script><img src="x" onerror="window.ran = 1">'
# A question of GSM8K (MIT licence), then what else a corpus may hold.
TEXTS = [
    "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes of babysitting. "
    "How much did she earn?",
    ATTACK,
    r"Let $f(x) = \left\{\begin{array}{cl} 2x & \text{if } x < 1 \\ x \end{array}\right.$",
    "لدى سارة ٥ تفاحات وأعطت أختها تفاحتين. كم تفاحة بقيت معها؟ \u202e",
    "x" * 5000,
    "a bell \x07",
    "many lines\n\n\n" * 10_000,
    *(f"{i} + {i}?" for i in range(8)),
]


@pytest.fixture(scope="module")
def made():
    """A reduction of all texts, each kept or not, with its prompts."""
    rows = [row(text, difficulty=float(i % 10)) for i, text in enumerate(TEXTS)]
    prompts = PromptTable.from_rows(rows, source=ATTACK, difficulty_key=KEY)
    config = ReductionConfig(clusters=CLUSTERS, per_cluster=2, embedder="hash", difficulty_key=KEY)
    with registered(embedders={"hash": HashEmbedder}):
        reduction = reduce(prompts, config)
    silhouette = [{"clusters": k, "score": 0.2 - 0.01 * abs(k - 3)} for k in (5, 3, 8)]
    return changed(reduction, silhouette=silhouette, contaminated=None), prompts


def changed(reduction, **fields):
    return replace(reduction, facts=replace(reduction.facts, **fields))


@pytest.fixture(scope="module")
def page(made):
    return reduction_page(*made)


def words_of(page):
    body = html.unescape(re.sub(r"<[^>]*>", " ", page[page.index("<body>") :]))
    return " ".join(body.split())


# The page stands in two frames of one document, which measures them; in the narrow one the
# security policy is gone, so that a script that slipped in with the data would run.
HARNESS = """<!doctype html><title>harness</title>
<iframe id="wide" style="width:1200px;height:900px" srcdoc="{wide}"></iframe>
<iframe id="narrow" style="width:390px;height:800px" srcdoc="{narrow}"></iframe>
<pre id="found"></pre>
<script>
addEventListener("load", () => {{
  const found = {{}};
  for (const name of ["wide", "narrow"]) {{
    const frame = document.getElementById(name).contentWindow;
    const page = frame.document;
    const all = (selector) => [...page.querySelectorAll(selector)];
    for (const one of all("details")) one.open = true;
    found[name] = {{
      drawn: all("img").map((image) => image.complete && image.naturalWidth > 0),
      samples: all("li").map((sample) => sample.textContent),
      scripts: all("script").length,
      ran: frame.ran ?? null,
      requests: frame.performance.getEntriesByType("resource")
        .filter((entry) => !entry.name.startsWith("data:")).length,
      overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    }};
  }}
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>"""


@pytest.mark.skipif(
    CHROMIUM is None, reason="install Debian's chromium, e.g. apt-get install chromium"
)
def test_chromium_shows_it_wide_and_narrow_and_runs_nothing(page, tmp_path):
    open_page, replaced = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert replaced == 1
    file = tmp_path / "harness.html"
    harness = HARNESS.format(wide=html.escape(page), narrow=html.escape(open_page))
    file.write_text(harness, encoding="utf-8")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--enable-logging=stderr", "--v=0", f"--user-data-dir={tmp_path / 'profile'}"]
    command += [file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    seen = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    for facts in json.loads(html.unescape(seen[1])).values():
        assert facts["drawn"] == [True] * 5
        assert len(facts["samples"]) == 2 * CLUSTERS
        assert (facts["scripts"], facts["ran"], facts["requests"]) == (0, None, 0)
        assert facts["overflow"] <= 0


def test_the_page_names_no_file_and_no_host_and_shows_texts_as_texts(made, page):
    places = re.findall(r"(?:src|href)\s*=\s*[\"']([^\"']*)", page)
    assert {place.partition(",")[0] for place in places} == {"data:", "data:image/svg+xml;base64"}
    assert not re.search(r"https?:|@import|url\(|<script|<img src=\"x", page)
    assert "default-src 'none'" in page
    assert f"<bdi>{escape(made[1].source)}</bdi>" in page
    assert f'<div dir="auto">{escape(ATTACK)}</div>' in page


def test_the_same_reduction_gives_the_same_page_of_a_readable_size(made, page):
    assert reduction_page(*made) == page
    assert len(page.encode()) < 150_000


def test_it_says_what_was_kept_and_left_out_and_how_it_was_made(made, page):
    reduction, prompts = made
    text = words_of(page)
    assert f"{len(reduction)} of {len(prompts)} prompts, in {CLUSTERS} arms" in text
    assert "duplicates 0 rows that repeat an earlier prompt" in text
    assert "contaminated – not looked for" in text
    assert "shortfall 0 places that clusters were too small to fill" in text
    assert f"column:{KEY} : {len(prompts)} prompts" in text
    assert re.search(r"largest distance \(radius\) \d\.\d{3}: \w+ than .* random subsets", text)
    for part in (
        TEXTS[0],
        *reduction.cluster_words[0],
        reduction.manifest["encoder"],
        prompts.fingerprint,
    ):
        assert part in text


def test_a_reduction_without_difficulty_coverage_or_choice_of_clusters_says_so(made):
    reduction, prompts = made
    bare = changed(
        reduction,
        arms=[replace(arm, mean_difficulty=None) for arm in reduction.facts.arms],
        difficulty=None,
        difficulty_histogram=None,
        silhouette=None,
        coverage={"radius": None, "mean_distance": None},
    )
    page = reduction_page(bare, prompts)
    assert "carry no difficulty" in page
    assert "Radius –, mean distance –; an arm has no kept prompt." in page
    assert "mean difficulty" not in page
    assert "Number of clusters" not in page


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_package_is_named_with_its_extra(made, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    expected = re.escape(f"the page needs {package}; pip install 'sparft-plugin[report]'.")
    with pytest.raises(SparftError, match=expected):
        reduction_page(*made)


def svg(uri):
    kind, _, data = uri.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return ElementTree.fromstring(base64.b64decode(data))


def labels(uri):
    return [text.text for text in svg(uri).iter("{http://www.w3.org/2000/svg}text")]


def uses(uri):
    return sum(1 for _ in svg(uri).iter("{http://www.w3.org/2000/svg}use"))


@pytest.mark.parametrize(("points", "shown"), [(3000, len(TEXTS)), (8, 8), (3, 3)])
def test_the_map_has_every_kept_prompt_first_and_a_number_for_each_arm(
    made, points, shown, monkeypatch
):
    monkeypatch.setattr(reduction_figures, "POINTS", points)
    drawn = reduction_figures.cluster_map(made[0].pool, reduction_figures.arm_colours(CLUSTERS))
    assert uses(drawn) == shown
    assert sorted(labels(drawn)) == [str(arm) for arm in range(CLUSTERS)]


def test_one_feature_and_many_arms_are_a_map_without_numbers_in_as_many_colours(made):
    pool = made[0].pool
    arms = np.arange(len(pool.ids)) * 2
    flat = replace(pool, features=pool.features[:, :1] * 0, arms=arms)
    colours = reduction_figures.arm_colours(100)
    assert labels(reduction_figures.cluster_map(flat, colours)) == []
    assert len(set(colours)) == 100


def test_the_histogram_tells_the_means_of_what_there_is():
    counts = {"edges": [0.0, 0.5, 1.0], "pool": [30, 10], "kept": [1, 1]}
    assert labels(reduction_figures.histogram(counts))[-2:] == [
        "pool, mean 0.38",
        "kept, mean 0.50",
    ]
    assert labels(reduction_figures.histogram(counts | {"kept": [0, 0]}))[-1] == "kept"


@pytest.mark.parametrize("values", [[0.0], [1e6, 0.0], [0.3, 0.3, 0.3], [-1.0, -1.0]])
def test_a_strip_and_a_curve_hold_any_values(values):
    assert uses(reduction_figures.strip(0.3, values)) > len(values)
    found = [{"clusters": i + 2, "score": min(s, 1.0)} for i, s in enumerate(values)]
    assert labels(reduction_figures.curve(found, 2))[-1] == "mean silhouette"


@given(st.text("ab \n\t\x07\u202e\ud800ø"), st.integers(2, 50))
def test_shortened_texts_fit_and_can_be_written(text, limit):
    short = shorten(text, limit)
    assert len(short) <= limit
    short.encode("utf-8")
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", short)


def test_a_short_text_is_kept_and_a_long_one_ends_at_a_word():
    assert shorten("two apples\n\n  and pears ", 50) == "two apples\nand pears"
    assert shorten("two apples and pears", 14) == "two apples…"
    assert shorten("x" * 99, 10) == "x" * 9 + "…"
    assert shorten("\ud800\x07a", 9) == "a"


def test_shares_have_the_digits_that_tell_something():
    parts = [(30, 7473), (1, 1), (0, 5), (1, 20000), (0, 0)]
    told = [share(*each).replace("\u00a0", " ") for each in parts]
    assert told == ["0.4 %", "100 %", "0 %", "0.01 %", "0 %"]


def test_coverage_is_judged_against_the_draws():
    told = [verdict(ours, [0.9, 1.0, 1.1]).replace("\u00a0", " ") for ours in (0.5, 1.05, 2.0)]
    assert told == [
        "smaller than all 3 random subsets; 50 % below their median",
        "smaller than 1 of 3 random subsets; 5.0 % above their median",
        "larger than all 3 random subsets; 100 % above their median",
    ]
    assert verdict(0.0, [0.0, 0.0]) == "smaller than 0 of 2 random subsets"
