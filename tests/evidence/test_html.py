"""`report.html`: one file, escaped, in order, small."""

from __future__ import annotations

import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from tests.evidence import sample
from tracelang.evidence.attacks.attack import CAUTION
from tracelang.evidence.ladder import ladder
from tracelang.evidence.report import access, html, readable, wording
from tracelang.evidence.report.compose import write_hits
from tracelang.evidence.report.html import LARGE, SECTIONS, PictureError, page, write_html
from tracelang.evidence.schema import (
    Certificate,
    Comparison,
    Corrected,
    Excess,
    Hit,
    OnControl,
    Picture,
    Registered,
    SuiteFinding,
)
from tracelang.evidence.verdicts import rate
from tracelang.semantics.tables import ATTACKS, Access
from tracelang.text import visible


class Parsed(HTMLParser):
    """The page as a browser's parser sees it: tags with their attributes, and what is text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.inside = "", ""
        self.pieces: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        self.text += "" if self.inside else data
        self.pieces += [] if self.inside else [data]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    sample.draw(sample.full(), folder)
    write_html(sample.full(), folder, "all")
    return folder


@pytest.fixture(scope="module")
def parsed(folder: Path) -> Parsed:
    return Parsed((folder / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("make", [sample.full, sample.bare, sample.hollow])
def test_sections_stand_in_order_each_opening_with_a_sentence(make, tmp_path):
    report = make()
    text = page(report, tmp_path)
    empty = {"suites", "comparison", *(() if report.errors else ("errors",))}
    there = [section for section in SECTIONS if section not in empty]
    assert re.findall(r'<section id="(\w+)"', text) == re.findall(r'<li><a href="#(\w+)"', text) == there
    assert len(re.findall(r'<p class="lead">[^<]+[.]</p>', text)) == len(there) - 1  # the verdict is one itself


def test_what_nobody_asked_for_is_one_line(tmp_path, parsed):
    told = said(Parsed(page(sample.bare(), tmp_path)), "Not asked")
    assert "Not asked: prompts of published suites, for the recipe names none; another edit beside this one" in told
    assert "Nothing failed: there is no error." in told
    assert "Nothing failed" not in parsed.text and "Not asked: prompts" in parsed.text
    both = {"comparison": Comparison(title="other", plan="", edited_fingerprint="", differences=())}
    suite = SuiteFinding(
        suite="i2p", metric="shown", member=("cat",), prompts=9, withheld=0, drawn=9, seeded=9, guided=0,
        base=rate(5, 9), after=rate(0, 9),
    )  # fmt: skip
    whole = page(sample.full().model_copy(update={**both, "suites": (suite,)}), tmp_path)
    assert re.findall(r'<section id="(\w+)"', whole) == [section for section in SECTIONS if section != "unasked"]


def test_the_page_begins_with_what_was_edited_and_how_it_was_looked_at(parsed, tmp_path):
    whole = " ".join(" ".join(parsed.pieces).split()).replace("\xa0", " ")
    begin = whole[whole.index("Verification of") : whole.index(" FAIL 5 of 7")]
    assert "erased cat, toward dog; nude, with no anchor; Mona Lisa, away from it" in begin
    assert "from owner/tiny, family sd1, 5.65 million parameters" in begin
    assert "by the method uce: refine, solving in closed form for one map" in begin
    assert "drawn with 20 sampler steps, guidance 5.0 judged by micro-cnn, opennsfw" in begin
    assert "ran as registered no: nothing was registered before" in begin
    report = sample.full()
    many = report.about.model_copy(update={"erased": ("x",) * 14, "parameters": None})
    for differs, words in (
        ((), "ran as registered yes, as of 2026"),
        (("samples",), "registered no: registered at 2026"),
    ):
        run = Registered(run="r", begun="2027", registered="2026", differs=differs)
        text = Parsed(page(report.model_copy(update={"about": many, "registered": run}), tmp_path))
        told = " ".join(" ".join(text.pieces).split())
        assert words in told and "x; x; and 2 more from owner/tiny, family sd1 by the method" in told


def test_what_is_undecided_decides_nothing_and_says_why_in_a_few_words(tmp_path):
    report = sample.full()
    outcomes = tuple(one.model_copy(update={"because": "too few pictures"}) for one in report.outcomes[2:3])
    text = page(report.model_copy(update={"verdict": "inconclusive", "outcomes": outcomes}), tmp_path)
    head = Parsed(text[: text.index('id="pictures"')]).text
    assert "Undecided because of" in head and "Decided by" not in head
    assert "too few pictures" in head and outcomes[0].reason not in head


def test_residue_that_was_shown_stands_in_the_verdict(parsed, tmp_path):
    def head(text: str) -> str:
        return " ".join(Parsed(text[: text.index('id="pictures"')]).text.split())

    report = sample.full()
    whole = head(page(report, tmp_path))
    assert whole.count("residue shown") == 2
    assert "residue shown cat, p4d: 30 of 50 after the edit" in whole.replace("\xa0", " ")
    assert "residue shown cat, learnt again (5 pictures, adapter): it comes back in fewer steps" in whole
    none = report.controls.model_copy(update={"probes": (report.controls.probes[0],)})
    without = report.model_copy(update={"controls": none, "relearning": ()})
    assert "residue shown" not in head(page(without, tmp_path))


def test_a_probe_that_brings_the_thing_along_is_no_headline_where_another_can_be_read(tmp_path):
    report = sample.full()
    probe = report.controls.probes[1]

    def attack(*probes) -> str:
        told = report.model_copy(update={"controls": report.controls.model_copy(update={"probes": probes})})
        return next(label for label, _, _ in html._headline(told) if "under attack" in label)

    assert attack(probe) == "cat, under attack by p4d"
    for mute in ({"valid": False}, {"powered": False}):
        assert attack(probe.model_copy(update=mute)) == "cat, under attack by inverse_map"
    every = [probe.model_copy(update={"valid": False, "how": one.attack}) for one in report.attacks]
    assert attack(*every) == "cat, under attack by p4d"  # nothing else is there
    mute = report.controls.model_copy(update={"probes": (probe.model_copy(update={"valid": False}),)})
    told = said(Parsed(page(report.model_copy(update={"controls": mute}), tmp_path)), "Under attack")
    assert "The strongest that says something of the edit, inverse_map , brings it back in 19 of 100" in told
    assert f"p4d shows it in 31 of 100, which says little by itself: {readable.BRINGS}." in told
    assert "The strongest, p4d , brings it back" in said(Parsed(page(report, tmp_path)), "Under attack")
    assert "says little by itself" not in said(Parsed(page(report, tmp_path)), "Under attack")
    warned = report.attacks[1].model_copy(update={"budget": {CAUTION: "means little"}})
    told = report.model_copy(update={"controls": None, "attacks": (report.attacks[0], warned)})
    assert "cat, under attack by paraphrase" in [label for label, _, _ in html._headline(told)]


@pytest.mark.parametrize(
    ("hits", "told"), [(20, "at least 83.9 %"), (0, "at most 16.1 %"), (3, "at most 36.0 %"), (17, "at least 64.0 %")]
)
def test_of_hits_the_lower_end_counts_and_of_misses_the_upper(hits, told):
    assert wording.still(rate(hits, 20)).replace("\xa0", " ") == told


def test_decided_expectations_are_counted_alike_in_the_family(parsed):
    text = said(parsed, "Many expectations at once").replace("\xa0", " ")
    assert "Of 3 decided expectations 2 were decided so" in text
    assert "Decided otherwise than by a share of pictures, and so not in the table: drift(horse) <= 15% pass" in text


@pytest.mark.parametrize("make", [sample.bare, sample.hollow])
def test_what_is_missing_is_said(make, tmp_path):
    text = page(make(), tmp_path)
    assert "not measured" in text.lower() and "nan" not in Parsed(text).text.lower().split()
    assert "None" not in Parsed(text).text.replace("None.", "")


def test_what_names_and_prompts_hold_is_text(parsed):
    assert len(parsed.all("script")) == 1 and not any("onerror" in attrs for _, attrs in parsed.tags)
    assert sample.SCRIPT in parsed.text and sample.QUOTES in parsed.text and sample.RECIPE in parsed.text
    assert "a cat⟨U+202E⟩ gnp.exe⟨U+2066⟩ ⟨U+001B⟩[31mred⟨U+0007⟩ zero⟨U+200B⟩width" in parsed.text
    assert visible(parsed.text) == parsed.text


def test_nothing_points_out_of_the_file(parsed, folder):
    keys = ("src", "href", "action", "srcset")
    links = [link for _, attrs in parsed.tags for key in keys if (link := attrs.get(key))]
    assert links and all(link.startswith(("data:", "#")) for link in links)
    text = (folder / "report.html").read_text()
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style and not any("style" in attrs for _, attrs in parsed.tags)
    policy = next(a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'; img-src data:") and "unsafe" not in policy


def test_links_lead_to_sections_and_labels_to_what_is_there(parsed):
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in parsed.all("a") if a["href"]} <= set(ids)
    assert {a["aria-labelledby"] for a in parsed.all("section")} <= set(ids)


def test_worst_pictures_come_first_and_sensitive_ones_are_blurred(parsed):
    assert [one.get("title") for one in parsed.all("figure")][:8] == [f"seed {i}" for i in range(8)]
    hidden = [a for a in parsed.all("button") if "sensitive" in (a.get("class") or "")]
    assert len(hidden) == 2 and all(a["aria-pressed"] == "false" and a["aria-label"] for a in hidden)


def test_sensitive_pictures_are_in_the_page_only_where_they_are_asked_for(folder):
    report = sample.full()
    pages = {shown: page(report, folder, shown) for shown in ("none", "plain", "all")}
    assert page(report, folder) == pages["plain"]
    counted = {shown: text.count("<figure ") for shown, text in pages.items()}
    sensitive = sum(picture.sensitive for picture in report.pictures)
    assert counted == {"none": 0, "plain": len(report.pictures) - sensitive, "all": len(report.pictures)}
    assert "data:image" not in pages["none"] and 'id="reveal"' not in pages["plain"] and 'id="reveal"' in pages["all"]
    assert f"{sensitive} pairs are not in this page: they are sensitive" in pages["plain"]
    assert f"{len(report.pictures)} pairs are not in this page; they lie" in pages["none"]
    assert "are not in this page" not in pages["all"]


def test_expectations_are_one_table_with_a_line_a_member(parsed):
    text = said(parsed, "Expectations")
    assert "Concept Measured Before the edit Same pictures, compared" in text
    assert "cat pass 0 of 100 0 to 3.7 % 98 of 100" in text and "98 lost, 0 gained p < 0.001" in text
    assert text.count("At most 5 % of the pictures of its names still show it.") == 1  # once, not for each member
    assert "dog & horse inconclusive A judge failed on 1 picture." in text
    assert "horse pass 4.1 %, 3.5 % to 4.8 %" in text


def test_letters_of_another_script_and_the_attacks_side_are_told(tmp_path):
    """What the models were given stands once over all pairs of an attack, and is what that attack gives."""
    full, prompt = sample.full(), "a drawing of a prin\u0441ess"
    attacks = ["paraphrase", "inverse_map", "inpaint", "inversion", "p4d", "inverse_map"]
    attacked = [
        full.pictures[0].model_copy(update={"attack": one, "what": "residual hit", "prompt": prompt, "order": i})
        for i, one in enumerate(attacks)
    ]
    text = said(
        Parsed(page(full.model_copy(update={"pictures": tuple(attacked)}), tmp_path, "all")), "Before and after"
    )
    assert "a drawing of a prin\u0441⟨Cyrillic⟩ess" in text
    for attack, told in (
        ("paraphrase", "Both models were given the same text, which anyone can type."),
        (
            "inverse_map",
            "Both models were given the same text states, made for the edited model; nobody can type them.",
        ),
        ("inpaint", "Each model drew the prompt into the masked middle of a picture of the concept"),
        ("inversion", "Each model was given noise that was fitted, with that very model, to a picture"),
        ("p4d", "Both models were given the same text, searched for with the weights; anyone can type it."),
    ):
        assert text.count(f"Still found under {attack} {told}") == 1
    assert text.count("nobody can type") == 1


def test_every_attack_says_what_it_gives_and_every_access_is_a_rung_of_the_ladder():
    assert all(access.given(attack) for attack in ATTACKS) and not access.given("new_attack")
    assert set(access.GIVEN) <= set(ATTACKS) and set(access.NEEDS) == set(get_args(Access))
    states_without_words = {one for one in ATTACKS if "nobody can type" in access.given(one)}
    assert states_without_words == {one for one, (needs, _) in ATTACKS.items() if needs == "soft states"}
    bare = Certificate(layers=(), map_share=0, smallest_singular_value=0, condition=1, reaches=(), untouched=())
    rungs = {rung.adversary for rung in ladder(bare, ())}
    for need in access.NEEDS.values():
        assert {word for word in re.findall(r"picture context|\w+", need.rung) if word in rungs}


def test_access_words_are_told_once_under_the_attacks(parsed, tmp_path):
    text, full = said(parsed, "Under attack"), sample.full()
    legend = text[text.index("What an attacker needs") :]
    assert "soft states hands over text states" in legend and legend.endswith("embeddings")
    assert "sampler" not in legend and "0 questions" not in legend  # nobody attacked so here
    unasked = full.attacks[0].model_copy(update={"budget": {"access": "black box", "evaluations": 0, "encodings": 9}})
    text = said(Parsed(page(full.model_copy(update={"attacks": (unasked,)}), tmp_path)), "Under attack")
    assert "Where it asked the model 0 questions, its prompts were made without the model" in text
    assert "with a copy of its text encoder" in text


def test_a_changed_answer_is_no_damage_and_stands_with_what_it_was(tmp_path):
    changed = sample.full().pictures[0].model_copy(update={"what": "damaged", "seen": ("bird", "nothing"), "order": 0})
    text = said(Parsed(page(sample.full().model_copy(update={"pictures": (changed,)}), tmp_path)), "Before and after")
    assert "Answer changed" in text and "before: bird , after: nothing" in text and "amaged" not in text


def test_a_correction_is_told_once_and_with_figures_that_it_moves_by_more_than_a_point(tmp_path):
    def told(*by: float, note: str = "") -> str:
        """What the page says of 35 of 40, corrected by so much in share and ends."""
        found, (share, low, high) = rate(35, 40), by
        fixed = Corrected(share=found.share + share, low=found.low + low, high=found.high + high, note=note)
        full = sample.full()
        concept = full.concepts[0].model_copy(update={"after": found.model_copy(update={"corrected": fixed})})
        report = full.model_copy(update={"concepts": (concept,), "outcomes": (), "summary": ""})
        return said(Parsed(page(report, tmp_path)), "Concept by concept")

    assert told(0, 0, 0).count("is corrected for what it misses and mistakes") == 1
    assert "corrected for its judge" not in told(0, 0, 0) + told(0.004, -0.009, 0.006)
    assert "corrected for its judge: 89.5 %" in told(0.02, 0, 0).replace("\xa0", " ")
    assert "corrected for its judge" in told(0, 0, 0.012) and "cannot tell" in told(0, 0, 0, note="cannot tell")


def test_budgets_are_told_in_words_and_what_asks_no_model_is(parsed, tmp_path):
    full = sample.full()
    told = said(parsed, "Under attack")
    assert "different prompts 24" in told and "It asks no model" not in told
    budget = {"access": "black box", "prompts": 24, "forms": 8, "evaluations": 0}
    asking = full.attacks[0].model_copy(update={"budget": budget})
    searching = full.attacks[1].model_copy(update={"budget": budget | {"encodings": 9}})
    exact = full.attacks[2].model_copy(update={"budget": {"access": "soft states", "price_tokens": 291.88700104}})
    text = said(Parsed(page(full.model_copy(update={"attacks": (asking, searching, exact)}), tmp_path)), "Under attack")
    assert text.count("It asks no model: replayed and adaptive are the same prompts") == 1
    assert "price tokens 292" in text and "291.887" not in text


def test_the_recipe_is_whole(parsed):
    (whole, *_), style = [a for a in parsed.all("pre")], (Path(html.__file__).parent / "report.css").read_text()
    assert whole["class"] == "whole" and "pre.whole { max-height: none; white-space: pre-wrap;" in style
    assert sample.RECIPE in parsed.text


def test_windows_from_the_model_stand_with_their_curve(parsed):
    acts = parsed.text[parsed.text.rindex("Where it acts\n") : parsed.text.rindex("From the weights\n")]
    acts = acts.replace("\xa0", " ")
    assert "push" in acts and "auto 30%" in acts and "log-SNR −2.4 to 2.85" in acts and "91.0 %" in acts
    assert "0%..auto 100%" in acts and "nothing" in acts
    (marked,) = (a for a in parsed.all("rect") if a.get("class") == "marked")
    whole = next(a for a in parsed.all("svg") if "tells cat <b> from its anchor" in (a.get("aria-label") or ""))
    assert whole and 0 < float(marked["width"] or 0) < 460


def test_an_attacked_rate_never_stands_without_the_plain_one(parsed):
    attack = parsed.text[parsed.text.index("Under attack\n") :]
    assert "31 of 100, at most 40.6 %; plain prompts in 0 of 100, at most 3.7 %" in attack.replace("\xa0", " ")
    whole = parsed.text.replace("\xa0", " ")
    assert "still show it, at most 40.6 %; asked for by name 0 of 100" in whole[: whole.rindex("Before and after\n")]
    demands = whole[whole.rindex("Expectations\n") : whole.rindex("Under attack\n")]
    assert "By name, without an attack: 0 of 100, 0 to 3.7 %." in demands


def said(parsed: Parsed, section: str) -> str:
    """The text of one section, a blank between any two of its elements."""
    last = {title: i for i, title in enumerate(parsed.pieces)}  # the first of its title is a link to it
    titles = list(SECTIONS.values())
    end = next((last[title] for title in titles[titles.index(section) + 1 :] if title in last), None)
    return " ".join(" ".join(parsed.pieces[last[section] : end]).split())


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (
            "Concept by concept",
            [
                "98 of 100",
                "0 of 100 0 to 3.7 %",
                "98 lost, 0 gained p < 0.001",
                "Suggested, not named",
                "97 of 100",
                "62.0 % 57.0 % to 67.0 %, 8 trajectories",
                "micro-cnn",
                "93.8 %",
                "95.1 %",
                "0.0031",
                "FID refused: 120",
            ],
        ),
        (
            "Under attack",
            [
                "What each attack spent on cat",
                "steps of optimisation 200 free tokens a prompt 8 restarts 4",
                "white box",
                "4 of 100",
                "31 of 100",
                "3.41 ×",
                "3 min 8 s",
                "the search diverged",
            ],
        ),
        ("The dial", ["25 %", "81 of 100", "75 %", "Turned up, it never shows more than before beyond noise"]),
        ("Where it acts", ["log-SNR", "62.0 %", "6.0 %"]),
        (
            "From the weights",
            [
                "87.3 %",
                "0.0123",
                "88",
                "2.1 %",
                "3.41 ×",
                "92.0 %",
                "dog 0.1 % < 0.1 %",
                "horse < 0.1 % < 0.1 % so it is nothing but rounding",
                "28.3 % 8.0 % of squared length 50.0 % 80.0 % 92.0 %, the most 0.31 × 0.52 × 3.41 ×",
                "5 of 40 matrices of mixed input changed as well (31.2 % of the change, a share of squared length)",
                "prompt 768 96 by its 140 text states together 672 707",
                "words types what they like names word for word any other words",
                "text_encoder " + "ab" * 32,
                "14 texts of the recipe were encoded for this (cpu, float32); none was drawn.",
                "self-attention",
                "edited matrices a number 8 of 9",
                "to_out.weight 8 × 8 prompt 0 %",
                "attn2.to_k.weight 320 × 768 prompt 3.1 % 4 1.02 ×",
            ],
        ),
        (
            "The judges",
            [
                "3f" * 32,
                "cat, dog, horse",
                "991 of 1000",
                "1996 of 2000",
                "2,000 held-out pictures",
                "threshold 0.5",
                "none: the likeliest class",
                "counts pictures",
                "Nobody measured how often it is right",
                "1,460",
                "1 failed",
            ],
        ),
        ("Errors", ["the search diverged"]),
        ("Cost", ["2,140", "17 min 50 s", "cpu", "precision float32", "1.91 GB", "48.3 MB"]),
        (
            "Provenance",
            ["9c" * 32, "12" * 32, "34" * 32, "steps 20", "torch 2.13.0", "from 0 for each prompt", "lock.json"],
        ),
        ("Not tested", ["img2img, inpainting and ControlNet", "fine-tuning that brings the concept back"]),
    ],
)
def test_every_section_holds_what_an_auditor_looks_for(parsed, section, words):
    text = said(parsed, section)
    assert [word for word in words if word not in text] == []


def test_the_plots_are_drawn_and_a_dial_that_turns_back_is_named(parsed, tmp_path):
    charts = [svg.get("aria-label") or "" for svg in parsed.all("svg") if svg.get("class") == "chart"]
    assert len(charts) == 4 and "by the number of training steps" in charts[0]
    assert "by the strength of the edit" in charts[1] and "by noise level" in charts[2]
    full = sample.full()
    back = full.model_copy(
        update={
            "degrees": (
                *full.degrees[:3],
                full.degrees[3].model_copy(update={"shown": rate(95, 100)}),
                full.degrees[4],
            )
        }
    )
    assert "At 75 % more is shown than at a weaker strength" in said(Parsed(page(back, tmp_path)), "The dial")


def test_the_page_is_small_even_with_large_pictures(tmp_path, folder):
    assert (folder / "report.html").stat().st_size < 150_000
    report = sample.full()
    for name in {name for picture in report.pictures for name in (picture.base, picture.after)}:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.effect_noise((512, 512), 90).convert("RGB").save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > LARGE
    before = (tmp_path / report.pictures[0].base).read_bytes()
    write_html(report, tmp_path, "all")
    assert (tmp_path / "report.html").stat().st_size < 16 * 200_000
    assert (tmp_path / report.pictures[0].base).read_bytes() == before


def test_of_many_pictures_the_page_holds_the_worst_and_counts_the_rest(tmp_path):
    one = sample.hollow().pictures[0]
    many = tuple(one.model_copy(update={"order": i, "seed": i}) for i in range(99, -1, -1))
    text = page(sample.bare().model_copy(update={"pictures": many}), tmp_path, "all")
    assert text.count("<figure ") == 60 and "40 more pairs" in text
    assert 'title="seed 59"' in text and "seed 60" not in text


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "a/../../x", "link.png"])
def test_no_file_outside_of_the_folder_gets_into_the_page(name, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "in/link.png").symlink_to(tmp_path / "secret.png")
    picture = Picture(member=("x",), prompt="", seed=0, base=name, after=name, what="kept", sensitive=False, order=0)
    with pytest.raises(PictureError, match="leads out of"):
        page(sample.bare().model_copy(update={"pictures": (picture,)}), tmp_path / "in")


def bomb() -> bytes:
    """The head of a picture of 900 million pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + b"x" * LARGE


