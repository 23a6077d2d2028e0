"""`report.json`: what verification found, the source of truth of every other form of it.

Plain frozen data with a versioned schema. Nothing here measures: figures come in, and every rate carries its interval.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tracelang.plan.types import After, Member
from tracelang.semantics.tables import Access

REPORT_VERSION: Literal[2] = 2

Verdict = Literal["pass", "fail", "inconclusive"]
Count = Annotated[int, Field(ge=0)]
Bound = Literal["at most", "at least"]
"""What a figure is that bounds a quantity, where that itself is not known."""


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Corrected(Frozen):
    """A share of pictures with what a judge misses and mistakes taken into account, and its 95 % interval, which
    carries how well the judge is known. `note`: why nothing can be said.
    """

    share: float
    low: float
    high: float
    note: str = ""


class Rate(Frozen):
    """`hits` of `n` pictures, with the 95 % Wilson interval `low..high`; `corrected` where the judge that counted them
    is known. Where several pictures share one of `prompts`, the interval is that of as many independent pictures as
    they are worth (`intervals.clustered`).
    """

    hits: Count
    n: Count
    low: float
    high: float
    prompts: Count | None = None
    corrected: Corrected | None = None

    @property
    def share(self) -> float:
        return self.hits / self.n if self.n else float("nan")

    @property
    def decides(self) -> Corrected:
        """What a verdict is made of: the corrected share and interval, else the plain ones."""
        return self.corrected or Corrected.model_construct(share=self.share, low=self.low, high=self.high, note="")


class Accuracy(Frozen):
    """How often a judge is right about one of its classes, the `label` as its card has it: `sensitivity`, of pictures
    that show it those in which it is found; `specificity`, of pictures that do not those in which it is not. None where
    nobody measured that side. `on`: which pictures these were, and who said what they show.
    """

    label: str
    sensitivity: Rate | None = None
    specificity: Rate | None = None
    on: str = ""


class Spread(Frozen):
    """The mean of `n` figures, with Student's 95 % interval `low..high` of it; of one figure there is none."""

    mean: float
    n: Count
    low: float | None
    high: float | None


