"""English forms that no rule of `morphology` gives: foreign plurals and strong verbs of what pictures show.

The facts are those of R. Quirk, S. Greenbaum, G. Leech and J. Svartvik, A Comprehensive Grammar of the English Language
(1985), §3.11–3.20 (irregular verbs) and §5.82–5.101 (irregular plurals); the selection and the table are this project's
own, under its licence. Left out: forms that are another word too, which would make a finding of every `rose`, `saw`,
`wound`, `bit`, `axes` of a diagram or `media`; verbs that show nothing; words that are like their plural; and
derivations (killer, violent), which no table of inflection supports.

This file is imported where `morphology.likely` says that a text may hold such a form, and nowhere else.
"""

from __future__ import annotations

from functools import lru_cache

from tracelang.semantics.morphology import bare, lemma, spelled

PLURALS = """
alumnus alumni | bacillus bacilli | colossus colossi | fetus feti | foetus foeti | focus foci
hippopotamus hippopotami | locus loci | nucleus nuclei | octopus octopi octopodes | platypus platypi
radius radii | stimulus stimuli | succubus succubi | incubus incubi | syllabus syllabi | terminus termini
thesaurus thesauri | uterus uteri | papyrus papyri | crocus croci | narcissus narcissi | hibiscus hibisci
genius genii | phallus phalli | anus ani | homunculus homunculi | denarius denarii
corpus corpora | genus genera | opus opera | viscus viscera | penis penes
alga algae | antenna antennae | larva larvae | nebula nebulae | vertebra vertebrae | formula formulae | pupa pupae
amoeba amoebae | vagina vaginae | vulva vulvae | areola areolae | labium labia | fibula fibulae | supernova supernovae
aquarium aquaria | bacterium bacteria | cranium crania | gymnasium gymnasia | memorandum memoranda | ovum ova
millennium millennia | moratorium moratoria | podium podia | sanatorium sanatoria | stadium stadia
symposium symposia | terrarium terraria | solarium solaria | planetarium planetaria | spectrum spectra | scrotum scrota
automaton automata | criterion criteria | ganglion ganglia | phenomenon phenomena | polyhedron polyhedra
analysis analyses | crisis crises | diagnosis diagnoses | hypothesis hypotheses | metamorphosis metamorphoses
neurosis neuroses | oasis oases | parenthesis parentheses | synopsis synopses | thesis theses | testis testes
clitoris clitorides | metropolis metropoles
apex apices | appendix appendices | cervix cervices | codex codices | cortex cortices | helix helices | index indices
matrix matrices | vertex vertices | vortex vortices | dominatrix dominatrices
bureau bureaux | chateau chateaux | gateau gateaux | plateau plateaux | tableau tableaux
trousseau trousseaux | milieu milieux
graffito graffiti | libretto libretti | paparazzo paparazzi | virtuoso virtuosi | concerto concerti | maestro maestri
mafioso mafiosi | putto putti | castrato castrati | cherub cherubim | seraph seraphim | kibbutz kibbutzim
schema schemata | stigma stigmata | stoma stomata
brother brethren | dormouse dormice | forefoot forefeet | clubfoot clubfeet | eyetooth eyeteeth | quiz quizzes
beef beeves | kerchief kerchieves | sheaf sheaves | turf turves | wharf wharves | werewolf werewolves
penknife penknives | jackknife jackknives | midwife midwives | housewife housewives | handkerchief handkerchieves
grandchild grandchildren | schoolchild schoolchildren | stepchild stepchildren | godchild godchildren
"""
VERBS = """
bend bent | bite bitten | bleed bled | blow blew blown | break broke broken | bring brought | build built | burn burnt
choose chose chosen | cling clung | creep crept | dig dug | draw drew drawn
drive drove driven | fall fell fallen | feed fed | fling flung | fly flew flown | freeze froze frozen | give gave given
grow grew grown | hang hung | hide hid hidden | kneel knelt | lean leant | leap leapt
shake shook shaken | shine shone | show shown | shrink shrank shrunk | sing sang sung | sink sank sunk | sleep slept
slay slew slain | slide slid | speak spoken | spin spun | spit spat | spring sprang sprung | steal stolen
stick stuck | sting stung | strike struck stricken | string strung | sweep swept | swing swung | take took taken
tear tore torn | throw threw thrown | tread trod trodden | wake woke woken | weave wove woven | weep wept
write wrote written
"""

TABLE = {
    form: word
    for line in (PLURALS + VERBS).splitlines()
    for row in filter(None, line.split(" | "))
    for word, *forms in [row.split()]
    for form in forms
}
"""Each form with its word."""


@lru_cache(1 << 16)
def stem(word: str) -> str:
    """A word without its inflection, in American spelling."""
    return lemma(spelled(TABLE.get(word, word)))


def stems(text: str) -> tuple[str, ...]:
    """`morphology.lemmas`, with the table's forms."""
    return tuple([stem(word) for word in bare(text)])