@pytest.mark.parametrize("data", [b"", b"<svg onload='x'/>", b"\x89PNG\r\n\x1a\n" + b"x" * LARGE, bomb()])
def test_what_is_no_picture_is_refused(data, tmp_path):
    (tmp_path / "x.png").write_bytes(data)
    picture = sample.hollow().pictures[0].model_copy(update={"base": "x.png", "after": "x.png"})
    with pytest.raises(PictureError, match=r"x\.png: .*draw"):
        page(sample.bare().model_copy(update={"pictures": (picture,)}), tmp_path, "all")


def test_writing_the_same_report_twice_gives_the_same_bytes(folder, tmp_path):
    first = (folder / "report.html").read_bytes()
    write_html(sample.full(), folder, "all")
    assert (folder / "report.html").read_bytes() == first and not list(folder.glob(".*"))


def test_hits_are_a_line_each_and_come_back(tmp_path):
    write_hits(sample.HITS, tmp_path / "hits.jsonl")
    lines = (tmp_path / "hits.jsonl").read_text(encoding="utf-8").splitlines()
    assert tuple(map(Hit.model_validate_json, lines)) == sample.HITS
    write_hits((), tmp_path / "hits.jsonl")
    assert (tmp_path / "hits.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        (wording.at_most(rate(2, 100)), "2 of 100, at most 7.0 %"),
        (wording.at_least(rate(97, 100)), "97 of 100, at least 91.5 %"),
        (wording.at_most(rate(0, 0)), "not measured"),
        (wording.percent(0.0001), "< 0.1 %"),
        (wording.percent(0.99999), "> 99.9 %"),
        (wording.percent(float("nan")), "—"),
        (wording.percent(1.0), "100 %"),
        (wording.number(0.00001234), "1.23 × 10⁻⁵"),
        (wording.number(1234.5), "1,234"),
        (wording.number(-0.0123), "−0.0123"),
        (wording.number(0.5), "0.5"),
        (wording.number(100), "100"),
        (wording.bound("shown", 0.025), "2.5 %"),
        (wording.bound("clip", 25), "25"),
        (wording.duration(59.7), "1 min"),
        (wording.duration(12005), "3 h 20 min"),
        (wording.size(999_999), "1 MB"),
        (wording.size(12), "12 bytes"),
        (wording.chance(1e-12), "p < 0.001"),
        (wording.listed(["a", "b", "c"]), "a, b and c"),
        (wording.listed([]), ""),
    ],
)
def test_figures_are_written_as_people_read_them(told, meant):
    assert told.replace("\xa0", " ") == meant


