"""The world the embedded models were trained on: artwork, captions, training, judge, card."""
