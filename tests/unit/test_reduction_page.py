"""The page of a reduction, as text and as headless Chromium shows it."""

from __future__ import annotations

import html
import json
import math
import re
import shutil
import subprocess

import pytest

from sparft_plugin import SparftError
from sparft_plugin.report.reduction_page import reduction_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="install Debian's chromium, e.g. apt-get install chromium"
)

# Questions of GSM8K (MIT licence), then what else a corpus may hold.
TEXTS = [
    "Betty is saving money for a new wallet which costs $100. Betty has only half of the money she "
    "needs. Her parents decided to give her $15 for that purpose, and her grandparents twice as "
    "much as her parents. How much more money does Betty need to buy the wallet?",
    "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes of babysitting. "
    "How much did she earn?",
    "Julie is reading a 120-page book. Yesterday, she was able to read 12 pages and today, she "
    "read twice as many pages as yesterday. If she wants to read half of the remaining pages "
    "tomorrow, how many pages should she read?",
    "James writes a 3-page letter to 2 different friends twice a week. How many pages does he "
    "write a year?",
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "
    "May. How many clips did Natalia sell altogether in April and May?",
    '</title></script><script>window.ran = 1</script><img src="x" onerror="window.ran = 1">',
    r"Let $f(x) = \left\{\begin{array}{cl} 2x & \text{if } x < 1 \\ x \end{array}\right.$",
    "لدى سارة ٥ تفاحات وأعطت أختها تفاحتين. كم تفاحة بقيت معها؟ \u202e",
    "x" * 5000,
    "half a pair \ud800 and a bell \x07",
    "many lines\n\n\n" * 100_000,
]


def manifest(**changes):
    made = {
        "method": "SPaRFT stage one: embed, cluster, keep representatives (arXiv 2508.05015)",
        "version": "0.2.0",
        "options": {"clusters": 3, "encoder": "all-MiniLM-L6-v2", "decontaminate": ["<b>.parquet"]},
        "seed": 0,
        "encoder": "all-MiniLM-L6-v2@1.0.0",
        "source": "train-00000-of-00001.parquet",
        "fingerprint": "9f86d081884c7d659a2feaa0c55ad015",
        "pool": 7473,
        "kept": 30,
        "duplicates": 2,
        "near_duplicates": 12,
        "contaminated": None,
        "shortfall": 0,
        "difficulty": {"sources": [{"name": "label extra_info.difficulty", "count": 7473}]},
        "difficulty_histogram": {
            "edges": [i / 20 for i in range(21)],
            "pool": [100 * (20 - i) for i in range(20)],
            "kept": [1] * 10 + [2] * 10,
        },
        "arms": [
            {
                "arm": arm,
                "words": words,
                "pool": pool,
                "kept": 10,
                "mean_difficulty": difficulty,
                "radius": 0.9 + 0.1 * arm,
                "mean_distance": 0.4 + 0.1 * arm,
            }
            for arm, (words, pool, difficulty) in enumerate(
                [
                    (["money", "cost", "wallet", "earn", "<i>dollars</i>"], 4000, 0.25),
                    (["pages", "book", "reading", "تفاحة", "letter"], 3000, 0.75),
                    ([], 473, None),
                ]
            )
        ],
        "coverage": {
            "radius": 1.1,
            "mean_distance": 0.53,
            "random": {"draws": 4, "radius": [1.3, 1.2, 1.4, 1.25], "mean_distance": [0.5] * 4},
        },
        "silhouette": [{"clusters": k, "score": 0.2 - 0.01 * abs(k - 3)} for k in range(2, 9)],
        "seconds": {"read": 0.4, "embed": 74.2},
    }
    return made | changes