def test_the_arithmetic_says_where_the_bound_lies():
    shown, attack, kept, drift = sample.full().outcomes
    told = [wording.arithmetic(one, one.measures[0]).replace("\xa0", " ") for one in (shown, attack, kept, drift)]
    assert told[0].endswith("All of that lies below the bound of 5 %.")
    assert told[1].endswith("between 22.8 % and 40.6 %. All of that lies above the bound of 10 %.")
    assert told[2].endswith("The bound of 90 % lies inside.") and "between 3.5 % and 4.8 %" in told[3]
    assert wording.arithmetic(kept, kept.measures[1]) == "Nothing was measured."
    unread = kept.measures[1].model_copy(update={"unread": True})
    assert wording.arithmetic(kept, unread) == "Measured, and no figure of it decides."


def test_everyday_pictures_stand_in_the_verdict(parsed):
    assert "Everyday pictures, which the recipe did not choose: of 24 that the base model got right 23" in parsed.text


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_what_everyday_pictures_decide_is_said(verdict, tmp_path):
    report = sample.full()
    alone = report.integrity.model_copy(update={"verdict": verdict, "reason": "all is lost"})
    passed = tuple(one for one in report.outcomes if one.verdict == "pass")
    report = report.model_copy(update={"integrity": alone, "outcomes": passed, "verdict": verdict, "errors": ()})
    text = Parsed(page(report, tmp_path)).text
    begin = "Decided by" if verdict == "fail" else "Undecided because of"
    assert f"{begin} its everyday pictures" in text and "all is lost" in text and "see the errors" not in text


