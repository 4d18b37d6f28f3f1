"""L1 alone, and PatchGAN discriminators of several sizes beside it, from the record of `pix2pix patches`."""

import matplotlib.pyplot as plt

from benchmarks.record import markdown_table

RECORD = ("pix2pix_patches",)
CAPTION = "Sharpness of filled quadrants, share of recognised digits, and seconds of training, over the size of patches"
NAMES = {"l1": "L1 alone", **{f"patch_{side}": f"L1 and {side} x {side}" for side in (1, 16, 34, 70)}}
# By the paper's words, after the record was made: one pixel gives no sharpness, larger patches do; 70 is the best.
GATES = {
    "pixel_minus_l1_energy": (">=", -0.02, "<=", 0.02), "least_patch_minus_l1_energy": (">=", 0.05),
    "patch_70_minus_16_energy": (">=", 0.0), "patch_70_minus_16_recognised": (">=", 0.0),
}  # fmt: skip


def compare(records):
    results = records["pix2pix_patches"]["results"]
    energy = {name: results[f"{name}_energy"] for name in NAMES}
    return {
        **results, "pixel_minus_l1_energy": energy["patch_1"] - energy["l1"],
        "least_patch_minus_l1_energy": min(energy[f"patch_{side}"] for side in (16, 34, 70)) - energy["l1"],
        "patch_70_minus_16_energy": energy["patch_70"] - energy["patch_16"],
        "patch_70_minus_16_recognised": results["patch_70_recognised"] - results["patch_16_recognised"],
    }  # fmt: skip


def draw(found, args):
    titles = {"energy": "gradient energy, over real", "recognised": "recognised", "train_seconds": "seconds"}
    figure, panels = plt.subplots(1, len(titles), figsize=(9, 2.8), layout="constrained")
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        axes.plot(range(len(NAMES)), [found["results"][f"{name}_{key}"] for name in NAMES], "o")
        axes.set(title=title, xlabel="side of the patches", xlim=(-0.5, len(NAMES) - 0.5))
        axes.set_xticks(range(len(NAMES)), ["none", *(name.removeprefix("patch_") for name in list(NAMES)[1:])])
    return figure


def table(found):
    results, forms = found["results"], {"energy": ".3f", "error": ".4f", "recognised": ".4f", "train_seconds": ".0f"}
    rows = [[title, *(f"{results[f'{name}_{key}']:{form}}" for key, form in forms.items())]
            for name, title in NAMES.items()]  # fmt: skip
    head = ["loss", "gradient energy, over that of real quadrants", "mean absolute error", "recognised", "seconds"]
    return f"{markdown_table(head, rows)}\n\nOf the whole digits {results['recognised_targets']:.4f} are recognised."