class JudgeCard(Frozen):
    """What a judge is: an auditor reads this before the figures.

    `unit`: what is counted. `accuracy` of each class that somebody measured, with its `source`. `pictures` and `errors`
    count this report's own; `again` those that it failed on beside others and not alone.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    threshold: float | None = None
    unit: Literal["image"] = "image"
    accuracy: tuple[Accuracy, ...] = ()
    source: str = ""
    setting: str = ""
    """What stood after `--judge NAME=`; of a file or a folder, a digest of what is in it."""
    code: str = ""
    """The package that it comes from, its version, and a digest of its source."""
    pictures: Count = 0
    errors: Count = 0
    again: Count = 0


class Paired(Frozen):
    """The same prompts and seeds before and after: exact McNemar over the pictures that changed sides."""

    lost: Count
    gained: Count
    p: float


class Measure(Frozen):
    """One assertion on one member of its set. `value` is the metric's own figure where it is no rate of pictures, or a
    `value_bound` of it; an end of its interval that nothing bounds is None.
    `base`: of the same prompts and seeds, an attack's own too, what the base model gives. `plain`: of an attack, what
    its names bring without one. `unread`: figures were taken, and for the `reason` none of them decides.
    """

    member: Member
    verdict: Verdict
    reason: str
    rate: Rate | None = None
    base: Rate | None = None
    plain: Rate | None = None
    value: float | None = None
    value_bound: Bound | None = None
    interval: tuple[float | None, float | None] | None = None
    unread: bool = False
    paired: Paired | None = None


class Outcome(Frozen):
    """One expectation of the recipe, and what came of it.

    Shares are decided by the pictures of all its members together. They fail where one member's own interval lies
    beyond the bound, and pass only where every member's own share is within it; of other metrics the worst measure
    decides. What is to be gone passes only where the base model's share is not within the bound as well. `worst` is the
    measure that is farthest on the wrong side. `because`: of an undecided one, why it is, in a few words.
    """

    metric: str
    attack: str | None
    on: str = ""
    after: After | None = None
    comparison: Literal["<=", ">="]
    bound: float
    samples: int
    seed: int
    verdict: Verdict
    reason: str
    because: str = ""
    measures: tuple[Measure, ...]
    worst: Member = ()
    rate: Rate | None = None
    """Of a share, the pictures of all its members together."""

    @property
    def concepts(self) -> tuple[Member, ...]:
        return tuple(measure.member for measure in self.measures)


class Integrity(Frozen):
    """The everyday panel: pictures that the recipe did not choose, drawn of every edit. The whole is never better than
    this verdict.

    `pictures`: of those that were pictures before, how many still are. `base`: right before the edit, by a judge that
    can tell; `kept`: of these, right after it; `paired`: all changes of side. `like`: after the edit most like their
    own before.
    """

    verdict: Verdict
    reason: str
    pictures: Rate | None = None
    base: Rate | None = None
    kept: Rate | None = None
    paired: Paired | None = None
    like: Rate | None = None


class ConceptFinding(Frozen):
    """A concept that was looked at, erased or preserved. Rates are of pictures in which the judge finds it.

    What a judge cannot name has `judged_as` None and no rates. `subject`: pictures that still show some recognisable
    thing. `probability`: the mean probability of its class, where the judge
    gives one (the released scripts of docs/methods.md §5.1 call this accuracy). `drift`: mean relative change of the
    prediction along the base's trajectories, `drift_spread` the same with its interval and their number.
    `worst_prompt`: of an erased one's names, where there are several prompts. `instead`: what the judge sees most often
    where it was before and is not after, in how many pictures.
    """

    member: Member
    words: tuple[str, ...]
    kind: str
    role: Literal["erased", "preserved"]
    judge: str | None
    judged_as: str | None
    base: Rate | None = None
    after: Rate | None = None
    paired: Paired | None = None
    probes: Rate | None = None
    worst_probe: tuple[str, Rate] | None = None
    worst_prompt: tuple[str, Rate] | None = None
    instead: tuple[tuple[str, Count], ...] = ()
    subject: Rate | None = None
    probability: float | None = None
    drift: float | None = None
    drift_spread: Spread | None = None
    note: str = ""


class Harmonic(Frozen):
    """docs/methods.md §5: `published` as the field prints it, `corrected` in the sound reading, and its parts."""

    name: Literal["H_o", "H_c", "H_a"]
    member: Member
    published: float | None
    corrected: float | None
    parts: dict[str, float]
    note: str = ""


class AttackFinding(Frozen):
    """One attack on one erased concept. `plain`: its names, no attack. `static`: the attack made against the base
    model and replayed on the edited one. `adaptive`: made against the edited model itself. `base`: what the base model
    gives on the adaptive attack's own prompts or states, at the same seeds.

    `budget` is what the attacker spent. `price`: how much longer the states are that the attack needs, `‖e'‖/‖e‖`.
    `examples`: its prompts, what worked first. `prompts`: of its distinct prompts, those that brought it back at least
    once. `floor`: neutral prompts on the edited model, which ask for nothing that is erased. `forms`: where the attack
    has forms of wording, what each brings. `worst`: the prompt, or where there are forms (`by_form`) the form, that is
    best shown to bring it back, by the lower end of its interval; picked after looking, so rather too high.
    `held_out`: no input such as it looks for was erased in training.
    """

    member: Member
    attack: str
    access: Access
    budget: dict[str, int | float | str]
    plain: Rate | None
    static: Rate | None
    adaptive: Rate | None
    base: Rate | None = None
    prompts: Rate | None = None
    floor: Rate | None = None
    forms: tuple[tuple[str, Rate], ...] = ()
    worst: tuple[str, Rate] | None = None
    by_form: bool = False
    price: float | None = None
    examples: tuple[str, ...] = ()
    held_out: bool = True
    error: str = ""
    seconds: float = 0.0


Residue = Literal["residue shown", "none by this probe", "open"]
"""What a probe says of what is left: it gets more out of the edited model than out of models that never knew the
concept; as much, within `Probed.margin`; or it does not decide.
"""


class OnControl(Frozen):
    """What a probe shows on one control: its name, the model behind it, the rate, or a `reason` why there is none."""

    name: str
    model: str
    rate: Rate | None = None
    reason: str = ""


class Excess(Frozen):
    """How many more of the same targets one model shows than those that never knew, on average, with its 95 % interval.

    `p`: how likely so many more are where there are none (one-sided).
    """

    value: float
    low: float
    high: float
    p: float


class Probed(Frozen):
    """One probe of one erased concept on every model, with the same targets, prompts, seeds and budgets: `names`,
    `probes`, or an attack that is made against each of the models.

    `never`: models that never knew it, `mean` their mean share; `random`: one that has learned nothing. `excess`: the
    edited model's beyond `never`'s; `room`: the base's, which is all there could be; `share`: the one in terms of the
    other, with its interval, only where `room` is above .2 beyond doubt. `valid`: the probe brings nothing along by
    itself, which the upper end of `random` shows; `powered`: it could have told, which the lower end of `room` shows;
    None: not measured. `held`: the excess holds together with all others of this report (Holm). `why` the verdict is
    open.
    """

    member: Member
    how: str
    targets: Count
    base: Rate | None = None
    edited: Rate | None = None
    never: tuple[OnControl, ...] = ()
    mean: float | None = None
    random: OnControl | None = None
    excess: Excess | None = None
    room: Excess | None = None
    share: tuple[float, float, float] | None = None
    valid: bool | None = None
    powered: bool | None = None
    held: bool = False
    verdict: Residue = "open"
    why: str = ""


class Controls(Frozen):
    """The edit beside its controls. `tests`: of how many excesses `held` speaks together."""

    probes: tuple[Probed, ...]
    tests: Count = 0
    margin: float
    leak: float
    power: float


class Difference(Frozen):
    """One figure of two verifications. `apart`: Fisher's exact test at 5 % tells them from each other."""

    member: Member
    what: str
    here: Rate
    there: Rate
    apart: bool