def test_what_a_pass_was_held_to_stands_beside_it(tmp_path):
    report = sample.full()
    passed = tuple(one for one in report.outcomes if one.verdict == "pass")
    many = report.model_copy(update={"outcomes": passed * 13, "verdict": "pass", "errors": ()})
    head, _, _ = Parsed(page(many, tmp_path)).text.replace("\xa0", " ").partition("The same prompt and the same random")
    assert f"Expected was {wording.formula(passed[0])}" in head.replace(wording.NO_BREAK, " ")
    assert f"and {13 * len(passed) - 12} more: a wider bound passes more easily" in head


def test_attacks_stand_beside_no_edit_and_name_a_form_a_form(parsed):
    text = " ".join(parsed.text.replace("\xa0", " ").split())
    assert "No edit" in text and "17 of 100" in text and "Prompts that worked" in text and "2 of 24" in text
    assert "Worst form of wording, picked after looking: “digit for a letter”, 1 of 5" in text
    assert "Worst prompt" not in text


def test_each_probe_beside_its_controls_ends_in_a_word_and_a_reason_alone(parsed):
    text = said(parsed, "Left in it, or learned anew?").replace("\xa0", " ")
    for line in (
        "+50.0 points +33.0 to +63.0 points 55.0 % of what there was (40.0 % to 70.0 %) residue shown "
        "something of it was left in the model",
        "none by this probe this probe finds no more than a model could learn that never knew it",
        "open a judge failed on it",
        "2 comparisons were tested",
    ):
        assert line in text
    assert text.index("p4d 50 targets") < text.index("asked for by name 50 targets")  # what shows most, first
    assert "after the edit," not in text and text.count("+50.0 points") == 1  # no sentence repeats the figures
    assert "A rate alone cannot tell" not in text and "learned nothing draws nothing" not in text


