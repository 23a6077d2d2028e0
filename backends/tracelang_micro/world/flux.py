"""`micro-flux` untrained: the parts of a `FluxPipeline` in FLUX.1-dev's layout, and how it is published and drawn.

The autoencoder and the CLIP text encoder are `micro-sd`'s, frozen, as FLUX.1 takes over a finished CLIP; T5 and the
transformer are trained together (`flow`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tracelang_flux.attention import PlainAttention
from tracelang_flux.model import places

from . import card, pieces, unigram
from .captions import TOKENS
from .pictures import PIXELS
from .trainings import offset

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

WIDTH, HEADS, DOUBLE, SINGLE = 160, 5, 2, 5
STATES = 128  # width of T5's states
GUIDANCE, SAMPLER_STEPS = 3.5, 20  # FluxPipeline's own default guidance
SIDE = 8  # packed latents: 64 px / 4 (autoencoder) / 2 (packing)


@dataclass(frozen=True)
class Frozen:
    """What is not trained: taken from a published `micro-sd`, with T5's tokenizer."""

    autoencoder: AutoencoderKL
    clip: CLIPTextModel
    clip_tokenizer: CLIPTokenizer
    t5_tokenizer: T5TokenizerFast


def load_frozen(micro_sd: Path, work: Path) -> Frozen:
    """The parts from the folder of `micro-sd`; T5's tokenizer, learned once, is kept in `work`."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextModel, CLIPTokenizer

    autoencoder = AutoencoderKL.from_pretrained(micro_sd, subfolder="vae", torch_dtype=torch.float32)
    autoencoder.register_to_config(shift_factor=0.0)  # FluxPipeline adds it to every latent, and None cannot be added
    clip = CLIPTextModel.from_pretrained(micro_sd / "text_encoder", dtype=torch.float32)
    for part in (autoencoder, clip):
        part.eval().requires_grad_(False)
    tokenizer = unigram.load_or_train(work / "t5-tokenizer")
    return Frozen(autoencoder, clip, CLIPTokenizer.from_pretrained(micro_sd / "tokenizer"), tokenizer)


def make_transformer(seed: int = 1) -> FluxTransformer2DModel:
    """The untrained transformer (4.0 M parameters); every block begins as the identity, as DiT's (2212.09748)."""
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(7 + offset(seed))
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=DOUBLE,
        num_single_layers=SINGLE,
        num_attention_heads=HEADS,
        attention_head_dim=WIDTH // HEADS,
        axes_dims_rope=(8, 12, 12),
        joint_attention_dim=STATES,
        pooled_projection_dim=128,
        guidance_embeds=True,
    )
    for name, module in transformer.named_modules():
        if isinstance(module, torch.nn.Linear):
            silent = name == "proj_out" or (name.endswith(".linear") and "norm" in name)
            (torch.nn.init.zeros_ if silent else torch.nn.init.xavier_uniform_)(module.weight)
            torch.nn.init.zeros_(module.bias)
    transformer.set_attn_processor(PlainAttention())
    return transformer


def exact(transformer: FluxTransformer2DModel) -> FluxTransformer2DModel:
    """Under autocast keep times, residual stream and answer in float32.

    The transformer casts σ to the type of its first layer's output, and bfloat16 tells 1000 apart from 1004 only.
    """
    for layer in (transformer.x_embedder, transformer.proj_out):
        layer.register_forward_hook(lambda module, taken, given: given.float())
    return transformer


def make_t5(vocabulary: int, seed: int = 1) -> T5EncoderModel:
    """The untrained T5 encoder (0.4 M parameters)."""
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(8 + offset(seed))
    return T5EncoderModel(
        T5Config(
            vocab_size=vocabulary,
            d_model=STATES,
            d_kv=32,
            num_heads=4,
            d_ff=256,
            num_layers=2,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            relative_attention_max_distance=TOKENS,
            is_encoder_decoder=False,
            use_cache=False,
            pad_token_id=0,
            eos_token_id=1,
        )
    )


def make_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """FLUX.1-dev's schedule: σ shifted by the number of image tokens."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1000,
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )


def positions() -> tuple[Tensor, Tensor]:
    """`img_ids` `[64, 3]` (0, row, column) and `txt_ids` `[TOKENS, 3]` (zeros), as FluxPipeline makes them."""
    return places(SIDE), torch.zeros(TOKENS, 3)


def publish(folder: Path, transformer: FluxTransformer2DModel, t5: T5EncoderModel, frozen: Frozen) -> None:
    """Write a pipeline folder in fp16 safetensors; the modules stay what they are."""
    from diffusers import FluxPipeline

    transformer, t5, clip, autoencoder = (
        copy.deepcopy(part).cpu().half() for part in (transformer, t5, frozen.clip, frozen.autoencoder)
    )
    FluxPipeline(
        scheduler=make_scheduler(),
        vae=autoencoder,
        text_encoder=clip,
        tokenizer=frozen.clip_tokenizer,
        text_encoder_2=t5,
        tokenizer_2=frozen.t5_tokenizer,
        transformer=transformer,
    ).save_pretrained(folder, safe_serialization=True)
    pieces.settle(folder, {"guidance": GUIDANCE, "steps": SAMPLER_STEPS})


def load(folder: Path, device: str = "cpu") -> FluxPipeline:
    """The published folder as any user loads it, in float32."""
    from diffusers import FluxPipeline

    pipe = FluxPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def drawer(
    folder: Path, distilled: bool = True, steps: int = SAMPLER_STEPS, batch: int = 100, device: str = "cpu"
) -> card.Draw:
    """Samples of a published folder through plain FluxPipeline.

    As users run it, guidance is the embedded number and each step costs one forward; before the guidance is
    distilled (`distilled` False) true classifier-free guidance stands in, with two.
    """
    pipe = load(folder, device)
    exact(pipe.transformer)

    def draw(prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        made = []
        for begin in range(0, len(prompts), batch):
            told = list(prompts[begin : begin + batch])
            guided = (
                {"guidance_scale": GUIDANCE}
                if distilled
                else {"guidance_scale": 1.0, "true_cfg_scale": GUIDANCE, "negative_prompt": [""] * len(told)}
            )
            noise = [torch.Generator().manual_seed(seed) for seed in seeds[begin : begin + batch]]
            with pieces.autocast(device):
                made.append(
                    pipe(
                        told,
                        height=PIXELS,
                        width=PIXELS,
                        num_inference_steps=steps,
                        generator=noise,
                        max_sequence_length=TOKENS,
                        output_type="pt",
                        **guided,
                    )
                    .images.float()
                    .cpu()
                )
        return torch.cat(made)

    return draw