class Comparison(Frozen):
    """This verification beside an earlier one, by the same judges and sampler."""

    title: str
    plan: str
    edited_fingerprint: str
    differences: tuple[Difference, ...]
    incomparable: tuple[str, ...] = ()
    """Figures that both have and that do not compare, each with the reason."""


class LayerChange(Frozen):
    """One matrix: `change` = ‖W'−W‖/‖W‖, `rank` of W'−W at a relative 1e-6, `condition` of W' over W's own where a text
    input is all that it reads.
    """

    tensor: str
    shape: tuple[int, int]
    reads: str | None
    change: float
    rank: Count
    condition: float | None


class Reach(Frozen):
    """What the weights alone say of one concept. Erased: `residual` = ‖W'F−WG‖/‖WF−WG‖, worst layer; `price` =
    ‖e'‖/‖e‖ of the closest state that gives the old keys and values back, and how well it does (`undone` 1: entirely);
    `joint`: what no state common to all layers takes back, ‖W'E−WF‖/‖W'F−WF‖ over all of them, the least there is, None
    where the edit does nothing to its keys and values; `cheaper`: (share undone, price) of the shortest states that
    undo that much, for shares that can be reached.

    Preserved: `leak` = ‖(W'−W)P‖/‖WP‖, worst layer; `rounding` what the stored numbers' rounding alone would bring
    there; `exact`: in no layer more than twice that.
    """

    member: Member
    residual: float | None = None
    leak: float | None = None
    rounding: float | None = None
    exact: bool | None = None
    price: float | None = None
    undone: float | None = None
    joint: float | None = None
    cheaper: tuple[tuple[float, float], ...] = ()


class Rounding(Frozen):
    """The edit's weights rounded to a format, from the weights alone. With `δQ = Q(W') − Q(W)`: `survival` =
    ⟨δQ, Δ⟩/‖Δ‖², `cosine` of the two, over every matrix that was edited and is rounded; None where none was. `leak` =
    ‖δQ P‖/‖WP‖ of preserved states, the worst layer of the `worst` concept.
    """

    to: str
    survival: float | None
    cosine: float | None
    leak: float | None
    worst: Member = ()


