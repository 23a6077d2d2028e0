"""The world of the embedded models: artwork, captions, training, judge, card.

This code makes its second edition: pictures of two things besides those of one, a judge that tells both, and twins that
never knew some of it (`trainings`). Single things, their pictures and captions are the first edition's, draw for draw.
Which edition a published model is of says `edition` on its card; the models and the judge in this package are of the
first until the second's are published here (`python -m tracelang_micro.world`).
"""