def view():
    points = [
        {
            "x": math.sin(i) + i % 3,
            "y": math.cos(2.1 * i),
            "arm": i % 3,
            "kept": i % 5 == 0,
            "text": TEXTS[i % len(TEXTS)],
        }
        for i in range(60)
    ]
    return {"points": points, "samples": {"0": TEXTS[:4], "1": TEXTS[4:]}}


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
    const opacity = (arm) =>
      Number(frame.getComputedStyle(page.querySelector(`#map .pool[data-arm="${{arm}}"]`)).opacity);
    const facts = {{
      dots: all("#map .dot").length,
      kept: all("#map .kept .dot").length,
      titles: all("#map .dot > title").map((title) => title.textContent),
      rows: all("tbody tr").map((row) => row.querySelector(".words").textContent),
      samples: all(".samples li").map((sample) => sample.textContent),
      scripts: all("script").length,
      images: all("img").length,
      ran: frame.ran ?? null,
      requests: frame.performance.getEntriesByType("resource").length,
      width: page.documentElement.clientWidth,
      scrollWidth: page.documentElement.scrollWidth,
      unnamed: all("svg").filter((svg) => !svg.hasAttribute("aria-label") &&
        !page.getElementById(svg.getAttribute("aria-labelledby")?.split(" ")[0])).length,
    }};
    page.querySelector('button[data-arm="1"]').click();
    facts.chosen = [opacity(0), opacity(1)];
    page.dispatchEvent(new frame.KeyboardEvent("keydown", {{key: "Escape"}}));
    facts.released = [opacity(0), opacity(1)];
    for (const one of all("details")) one.open = true;
    facts.openScrollWidth = page.documentElement.scrollWidth;
    const map = page.getElementById("map");
    map.scrollIntoView();
    const box = page.querySelector("#map .kept .dot").getBoundingClientRect();
    map.dispatchEvent(new frame.PointerEvent("pointermove",
      {{clientX: box.x + box.width / 2, clientY: box.y + box.height / 2}}));
    facts.tip = page.querySelector("#tip b").textContent;
    found[name] = facts;
  }}
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What Chromium finds in both frames, and its console."""
    folder = tmp_path_factory.mktemp("page")
    page = reduction_page(manifest(), view())
    open_page, replaced = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert replaced == 1
    file = folder / "harness.html"
    harness = HARNESS.format(wide=html.escape(page), narrow=html.escape(open_page))
    file.write_text(harness, encoding="utf-8")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--enable-logging=stderr", "--v=0", f"--user-data-dir={folder / 'profile'}"]
    command += [file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert found, console
    return json.loads(html.unescape(found[1])), console


@needs_chromium
@pytest.mark.parametrize("frame", ["wide", "narrow"])
def test_chromium_shows_every_point_arm_and_sample(seen, frame):
    facts = seen[0][frame]
    assert facts["dots"] == 60
    assert facts["kept"] == 12
    assert facts["rows"] == [
        "money, cost, wallet, earn, <i>dollars</i>",
        "pages, book, reading, تفاحة, letter",
        "no words",
    ]
    assert facts["samples"][:4] == TEXTS[:4]
    assert facts["unnamed"] == 0


@needs_chromium
@pytest.mark.parametrize("frame", ["wide", "narrow"])
def test_texts_of_the_data_stay_texts(seen, frame):
    facts = seen[0][frame]
    assert facts["ran"] is None
    assert (facts["scripts"], facts["images"]) == (1, 0)
    assert any("<script>window.ran = 1</script>" in title for title in facts["titles"])
    assert any("<script>window.ran = 1</script>" in sample for sample in facts["samples"])


@needs_chromium
def test_nothing_is_asked_for_and_the_console_is_silent(seen):
    facts, console = seen
    assert console == []
    assert [facts[frame]["requests"] for frame in ("wide", "narrow")] == [0, 0]


@needs_chromium
@pytest.mark.parametrize(("frame", "width"), [("wide", 1200), ("narrow", 390)])
def test_nothing_overflows_sideways(seen, frame, width):
    facts = seen[0][frame]
    assert facts["width"] <= width
    assert facts["scrollWidth"] <= facts["width"]
    assert facts["openScrollWidth"] <= facts["width"]


@needs_chromium
@pytest.mark.parametrize("frame", ["wide", "narrow"])
def test_a_chosen_arm_stands_alone_until_escape_and_a_dot_tells_its_prompt(seen, frame):
    facts = seen[0][frame]
    assert facts["chosen"][0] < 0.1
    assert facts["chosen"][1] == 1
    assert facts["released"] == [1, 1]
    assert re.fullmatch(r"Arm \d, kept", facts["tip"])


def test_the_page_names_no_file_and_no_host():
    page = reduction_page(manifest(), {"points": [], "samples": {}})
    assert re.findall(r"(?:src|href)\s*=\s*[\"']([^\"']*)", page) == ["data:,"]
    assert not re.search(r"https?:|@import|url\(", page)
    assert "default-src 'none'" in page


def test_the_same_reduction_gives_the_same_page_of_a_readable_size():
    page = reduction_page(manifest(), view())
    assert page == reduction_page(manifest(), view())
    assert len(page.encode()) < 100_000


def test_the_headline_says_what_was_kept_and_what_was_left_out():
    page = reduction_page(manifest(), view())
    text = " ".join(re.sub(r"<[^>]*>", " ", page[page.index("<body>") :]).split())
    assert "30 of 7,473 prompts, in 3 arms" in text
    assert "duplicates 2 rows that repeat an earlier prompt" in text
    assert "near-duplicates 12 prompts that say almost the same" in text
    assert "contaminated – not looked for" in text
    assert "shortfall 0 places that clusters were too small to fill" in text


def test_a_reduction_without_difficulty_draws_or_choice_of_clusters_says_so():
    bare = manifest(
        arms=[arm | {"mean_difficulty": None} for arm in manifest()["arms"]],
        difficulty=None,
        difficulty_histogram=None,
        silhouette=None,
        coverage={"radius": 1.1, "mean_distance": None, "random": None},
    )
    page = reduction_page(bare, {"points": [], "samples": {}})
    assert "carry no difficulty" in page
    assert "Radius 1.100, mean distance –; no random subsets were drawn." in page
    for absent in ("mean difficulty", "Cluster map", "Sample prompts", "Number of clusters"):
        assert absent not in page


@pytest.mark.parametrize("key", sorted(manifest()))
def test_a_manifest_of_another_version_is_refused_by_the_key_it_lacks(key):
    other = manifest()
    del other[key]
    with pytest.raises(SparftError, match=f"the manifest has no key '{key}'; make the page with"):
        reduction_page(other, view())


def test_an_arm_or_a_point_that_lacks_a_key_is_refused():
    with pytest.raises(SparftError, match="an arm of the manifest has no key 'pool'"):
        reduction_page(manifest(arms=[{"arm": 0, "words": []}]), view())
    with pytest.raises(SparftError, match="a point of the view has no key 'text'"):
        reduction_page(manifest(), {"points": [{"x": 0, "y": 0, "arm": 0, "kept": True}]})