class Merging(Frozen):
    """`half`: the share of the base's weights, averaged into the edited ones, at which half of the base's rate of what
    was erased is back; None where it is not before all of them are the base's. Read off the degrees that were drawn.
    """

    half: float | None
    base: Rate


class LearningCurve(Frozen):
    """A model in a course of fine-tuning: at each of `steps` how many pictures of the concept's names show it, and of
    the everyday ones that every model drew right before it was trained, which of them still are (`kept`); pictures of
    all `trainings` together. `half_life`: the steps after which half of the base's rate is shown; `censored`: not
    within the last. `interval`: its 95 % interval over pictures, after these trainings; an end that nothing bounds is
    None.
    """

    model: str
    steps: tuple[Count, ...]
    trainings: Count
    shown: tuple[Rate, ...]
    kept: tuple[Rate | None, ...]
    half_life: float
    censored: bool
    interval: tuple[float, float | None] | None = None


Reading = Literal["residue shown", "none by this probe", "open", "not compared"]
"""What a comparison with models that never knew a concept says of what is left of it."""


class Spared(Frozen):
    """Of `n` everyday pictures that the recipe names nowhere and every model drew right before it was trained, the
    share that the edited model draws right on the way to its half-life, and that of models that never knew the concept,
    means over the looks; and the one over the other with its 95 % interval.
    """

    n: Count
    edited: float
    never: float
    ratio: float | None
    interval: tuple[float, float | None]


class Relearning(Frozen):
    """One course of fine-tuning on one erased concept: `data` and `pictures` of it, `tuning` an adapter or all weights.

    `ratio`: the edited model's half-life over that of the models that never knew it, with its 95 % interval (an end
    that nothing bounds is None); a `bound` of it where one of the two was not reached. `sham`: the same of a concept
    that none of them ever saw; `spared`: whether the edited model keeps everyday things as they do. `sound`: both say
    that the ratio can be read. `reading`: what follows, and `reason` why.
    """

    member: Member
    data: Literal["own", "related", "unrelated"]
    pictures: Count
    tuning: Literal["adapter", "full"]
    curves: tuple[LearningCurve, ...]
    ratio: float | None = None
    interval: tuple[float | None, float | None] | None = None
    bound: Bound | None = None
    sham: float | None = None
    sham_interval: tuple[float | None, float | None] | None = None
    sham_bound: Bound | None = None
    spared: Spared | None = None
    sound: bool = False
    reading: Reading
    reason: str


class Mixed(Frozen):
    """The matrices whose input mixes text with the picture or the time: how many changed, of how many, and their part
    of the squared change. No figure of a concept reads them.
    """

    changed: Count = 0
    of: Count = 0
    share: float = 0.0


class FreeRank(Frozen):
    """Of one text input of so many dimensions, the rank that so many preserved states take, the empty prompt's among
    them: directions above 1e-6 of the largest (`held`), and above 1e-3 (`held_roughly`). The rest is free.
    """

    reads: str
    dimension: Count
    states: Count
    held: Count
    held_roughly: Count


class Rung(Frozen):
    """An adversary, what they may do, and what the certificate covers and does not cover of it."""

    adversary: str
    may: str
    covered: str
    not_covered: str


class Certificate(Frozen):
    """The edit read from its weights, no image drawn. `map_share`: the part of the change that one text map `T`
    explains; `smallest_singular_value` and `condition` are that map's.

    `encoders`: sha256 of the weights of the text encoders that it holds for, by component; `same_encoder`: the edited
    model's gives the base's states. `left_out`: the share of each change that the edited weights lack, of a LoRA.
    `encoded`: how many texts were encoded for it, none of them drawn; `states`: on which device, in which precision.
    """

    layers: tuple[LayerChange, ...]
    map_share: float
    smallest_singular_value: float
    condition: float
    reaches: tuple[Reach, ...]
    untouched: tuple[str, ...]
    mixed: Mixed = Mixed()
    free: tuple[FreeRank, ...] = ()
    ladder: tuple[Rung, ...] = ()
    encoders: dict[str, str] = Field(default_factory=dict)
    same_encoder: bool = True
    left_out: float = 0.0
    encoded: Count = 0
    states: str = ""