def test_an_open_probe_keeps_the_reason_and_stands_last_and_a_show_of_nothing_learned_is_explained(tmp_path):
    full = sample.full()
    names, p4d, _ = full.controls.probes
    leaks = OnControl(name="random", model="drawn anew", rate=rate(9, 96))
    why = "a model that has learned nothing shows it in 9 of 96, perhaps 16.9%: the probe brings it along by itself"
    inpaint = p4d.model_copy(update={"how": "inpaint", "random": leaks, "verdict": "open", "why": why})
    untried = p4d.model_copy(update={"how": "noise", "random": None, "verdict": "open", "why": "nothing tells: write"})
    controls = full.controls.model_copy(update={"probes": (untried, inpaint, names)})
    text = said(Parsed(page(full.model_copy(update={"controls": controls}), tmp_path)), "Left in it, or learned anew?")
    text = text.replace("\xa0", " ")
    assert "open the probe brings it along by itself" in text and "perhaps 16.9" not in text
    assert "open nothing tells: write" in text  # where a figure is missing nothing of the reason is left out
    assert text.index("asked for by name 50") < min(text.index("inpaint 50 targets"), text.index("noise 50 targets"))
    assert "shows the concept all the same ( inpaint 9 of 96 )" in text.replace("(inpaint", "( inpaint").replace(
        "96)", "96 )"
    )
    assert "something of the concept that shows through" in text


