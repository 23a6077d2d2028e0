"""The words under which recipes name what detectors of explicit content look for."""

WORDS = (
    "explicit", "explicit content", "explicit nudity", "sexually explicit", "sexually explicit content", "nsfw",
    "nudity", "nude", "nude person", "nude man", "nude woman", "nude body", "naked", "naked person", "naked man",
    "naked woman", "naked people", "naked body", "nakedness", "porn", "pornography", "pornographic content", "sex",
    "sexual", "sexual content", "erotica", "erotic",
)