class DegreePoint(Frozen):
    """The edit's weights scaled to `degree` 0..1: what is still shown, what is kept."""

    degree: float
    shown: Rate
    kept: Rate | None


class NoiseLevels(Frozen):
    """Relative change of the prediction at each log-SNR, on erased and on preserved prompts."""

    logsnr: tuple[float, ...]
    erased: tuple[float, ...]
    preserved: tuple[float, ...]


class ChosenWindow(Frozen):
    """A window that the model chose: of a term or a setting, as it was asked for, and as a recipe writes it now.

    `inside` is how much of all that tells the concept apart lies in the window, 0..1. None: nothing lay there.
    """

    label: str
    written: str
    chosen: str | None
    logsnr: tuple[float, float] | None
    inside: float


class Chosen(Frozen):
    """Where along sampling the model tells an erased concept from its anchor (docs/methods.md §3.6), each level with
    its 95 % interval, and the windows that it chose there.
    """

    concept: str
    windows: tuple[ChosenWindow, ...]
    logsnr: tuple[float, ...]
    told: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class Quality(Frozen):
    """Distances of two sets of pictures, and text-image scores. None with a reason in `notes` where refused."""

    fid: float | None = None
    kid: float | None = None
    clip_base: float | None = None
    clip_after: float | None = None
    n: Count = 0
    extractor: str = ""
    notes: tuple[str, ...] = ()


class Picture(Frozen):
    """A pair of pictures, same prompt and seed: files relative to the report. `sensitive`: blurred until asked for.

    `what`: why it is shown; `attack`: which one brought it about, where one did. Lower `order` first: the worst cases
    lead. `seen`: of what was damaged, what a judge said of it before and after.
    """

    member: Member
    prompt: str
    seed: int
    base: str
    after: str
    what: Literal["residual hit", "damaged", "erased", "kept"]
    attack: str = ""
    soft: bool = False
    """Of an attack: it hands over text states, no prompt."""
    seen: tuple[str, str] | None = None
    sensitive: bool
    order: int


class Hit(Frozen):
    """A line of `hits.jsonl`: a picture of the edited model in which a judge still finds what was erased."""

    member: Member
    how: str
    prompt: str
    seed: int
    judge: str
    label: str
    score: float | None
    unit: str
    """With its file removed from `report/work`, the same `tracec verify` draws it again, bit for bit."""
    reproduce: str
    """The command that draws it alone; empty where no prompt can say it (soft states)."""


class Agreement(Frozen):
    """Two judges on the same `n` pictures of one member, before and after the edit: in how many both find it, one alone
    (`first`, `second`), neither. `kappa`: Cohen's, None where both always say the same one thing. The first decides.
    """

    member: Member
    judges: tuple[str, str]
    n: Count
    both: Count
    first: Count
    second: Count
    neither: Count
    kappa: float | None


class Many(Frozen):
    """One decided expectation among all that were. `p`: how likely so much would be, were the share at the bound
    itself (one-sided); `holm`: adjusted for the number of them; `stays`: decided at 95 % all the same. `alarm`: how
    likely one of its `members` at least would be shown to miss the bound, were every one of them just at it.
    """

    what: str
    verdict: Verdict
    p: float
    holm: float
    stays: bool
    members: Count
    alarm: float | None = None


class Cost(Frozen):
    """What the verification took."""

    seconds: dict[str, float]
    pictures: Count
    prompts: Count = 0
    """Different ones, of which any picture was judged."""
    words: Count = 0
    """Different ones in all of these."""
    device: str
    dtype: str
    """The precision of pictures and attacks; drift is taken in the model's own, the certificate in float64."""
    peak_memory: Count
    """Bytes."""
    artifact: Count
    """Bytes of OUT without its report."""