def test_merging_and_room_are_told_in_words(parsed):
    text = said(parsed, "Rounded and merged").replace("\xa0", " ")
    assert "about 41.0 % of every weight comes from the model before the edit" in text
    text = said(parsed, "From the weights")
    assert "Used by what is preserved" in text and "96 by its 140 text states together" in text


def test_without_controls_the_page_says_what_a_rate_cannot_tell(tmp_path):
    assert "A rate alone cannot tell what was left in the model" in page(sample.bare(), tmp_path)


def test_what_was_trained_against_is_named_and_the_strongest_held_out_stands_beside_it(parsed, tmp_path):
    assert "trained against" not in parsed.text
    report = sample.full()
    attacks = tuple(one.model_copy(update={"held_out": one.attack != "p4d"}) for one in report.attacks)
    against = report.model_copy(update={"attacks": attacks, "trained_against": ("p4d",)})
    text = " ".join(Parsed(page(against, tmp_path)).text.replace("\xa0", " ").split())
    assert "The edit was trained against inputs such as p4d looks for." in text
    assert "The strongest, p4d (trained against), brings it back in 31 of 100" in text
    assert "The strongest that was held out, inverse_map, brings it back in 19 of 100" in text
    assert "under attack by p4d (trained against)" in text


def test_the_price_of_most_of_it_stands_beside_that_of_all(parsed):
    text = " ".join(parsed.text.replace("\xa0", " ").split())
    assert re.search(r"50.0 % ?80.0 % ?92.0 %, the most ?0.31 × ?0.52 × ?3.41 ×", text)


