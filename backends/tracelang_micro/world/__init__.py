"""The world of the embedded models: artwork, captions, training, judge, card.

This code makes its second edition: pictures of two things besides those of one, a judge that tells both, and twins that
never knew some of it (`trainings`). Single things, their pictures and captions are the first edition's, draw for draw.
Which edition a published model is of says `edition` on its card: `micro-flux` is still of the first.
"""
