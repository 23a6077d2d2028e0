"""A judge for models of random weights, whose pictures show nothing."""

from tracelang.evidence.judges import Answer, Class
from tracelang.evidence.schema import JudgeCard


class Bright:
    """A judge that sees whatever it is asked for in bright pictures."""

    card = JudgeCard(name="bright", digest="0", classes=("bright", "dark"))

    def find(self, words, kind):
        return Class("light", "bright")

    def subject(self, seen):
        return True

    def look(self, images):
        return [Answer({"light": "bright" if image.mean() > 0.5 else "dark"}) for image in images]