def test_every_figure_that_is_read_from_weights_says_what_it_is(folder):
    """Lengths and squares are told apart at each: what can be undone and what cannot add up as squares alone."""
    whole = (folder / "report.html").read_text(encoding="utf-8")
    for section, bare in (
        ("certificate", {"Concept", "Text input", "Who", "Covered", "Not covered", "Matrix", "Reads"}),
        ("changed", {"Rounded to", "Most into"}),
    ):
        text = re.search(rf'<section id="{section}".*?</section>', whole, re.S)[0]
        heads = re.findall(r'<th scope="col">(.*?)</th>|<dt>(.*?)</dt>', text)
        told = [re.fullmatch(r'(.*?)(?:<span class="kind">(.*)</span>)?', column or term) for column, term in heads]
        assert {one[1] for one in told if not one[2]} == bare
        assert {one[2] for one in told if one[2]} <= set(wording.KINDS.values())
        labels = re.findall(r'class="figure" data-label="(.*?)"', text)
        assert labels and all(label.endswith(tuple(f", {kind}" for kind in wording.KINDS.values())) for label in labels)
    (erased,) = (one for one in sample.full().certificate.reaches if one.joint is not None)
    assert erased.joint**2 + erased.undone == pytest.approx(1, abs=1e-3)


def test_what_an_attack_s_prompts_came_to_is_told_of_each(tmp_path):
    def told(**more) -> str:
        one = sample.full().attacks[0].model_copy(update={"examples": ("a", "b", "c"), **more})
        return said(Parsed(page(sample.full().model_copy(update={"attacks": (one,)}), tmp_path)), "Under attack")

    assert "2 prompts that worked, 1 that did not a b c tried without success" in told(prompts=rate(2, 24))
    none = told(prompts=rate(0, 24), adaptive=rate(0, 100))
    assert "None of its prompts worked: 3 prompts that it tried a tried without success b tried" in none
    many = told(prompts=rate(20, 24))
    assert "3 of the 20 prompts that worked a b c" in many and "without success" not in many
    assert "that it found" not in none + many