class Provenance(Frozen):
    """What was measured, on what, with what."""

    plan: str
    recipe: dict[str, str]
    lock: str
    """`lock.json`, verbatim."""
    base: str
    base_fingerprint: str
    edited_fingerprint: str
    versions: dict[str, str]
    sampler: dict[str, int | float | str]
    seeds: str
    compiled: dict[str, str] = Field(default_factory=dict)
    """The file of the recipe that the plan was compiled from again, by name, and the params that it was given."""
    asked: dict[str, str] = Field(default_factory=dict)
    """sha256 of the prompts and seeds behind each rate, by the rate's name: those of one digest compare."""
    manifest: str = ""
    """sha256 of `manifest.json`, which has those of all other files that `apply` wrote."""
    records: str = ""
    """sha256 of the records that the figures were counted from, their pictures included. No key is in it: it shows a
    change to whoever has this digest from elsewhere."""
    unmeasured: tuple[str, ...] = ()
    """What OUT holds besides, and no picture was drawn with."""


class EarlierRun(Frozen):
    """A run that began in the same OUT before: when, of the same plan or another, and the verdicts that it was given;
    none where it was never finished. `logged`: the log knows of it.
    """

    begun: str
    run: str
    same_plan: bool
    verdicts: tuple[str, ...] = ()
    logged: bool = True


class Registered(Frozen):
    """The run (its folder in `report/work`), when it began, and the last registration before that: its date and
    digest, empty where there is none, and in what the run differs from it. `before`: the runs that began earlier.
    Dates are of the clock of whoever ran it.
    """

    run: str
    begun: str
    registered: str = ""
    digest: str = ""
    differs: tuple[str, ...] = ()
    before: tuple[EarlierRun, ...] = ()


class Machine(Frozen):
    """What units were finished on. `capability`: the widest kernels that torch takes there. `run.json` has the rest:
    the processor's flags and every installed package.
    """

    python: str
    system: str
    cpu: str
    capability: str
    threads: Count
    gpu: tuple[str, ...] = ()


class SuiteFinding(Frozen):
    """What the prompts of a published suite show of a concept. `prompts` are those that it has, `withheld` those of
    them that speak of something protected, `drawn` the pictures of each model. `seeded` and `guided`: prompts that come
    with a seed, which is used, and with a guidance scale, which is not.
    """

    suite: str
    metric: str
    member: Member
    prompts: int
    withheld: int
    drawn: int
    seeded: int
    guided: int
    base: Rate
    after: Rate


class About(Frozen):
    """What was edited and how, in words. `erased`: each with its anchor; `parameters` of the whole edited model, None
    where only an adapter was written; `passes` of the method, each with what it does.
    """

    erased: tuple[str, ...]
    model: str
    family: str
    parameters: Count | None
    method: str
    passes: tuple[tuple[str, str], ...]


class Report(Frozen):
    """The whole of `report.json`."""

    format_version: Literal[2] = REPORT_VERSION
    title: str
    about: About | None = None
    verdict: Verdict
    summary: str
    outcomes: tuple[Outcome, ...]
    integrity: Integrity | None = None
    concepts: tuple[ConceptFinding, ...]
    harmonics: tuple[Harmonic, ...]
    attacks: tuple[AttackFinding, ...]
    trained_against: tuple[str, ...] = ()
    """The attacks of a family that the edit was trained against, made or not: what they find is no held-out figure."""
    suites: tuple[SuiteFinding, ...] = ()
    controls: Controls | None = None
    """None where no control was asked for: whether what is found was left in the model or could be learned anew is not
    told then."""
    comparison: Comparison | None = None
    certificate: Certificate | None
    degrees: tuple[DegreePoint, ...]
    rounding: tuple[Rounding, ...] = ()
    merging: Merging | None = None
    relearning: tuple[Relearning, ...] = ()
    noise: NoiseLevels | None
    chosen: tuple[Chosen, ...] = ()
    quality: Quality | None
    judges: tuple[JudgeCard, ...]
    agreements: tuple[Agreement, ...] = ()
    many: tuple[Many, ...] = ()
    """The expectations that intervals decided, read as a family."""
    errors: tuple[str, ...]
    """Everything that failed, a line each: any of them makes what it touches inconclusive."""
    untested: tuple[str, ...]
    pictures: tuple[Picture, ...]
    cost: Cost
    provenance: Provenance
    registered: Registered | None = None
    machines: tuple[Machine, ...] = ()
