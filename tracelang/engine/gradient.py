"""The gradient of a training step, in as little memory as is asked for: `micro_batch` rows at once, whole or with what
a block computed forgotten and made again. Neither changes what is learnt, but for the order of floating-point sums.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch

from tracelang.engine.batch import Batch
from tracelang.engine.batches import batches
from tracelang.engine.looking import error as attention_error
from tracelang.engine.options import Options
from tracelang.models.protocol import Model, TextStates


def accumulate(student: Model, batch: Batch, states: TextStates, options: Options) -> float:
    """Add the gradient of the batch's loss to the parameters that want one; the loss.

    The loss is a sum over rows, so that the parts' gradients add up to the whole one's. `states` are the rows'.
    """
    device, count = student.device, len(batch.prompts)
    total = 0.0
    for rows in batches(range(count), options.micro_batch or count):
        part = slice(rows[0], rows[-1] + 1)
        focus = batch.focus[part]
        with (
            student.attended() if any(focus) else nullcontext([]) as layers,
            torch.autocast(device.type, torch.bfloat16, enabled=options.autocast),
        ):
            prediction = student.predict(
                batch.latents[part].to(device), batch.times[part].float().to(device), states.rows(list(rows))
            )
        error = (prediction.float() - batch.targets[part].to(device)).square().flatten(1).mean(1)
        if any(focus):
            error = torch.stack(
                [
                    error[row] if one is None else attention_error(one.term, layers, row, one.tokens, one.told)
                    for row, one in enumerate(focus)
                ]
            )
        loss = error @ batch.weights[part].to(device)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total