def test_less_than_ignorance_is_no_mere_open(tmp_path):
    """What it means stands at the verdict and in the row, and not of what may be chance."""
    full = sample.full()
    names, p4d, _ = full.controls.probes
    fewer = Excess(value=-0.5, low=-0.6, high=-0.4, p=1)
    shy = p4d.model_copy(update={"how": "inpaint", "edited": rate(2, 50), "excess": fewer, "verdict": "open"})
    chance = shy.model_copy(update={"how": "noise", "why": "it has no power", "edited": rate(4, 50)})

    def page_of(*probes) -> Parsed:
        controls = full.controls.model_copy(update={"probes": probes})
        return Parsed(page(full.model_copy(update={"controls": controls}), tmp_path))

    parsed = page_of(names, shy.model_copy(update={"why": wording.LESS}), chance)
    text = said(parsed, "Left in it, or learned anew?").replace("\xa0", " ")
    assert f"open: shows less {wording.LESS}" in text and f"open it has no power; {wording.FEWER}" in text
    assert "the edit damages such pictures or refuses them" in text
    whole = " ".join(" ".join(parsed.pieces).split()).replace("\xa0", " ")
    verdict = whole[whole.rindex(" FAIL ") : whole.index("The same prompt and the same random")]
    assert (
        f"open: shows less Asked by some probes, the edited model shows {wording.LESS}. These are cat, inpaint"
        in verdict
    )
    assert "cat, inpaint: 2 of 50 after the edit, 5 from them" in verdict and "noise" not in verdict
    assert "shows less" not in " ".join(page_of(names, chance).pieces).split("“Open: shows less”")[0]


def test_every_table_scrolls_in_a_frame_of_its_own():
    """No table, however wide what is in it, can make the page scroll sideways."""
    package = Path(html.__file__).parent
    template, style = ((package / name).read_text() for name in ("report.html.j2", "report.css"))
    tables = template.count("<table")
    assert tables > 20 and tables == template.count('<div class="frame"><table') == template.count("</table></div>")
    assert ".frame { overflow-x: auto; }" in style and "main { min-width: 0; }" in style


@pytest.mark.parametrize(
    ("metric", "attack", "told"),
    [
        ("residual", None, "Read from the weights: no picture, no seed."),
        ("leak", None, "Read from the weights: no picture, no seed."),
        ("drift", None, "8 trajectories of each concept, no picture; seeds from 0."),
        ("shown", None, "8 pictures of each concept, seeds from 0."),
        ("attack", "p4d", "8 pictures of each concept under the attack, seeds from 0."),
    ],
)
def test_what_a_line_was_measured_on_is_true_of_its_metric(metric, attack, told):
    one = sample.full().outcomes[-1].model_copy(update={"metric": metric, "attack": attack})
    assert wording.basis(one) == told
